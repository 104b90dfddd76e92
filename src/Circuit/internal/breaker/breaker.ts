/**
 * The effects around the breaker's state machine: read the clock, change the state in one step, tell the listeners.
 *
 * A closed breaker is the usual case. It is only looked at before the call; after it, one that counts failures in a row
 * and has none is only looked at again, and one with a window records the call. The clock is read where a window or a
 * slow call needs it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableRef from "effect/MutableRef"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Description } from "../../../Combinator.js"
import { nowOf, toWallClock, wallClockOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import type { CircuitBreaker, Classify, Permit, Snapshot, State, Transition } from "../../CircuitBreaker.js"
import { Feed } from "../gate/feed.js"
import { GateValue, type Runner, type Ticket } from "../gate/gate.js"
import { isRejection } from "../gate/rejection.js"
import { WatchedValue } from "../gate/watched.js"
import * as machine from "./breakerMachine.js"
import { CircuitOpen, Isolated } from "./circuitOpen.js"
import { defaultOpenForMillis, type Opening } from "./openFor.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/CircuitBreaker")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/** What one breaker is made of. */
export interface Parts {
  readonly key: string
  readonly description: Description
  readonly settings: machine.Settings
  readonly opening: Opening
  /** Infinite where no call is slow. */
  readonly slowAfterMillis: number
  readonly shadow: boolean
  readonly classify: Classify
  /** Whether `classify` takes every value for a success, so that it need not be asked. */
  readonly valuesSucceed: boolean
  /** Told of every transition too: the listeners of a family of breakers. */
  readonly family?: Feed<Transition> | undefined
}

export class Breaker extends GateValue<CircuitOpen | Isolated> implements CircuitBreaker {
  private readonly cell: MutableRef.MutableRef<machine.State>
  private readonly feed = new Feed<Transition>()
  private readonly measures: boolean
  private readonly inARow: boolean
  // Only counted, never decided upon.
  private rejected = 0
  private wouldReject = 0
  private lastHolder = 0
  private shared: Place

  constructor(readonly parts: Parts) {
    super(parts.key, parts.description)
    this.cell = MutableRef.make(machine.initial(parts.settings))
    this.measures = parts.slowAfterMillis < Infinity
    this.inARow = parts.settings.trip._tag === "Consecutive"
    this.shared = new Place(this, 0, "Closed", 0)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  admit(fiber: Runner): Place | Exit.Exit<never, CircuitOpen | Isolated> {
    const state = MutableRef.get(this.cell)
    return state._tag === "Closed" ? this.placeFor(state.generation, "Closed", fiber) : this.admitSlowly(fiber)
  }

  override readonly reserve: Effect.Effect<Permit, CircuitOpen | Isolated> = Effect.uninterruptible(
    Effect.withFiberRuntime((fiber) => {
      const ticket = this.admit(fiber)
      return ticket instanceof Place ? Effect.succeed(permitOf(ticket)) : ticket
    })
  )

  readonly state: Effect.Effect<State> = Effect.withFiberRuntime((fiber) => Effect.succeed(this.shown(fiber as Runner)))

  readonly snapshot = new WatchedValue<Snapshot>(
    Effect.withFiberRuntime((fiber) => Effect.succeed(this.counts(nowOf(fiber))))
  )

  readonly reset: Effect.Effect<void> = Effect.withFiberRuntime((fiber) => {
    this.step({ _tag: "Reset" }, fiber)
    return Effect.void
  })

  isolate(reason: string): Effect.Effect<void, never, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      Effect.withFiberRuntime<number>((fiber) => {
        const id = ++this.lastHolder
        this.step({ _tag: "Isolate", id, reason }, fiber)
        return Effect.succeed(id)
      }),
      (id) =>
        Effect.withFiberRuntime((fiber) => {
          this.step({ _tag: "Release", id }, fiber)
          return Effect.void
        })
    ))
  }

  reportHealth(healthy: boolean, generation?: number): Effect.Effect<boolean> {
    return Effect.withFiberRuntime((fiber) => {
      const current = MutableRef.get(this.cell).generation
      const decision = this.step({ _tag: "Health", generation: generation ?? current, healthy }, fiber)
      return Effect.succeed(decision._tag === "Settled")
    })
  }

  get changes(): Effect.Effect<Queue.Dequeue<Transition>, never, Scope.Scope> {
    return this.feed.subscribe
  }

  /** Whether a new breaker would answer the same, or nearly. */
  get isSpare(): boolean {
    return MutableRef.get(this.cell)._tag === "Closed" && !this.snapshot.isWatched
  }

  override toJSON(): unknown {
    // Without a clock: as it was when it last changed.
    return { _id: "CircuitBreaker", key: this.key, state: shown(this.parts.settings, this.current, -Infinity) }
  }

  /** Settles whatever happens: a classifier that throws is a bug of its own, and must not keep the place. */
  settle(place: Place, exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    if (Exit.isSuccess(exit) && this.parts.valuesSucceed) {
      const state = this.current
      if (this.inARow && state._tag === "Closed" && state.tally === 0) return
      this.record(place, "success", fiber, exit)
      return
    }
    let outcome: machine.Outcome = "neutral"
    try {
      outcome = this.parts.classify(exit, place.phase)
    } finally {
      this.record(place, outcome, fiber, exit)
    }
  }

  record(place: Place, outcome: machine.Outcome, fiber: Runner, exit?: Exit.Exit<unknown, unknown>): boolean {
    if (outcome === "neutral" && place.phase === "Closed") return place.generation === this.current.generation
    const slow = this.measures && nowOf(fiber) - place.startedAt >= this.parts.slowAfterMillis
    const decision = this.step({ _tag: "Settle", generation: place.generation, outcome, slow }, fiber, exit)
    return decision._tag === "Settled"
  }

  private get current(): machine.State {
    return MutableRef.get(this.cell)
  }

  private placeFor(generation: number, phase: Place["phase"], fiber: Runner): Place {
    if (this.measures) return new Place(this, generation, phase, nowOf(fiber))
    // All calls of a generation are let in by the same place while nothing else is known of them.
    if (this.shared.generation !== generation || this.shared.phase !== phase) {
      this.shared = new Place(this, generation, phase, 0)
    }
    return this.shared
  }

  private admitSlowly(fiber: Runner): Place | Exit.Exit<never, CircuitOpen | Isolated> {
    const decision = this.step({ _tag: "Admit" }, fiber)
    if (decision._tag === "Admitted") return this.placeFor(decision.generation, decision.phase, fiber)
    if (this.parts.shadow) {
      this.wouldReject++
      this.snapshot.touch()
      return this.placeFor(noGeneration, "Closed", fiber)
    }
    this.rejected++
    this.snapshot.touch()
    return Exit.fail(stackless(() => this.rejection(decision)))
  }

  private rejection(decision: machine.Decision): CircuitOpen | Isolated {
    return decision._tag === "Rejected"
      ? new CircuitOpen({
        breaker: this.key,
        state: decision.state,
        retryAfter: Duration.millis(Math.ceil(decision.retryAfterMillis))
      })
      : new Isolated({ breaker: this.key, reason: decision._tag === "Isolated" ? decision.reason : "" })
  }

  private step(event: machine.Event, fiber: Runner, exit?: Exit.Exit<unknown, unknown>): machine.Decision {
    const { opening, settings } = this.parts
    const now = nowOf(fiber)
    const before = this.current
    const mistakes: Array<unknown> = []
    const breakFor = (end: Exit.Exit<unknown, unknown> | undefined) => (broken: machine.Break): number => {
      try {
        return opening.millis({ ...broken, exit: end }, wallClockOf(fiber), fiber)
      } catch (defect) {
        // The dependency is to be left alone, whatever is wrong with how long.
        mistakes.push(defect)
        return defaultOpenForMillis
      }
    }
    const current = machine.overdue(settings, before, now, breakFor(undefined))
    const [next, decision] = machine.transition(settings, current, event, now, breakFor(exit))
    MutableRef.set(this.cell, next)
    if (next !== before) this.snapshot.touch()
    // Told in the same step as the change, or two fibers could tell theirs in the wrong order.
    if (current._tag !== before._tag && before._tag === "HalfOpen") {
      this.tell(before, current, before.startedAt + settings.deadlineMillis, fiber)
    }
    if (next._tag !== current._tag) this.tell(current, next, now, fiber)
    if (mistakes.length > 0) throw mistakes[0]
    return decision
  }

  private tell(from: machine.State, to: machine.State, at: number, fiber: Runner): void {
    const transition = {
      breaker: this.key,
      from: from._tag,
      to: to._tag,
      at: toWallClock(at, fiber),
      generation: to.generation
    }
    this.feed.tell(transition)
    this.parts.family?.tell(transition)
  }

  private shown(fiber: Runner): State {
    const now = nowOf(fiber)
    // What time alone has changed begins its generation with the next call.
    const { generation } = this.current
    const state = shown(
      this.parts.settings,
      { ...machine.view(this.parts.settings, this.current, now), generation },
      now
    )
    return state._tag === "Open"
      ? { ...state, openedAt: toWallClock(state.openedAt, fiber), openUntil: toWallClock(state.openUntil, fiber) }
      : state
  }

  private counts(now: number): Snapshot {
    const { settings } = this.parts
    const state = machine.view(settings, this.current, now)
    const { failures, slow, total } = machine.counted(settings, state, now)
    return {
      breaker: this.key,
      state: state._tag,
      calls: total,
      failures,
      slow,
      failureRate: total === 0 ? 0 : failures / total,
      slowRate: total === 0 ? 0 : slow / total,
      probes: state._tag === "HalfOpen" ? state.probes : 0,
      rejected: this.rejected,
      wouldReject: this.wouldReject
    }
  }
}

/** The place of a call. What it came to changes something only in the generation that it was let in. */
class Place implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(
    private readonly breaker: Breaker,
    readonly generation: number,
    readonly phase: "Closed" | "HalfOpen",
    readonly startedAt: number
  ) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.breaker.settle(this, exit, fiber)
  }
  refund(fiber: Runner): void {
    this.breaker.record(this, "neutral", fiber)
  }
  record(outcome: machine.Outcome, fiber: Runner): boolean {
    return this.breaker.record(this, outcome, fiber)
  }
}

/** Of calls that a breaker lets in though it should not: whatever they come to, it is not its state that let them. */
const noGeneration = -1

const permitOf = (place: Place): Permit => {
  let open = true
  const once = (handBack: (fiber: Runner) => boolean): Effect.Effect<boolean> =>
    Effect.uninterruptible(Effect.withFiberRuntime((fiber) => {
      if (!open) return Effect.succeed(false)
      open = false
      return Effect.succeed(handBack(fiber))
    }))
  return {
    phase: place.phase,
    commit: (exit) =>
      once((fiber) => {
        // The rejection of a gate further in: the call has not run.
        if (Exit.isFailure(exit) && exit.cause._tag === "Fail" && isRejection(exit.cause.error)) place.refund(fiber)
        else place.settle(exit, fiber)
        return true
      }),
    refund: once((fiber) => place.record("neutral", fiber)),
    settle: (outcome) => once((fiber) => place.record(outcome, fiber))
  }
}

/** A state as users see it. */
const shown = (settings: machine.Settings, state: machine.State, now: number): State => {
  switch (state._tag) {
    case "Closed":
      return {
        _tag: "Closed",
        generation: state.generation,
        failures: machine.counted(settings, state, now).failures
      }
    case "Open": {
      const { generation, openUntil, openedAt, reopens } = state
      return { _tag: "Open", generation, openedAt, openUntil, reopens }
    }
    case "HalfOpen": {
      const { failures, generation, probes, reopens, successes } = state
      return { _tag: "HalfOpen", generation, successes, failures, probes, reopens }
    }
    case "Isolated":
      return { _tag: "Isolated", generation: state.generation, reasons: state.holders.map(({ reason }) => reason) }
  }
}
