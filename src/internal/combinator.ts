/**
 * Makes combinators of stages.
 */
import type * as Effect from "effect/Effect"
import { type Combinator, type Description, TypeId } from "../Combinator.js"
import { type Stage, through } from "./pipeline.js"

/** A combinator with what it is made of; the two lists go in step. */
export interface Staged extends Combinator {
  readonly stages: ReadonlyArray<Stage>
}

/** A combinator of one stage, or of several, the first outermost. The types are the caller's to state. */
export const makeCombinator = <E = never, R = never, Handled = never, A = never, In = unknown>(
  descriptions: ReadonlyArray<Description>,
  stages: ReadonlyArray<Stage>
): Combinator<E, R, Handled, A, In> => {
  const apply = (self: Effect.Effect<unknown, unknown, unknown>) => through(self, stages)
  return Object.assign(apply, { [TypeId]: variance, descriptions, stages }) as unknown as Combinator<
    E,
    R,
    Handled,
    A,
    In
  >
}

/** The stages of a combinator. */
export const stagesOf = (combinator: { readonly [TypeId]: unknown }): ReadonlyArray<Stage> =>
  (combinator as unknown as Staged).stages

const variance = {
  _E: (_: never) => _,
  _R: (_: never) => _,
  _Handled: (_: never) => _,
  _A: (_: never) => _,
  _In: (_: never) => _
}
