/**
 * The shell around a rate algorithm: calls as tickets, waits as effects, one alarm for the head of the line.
 *
 * Those who wait have taken nothing: the first of the line takes when its turn has come, and is counted from its turn
 * on, not from when its timer rang. So rates above one call per millisecond are kept, one that is interrupted leaves its
 * turn to those behind without anything to undo, and each costs the same however long the line is.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { type Combinator, type Description } from "../../../Combinator.js"
import { makeCombinator } from "../../../internal/combinator.js"
import { nowOf, wallClockOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import { reader } from "../../../InvalidOptions.js"
import type { Gate } from "../../Gate.js"
import type { Allowance, CallOptions, Change, RateLimiter, Snapshot } from "../../RateLimiter.js"
import { Alarm } from "../gate/alarm.js"
import { Deadlines } from "../gate/deadlines.js"
import { GateValue, GateView, type Runner, type Ticket } from "../gate/gate.js"
import { Line } from "../gate/line.js"
import { Waiter } from "../gate/waiter.js"
import { WatchedValue } from "../gate/watched.js"
import type { Algorithm, Limit } from "./rate/algorithm.js"
import { CostTooHigh, RateLimited } from "./rateLimited.js"

/** Marks rate limiters; exported by `RateLimiter`. */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/RateLimiter")

export type TypeId = typeof TypeId

/** Times are in milliseconds. */
export interface Settings<S> {
  readonly algorithm: Algorithm<S>
  readonly limit: Limit
  /** 0 for none, `Infinity` for as long as it takes. */
  readonly maxWaitMillis: number
  readonly resumesEmpty: boolean
  readonly retryAfterOf: (answer: unknown, now: number) => Option.Option<Duration.Duration>
  readonly maxRetryAfterMillis: number
  /** A changed limit, checked. */
  readonly changed: (limit: Limit, change: Change) => Limit
}

export class LimiterImpl<S> extends GateValue<RateLimited> implements RateLimiter {
  readonly [TypeId]: typeof TypeId = TypeId
  private readonly algorithm: Algorithm<S>
  private limit: Limit
  private state: S
  private blockedUntil = -Infinity
  /** Grows when what was taken before can no longer be given back. */
  private epoch = 0
  private readonly line = new Line<Call<S>>()
  private rejected = 0
  /** What those in line cost together. */
  private ahead = 0
  /** Since when the first of the line has been first, and nothing but time has passed. */
  private undisturbedSince = -Infinity
  private readonly deadlines = new Deadlines<Call<S>>()
  private readonly alarm = new Alarm((fiber) => this.proceed(nowOf(fiber), fiber))

  constructor(key: string, description: Description, private readonly settings: Settings<S>) {
    super(key, description)
    this.algorithm = settings.algorithm
    this.limit = settings.limit
    this.state = settings.algorithm.initial
  }

  readonly reset = this.step((now, fiber) => {
    this.state = this.algorithm.initial
    this.blockedUntil = -Infinity
    this.epoch++
    this.disturb(now, fiber)
  })

  readonly snapshot = new WatchedValue<Snapshot>(this.step((now) => ({
    limiter: this.key,
    limit: this.limit.capacity,
    remaining: this.remaining(now),
    resetAfter: Duration.millis(Math.ceil(this.algorithm.resetAfter(this.limit, this.state, now))),
    blockedFor: Duration.millis(Math.max(0, Math.ceil(this.blockedUntil - now))),
    waiting: this.line.size,
    rejected: this.rejected
  })))

  readonly heed: Combinator = makeCombinator([{ policy: "RateLimiter.heed", key: this.key, settings: {} }], [{
    leave: (call, exit) => {
      this.heedExit(exit, call.fiber)
      return exit
    }
  }])

  readonly blockFor = (duration: Duration.DurationInput): Effect.Effect<void> =>
    Effect.suspend(() => {
      const millis = reader("RateLimiter.blockFor").finiteDuration("duration", duration)
      return this.step((now, fiber) => this.blockUntil(now + millis, now, fiber))
    })

  readonly setLimit = (change: Change): Effect.Effect<void> =>
    this.step((now, fiber) => {
      const next = this.settings.changed(this.limit, change)
      this.state = now < this.blockedUntil && this.settings.resumesEmpty
        ? this.algorithm.empty(next, this.blockedUntil)
        : this.algorithm.change(this.limit, next, this.state, now)
      this.limit = next
      this.epoch++
      this.disturb(now, fiber)
    })

  readonly allow = (cost = 1): Effect.Effect<Allowance> =>
    Effect.suspend(() => {
      checkCost("RateLimiter.allow", cost)
      return this.step((now, fiber) => {
        this.proceed(now, fiber)
        const wait = cost > this.limit.capacity ? Infinity : this.untilTurn(cost, this.ahead, now)
        const allowed = wait <= 0 && this.line.size === 0
        if (allowed) this.take(cost, now, 0)
        return {
          allowed,
          limit: this.limit.capacity,
          remaining: now < this.blockedUntil ? 0 : this.remaining(now),
          resetAfter: Duration.millis(Math.ceil(this.algorithm.resetAfter(this.limit, this.state, now))),
          retryAfter: allowed ? Duration.zero : wait === Infinity ? Duration.infinity : Duration.millis(hint(wait))
        }
      })
    })

  readonly with = (call: CallOptions): Gate<RateLimited | CostTooHigh> => {
    const { cost = 1, maxWait } = call
    const read = reader("RateLimiter.with")
    const maxWaitMillis = maxWait === undefined ? this.settings.maxWaitMillis : read.duration("maxWait", maxWait)
    if (typeof cost === "number") checkCost("RateLimiter.with", cost)
    const costOf = typeof cost === "number" ? () => cost : () => checkCost("RateLimiter.with", cost())
    const { key, policy, settings } = this.description
    return new GateView<RateLimited | CostTooHigh>(this.key, {
      policy,
      key,
      settings: {
        ...settings,
        maxWaitMillis: maxWaitMillis === Infinity ? null : maxWaitMillis,
        cost: typeof cost === "number" ? cost : "computed"
      }
    }, (fiber) => {
      const cost = costOf()
      return cost > this.limit.capacity
        ? Exit.fail(this.rejectTooHigh(cost))
        : this.enter(cost, maxWaitMillis, fiber)
    })
  }

  override admit(fiber: Runner): Ticket<RateLimited> | Exit.Exit<never, RateLimited> {
    return this.enter(1, this.settings.maxWaitMillis, fiber)
  }

  /** Nobody waits, nothing is spent, it is not blocked, and its limit is the one it was made with. */
  isSpare(now: number): boolean {
    return this.line.size === 0 && this.limit === this.settings.limit && now >= this.blockedUntil &&
      this.algorithm.resetAfter(this.limit, this.state, now) <= 0 && !this.snapshot.isWatched
  }

  override toJSON() {
    return { _id: "RateLimiter", key: this.key, ...this.limit, waiting: this.line.size }
  }

  /** The call has not run: what it took comes back, to those who wait first. */
  giveBack(taken: Taken<S>, fiber: Runner): void {
    if (taken.epoch !== this.epoch) return
    const now = nowOf(fiber)
    this.state = this.algorithm.giveBack(this.limit, this.state, taken.cost, taken.left, now)
    this.disturb(now, fiber)
  }

  /** A call waits no longer. */
  leave(call: Call<S>, fiber: Runner): void {
    this.takeOut(call)
    this.disturb(nowOf(fiber), fiber)
  }

  /** The call has run: its end may ask to wait. */
  heedExit(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    const answer = Exit.isSuccess(exit) ? exit.value : Option.getOrUndefined(Cause.failureOption(exit.cause))
    const asked = this.settings.retryAfterOf(answer, wallClockOf(fiber))
    if (Option.isNone(asked)) return
    const millis = Math.min(Duration.toMillis(asked.value), this.settings.maxRetryAfterMillis)
    const now = nowOf(fiber)
    if (millis > 0) this.blockUntil(now + millis, now, fiber)
  }

  private enter(
    cost: number,
    maxWaitMillis: number,
    fiber: Runner
  ): Ticket<RateLimited> | Exit.Exit<never, RateLimited> {
    const now = nowOf(fiber)
    // Its alarm may be late, and the turn of the first have come.
    if (this.line.size > 0) this.proceed(now, fiber)
    const wait = this.untilTurn(cost, this.ahead, now)
    if (wait <= 0 && this.line.size === 0) return this.take(cost, now, 0)
    if (wait > maxWaitMillis || maxWaitMillis === 0) return Exit.fail(this.reject(cost, wait, now))
    const call = new Call(this, cost, now, now + maxWaitMillis)
    if (this.line.size === 0) this.undisturbedSince = now
    this.line.join(call)
    this.ahead += cost
    this.deadlines.add(call)
    this.setAlarm(now, fiber)
    return call
  }

  private take(cost: number, now: number, late: number): Taken<S> {
    this.state = this.algorithm.take(this.limit, this.state, cost, now, late)
    this.snapshot.touch()
    return new Taken(this, cost, this.state, this.epoch)
  }

  /** How long until a call could take, were those in line before it to take `ahead`; zero or less: now. */
  private untilTurn(cost: number, ahead: number, now: number): number {
    const from = Math.max(now, this.blockedUntil)
    // One that has become too dear in line takes all there is.
    const wait = this.algorithm.wait(this.limit, this.state, Math.min(cost, this.limit.capacity), ahead, from)
    return from === now ? wait : from - now + Math.max(0, wait)
  }

  /** Something else than time has changed what the first of the line waits for. */
  private disturb(now: number, fiber: Runner): void {
    this.undisturbedSince = now
    this.proceed(now, fiber)
  }

  /** Lets in all whose turn has come, turns away all who may wait no longer, and sees to those who come next. */
  private proceed(now: number, fiber: Runner): void {
    this.letIn(now)
    for (let late = this.deadlines.first; late !== undefined && late.deadline <= now; late = this.deadlines.first) {
      this.turnAway(late, now)
      this.undisturbedSince = now
      this.letIn(now)
    }
    this.setAlarm(now, fiber)
  }

  private letIn(now: number): void {
    // How long ago the turn of the next can have come at most: not before the one before it took.
    let since = now - Math.max(this.undisturbedSince, this.blockedUntil)
    for (let call = this.line.first; call !== undefined; call = this.line.first) {
      const wait = this.untilTurn(call.cost, 0, now)
      if (wait > 0) break
      since = Math.min(since, now - call.arrivedAt, -wait)
      this.takeOut(call)
      call.letIn(this.take(Math.min(call.cost, this.limit.capacity), now, Math.max(0, since)))
    }
    this.undisturbedSince = now
  }

  /** Sees to what comes next, after something has changed. */
  private setAlarm(now: number, fiber: Runner): void {
    this.snapshot.touch()
    const { first } = this.line
    if (first === undefined) return this.alarm.clear()
    const deadline = this.deadlines.first?.deadline ?? Infinity
    this.alarm.set(Math.min(this.untilTurn(first.cost, 0, now), deadline - now), fiber)
  }

  private takeOut(call: Call<S>): void {
    this.line.leave(call)
    this.deadlines.remove(call)
    this.ahead = this.line.size === 0 ? 0 : this.ahead - call.cost
  }

  private turnAway(call: Call<S>, now: number): void {
    this.takeOut(call)
    call.finish(Exit.fail(this.reject(call.cost, this.untilTurn(call.cost, this.ahead, now), now)))
  }

  private blockUntil(until: number, now: number, fiber: Runner): void {
    if (until <= this.blockedUntil) return
    this.proceed(now, fiber)
    this.blockedUntil = until
    if (this.settings.resumesEmpty) {
      this.state = this.algorithm.empty(this.limit, until)
      this.epoch++
    }
    // Whoever cannot wait until then need not wait at all.
    for (let hopeless = this.deadlines.first; hopeless !== undefined; hopeless = this.deadlines.first) {
      if (hopeless.deadline >= until) break
      this.turnAway(hopeless, now)
    }
    this.setAlarm(now, fiber)
  }

  private remaining(now: number): number {
    // A token that is there but for what rounding has taken from it is there.
    return Math.max(0, Math.floor(this.algorithm.remaining(this.limit, this.state, now) - this.ahead + 1e-9))
  }

  private reject(cost: number, wait: number, now: number): RateLimited {
    this.rejected++
    this.snapshot.touch()
    const reason = now < this.blockedUntil ? "blocked" : "limit"
    const retryAfter = Duration.millis(hint(wait))
    return stackless(() => new RateLimited({ limiter: this.key, reason, cost, retryAfter }))
  }

  private rejectTooHigh(cost: number): CostTooHigh {
    this.rejected++
    this.snapshot.touch()
    return stackless(() => new CostTooHigh({ limiter: this.key, cost, capacity: this.limit.capacity }))
  }

  private step<A>(change: (now: number, fiber: Runner) => A): Effect.Effect<A> {
    return Effect.withFiberRuntime((fiber) => {
      const runner = fiber as Runner
      return Effect.succeed(change(nowOf(runner), runner))
    })
  }
}

/** What a call has taken. */
class Taken<S> implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(
    private readonly limiter: LimiterImpl<S>,
    readonly cost: number,
    /** What it left. */
    readonly left: S,
    readonly epoch: number
  ) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.limiter.heedExit(exit, fiber)
  }
  refund(fiber: Runner): void {
    this.limiter.giveBack(this, fiber)
  }
}

/** A call in line. */
class Call<S> extends Waiter<Call<S>, RateLimited> {
  private taken: Taken<S> | undefined
  constructor(private readonly limiter: LimiterImpl<S>, readonly cost: number, arrivedAt: number, deadline: number) {
    super(arrivedAt, deadline)
  }
  letIn(taken: Taken<S>): void {
    this.taken = taken
    this.finish(Exit.void)
  }
  override settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.taken?.settle(exit, fiber)
  }
  override refund(fiber: Runner): void {
    if (this.waits) this.limiter.leave(this, fiber)
    else this.taken?.refund(fiber)
  }
}

/** Whole milliseconds, so that who waits for so long is not too early. */
const hint = (wait: number): number => Math.max(1, Math.ceil(wait))

const checkCost = (module: string, cost: number): number =>
  Number.isFinite(cost) && cost >= 0
    ? cost
    : reader(module).refuse("cost", cost, "a number of zero or more")
