/**
 * One hedged call: a first attempt, and others that are started beside it.
 *
 *     primary ───────────────────────────────▶ first value wins
 *        │ delay over, or an attempt failed           ▲
 *        └▶ hedge 1 ──────────────────────────────────┤
 *              └▶ hedge 2 ────────────────────────────┘
 *
 * Attempts are fibers of their own, which start at once and in place: a primary that never suspends is over before a
 * timer would be set. Whatever happens here happens in one synchronous step of an attempt's end or a timer's, so that no
 * two of them can both win or both start the same hedge.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { nowOf } from "../../internal/now.js"
import { observed } from "../../internal/observed.js"
import { Account, type Ledger, type Slip } from "../../Schedule/internal/budget/ledger.js"
import type { HedgeEvent } from "../Hedge.js"
import { startTimer, type Stop } from "./timer.js"

type Rest = Effect.Effect<unknown, unknown, unknown>
type Attempt = Fiber.RuntimeFiber<unknown, unknown>
type Runner = Fiber.RuntimeFiber<unknown, unknown>

/** Everything that is the same for all calls. */
export interface Hedging {
  /** How many attempts there may be beside the first. */
  readonly hedges: number
  /** The wait before a hedge, from 1, in milliseconds; infinite when no time starts it. */
  readonly delayMillis: (hedge: number, now: number) => number
  /** What the hedges run, in turn; the call itself where there are none. */
  readonly targets: ReadonlyArray<Rest>
  readonly failure: "primary" | "all"
  readonly budget: Ledger | undefined
  /** Told how long primaries took that succeeded. */
  readonly onPrimary: ((millis: number, now: number) => void) | undefined
  readonly onEvent: ((event: HedgeEvent) => Effect.Effect<unknown, never, unknown>) | undefined
}

/** Runs a call with its hedges. */
export const hedged = (hedging: Hedging, primary: Rest): Rest =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((caller, { runtimeFlags }) => {
      const runtime = Runtime.make({
        // The requirements of the attempts are those of the fiber that makes the call.
        context: caller.currentContext as Context.Context<unknown>,
        runtimeFlags,
        fiberRefs: caller.getFiberRefs()
      })
      const call = new HedgedCall(hedging, primary, caller, runtime, restore)
      call.start(0)
      if (call.result !== undefined) return call.result
      const end = Effect.async<void>((resume) => {
        call.onEnd = () => resume(Effect.void)
        if (call.result !== undefined) call.onEnd()
      })
      return Effect.matchCauseEffect(restore(end), {
        onSuccess: () => call.result ?? Effect.dieMessage("a hedged call goes on when it has ended"),
        onFailure: (cause) => call.abandon(cause)
      })
    })
  )

class HedgedCall {
  /** What the call comes to, as soon as that is known. */
  result: Rest | undefined
  onEnd: () => void = constVoid
  private readonly live = new Map<number, Attempt>()
  private readonly slips: Array<Slip> = []
  private readonly failures: Array<Cause.Cause<unknown>> = []
  private started = 0
  private refused = false
  private stopTimer: Stop = constVoid
  private readonly startedAt: number
  private readonly account: Account | undefined

  constructor(
    private readonly hedging: Hedging,
    private readonly primary: Rest,
    private readonly caller: Runner,
    private readonly runtime: Runtime.Runtime<unknown>,
    private readonly restore: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) {
    this.startedAt = nowOf(caller)
    this.account = hedging.budget === undefined ? undefined : new Account(hedging.budget, caller)
  }

  /** Starts an attempt; 0 is the primary. */
  start(index: number): void {
    const { targets } = this.hedging
    const effect = index === 0 || targets.length === 0 ? this.primary : targets[(index - 1) % targets.length]!
    const attempt = Runtime.runFork(this.runtime, this.restore(this.carrying(effect, index)))
    this.live.set(index, attempt)
    attempt.addObserver((exit) => this.attemptEnded(index, attempt, exit))
    // Where the attempt has failed in the meantime, the next hedge has its own timer.
    if (this.result === undefined && this.started === index) this.arm()
  }

  private carrying(effect: Rest, index: number): Rest {
    if (this.account === undefined) return effect
    const slip = this.account.slip()
    this.slips[index] = slip
    return this.account.carrying(effect, slip)
  }

  private attemptEnded(index: number, attempt: Attempt, exit: Exit.Exit<unknown, unknown>): void {
    if (this.result !== undefined) return
    this.live.delete(index)
    if (index > 0) this.account?.extraEnded()
    if (Exit.isSuccess(exit)) {
      const now = nowOf(this.caller)
      if (index === 0) this.hedging.onPrimary?.(now - this.startedAt, now)
      if (this.started > 0) this.tell({ _tag: "Won", attempt: index })
      return this.end(Effect.zipRight(attempt.inheritAll, exit), index)
    }
    this.failures[index] = exit.cause
    const slip = this.slips[index]
    if (slip !== undefined && !Cause.isInterrupted(exit.cause)) this.account?.failed(slip)
    if (!this.startNext(exit.cause) && this.live.size === 0) this.end(Exit.failCause(this.failure()), undefined)
  }

  /** Starts the next hedge, if there may be one. */
  private startNext(after?: Cause.Cause<unknown>): boolean {
    const index = this.started + 1
    if (index > this.hedging.hedges || this.refused) return false
    const error = after === undefined ? undefined : Option.getOrUndefined(Cause.failureOption(after))
    this.stopTimer()
    if (this.account !== undefined && !this.account.withdraw(error)) {
      // What is under way goes on; this call asks for no more.
      this.refused = true
      this.tell({ _tag: "Refused", attempt: index })
      return false
    }
    this.started = index
    this.tell({ _tag: "Started", attempt: index, because: after === undefined ? "delay" : "failure" })
    this.start(index)
    return true
  }

  private arm(): void {
    const hedge = this.started + 1
    if (hedge > this.hedging.hedges || this.refused) return
    const millis = this.delayOf(hedge)
    if (millis === undefined || millis === Infinity) return
    this.stopTimer = startTimer(this.caller, this.runtime as Runtime.Runtime<never>, millis, (exit) => {
      if (this.result !== undefined) return
      if (Exit.isSuccess(exit)) this.startNext()
      else this.end(exit, undefined)
    })
  }

  private delayOf(hedge: number): number | undefined {
    try {
      return this.hedging.delayMillis(hedge, nowOf(this.caller))
    } catch (defect) {
      this.end(Exit.die(defect), undefined)
      return undefined
    }
  }

  private failure(): Cause.Cause<unknown> {
    const [primary = Cause.empty, ...others] = this.failures
    return this.hedging.failure === "primary" ? primary : others.reduce(Cause.parallel, primary)
  }

  /** Settles the call, and lets the attempts that are left end on their own. */
  private end(result: Rest, winner: number | undefined): void {
    this.result = result
    this.close(winner)
    for (const attempt of this.live.values()) attempt.unsafeInterruptAsFork(this.caller.id())
    this.onEnd()
  }

  /** The caller is being interrupted: so are all attempts, and it waits for them. */
  abandon(cause: Cause.Cause<never>): Rest {
    const attempts = [...this.live.values()]
    if (this.result === undefined) {
      this.result = Exit.failCause(cause)
      this.close(undefined)
    }
    return Effect.zipRight(Fiber.interruptAllAs(attempts, this.caller.id()), Exit.failCause(cause))
  }

  private close(winner: number | undefined): void {
    this.stopTimer()
    if (this.account === undefined) return
    for (const index of this.live.keys()) if (index > 0) this.account.extraEnded()
    const last = this.slips[winner ?? 0]
    if (last !== undefined) this.account.ended(winner !== undefined, last)
  }

  private tell(event: HedgeEvent): void {
    const { onEvent } = this.hedging
    if (onEvent !== undefined) Runtime.runFork(this.runtime, observed(() => onEvent(event)))
  }
}
