/**
 * What a behaviour expects, and what it says when it finds something else.
 */
import * as Effect from "effect/Effect"
import type { JournalError } from "../../../Workflow/WorkflowError.js"
import { difference } from "./difference.js"

/** Something is not as the contract says. */
export interface Mismatch {
  readonly _tag: "Mismatch"
  readonly expectation: string
  readonly expected: unknown
  readonly actual: unknown
}

export type Checked<A = void> = Effect.Effect<A, Mismatch | JournalError>

/** Fails unless both have the same structure. */
export const same = (expectation: string, actual: unknown, expected: unknown): Effect.Effect<void, Mismatch> => {
  const found = difference(actual, expected)
  if (found === undefined) return Effect.void
  return Effect.fail({
    _tag: "Mismatch",
    expectation: found.path === "" ? expectation : `${expectation} (${found.path})`,
    expected: found.expected,
    actual: found.actual
  })
}

/** The same where the order says nothing. */
export const sameSet = (
  expectation: string,
  actual: ReadonlyArray<unknown>,
  expected: ReadonlyArray<unknown>
): Effect.Effect<void, Mismatch> => same(expectation, sorted(actual), sorted(expected))

const sorted = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  values.map((value) => [JSON.stringify(value), value] as const)
    .sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
    .map(([, value]) => value)

/** Fails unless the group is refused as a whole, with an error. */
export const fails = (
  expectation: string,
  write: Effect.Effect<unknown, JournalError>
): Effect.Effect<void, Mismatch> =>
  Effect.matchEffect(write, {
    onFailure: () => Effect.void,
    onSuccess: (actual) => Effect.fail<Mismatch>({ _tag: "Mismatch", expectation, expected: "a JournalError", actual })
  })
