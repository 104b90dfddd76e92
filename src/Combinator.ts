/**
 * What every data-last combinator of this package returns: a function from an effect to an effect, that can also say
 * what it is.
 *
 * So the words of a `pipe` are the words of a policy: `Timeout.after("2 seconds")` is piped into, and it is handed to
 * `Policy.compose` as well, where it can be described and checked.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Combinator")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * A function that puts something around an effect.
 *
 * - `E`: the errors that it adds
 * - `R`: what it requires
 * - `Handled`: the errors that it takes away; `unknown` for all
 * - `A`: the values that it may give in place of the effect's own
 * - `In`: the errors that it can be used with
 *
 * @since 0.1.0
 * @category models
 */
export interface Combinator<out E = never, out R = never, in out Handled = never, out A = never, in In = unknown> {
  <A0, E0 extends In, R0>(
    self: Effect.Effect<A0, E0, R0>
  ): Effect.Effect<A0 | A, Unhandled<E0, Handled> | E, R0 | R>
  readonly [TypeId]: Variance<E, R, Handled, A, In>
  /** What it is made of, outermost first. One entry for each combinator that was composed into this one. */
  readonly descriptions: ReadonlyArray<Description>
}

/**
 * What is left of the errors `E` when those of `Handled` are taken away.
 *
 * @since 0.1.0
 * @category models
 */
export type Unhandled<E, Handled> = [Handled] extends [never] ? E : Exclude<E, Handled>

/**
 * @since 0.1.0
 * @category models
 */
export interface Variance<out E, out R, out Handled, out A, in In> {
  readonly _E: () => E
  readonly _R: () => R
  readonly _Handled: () => Handled
  readonly _A: () => A
  readonly _In: (_: In) => void
}

/**
 * One combinator as plain data, safe to store as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface Description {
  /** The module that the combinator comes from, such as `Timeout`; `custom` for a function that is none of this package's. */
  readonly policy: string
  /** Which instance: the key of a breaker, a limiter and the like, or the name of a function. */
  readonly key?: string | undefined
  /** How it is set. Times are in milliseconds and say so; what has no limit is `null`. */
  readonly settings: { readonly [name: string]: Json }
}

/**
 * @since 0.1.0
 * @category models
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/**
 * Whether a value is a `Combinator`.
 *
 * @example
 * ```ts
 * import { Timeout } from "holdfast/Call"
 * import * as Combinator from "holdfast/Combinator"
 *
 * const yes = Combinator.isCombinator(Timeout.after("1 second")) // true
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isCombinator = (u: unknown): u is Combinator => hasProperty(u, TypeId)
