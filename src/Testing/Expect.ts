/**
 * Assertions on the state of what calls share.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Bulkhead } from "../Circuit/Bulkhead.js"
import type { CircuitBreaker, State } from "../Circuit/CircuitBreaker.js"

/**
 * Something is not in the state that a test expects.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnexpectedState extends Data.TaggedError("UnexpectedState")<{
  /** What was looked at. */
  readonly subject: string
  readonly expected: string
  readonly actual: string
}> {
  override get message(): string {
    return `${this.subject}: expected ${this.expected}, found ${this.actual}`
  }
}

/**
 * Fails with `UnexpectedState` unless a breaker would answer a call now as it does in this state.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 * import { Expect } from "holdfast/Testing"
 *
 * const test = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "payments", failures: 1 })
 *   yield* Effect.ignore(Effect.fail("down").pipe(CircuitBreaker.protect(breaker)))
 *   yield* Expect.breaker(breaker, "Open")
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const breaker = (self: CircuitBreaker, expected: State["_tag"]): Effect.Effect<void, UnexpectedState> =>
  Effect.flatMap(self.state, ({ _tag: actual }) =>
    actual === expected
      ? Effect.void
      : new UnexpectedState({ subject: `circuit breaker "${self.key}"`, expected, actual }))

/**
 * Fails with `UnexpectedState` unless nobody is in a bulkhead and nobody stands in its line.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 * import { Expect } from "holdfast/Testing"
 *
 * const test = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ key: "db" })
 *   yield* Effect.void.pipe(Bulkhead.protect(bulkhead))
 *   yield* Expect.idle(bulkhead)
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const idle = (self: Bulkhead): Effect.Effect<void, UnexpectedState> =>
  Effect.flatMap(Effect.all([self.inUse, self.waiting]), ([inUse, waiting]) =>
    inUse === 0 && waiting === 0
      ? Effect.void
      : new UnexpectedState({
        subject: `bulkhead "${self.key}"`,
        expected: "nobody in it",
        actual: `${inUse} in use, ${waiting} waiting`
      }))

/**
 * Fails with `UnexpectedState` unless the values show the same after an effect as before it, whatever its end: a breaker,
 * a bulkhead, a budget, anything that has a `toJSON`. So what a rejected or interrupted call has taken is found, if it was
 * not given back.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 * import { Expect } from "holdfast/Testing"
 *
 * const test = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ key: "db" })
 *   const call = Effect.fail("down").pipe(Bulkhead.protect(bulkhead))
 *   yield* Expect.unchanged(call, [bulkhead]).pipe(Effect.catchAll(Effect.logError))
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const unchanged = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  values: ReadonlyArray<object>
): Effect.Effect<A, E | UnexpectedState, R> =>
  Effect.suspend(() => {
    const shown = () => values.map((value) => JSON.stringify(value))
    const before = shown()
    return Effect.flatMap(Effect.exit(self), (exit): Effect.Effect<A, E | UnexpectedState> => {
      const after = shown()
      const changed = values.findIndex((_, index) => before[index] !== after[index])
      return changed < 0 ? exit : new UnexpectedState({
        subject: `value ${changed}`,
        expected: before[changed]!,
        actual: after[changed]!
      })
    })
  })
