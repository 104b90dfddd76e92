/**
 * Remembers what a call gave, for a while.
 *
 * A value is served as it is while it is fresh. When it is stale it is served too, and renewed in the background, so
 * that nobody waits for it. Callers that find nothing share one run (as with `Coalesce`). The cache holds at most so
 * many keys; the one used least recently goes first.
 *
 * Effect's own `Cache` looks up by a function that is given when it is made. This one is put around an effect, so that
 * it can be piped and composed, and knows stale values.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NodeInspectSymbol } from "effect/Inspectable"
import type * as Option from "effect/Option"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import * as Scope from "effect/Scope"
import type { Combinator, Description } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { ageClockOf } from "../internal/now.js"
import { reader } from "../InvalidOptions.js"
import { Remembering } from "./internal/remembering.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Call/Cache")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * A cache of values `A`, and of errors `E` where its `ttl` says so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cache<in out A, in out E = never> extends Pipeable {
  readonly [TypeId]: TypeId
  /** The name of the cache, in descriptions. */
  readonly key: string
  /** Serves the value of a key, or runs the effect; see the function of this name. */
  readonly by: (key: string) => Combinator<E, never, never, A, E>
  /** The value of a key, if there is one that may be served. */
  readonly get: (key: string) => Effect.Effect<Option.Option<A>>
  /** Forgets a key. A run that is under way leaves no value, and is joined by no further caller. */
  readonly invalidate: (key: string) => Effect.Effect<void>
  /** Forgets all keys. */
  readonly invalidateAll: Effect.Effect<void>
  /** How the cache is used. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** How many keys the cache has an end of. */
  readonly size: number
  /** Calls that were served what is fresh. */
  readonly hits: number
  /** Calls that were served what is stale. */
  readonly stale: number
  /** Calls that waited for a run. */
  readonly misses: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<in A, in E> {
  readonly key: string
  /**
   * How long an end is fresh. A duration holds for values, and errors are not remembered; a function says it for each
   * end, and zero remembers nothing. Defects and interruptions are never remembered.
   */
  readonly ttl: Duration.DurationInput | ((exit: Exit.Exit<A, E>) => Duration.DurationInput)
  /** How long after that a value is still served, while it is renewed. Default: not at all. */
  readonly staleWhileRevalidate?: Duration.DurationInput | undefined
  /** How many keys are remembered. Default 1000. */
  readonly capacity?: number | undefined
}

/**
 * An empty cache. What it renews in the background belongs to the scope, and ends with it: a cache whose scope has closed
 * serves what is fresh, and runs the effect of the caller in place of serving what is stale. Dies with `InvalidOptions`
 * when the options can never work.
 *
 * The types of values and errors are yours to state, once: use it with effects of these types only, and give effects
 * that mean different things different keys.
 *
 * @example
 * ```ts
 * import { Effect, Exit } from "effect"
 * import { Cache } from "holdfast/Call"
 *
 * declare const fetchUser: (id: string) => Effect.Effect<string, "NotFound" | "Offline">
 *
 * const program = Effect.gen(function*() {
 *   const users = yield* Cache.make<string, "NotFound" | "Offline">({
 *     key: "users",
 *     // that there is no such user is worth remembering too
 *     ttl: Exit.match({ onSuccess: () => "1 minute", onFailure: () => "5 seconds" }),
 *     staleWhileRevalidate: "10 minutes"
 *   })
 *   return yield* fetchUser("7").pipe(Cache.by(users, "7"))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, E = never>(options: Options<A, E>): Effect.Effect<Cache<A, E>, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    const read = reader("Cache.make")
    const { key, ttl } = options
    const capacity = read.integer("capacity", options.capacity ?? 1000, 1)
    const staleMillis = read.duration("staleWhileRevalidate", options.staleWhileRevalidate ?? 0)
    const ttlMillis = typeof ttl === "function" ? undefined : read.duration("ttl", ttl)
    const remembering = new Remembering({
      capacity,
      staleMillis,
      ttlMillis: typeof ttl === "function"
        // The ends that come to it are those of effects that the type of `by` lets in.
        ? (exit) => read.duration("ttl", (ttl as (exit: Exit.Exit<unknown, unknown>) => Duration.DurationInput)(exit))
        : (exit) => Exit.isSuccess(exit) ? ttlMillis ?? 0 : 0
    }, scope)
    const description: Description = {
      policy: "Cache",
      key,
      settings: {
        capacity,
        ttlMillis: ttlMillis === undefined || ttlMillis === Infinity ? null : ttlMillis,
        staleWhileRevalidateMillis: staleMillis === Infinity ? null : staleMillis
      }
    }
    const toJSON = () => ({ _id: "Cache", key, ...remembering.snapshot() })
    const cache = {
      [TypeId]: TypeId as typeof TypeId,
      key,
      by: (of: string) =>
        makeCombinator<E, never, never, A, E>([description], [{ around: (call) => remembering.serve(of, call) }]),
      get: (of: string) =>
        Effect.withFiberRuntime<Option.Option<A>>((fiber) =>
          Effect.succeed(remembering.value(of, ageClockOf(fiber)) as Option.Option<A>)
        ),
      invalidate: (of: string) => Effect.sync(() => remembering.invalidate(of)),
      invalidateAll: Effect.sync(() => remembering.invalidateAll()),
      snapshot: Effect.sync(() => remembering.snapshot()),
      pipe() {
        return pipeArguments(this, arguments)
      },
      toJSON,
      toString: () => JSON.stringify(toJSON()),
      [NodeInspectSymbol]: toJSON
    }
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => remembering.close())), cache)
  })

/**
 * Serves what a cache has of a key, and runs the effect where it has nothing.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Cache } from "holdfast/Call"
 *
 * const answer = (cache: Cache.Cache<number>) =>
 *   Effect.succeed(42).pipe(Effect.delay("1 second"), Cache.by(cache, "answer"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function by<A, E>(cache: Cache<A, E>, key: string): Combinator<E, never, never, A, E>
export function by<A, E, R>(self: Effect.Effect<A, E, R>, cache: Cache<A, E>, key: string): Effect.Effect<A, E, R>
export function by<A, E, R>(
  first: Effect.Effect<A, E, R> | Cache<A, E>,
  second: Cache<A, E> | string,
  third?: string
): unknown {
  return Effect.isEffect(first)
    ? (second as Cache<A, E>).by(third as string)(first)
    : first.by(second as string)
}

/**
 * Whether a value is a `Cache`.
 *
 * @example
 * ```ts
 * import { Cache } from "holdfast/Call"
 *
 * const no = Cache.isCache("users") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isCache = (u: unknown): u is Cache<unknown, unknown> => hasProperty(u, TypeId)
