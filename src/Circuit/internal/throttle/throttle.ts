/**
 * The effects around adaptive throttling.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableRef from "effect/MutableRef"
import type { Description } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import type { Classify, Snapshot, Throttle } from "../../Throttle.js"
import { GateValue, type Runner, type Ticket } from "../gate/gate.js"
import { RejectionTypeId } from "../gate/rejection.js"
import { WatchedValue } from "../gate/watched.js"
import { randomOf } from "../gate/withinStep.js"
import * as machine from "./throttling.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/Throttle")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The call was not sent, because the dependency has refused too many lately.
 *
 * @since 0.1.0
 * @category errors
 */
export class Throttled extends Data.TaggedError("Throttled")<{
  /** The key of the throttle. */
  readonly throttle: string
  /** The part of all calls that was turned away at that time, from 0 to 1. */
  readonly probability: number
  /** When the counts will have changed. Before that a call has the same chance. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `throttle "${this.throttle}" turns away ${
      Math.round(this.probability * 100)
    } % of the calls, since too many are refused; its counts change in ${Duration.format(this.retryAfter)}`
  }
}

export class ThrottleImpl extends GateValue<Throttled> implements Throttle {
  private readonly cell = MutableRef.make(machine.initial)
  private rejected = 0

  constructor(
    key: string,
    description: Description,
    private readonly settings: machine.Settings,
    private readonly classify: Classify
  ) {
    super(key, description)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  admit(fiber: Runner): Ticket<Throttled> | Exit.Exit<never, Throttled> {
    const { cell, settings } = this
    const now = nowOf(fiber)
    const [next, { bucket, probability }] = machine.start(settings, MutableRef.get(cell), now)
    this.set(next)
    if (probability > 0 && randomOf(fiber) < probability) {
      this.rejected++
      const retryAfter = Duration.millis(Math.ceil(machine.untilNextBucket(settings, next, now)))
      return Exit.fail(stackless(() => new Throttled({ throttle: this.key, probability, retryAfter })))
    }
    return new Sent(this, bucket)
  }

  settle(bucket: number, exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    let verdict: ReturnType<Classify> = "neutral"
    try {
      verdict = this.classify(exit)
    } finally {
      // A classifier that throws has said nothing.
      if (verdict === "neutral") this.withdraw(bucket, fiber)
      else if (verdict === "accepted") this.change((state, now) => machine.accepted(this.settings, state, now), fiber)
    }
  }

  withdraw(bucket: number, fiber: Runner): void {
    this.change((state, now) => machine.withdrawn(this.settings, state, bucket, now), fiber)
  }

  readonly snapshot = new WatchedValue<Snapshot>(Effect.withFiberRuntime((fiber) => {
    const { accepts, requests } = machine.countsAt(this.settings, MutableRef.get(this.cell), nowOf(fiber))
    return Effect.succeed({
      throttle: this.key,
      requests,
      accepts,
      probability: machine.probability(this.settings, requests, accepts),
      rejected: this.rejected
    })
  }))

  readonly reset: Effect.Effect<void> = Effect.sync(() => {
    this.set(machine.initial)
  })

  /** Whether a new throttle would answer the same. */
  isSpare(now: number): boolean {
    return machine.countsAt(this.settings, MutableRef.get(this.cell), now).requests <= 0 && !this.snapshot.isWatched
  }

  private change(by: (state: machine.State, now: number) => machine.State, fiber: Runner): void {
    this.set(by(MutableRef.get(this.cell), nowOf(fiber)))
  }

  private set(state: machine.State): void {
    MutableRef.set(this.cell, state)
    this.snapshot.touch()
  }
}

/** A call that was sent. */
class Sent implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(private readonly throttle: ThrottleImpl, private readonly bucket: number) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.throttle.settle(this.bucket, exit, fiber)
  }
  refund(fiber: Runner): void {
    this.throttle.withdraw(this.bucket, fiber)
  }
}
