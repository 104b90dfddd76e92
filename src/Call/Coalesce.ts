/**
 * One run for all who ask for the same thing at the same time.
 *
 * Callers with the same key share a run: the first starts it, the others wait for it, and all get its end, be it a value
 * or a failure. When it has ended the key is free again: nothing is remembered (see `Cache` for that).
 *
 * The run belongs to none of its callers. One that is interrupted leaves, the first as well as any other, and the work
 * goes on as long as somebody waits. When the last one leaves, the run is interrupted, and that one waits for its end.
 * What a run changes in fiber refs stays in it. A run must not ask for its own key: it would wait for itself.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type { Combinator, Description } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { Flights } from "./internal/flights.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Call/Coalesce")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * Runs in flight that give an `A` or fail with an `E`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Coalesce<in out A, in out E = never> extends Pipeable {
  readonly [TypeId]: TypeId
  /** The name, in descriptions. */
  readonly key: string
  /** Joins the run of a key, or starts it; see the function of this name. */
  readonly by: (key: string) => Combinator<E, never, never, A, E>
  /** How many runs there are and were. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** How many runs are under way. */
  readonly inFlight: number
  /** How many runs were started. */
  readonly runs: number
  /** How many callers have joined a run that was under way. */
  readonly joined: number
}

/**
 * A place for runs to be shared in. The types of values and errors are yours to state, once: use it with effects of
 * these types only, and give effects that mean different things different keys.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Coalesce } from "holdfast/Call"
 *
 * declare const fetchUser: (id: string) => Effect.Effect<{ readonly name: string }, Error>
 *
 * const program = Effect.gen(function*() {
 *   const users = yield* Coalesce.make<{ readonly name: string }, Error>({ key: "users" })
 *   const user = (id: string) => fetchUser(id).pipe(Coalesce.by(users, id))
 *   // one call, two results
 *   return yield* Effect.all([user("7"), user("7")], { concurrency: 2 })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, E = never>(options: { readonly key: string }): Effect.Effect<Coalesce<A, E>> =>
  Effect.sync(() => {
    const flights = new Flights()
    const description: Description = { policy: "Coalesce", key: options.key, settings: {} }
    const snapshot = (): Snapshot => ({ inFlight: flights.size, runs: flights.runs, joined: flights.joined })
    const toJSON = () => ({ _id: "Coalesce", key: options.key, ...snapshot() })
    return {
      [TypeId]: TypeId,
      key: options.key,
      by: (key) =>
        makeCombinator([description], [{
          around: (call) => {
            const inner = call.inner()
            return flights.join(key, () => inner)
          }
        }]),
      snapshot: Effect.sync(snapshot),
      pipe() {
        return pipeArguments(this, arguments)
      },
      toJSON,
      toString: () => JSON.stringify(toJSON()),
      [NodeInspectSymbol]: toJSON
    }
  })

/**
 * Shares the run of an effect with everyone who asks for the same key meanwhile.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Coalesce } from "holdfast/Call"
 *
 * const answer = (shared: Coalesce.Coalesce<number>) =>
 *   Effect.succeed(42).pipe(Effect.delay("1 second"), Coalesce.by(shared, "answer"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function by<A, E>(coalesce: Coalesce<A, E>, key: string): Combinator<E, never, never, A, E>
export function by<A, E, R>(
  self: Effect.Effect<A, E, R>,
  coalesce: Coalesce<A, E>,
  key: string
): Effect.Effect<A, E, R>
export function by<A, E, R>(
  first: Effect.Effect<A, E, R> | Coalesce<A, E>,
  second: Coalesce<A, E> | string,
  third?: string
): unknown {
  return Effect.isEffect(first)
    ? (second as Coalesce<A, E>).by(third as string)(first)
    : first.by(second as string)
}

/**
 * Whether a value is a `Coalesce`.
 *
 * @example
 * ```ts
 * import { Coalesce } from "holdfast/Call"
 *
 * const no = Coalesce.isCoalesce("users") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isCoalesce = (u: unknown): u is Coalesce<unknown, unknown> => hasProperty(u, TypeId)
