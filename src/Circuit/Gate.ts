/**
 * What every admission control is: a gate, which a call passes in two phases.
 *
 * First the call reserves a place, or is rejected, or waits. Then it runs, and the place is committed with its outcome;
 * or it does not run, since a gate further in has rejected it, and the place is refunded. So a call that is rejected
 * anywhere leaves no trace at any gate, in whatever order they stand: no token is used, no slot is held, no probe is
 * out.
 *
 * A call whose end is the rejection of another gate counts as not run. An interrupted call that ran counts as used and
 * says nothing about the dependency.
 *
 * Where a gate stands relative to a retry says what it counts. Inside the retry (`call.pipe(gate.protect, retry)`) each
 * attempt passes it and is recorded; outside (`call.pipe(retry, gate.protect)`) the operation with all its attempts
 * passes once and is recorded once.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Combinator, Description } from "../Combinator.js"
import { AllGates } from "./internal/gate/allGates.js"
import { customAdmission } from "./internal/gate/customGate.js"
import * as internal from "./internal/gate/gate.js"
import { TypeId } from "./internal/gate/gate.js"
import * as rejection from "./internal/gate/rejection.js"

export { TypeId }

/**
 * An admission control that rejects with `E`: a breaker, a bulkhead, a limiter, or one made with `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gate<out E> extends Pipeable {
  readonly [TypeId]: TypeId
  /** What errors, events and descriptions call it. */
  readonly key: string
  /** The gate as plain data, as it was made. */
  readonly description: Description
  /** Puts an effect behind the gate. */
  readonly protect: Combinator<E>
  /**
   * A place for one call, for calls that are no single effect. It is yours to hand back, whatever happens: use it as
   * what acquires, as in `Effect.acquireUseRelease`. Where it has to wait, that can be interrupted even there.
   */
  readonly reserve: Effect.Effect<Permit, E>
}

/**
 * A place for one call. It is handed back once, by one of the two; both say whether they did, and later attempts do
 * nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit {
  /** The call has run, and ended like this. An end that is the rejection of another gate refunds. */
  readonly commit: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<boolean>
  /** The call has not run. */
  readonly refund: Effect.Effect<boolean>
}

/**
 * What a gate shows of itself: an effect that gives it as it is now, and a way to learn that it has changed. `Watch` makes a
 * stream of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watched<out A> extends Effect.Effect<A> {
  /**
   * A queue with something in it whenever a call or a control may have changed what is shown, until the scope closes. Changes
   * that nobody has taken yet are one.
   */
  readonly changed: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope>
}

/**
 * Gates by key, such as one for each tenant. What all of them are called together is `key`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Keyed<out G, out E> {
  readonly key: string
  /** The gate of a key. Ask for it with each use: one that nobody uses may be forgotten. */
  readonly get: (key: string) => Effect.Effect<G>
  /** Puts an effect behind the gate of a key. */
  readonly protect: (key: string) => Combinator<E>
  /** How many gates are kept. */
  readonly size: Effect.Effect<number>
}

export { RejectionTypeId } from "./internal/gate/rejection.js"

/**
 * Whether an error is the rejection of a gate, and not the answer of what was called.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Gate } from "holdfast/Circuit"
 *
 * declare const call: Effect.Effect<string, Error>
 *
 * const quiet = call.pipe(Effect.tapError((error) => Gate.isRejection(error) ? Effect.void : Effect.logError(error)))
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isRejection: (u: unknown) => boolean = rejection.isRejection

/**
 * Whether a value is a `Gate`.
 *
 * @example
 * ```ts
 * import { Gate } from "holdfast/Circuit"
 *
 * const no = Gate.isGate("payments") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isGate = (u: unknown): u is Gate<unknown> => hasProperty(u, TypeId)

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<out E, out R> {
  /** What descriptions call the gate. */
  readonly key: string
  /**
   * Takes a place for one call, or fails. It runs uninterruptibly, so that no place is taken and lost; what waits in it
   * has to be made `Effect.interruptible`, and to take nothing when it is interrupted. The error counts as a rejection,
   * if it is an object.
   */
  readonly reserve: Effect.Effect<Permit, E, R>
  /** How the gate is set, for descriptions. */
  readonly settings?: Description["settings"] | undefined
}

/**
 * A gate of your own. Its permits are handed back once each, by `commit` or by `refund`, before the call goes on.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Gate } from "holdfast/Circuit"
 *
 * class Maintenance extends Data.TaggedError("Maintenance") {}
 *
 * declare const isOpen: Effect.Effect<boolean>
 *
 * const openingHours = Gate.make({
 *   key: "opening hours",
 *   reserve: Effect.flatMap(isOpen, (open) =>
 *     open
 *       ? Effect.succeed({ commit: () => Effect.succeed(true), refund: Effect.succeed(true) })
 *       : new Maintenance()
 *   )
 * })
 *
 * const program = Effect.flatMap(openingHours, (gate) => Effect.succeed("sold").pipe(gate.protect))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E, R>(options: Options<E, R>): Effect.Effect<Gate<E>, never, R> => {
  const { key, settings = {} } = options
  return Effect.map(Effect.context<R>(), (context) =>
    new internal.GateView<E>(
      key,
      { policy: "Gate", key, settings },
      // What belongs to the call, such as its span and its priority, is that of the call.
      customAdmission(
        Effect.mapInputContext(options.reserve, (call: Context.Context<never>) => Context.merge(context, call))
      )
    ))
}

/**
 * What the gates of a list reject with.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection<Gates extends ReadonlyArray<Gate<unknown>>> = Gates[number] extends infer G
  ? G extends Gate<infer E> ? E : never
  : never

/**
 * Several gates as one. A call passes them in the order of the list; when one rejects it, those before it are refunded,
 * the last first.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead, CircuitBreaker, Gate } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const gate = Gate.all([
 *     yield* Bulkhead.make({ key: "payments", capacity: 20 }),
 *     yield* CircuitBreaker.make({ key: "payments" })
 *   ])
 *   return yield* Effect.succeed("charged").pipe(gate.protect)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const all = <const Gates extends ReadonlyArray<Gate<unknown>>>(gates: Gates): Gate<Rejection<Gates>> =>
  new AllGates<Rejection<Gates>>(gates as ReadonlyArray<Gate<Rejection<Gates>>>)

/**
 * The usual gates of a dependency as one, in the order that serves them best whatever order they are given in: limiter,
 * bulkhead, breaker. A call waits for its token before it takes a place, and takes a probe only when nothing else can
 * turn it away.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead, CircuitBreaker, Gate, RateLimiter } from "holdfast/Circuit"
 *
 * const payments = Effect.gen(function*() {
 *   return Gate.standard({
 *     limiter: yield* RateLimiter.make({ key: "payments", limit: 100, maxWait: "1 second" }),
 *     bulkhead: yield* Bulkhead.make({ key: "payments", capacity: 20 }),
 *     breaker: yield* CircuitBreaker.make({ key: "payments" })
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard = <L = never, B = never, C = never>(gates: {
  readonly limiter?: Gate<L> | undefined
  readonly bulkhead?: Gate<B> | undefined
  readonly breaker?: Gate<C> | undefined
}): Gate<L | B | C> =>
  new AllGates<L | B | C>(
    [gates.limiter, gates.bulkhead, gates.breaker].filter((gate) => gate !== undefined)
  )

/**
 * Puts an effect behind a gate of any kind.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker, Gate } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "payments" })
 *   return yield* Effect.succeed("charged").pipe(Gate.protect(breaker))
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function protect<E>(gate: Gate<E>): Combinator<E>
export function protect<A, E, R, E2>(self: Effect.Effect<A, E, R>, gate: Gate<E2>): Effect.Effect<A, E | E2, R>
export function protect<A, E, R, E2>(
  first: Effect.Effect<A, E, R> | Gate<E2>,
  second?: Gate<E2>
): Combinator<E2> | Effect.Effect<A, E | E2, R> {
  return isGate(first) ? first.protect as Combinator<E2> : second!.protect(first)
}
