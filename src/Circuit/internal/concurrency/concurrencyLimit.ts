/**
 * The effects around an adaptive limit: count the calls, measure them, and let in those that wait when a place comes
 * free or the limit has grown.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Description } from "../../../Combinator.js"
import { preciseNowOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import type { Classify, ConcurrencyLimit, Snapshot } from "../../ConcurrencyLimit.js"
import { GateValue, type Runner, type Ticket } from "../gate/gate.js"
import { Line } from "../gate/line.js"
import { RejectionTypeId } from "../gate/rejection.js"
import { Waiter } from "../gate/waiter.js"
import { WatchedValue } from "../gate/watched.js"
import { randomOf } from "../gate/withinStep.js"
import type { Working } from "./limitAlgorithms.js"
import { rejectRamp } from "./windowedLimit.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/ConcurrencyLimit")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * As many calls are under way as the dependency can take, as far as its latency tells.
 *
 * @since 0.1.0
 * @category errors
 */
export class LimitExceeded extends Data.TaggedError("LimitExceeded")<{
  /** The key of the limit. */
  readonly limiter: string
  /** How many calls may be under way, at that time. */
  readonly limit: number
  readonly inflight: number
  readonly waiting: number
  /** How long a call took lately: a place has come free by then. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    const line = this.waiting === 0 ? "" : ` and ${this.waiting} wait`
    return `concurrency limit "${this.limiter}" takes ${this.limit} calls at a time, and ${this.inflight} are under way${line}; try again in ${
      Duration.format(this.retryAfter)
    }`
  }
}

export interface Settings {
  readonly classify: Classify
  /** Whether calls may wait for a place. */
  readonly queue: boolean
}

export class ConcurrencyLimitImpl extends GateValue<LimitExceeded> implements ConcurrencyLimit {
  private inflight = 0
  private rejected = 0
  private lastMillis = defaultHintMillis
  private readonly line = new Line<WaitingCall>()

  constructor(
    key: string,
    description: Description,
    private readonly working: Working,
    private readonly settings: Settings
  ) {
    super(key, description)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  readonly limit: Effect.Effect<number> = Effect.sync(() => this.working.limit())

  readonly snapshot = new WatchedValue<Snapshot>(Effect.sync(() => ({
    limiter: this.key,
    limit: this.working.limit(),
    inflight: this.inflight,
    waiting: this.line.size,
    rejected: this.rejected
  })))

  admit(fiber: Runner): Ticket<LimitExceeded> | Exit.Exit<never, LimitExceeded> {
    this.snapshot.touch()
    const limit = this.working.limit()
    if (this.inflight < limit && this.line.size === 0) return new Running(this, ++this.inflight, preciseNowOf(fiber))
    if (!this.settings.queue || this.isTooLong(limit, fiber)) {
      this.rejected++
      return Exit.fail(this.exceeded(limit))
    }
    const call = new WaitingCall(this)
    this.line.join(call)
    return call
  }

  /** A call has ended that began at a time, with so many others. */
  settle({ inflight, startedAt }: Begun, exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.inflight--
    const now = preciseNowOf(fiber)
    try {
      const verdict = this.settings.classify(exit)
      if (verdict !== "ignored") {
        const rttMillis = now - startedAt
        this.lastMillis = rttMillis
        this.working.sample({ rttMillis, inflight, dropped: verdict === "dropped" }, now)
      }
    } finally {
      this.letIn(now)
    }
  }

  /** A call has left that has not run. */
  giveBack(fiber: Runner): void {
    this.inflight--
    this.letIn(preciseNowOf(fiber))
  }

  /** A call waits no longer. */
  leave(call: WaitingCall): void {
    this.line.leave(call)
    this.snapshot.touch()
  }

  /** Whether a new limit would answer the same, but for what it has learnt. */
  get isSpare(): boolean {
    return this.inflight === 0 && this.line.size === 0 && !this.snapshot.isWatched
  }

  override toJSON(): unknown {
    return { _id: "ConcurrencyLimit", key: this.key, inflight: this.inflight, state: this.working.state() }
  }

  private letIn(now: number): void {
    const limit = this.working.limit()
    for (let call = this.line.first; call !== undefined && this.inflight < limit; call = this.line.first) {
      this.line.leave(call)
      call.begin({ inflight: ++this.inflight, startedAt: now })
    }
    this.snapshot.touch()
  }

  private isTooLong(limit: number, fiber: Runner): boolean {
    const part = rejectRamp(this.line.size, limit)
    return part >= 1 || (part > 0 && randomOf(fiber) < part)
  }

  private exceeded(limit: number): LimitExceeded {
    return stackless(() =>
      new LimitExceeded({
        limiter: this.key,
        limit,
        inflight: this.inflight,
        waiting: this.line.size,
        retryAfter: Duration.millis(Math.max(1, Math.ceil(this.lastMillis)))
      })
    )
  }
}

/** Before any call has been measured. */
const defaultHintMillis = 1_000

interface Begun {
  readonly inflight: number
  /** With fractions: whole milliseconds are too coarse for calls that take less than one. */
  readonly startedAt: number
}

class Running implements Ticket<never>, Begun {
  readonly _tag = "Ticket"
  constructor(
    private readonly owner: ConcurrencyLimitImpl,
    readonly inflight: number,
    readonly startedAt: number
  ) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.owner.settle(this, exit, fiber)
  }
  refund(fiber: Runner): void {
    this.owner.giveBack(fiber)
  }
}

class WaitingCall extends Waiter<WaitingCall, LimitExceeded> {
  private begun: Begun | undefined
  constructor(private readonly owner: ConcurrencyLimitImpl) {
    super(0, Infinity)
  }
  begin(begun: Begun): void {
    this.begun = begun
    this.finish(Exit.void)
  }
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    if (this.begun !== undefined) this.owner.settle(this.begun, exit, fiber)
  }
  refund(fiber: Runner): void {
    if (this.begun !== undefined) this.owner.giveBack(fiber)
    else this.owner.leave(this)
  }
}
