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
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type { Combinator, Description } from "../Combinator.js"
import * as rejection from "./internal/rejection.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/Gate")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

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
  /** The gate as plain data. */
  readonly description: Description
  /** Puts an effect behind the gate. */
  readonly protect: Combinator<E>
  /** A place for one call, for calls that are no single effect. It is yours to hand back, whatever happens. */
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
  /** The call has run, and ended like this. */
  readonly commit: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<boolean>
  /** The call has not run. */
  readonly refund: Effect.Effect<boolean>
}

/**
 * Carried by every error with which a gate turns a call away.
 *
 * @since 0.1.0
 * @category type ids
 */
export const RejectionTypeId: typeof rejection.RejectionTypeId = rejection.RejectionTypeId

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
export const protect: {
  <E>(gate: Gate<E>): Combinator<E>
  <A, E, R, E2>(self: Effect.Effect<A, E, R>, gate: Gate<E2>): Effect.Effect<A, E | E2, R>
} = dual(
  2,
  <A, E, R, E2>(self: Effect.Effect<A, E, R>, gate: Gate<E2>): Effect.Effect<A, E | E2, R> => gate.protect(self)
)
