/**
 * The loop of a retried call: one loop, whatever the number of rules.
 *
 *     attempt ── good ──────────────────────────────────▶ its value
 *        ▲ └──── not good ─▶ first rule that matches ─ no ─▶ the end as it is, untouched
 *        │                     │ yes, has retries left, the next attempt would start in time, the budget allows it
 *        └──────── sleep ◀─────┘
 *
 * The first attempt runs inside the pipeline of the call, and the loop begins when it has ended badly: a call that
 * succeeds at once pays for a look at its exit and nothing else. Only where an attempt has to be told something (its
 * number in a retry of a retry, its slip of a budget) is the first one an effect of its own too.
 *
 * Attempts and sleeps can be interrupted, what lies between them cannot: so the failure that came before an
 * interruption is not lost, and an interrupted sleep is followed by no attempt.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { nowOf } from "../../internal/now.js"
import { observed } from "../../internal/observed.js"
import type { Call, Stage } from "../../internal/pipeline.js"
import { sleepMillis } from "../../internal/sleep.js"
import type { RetryEvent } from "../Retry.js"
import { Account, type Ledger, type Slip } from "./budget/ledger.js"
import { CurrentAttempt, CurrentDeadline } from "./current.js"
import { type Counters, decide, makeCounters } from "./decide.js"
import type { Matcher } from "./matcher.js"
import { type CompiledRule, endingOf } from "./rule.js"

/** Everything that is the same for all calls. */
export interface Plan {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly never: ReadonlyArray<Matcher>
  readonly maxElapsedMillis: number
  /** Delays of a curve are shortened to leave an attempt this much time. */
  readonly minAttemptMillis: number | undefined
  readonly budget: Ledger | undefined
  readonly onRetry: ((event: RetryEvent<unknown>) => Effect.Effect<unknown, never, unknown>) | undefined
}

type Ended = Exit.Exit<unknown, unknown>
type Rest = Effect.Effect<unknown, unknown, unknown>

/** The stage of a retry. */
export const retryStage = (plan: Plan): Stage => {
  const judgesValues = plan.rules.some(({ subject }) => subject._tag === "Value")
  return {
    around: (call) =>
      plan.budget === undefined && Context.get(call.fiber.currentContext, CurrentAttempt) === 1
        ? undefined
        : wholeCall(plan, call),
    enter: plan.maxElapsedMillis === Infinity ? undefined : (call) => {
      call.place = nowOf(call.fiber)
      return undefined
    },
    leave: (call, exit) =>
      Exit.isSuccess(exit) && !judgesValues
        ? exit
        : new Loop(plan, call.fiber, call.restore, call.inner(), (call.place as number | undefined) ?? 0).ended(exit)
  }
}

/** All attempts, the first one included. */
const wholeCall = (plan: Plan, call: Call): Rest => {
  const inner = call.inner()
  return Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => new Loop(plan, call.fiber, restore, inner, nowOf(call.fiber)).first())
  )
}

/** One call. */
class Loop {
  private counters: Counters | undefined
  private readonly account: Account | undefined
  private slip: Slip | undefined
  /** Whether the attempt that runs, or is waited for, is one beyond the first. */
  private extra = false
  constructor(
    private readonly plan: Plan,
    private readonly fiber: Fiber.RuntimeFiber<unknown, unknown>,
    private readonly restore: Call["restore"],
    private readonly inner: Rest,
    private readonly startedAt: number
  ) {
    this.account = plan.budget === undefined ? undefined : new Account(plan.budget, fiber)
  }

  first(): Rest {
    // Inside an attempt of an outer retry the count starts again.
    return this.attempt(
      Context.get(this.fiber.currentContext, CurrentAttempt) === 1 ? this.inner : this.numbered(1)
    )
  }

  private numbered(attempt: number): Rest {
    return Effect.provideService(this.inner, CurrentAttempt, attempt)
  }

  private attempt(effect: Rest): Rest {
    const { account } = this
    const carrying = account === undefined ? effect : account.carrying(effect, this.slip = account.slip())
    return Effect.matchCauseEffect(this.restore(carrying), {
      onSuccess: (value) => this.ended(Exit.succeed(value)),
      onFailure: (cause) => this.ended(Exit.failCause(cause))
    })
  }

  /** What follows the end of an attempt. */
  ended(exit: Ended): Rest {
    this.extraEnded()
    if (Exit.isSuccess(exit) || !Cause.isInterrupted(exit.cause)) return this.judged(exit)
    // Was it the attempt that interrupted itself, or is the caller being interrupted?
    return Effect.matchCauseEffect(this.restore(Effect.void), {
      onSuccess: () => this.judged(exit),
      onFailure: () => this.over(Exit.failCause(beforeInterrupt(exit.cause)), false)
    })
  }

  private judged(exit: Ended): Rest {
    const { account, fiber, plan } = this
    let matched = false
    const next = decide({
      rules: plan.rules,
      never: plan.never,
      counters: this.counters ??= makeCounters(plan.rules),
      fiber,
      ending: endingOf(exit),
      inTime: (wanted, asked) => this.inTime(wanted, asked),
      onMatch: () => {
        if (!matched && this.slip !== undefined) account?.failed(this.slip)
        matched = true
      },
      withdraw: (error) => account === undefined || (this.extra = account.withdraw(error))
    })
    return Effect.flatMap(next, (event) => {
      if (event === undefined) return this.over(exit, Exit.isSuccess(exit) && !matched)
      const rest = event._tag === "Retrying" ? this.again(exit, event) : this.over(exit, false)
      const { onRetry } = plan
      return onRetry === undefined ? rest : Effect.zipRight(observed(() => onRetry(event)), rest)
    })
  }

  private again(exit: Ended, { attempt, delay }: RetryEvent<unknown>): Rest {
    return Effect.matchCauseEffect(this.restore(sleepMillis(Duration.toMillis(delay))), {
      onSuccess: () => this.attempt(this.numbered(attempt + 1)),
      onFailure: (cause) => {
        this.extraEnded()
        // Leaving this region adds the interruption to the failure; a clock that fails adds its own.
        return this.over(Cause.isInterruptedOnly(cause) ? exit : followedBy(exit, cause), false)
      }
    })
  }

  private extraEnded(): void {
    if (this.extra) this.account?.extraEnded()
    this.extra = false
  }

  private over(exit: Ended, succeeded: boolean): Ended {
    if (this.slip !== undefined) this.account?.ended(succeeded, this.slip)
    return exit
  }

  /** A delay that was asked for is a minimum, and is not shortened. */
  private inTime(wanted: number, asked: boolean): number | undefined {
    const { maxElapsedMillis, minAttemptMillis } = this.plan
    const deadline = Context.get(this.fiber.currentContext, CurrentDeadline)
    if (deadline === undefined && maxElapsedMillis === Infinity) return wanted
    const now = nowOf(this.fiber)
    const untilDeadline = deadline === undefined ? Infinity : deadline - now
    const untilMaxElapsed = this.startedAt + maxElapsedMillis - now
    if (wanted < untilDeadline && wanted <= untilMaxElapsed) return wanted
    if (minAttemptMillis === undefined || asked) return undefined
    // Without a wait that is left, one attempt would follow the other until the time is over.
    const room = Math.min(untilDeadline, untilMaxElapsed) - minAttemptMillis
    return room > 0 ? room : undefined
  }
}

/** The failure of an attempt that ended while its fiber was being interrupted, without that interruption. */
const beforeInterrupt = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right) ? cause.left : cause

const followedBy = (exit: Ended, cause: Cause.Cause<unknown>): Ended =>
  Exit.failCause(Exit.isSuccess(exit) ? cause : Cause.sequential(exit.cause, cause))
