/**
 * A memory of the last good values, for `Fallback.lastGood`: what a call gave when it worked, to be served with its age
 * when it does not.
 *
 * A memory is a value, made once and shared by sharing it. It holds one value for each key, and at most so many keys.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import { reader } from "../InvalidOptions.js"
import * as memory from "./internal/memory.js"
import { TypeId } from "./internal/memory.js"

export { TypeId }

/**
 * A memory of last good values.
 *
 * @since 0.1.0
 * @category models
 */
export interface LastGood<in out A> extends Pipeable {
  readonly [TypeId]: TypeId
  /** The name, in descriptions. */
  readonly key: string
  /** The last good value of a key, and its age. */
  readonly get: (key: string) => Effect.Effect<Option.Option<Aged<A>>>
  /** Forgets the value of a key; a call that is under way may give it a new one. */
  readonly forget: (key: string) => Effect.Effect<void>
  /** How many keys there is a value of. */
  readonly size: Effect.Effect<number>
}

/**
 * A value, and the time since it was good: since the call that gave it ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Aged<out A> {
  readonly value: A
  readonly age: Duration.Duration
}

/**
 * An empty memory. Dies with `InvalidOptions` when the capacity is no whole number from 1 up.
 *
 * The type of values is yours to state, once: use a memory with effects of that type only, and give effects that mean
 * different things different keys.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback, LastGood } from "holdfast/Call"
 *
 * declare const fetchQuote: (symbol: string) => Effect.Effect<number, Error>
 *
 * const program = Effect.gen(function*() {
 *   const quotes = yield* LastGood.make<number>({ key: "quotes", capacity: 500 })
 *   return yield* fetchQuote("ACME").pipe(
 *     Fallback.lastGood(quotes, { key: "ACME", maxStale: "5 minutes", on: Error })
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(options: {
  readonly key: string
  /** How many keys are remembered; the one used least recently goes first. Default 1000. */
  readonly capacity?: number | undefined
}): Effect.Effect<LastGood<A>> =>
  Effect.sync(() =>
    memory.makeMemory<A>(options.key, reader("LastGood.make").integer("capacity", options.capacity ?? 1000, 1))
  )

/**
 * Whether a value is a `LastGood`.
 *
 * @example
 * ```ts
 * import { LastGood } from "holdfast/Call"
 *
 * const no = LastGood.isLastGood("quotes") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isLastGood = (u: unknown): u is LastGood<unknown> => hasProperty(u, TypeId)
