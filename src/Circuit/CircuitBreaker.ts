/**
 * A circuit breaker: after a number of consecutive failures it rejects calls for a while, then lets a few through as
 * probes, and closes again when enough of them succeed.
 *
 * A breaker is a value, made once and shared by sharing it. Calls that end neither in the dependency's favour nor
 * against it (interrupted, died of a bug) are neutral: they count for nothing and free their place.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import * as PubSub from "effect/PubSub"
import type * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { stackless } from "../internal/stackless.js"
import { reader } from "../InvalidOptions.js"
import { makeBreaker } from "./internal/breaker.js"
import * as machine from "./internal/consecutive.js"

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

/**
 * A circuit breaker and what can be asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker extends Pipeable {
  readonly [TypeId]: TypeId
  /** What errors and events call it. */
  readonly key: string
  /** Puts an effect behind it; see the function of this name. */
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  /** How it would answer a call now. Reading changes nothing. */
  readonly state: Effect.Effect<State>
  /** Closes it and forgets what was counted; calls that are out count no more. */
  readonly reset: Effect.Effect<void>
  /** A place for one call, to be settled with its outcome. What `protect` uses, for calls that are no single effect. */
  readonly reserve: Effect.Effect<Permit, CircuitOpen>
  /** The transitions from now on, each once and in order, until the scope closes. Nothing is dropped: read them. */
  readonly changes: Effect.Effect<Queue.Dequeue<Transition>, never, Scope.Scope>
}

/**
 * The state of a breaker: times in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export type State = machine.State

/**
 * What a call means to the breaker.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = machine.Outcome

/**
 * A place for one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit {
  /** The state it was issued in; in `HalfOpen` the call is a probe. */
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
  /** What errors and events call the breaker. */
  readonly key: string
  /** So many failures in a row open it. Default 5. */
  readonly failures?: number | undefined
  /** So many successful probes close it. Default 2. */
  readonly successes?: number | undefined
  /** How long it rejects every call. Default 30 seconds. */
  readonly openFor?: Duration.DurationInput | undefined
  /** How many probes may be out at the same time. Default 1. */
  readonly halfOpenMax?: number | undefined
  /** When all probes are out and the last began this long ago, they are given up. Default: 4 × `openFor`. */
  readonly staleProbeAfter?: Duration.DurationInput | undefined
  /** What the end of a call means. Default: `classify`. */
  readonly classify?: Classify | undefined
}

/**
 * The breaker takes no calls: it is open, or half-open with all its probes out.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Data.TaggedError("CircuitOpen")<{
  /** The key of the breaker. */
  readonly breaker: string
  readonly state: "Open" | "HalfOpen"
  /** When it is worth trying again. */
  readonly retryAfter: Duration.Duration
}> {
  override get message(): string {
    return this.state === "Open"
      ? `circuit breaker "${this.breaker}" is open after repeated failures; it takes a probe in ${
        Duration.format(this.retryAfter)
      }`
      : `circuit breaker "${this.breaker}" is half-open and all its probes are out; try again in ${
        Duration.format(this.retryAfter)
      }`
  }
}

/**
 * A closed breaker. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "payments", failures: 3, openFor: "10 seconds" })
 *   return yield* Effect.succeed("charged").pipe(CircuitBreaker.protect(breaker))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<CircuitBreaker> =>
  Effect.suspend(() => {
    const { key } = options
    const settings = settingsOf(options)
    return Effect.map(PubSub.unbounded<Transition>(), (transitions) =>
      makeBreaker({
        typeId: TypeId,
        key,
        settings,
        classify: options.classify ?? classify,
        valuesSucceed: options.classify === undefined,
        current: Ref.unsafeMake(machine.initial),
        transitions,
        rejection: (state, retryAfterMillis) =>
          stackless(() => new CircuitOpen({ breaker: key, state, retryAfter: Duration.millis(retryAfterMillis) }))
      }))
  })

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
  (breaker: CircuitBreaker): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, breaker: CircuitBreaker): Effect.Effect<A, E | CircuitOpen, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, breaker: CircuitBreaker): Effect.Effect<A, E | CircuitOpen, R> =>
    breaker.protect(self)
)

/**
 * What the end of a call means unless `Options.classify` says otherwise:
 *
 * - a value is a success;
 * - an error with an HTTP status (its own `status`, or that of its `response`) from 400 to 499, or 507, is an answer:
 *   the server works. It is a success of a probe, and neutral in a closed breaker;
 * - any other typed error is a failure;
 * - an interruption or a defect is neutral.
 *
 * @example
 * ```ts
 * import { Cause, Exit } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * // as usual, but defects of the driver count too
 * const classify: CircuitBreaker.Classify = (exit, phase) =>
 *   Exit.isFailure(exit) && Cause.isDie(exit.cause) ? "failure" : CircuitBreaker.classify(exit, phase)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classify: Classify = (exit, phase) =>
  Exit.isSuccess(exit)
    ? "success"
    : Option.match(Cause.failureOption(exit.cause), {
      onNone: () => "neutral",
      onSome: (error) => !isAnswer(error) ? "failure" : phase === "HalfOpen" ? "success" : "neutral"
    })

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
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R | Self>
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
  // Qualified, so that a limiter or a service of the program may have the same name.
  const tag = Context.Tag(`holdfast/CircuitBreaker/${id}` as const)<Self, CircuitBreaker>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options })),
    protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flatMap(tag, (breaker) => protect(self, breaker))
  })
}

const settingsOf = (options: Options): machine.Settings => {
  const read = reader("CircuitBreaker.make")
  const openForMillis = read.positiveDuration("openFor", options.openFor ?? "30 seconds")
  return {
    failures: read.integer("failures", options.failures ?? 5, 1),
    successes: read.integer("successes", options.successes ?? 2, 1),
    openForMillis,
    halfOpenMax: read.integer("halfOpenMax", options.halfOpenMax ?? 1, 1),
    staleProbeAfterMillis: options.staleProbeAfter === undefined
      ? 4 * openForMillis
      : read.positiveDuration("staleProbeAfter", options.staleProbeAfter)
  }
}

/** Whether an error is the answer of a server that works: it refuses this request, not all of them. */
const isAnswer = (error: unknown): boolean => {
  const status = statusOf(error) ?? (hasProperty(error, "response") ? statusOf(error.response) : undefined)
  return status !== undefined && ((status >= 400 && status < 500) || status === 507)
}

const statusOf = (value: unknown): number | undefined =>
  hasProperty(value, "status") && typeof value.status === "number" ? value.status : undefined
