/**
 * A circuit breaker: when too many calls fail, or are slow, it rejects calls for a while, then lets a few through as
 * probes, and closes again when enough of them succeed.
 *
 * A breaker is a value, made once and shared by sharing it. Calls that end neither in the dependency's favour nor
 * against it (interrupted, died of a bug) are neutral: they count for nothing and free their place.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Combinator } from "../Combinator.js"
import type { Gate, Keyed, Permit as GatePermit, Watched } from "./Gate.js"
import { Breaker, TypeId } from "./internal/breaker/breaker.js"
import { makeBreakers } from "./internal/breaker/breakerFamily.js"
import type { Outcome } from "./internal/breaker/breakerMachine.js"
import { readParts } from "./internal/breaker/breakerOptions.js"
import type { CircuitOpen, Isolated } from "./internal/breaker/circuitOpen.js"
import { startHealthCheck } from "./internal/breaker/healthCheck.js"
import type { OpenFor } from "./internal/breaker/openFor.js"
import type { Trip } from "./internal/breaker/trip.js"
import { bothForms } from "./internal/gate/forms.js"
import { gateTag } from "./internal/gate/gateTag.js"

export { TypeId } from "./internal/breaker/breaker.js"
export type { Outcome } from "./internal/breaker/breakerMachine.js"
export { CircuitOpen, Isolated } from "./internal/breaker/circuitOpen.js"
export { classify } from "./internal/breaker/classify.js"
export type { Break, OpenFor } from "./internal/breaker/openFor.js"
export { consecutive, countWindow, timeWindow, TripTypeId } from "./internal/breaker/trip.js"
export type { RateOptions, Trip } from "./internal/breaker/trip.js"

/**
 * A circuit breaker and what can be asked of it. It is a `Gate`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker extends Gate<CircuitOpen | Isolated> {
  readonly [TypeId]: typeof TypeId
  /** A place for one call, to be settled with its outcome. What `protect` uses, for calls that are no single effect. */
  readonly reserve: Effect.Effect<Permit, CircuitOpen | Isolated>
  /** How the breaker would answer a call now. Reading changes nothing. */
  readonly state: Effect.Effect<State>
  /** What the breaker has counted. */
  readonly snapshot: Watched<Snapshot>
  /** Closes the breaker and forgets what was counted; calls that are out count no more. */
  readonly reset: Effect.Effect<void>
  /**
   * Lets no call through, for as long as the scope is open; calls fail with `Isolated`. Where several hold it so, it is
   * isolated until the last lets go. Then it is what it was before, and calls that were out count no more.
   */
  readonly isolate: (reason: string) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Tells the breaker what was found out in another way than by a call. An open breaker closes when the dependency is healthy,
   * and its time starts again when it is not; any other state is left alone, and so is another `generation` than the
   * one given. True if it counted.
   */
  readonly reportHealth: (healthy: boolean, generation?: number) => Effect.Effect<boolean>
  /** The transitions from now on, each once and in order, until the scope closes. Nothing is dropped: read them. */
  readonly changes: Effect.Effect<Queue.Dequeue<Transition>, never, Scope.Scope>
}

/**
 * The state of a breaker: times in milliseconds since the epoch. Every change of state, and everything else that
 * expires the permits that are out, begins a new generation.
 *
 * @since 0.1.0
 * @category models
 */
export type State =
  | {
    readonly _tag: "Closed"
    readonly generation: number
    /** In a row, or in the window. */
    readonly failures: number
  }
  | {
    readonly _tag: "Open"
    readonly generation: number
    readonly openedAt: number
    readonly openUntil: number
    /** How often the breaker has been opened again since it was closed. */
    readonly reopens: number
  }
  | {
    readonly _tag: "HalfOpen"
    readonly generation: number
    readonly successes: number
    readonly failures: number
    /** How many probes are out. */
    readonly probes: number
    readonly reopens: number
  }
  | {
    readonly _tag: "Isolated"
    readonly generation: number
    /** One for each who holds it so, the first first. */
    readonly reasons: ReadonlyArray<string>
  }

/**
 * The counters of a breaker at one time, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly breaker: string
  readonly state: State["_tag"]
  /** The calls counted: failures in a row, calls of the window, or probes that have ended; none while it is open. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
  /** From 0 to 1; 0 where nothing was counted. */
  readonly failureRate: number
  readonly slowRate: number
  /** How many probes are out. */
  readonly probes: number
  /** How many calls the breaker has rejected since it was made. */
  readonly rejected: number
  /** How many calls the breaker would have rejected were it not in shadow mode. */
  readonly wouldReject: number
}

/**
 * A place for one call. It is handed back once; later attempts do nothing and give false.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit extends GatePermit {
  /** The state in which the permit was issued; in `HalfOpen` the call is a probe. */
  readonly phase: "Closed" | "HalfOpen"
  /**
   * Gives the place back with the outcome of the call. True if that counted; false when the permit was settled before,
   * or has expired because the breaker has changed its state since.
   */
  readonly settle: (outcome: Outcome) => Effect.Effect<boolean>
}

/**
 * A change of state, at a time in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly breaker: string
  readonly from: State["_tag"]
  readonly to: State["_tag"]
  readonly at: number
  /** The generation that began with it. */
  readonly generation: number
}

/**
 * Says what the end of a call means to the breaker; `phase` is the state that the call was admitted in.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = (exit: Exit.Exit<unknown, unknown>, phase: "Closed" | "HalfOpen") => Outcome

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors, events and descriptions call the breaker. */
  readonly key: string
  /** So many failures in a row open it: short for `trip: consecutive(failures)`. Default 5. */
  readonly failures?: number | undefined
  /** What opens the breaker, where that is not failures in a row. */
  readonly trip?: Trip | undefined
  /** For how long an open breaker rejects every call. Default 30 seconds. */
  readonly openFor?: OpenFor | undefined
  /** Up to this part of the time is added at random, so that many do not probe together: 0 to 1. Default 0. */
  readonly openJitter?: number | undefined
  /**
   * The time that the failing call itself asks for, such as the Retry-After of a response. Above zero it takes the
   * place of `openFor`, where the breaker opens because of this call. `now` is what a date counts from: the time of the
   * `Clock` in milliseconds since the epoch.
   */
  readonly hint?: ((exit: Exit.Exit<unknown, unknown>, now: number) => Duration.DurationInput | undefined) | undefined
  /** The longest time that a call may ask for. Default 5 minutes. */
  readonly hintCap?: Duration.DurationInput | undefined
  /** So many successful probes close it. Default 2. */
  readonly successes?: number | undefined
  readonly halfOpen?: HalfOpenOptions | undefined
  /** Lets every call through, and only counts those that it would have rejected. Default false. */
  readonly shadow?: boolean | undefined
  /** What the end of a call means. Default: `classify`. */
  readonly classify?: Classify | undefined
}

/**
 * How a breaker finds out whether the dependency is well again.
 *
 * @since 0.1.0
 * @category models
 */
export interface HalfOpenOptions {
  /** How many probes may be out at the same time. Default 1. */
  readonly probes?: number | undefined
  /**
   * The first so many probes decide: it closes when enough of them succeed, and opens as soon as so many have failed
   * that this cannot be any more. Default: as many as must succeed, so that one failure opens it.
   */
  readonly sample?: number | undefined
  /** How long it may take until the probes have decided. Default: as long as it takes. */
  readonly deadline?: Duration.DurationInput | undefined
  /** What the breaker does when the deadline has passed. Default `"reopen"`. */
  readonly onDeadline?: "reopen" | "close" | undefined
  /** When all probes are out and the last began this long ago, they are given up. Default: 4 × as long as it was open. */
  readonly staleProbeAfter?: Duration.DurationInput | undefined
}

/**
 * A closed breaker. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 * import { Backoff } from "holdfast/Schedule"
 *
 * const simple = CircuitBreaker.make({ key: "payments", failures: 3, openFor: "10 seconds" })
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({
 *     key: "search",
 *     trip: CircuitBreaker.timeWindow({ span: "30 seconds", failureRate: 0.5, minimumCalls: 20 }),
 *     openFor: Backoff.exponential("5 seconds", { cap: "2 minutes" }),
 *     halfOpen: { probes: 3, sample: 10, deadline: "20 seconds" },
 *     successes: 8
 *   })
 *   return yield* Effect.succeed("found").pipe(CircuitBreaker.protect(breaker))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<CircuitBreaker> =>
  Effect.sync(() => new Breaker(readParts("CircuitBreaker.make", options)(options.key)))

/**
 * Puts an effect behind a breaker: it fails with `CircuitOpen` without running while the breaker takes no calls, and
 * its end is counted otherwise.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * declare const charge: Effect.Effect<string, Error>
 *
 * const charged = (breaker: CircuitBreaker.CircuitBreaker) =>
 *   charge.pipe(
 *     CircuitBreaker.protect(breaker),
 *     Effect.catchTag("CircuitOpen", (open) => Effect.succeed(`try again in ${open.retryAfter}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  (breaker: CircuitBreaker): Combinator<CircuitOpen | Isolated>
  <A, E, R>(self: Effect.Effect<A, E, R>, breaker: CircuitBreaker): Effect.Effect<A, E | CircuitOpen | Isolated, R>
} = bothForms((breaker: CircuitBreaker) => breaker.protect)

/**
 * Whether a value is a `CircuitBreaker`.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * const no = CircuitBreaker.isCircuitBreaker("payments") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isCircuitBreaker = (u: unknown): u is CircuitBreaker => hasProperty(u, TypeId)

/**
 * One breaker for each key: a tenant, a host, a shard.
 *
 * @since 0.1.0
 * @category models
 */
export interface Family extends Keyed<CircuitBreaker, CircuitOpen | Isolated> {
  /** The transitions of all of them from now on, each once and in order, until the scope closes. */
  readonly changes: Effect.Effect<Queue.Dequeue<Transition>, never, Scope.Scope>
}

/**
 * Breakers that are made when their key is first used. Above `maxKeys`, those that were not used for longest are
 * forgotten, but never one that is not closed. Errors name the breaker `family/key`. Dies with `InvalidOptions` when
 * the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * declare const fetchFrom: (host: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const breakers = yield* CircuitBreaker.keyed({ key: "hosts", failures: 3, maxKeys: 200 })
 *   return yield* fetchFrom("a.example").pipe(breakers.protect("a.example"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = (
  options: Options & {
    /** How many breakers are kept. Default 10,000. */
    readonly maxKeys?: number | undefined
  }
): Effect.Effect<Family> => Effect.sync(() => makeBreakers(options))

/**
 * Asks a dependency how it is, for as long as the scope is open, whenever the breaker is open: first after `every`, and
 * so on until it closes. Enough healthy answers in a row close the breaker; one that is not starts its open time again.
 * With `every` shorter than the time that it is open, checks thus take the place of probes, and no real call is risked.
 *
 * A check that fails, dies or takes longer than `every` is not healthy.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * declare const ping: Effect.Effect<void, Error>
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "search" })
 *   yield* CircuitBreaker.healthCheck(breaker, { check: ping, every: "5 seconds" })
 *   return breaker
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const healthCheck = <E, R>(
  breaker: CircuitBreaker,
  options: {
    readonly check: Effect.Effect<unknown, E, R>
    readonly every: Duration.DurationInput
    /** So many healthy answers in a row close it. Default 1. */
    readonly successes?: number | undefined
  }
): Effect.Effect<void, never, R | Scope.Scope> => startHealthCheck(breaker, options)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Context.TagClass<Self, `holdfast/CircuitBreaker/${Id}`, CircuitBreaker>
{
  /** One breaker for everything that is built with this layer; its key is the tag's id unless given. */
  readonly layer: (options?: Partial<Options>) => Layer.Layer<Self>
  /** Puts an effect behind the breaker of the context. */
  readonly protect: Combinator<CircuitOpen | Isolated, Self>
}

/**
 * A breaker as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
 *
 * const charge = Effect.succeed("charged").pipe(Payments.protect)
 *
 * const program = Effect.provide(charge, Payments.layer({ failures: 3 }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("CircuitBreaker", id)<Self, CircuitBreaker>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options }))
  })
}
