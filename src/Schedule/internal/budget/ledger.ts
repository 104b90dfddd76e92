/**
 * The state of one budget, and the account that one call has with it.
 *
 * Retries and hedges of a call may share a budget, one inside the other. Then the call counts once: an attempt carries
 * a slip for each budget that counts it, and whoever opens an account inside finds the slip, says there what it has
 * counted, and leaves the beginning and the end of the call to the account outside.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as MutableRef from "effect/MutableRef"
import { nowOf } from "../../../internal/now.js"
import type { Core, Decision, Event } from "./core.js"

type Runner = Fiber.RuntimeFiber<unknown, unknown>

/** The state of one budget, changed in one step each. */
export class Ledger<S = unknown> {
  granted = 0
  refused = 0
  private readonly state: MutableRef.MutableRef<S>
  constructor(
    readonly key: string,
    private readonly core: Core<S>,
    /** Whether a failure suggests overload. */
    readonly isCostly: (error: unknown) => boolean
  ) {
    this.state = MutableRef.make(core.initial)
  }

  tell(event: Event, fiber: Runner): Decision {
    const [next, decision] = this.core.transition(MutableRef.get(this.state), event, nowOf(fiber))
    MutableRef.set(this.state, next)
    return decision
  }

  withdraw(error: unknown, fiber: Runner): Decision {
    const cost = this.tell({ _tag: "Withdraw", costly: this.isCostly(error) }, fiber)
    if (cost === undefined) this.refused++
    else this.granted++
    return cost
  }

  balance(now: number): number {
    return this.core.balance(MutableRef.get(this.state), now)
  }
}

/** What an attempt knows of the account that counts it. */
export interface Slip {
  readonly ledger: Ledger
  /** The failure of this attempt has been counted further in. */
  failed: boolean
  /** Extra attempts were made further in. */
  retried: boolean
}

/** The slips of the attempt that is running, one for each budget. */
export class CurrentSlips extends Context.Reference<CurrentSlips>()(
  "holdfast/Schedule/internal/budget/ledger/CurrentSlips",
  { defaultValue: (): ReadonlyArray<Slip> => [] }
) {}

const callStarted: Event = { _tag: "CallStarted" }
const attemptFailed: Event = { _tag: "AttemptFailed" }
const extraEnded: Event = { _tag: "ExtraEnded" }

/** One call and one budget. */
export class Account {
  private readonly outer: ReadonlyArray<Slip>
  /** The slip of the attempt that this whole call is part of. */
  private readonly within: Slip | undefined
  private lastCost: Decision
  private retried = false
  constructor(private readonly ledger: Ledger, private readonly fiber: Runner) {
    this.outer = Context.get(fiber.currentContext, CurrentSlips)
    this.within = this.outer.find((slip) => slip.ledger === ledger)
    if (this.within === undefined) ledger.tell(callStarted, fiber)
  }

  /** A slip for the next attempt. */
  slip(): Slip {
    return { ledger: this.ledger, failed: false, retried: false }
  }

  /** The attempt, with its slip. */
  carrying<A, E, R>(attempt: Effect.Effect<A, E, R>, slip: Slip): Effect.Effect<A, E, R> {
    const others = this.outer.filter(({ ledger }) => ledger !== this.ledger)
    return Effect.provideService(attempt, CurrentSlips, [...others, slip])
  }

  /** An attempt has failed in a way that counts. */
  failed(slip: Slip): void {
    if (!slip.failed) this.ledger.tell(attemptFailed, this.fiber)
    slip.failed = true
    if (this.within !== undefined) this.within.failed = true
  }

  /** Whether there may be one more attempt; if so, it is in flight from now on. */
  withdraw(error: unknown): boolean {
    const cost = this.ledger.withdraw(error, this.fiber)
    if (cost === undefined) return false
    this.lastCost = cost
    this.retried = true
    if (this.within !== undefined) this.within.retried = true
    return true
  }

  /** An extra attempt has ended, or will not start. */
  extraEnded(): void {
    this.ledger.tell(extraEnded, this.fiber)
  }

  /** The call has ended; `last` is the slip of the attempt that ended it. */
  ended(succeeded: boolean, last: Slip): void {
    if (succeeded && this.lastCost !== undefined) {
      this.ledger.tell({ _tag: "Refund", cost: this.lastCost }, this.fiber)
    }
    const retried = this.retried || last.retried
    if (this.within === undefined) this.ledger.tell({ _tag: "CallEnded", succeeded, retried }, this.fiber)
    else if (retried) this.within.retried = true
  }
}
