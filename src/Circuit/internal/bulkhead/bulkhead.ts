/**
 * The shell around the places of a bulkhead: calls as tickets, waits as effects, one alarm for all queue timeouts.
 *
 * A place that comes free is handed to the first of the line in the same step, so whoever comes in between finds it
 * taken. A call that finds a free place costs two additions.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Description } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import { reader } from "../../../InvalidOptions.js"
import type { Bulkhead, Snapshot } from "../../Bulkhead.js"
import type { Gate } from "../../Gate.js"
import { Alarm } from "../gate/alarm.js"
import { Deadlines } from "../gate/deadlines.js"
import { GateValue, GateView, type Runner, type Ticket } from "../gate/gate.js"
import { Line, RankedLine } from "../gate/line.js"
import { classes, priorityOf, rankOf } from "../gate/priority.js"
import { Waiter } from "../gate/waiter.js"
import { WatchedValue } from "../gate/watched.js"
import { BulkheadFull, WeightTooHigh } from "./bulkheadFull.js"
import { PlacesSemaphore } from "./bulkheadSemaphore.js"
import { Places } from "./places.js"

/** Marks bulkheads; exported by `Bulkhead`. */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/Bulkhead")

export type TypeId = typeof TypeId

/** Times are in milliseconds. */
export interface Settings {
  readonly capacity: number
  readonly queue: number
  /** `Infinity` for none. */
  readonly queueTimeoutMillis: number
  readonly retryAfterMillis: number
  /** `undefined` where all calls are equal. */
  readonly agingMillis: number | undefined
}

export class BulkheadImpl extends GateValue<BulkheadFull> implements Bulkhead {
  readonly [TypeId]: typeof TypeId = TypeId
  private readonly places: Places<Call>
  private readonly deadlines = new Deadlines<Call>()
  private readonly alarm = new Alarm((fiber) => this.turnAwayLate(fiber))
  private readonly one = this.ticketOf(1)
  private rejected = 0
  /** Whether it matters when a call came. */
  private readonly isTimed: boolean

  constructor(key: string, description: Description, private readonly settings: Settings) {
    super(key, description)
    const { agingMillis, capacity, queue, queueTimeoutMillis } = settings
    const line = agingMillis === undefined ? new Line<Call>() : new RankedLine<Call>(classes.length, agingMillis)
    this.places = new Places(capacity, queue, line)
    this.isTimed = agingMillis !== undefined || queueTimeoutMillis !== Infinity
  }

  readonly capacity = Effect.sync(() => this.places.capacity)
  readonly inUse = Effect.sync(() => this.places.inUse)
  readonly available = Effect.sync(() => this.places.available)
  readonly waiting = Effect.sync(() => this.places.line.size)
  readonly snapshot = new WatchedValue<Snapshot>(Effect.sync(() => ({
    bulkhead: this.key,
    capacity: this.places.capacity,
    inUse: this.places.inUse,
    waiting: this.places.line.size,
    rejected: this.rejected
  })))
  readonly semaphore: Effect.Semaphore = new PlacesSemaphore(this)

  readonly resize = (capacity: number): Effect.Effect<void> =>
    Effect.sync(() => {
      this.places.capacity = reader("Bulkhead.resize").integer("capacity", capacity, 1)
      this.letIn()
    })

  readonly withWeight = (weight: number): Gate<BulkheadFull | WeightTooHigh> => {
    reader("Bulkhead.withWeight").integer("weight", weight, 1)
    const ticket = this.ticketOf(weight)
    const { key, policy, settings } = this.description
    return new GateView<BulkheadFull | WeightTooHigh>(
      this.key,
      { policy, key, settings: { ...settings, weight } },
      (fiber) =>
        weight > this.places.capacity ? Exit.fail(this.rejectTooHeavy(weight)) : this.enter(weight, ticket, fiber)
    )
  }

  override admit(fiber: Runner): Ticket<BulkheadFull> | Exit.Exit<never, BulkheadFull> {
    return this.enter(1, this.one, fiber)
  }

  /** Lets a call in, puts it in line, or turns it away. */
  private enter(
    weight: number,
    ticket: Ticket<never>,
    fiber: Runner
  ): Ticket<BulkheadFull> | Exit.Exit<never, BulkheadFull> {
    if (this.take(weight)) return ticket
    if (this.places.isLineFull) return Exit.fail(this.reject("full"))
    return this.standInLine(weight, this.settings.queueTimeoutMillis, fiber)
  }

  /** Lets a call in or puts it in line, however long that is, and lets it wait for as long as it takes. */
  enterLine(weight: number, fiber: Runner): Ticket<BulkheadFull> {
    return this.take(weight) ? this.ticketOf(weight) : this.standInLine(weight, Infinity, fiber)
  }

  private standInLine(weight: number, timeoutMillis: number, fiber: Runner): Call {
    const ranked = this.settings.agingMillis !== undefined
    const now = this.isTimed ? nowOf(fiber) : 0
    const call = new Call(this, weight, now, now + timeoutMillis, ranked ? rankOf(priorityOf(fiber).class) : 0)
    this.places.join(call)
    this.deadlines.add(call)
    if (timeoutMillis !== Infinity) this.alarm.set(timeoutMillis, fiber)
    // Among equals the newest is last; among others it may be the first, and fit.
    if (ranked) this.letIn()
    else this.snapshot.touch()
    return call
  }

  /** A ticket for places that are taken. All calls of a weight share one: it is handed back once for each. */
  ticketOf(weight: number): Ticket<never> {
    const give = () => this.give(weight)
    return { _tag: "Ticket", settle: give, refund: give }
  }

  take(weight: number): boolean {
    const taken = this.places.take(weight)
    if (taken) this.snapshot.touch()
    return taken
  }

  give(weight: number): void {
    this.places.give(weight)
    this.letIn()
  }

  get free(): number {
    return this.places.available
  }

  get limit(): number {
    return this.places.capacity
  }

  /** Takes a call out of the line that waits no longer. */
  leave(call: Call): void {
    this.places.leave(call)
    this.deadlines.remove(call)
    // It may have held up those behind it.
    this.letIn()
  }

  /** Nobody is inside or waits, and it is as it was made. */
  get isSpare(): boolean {
    return this.places.inUse === 0 && this.places.line.size === 0 &&
      this.places.capacity === this.settings.capacity && !this.snapshot.isWatched
  }

  override toJSON() {
    const { capacity, inUse, line } = this.places
    return { _id: "Bulkhead", key: this.key, capacity, inUse, waiting: line.size }
  }

  private letIn(): void {
    for (let call = this.places.next(); call !== undefined; call = this.places.next()) {
      this.deadlines.remove(call)
      call.finish(Exit.void)
    }
    if (this.deadlines.first === undefined) this.alarm.clear()
    this.snapshot.touch()
  }

  private turnAwayLate(fiber: Runner): void {
    const now = nowOf(fiber)
    for (let call = this.deadlines.first; call !== undefined && call.deadline <= now; call = this.deadlines.first) {
      this.leave(call)
      call.finish(Exit.fail(this.reject("timeout")))
    }
    if (this.deadlines.first !== undefined) this.alarm.set(this.deadlines.first.deadline - now, fiber)
  }

  private reject(reason: "full" | "timeout"): BulkheadFull {
    const { capacity, inUse, line } = this.places
    this.rejected++
    this.snapshot.touch()
    const retryAfter = Duration.millis(this.settings.retryAfterMillis)
    return stackless(() =>
      new BulkheadFull({ bulkhead: this.key, reason, capacity, inUse, waiting: line.size, retryAfter })
    )
  }

  private rejectTooHeavy(weight: number): WeightTooHigh {
    this.rejected++
    this.snapshot.touch()
    return stackless(() => new WeightTooHigh({ bulkhead: this.key, weight, capacity: this.places.capacity }))
  }
}

/** A call in line. */
class Call extends Waiter<Call, BulkheadFull> {
  constructor(
    private readonly bulkhead: BulkheadImpl,
    readonly weight: number,
    arrivedAt: number,
    deadline: number,
    readonly rank: number
  ) {
    super(arrivedAt, deadline)
  }
  override settle(): void {
    this.bulkhead.give(this.weight)
  }
  override refund(): void {
    if (this.waits) this.bulkhead.leave(this)
    else if (this.isIn) this.bulkhead.give(this.weight)
  }
}
