/**
 * The two forms of a combinator with one argument: without an effect it is the combinator itself, which can still be
 * described and composed; with one it is applied.
 */
import type * as Effect from "effect/Effect"
import type { Combinator } from "../../../Combinator.js"

export interface BothForms<in B, out E = never, out R = never> {
  (argument: B): Combinator<E, R>
  <A, E0, R0>(self: Effect.Effect<A, E0, R0>, argument: B): Effect.Effect<A, E0 | E, R0 | R>
}

export const bothForms = <B, E = never, R = never>(make: (argument: B) => Combinator<E, R>): BothForms<B, E, R> => {
  function either(argument: B): Combinator<E, R>
  function either<A, E0, R0>(self: Effect.Effect<A, E0, R0>, argument: B): Effect.Effect<A, E0 | E, R0 | R>
  function either(first: B | Effect.Effect<unknown, unknown, unknown>, second?: B): unknown {
    return arguments.length < 2
      ? make(first as B)
      : make(second as B)(first as Effect.Effect<unknown, unknown, unknown>)
  }
  return either
}
