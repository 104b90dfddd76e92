/**
 * The type of combinators that know the errors they are used with, exported by the modules that return it.
 */
import type * as Effect from "effect/Effect"
import type { Description, TypeId, Unhandled, Variance } from "../../Combinator.js"

/**
 * A `Combinator` that can be used with the errors `In`, written so that `In` is inferred from the effect that is piped
 * into it. It fits wherever a `Combinator<E, R, Handled, A, In>` does.
 *
 * @since 0.1.0
 * @category models
 */
export interface TypedCombinator<out E, out R, out Handled, out A, in In> {
  <A0, E0 extends In, R0>(
    self: Effect.Effect<A0, E0, R0> & Effect.Effect<unknown, In, unknown>
  ): Effect.Effect<A0 | A, Unhandled<E0, Handled> | E, R0 | R>
  readonly [TypeId]: Variance<E, R, Handled, A, In>
  readonly descriptions: ReadonlyArray<Description>
}
