/**
 * The counters of gates as streams, for dashboards, metrics and tests.
 *
 * A module of its own, since streams take a while to load, and calls need none.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"
import type { Watched } from "./Gate.js"

/**
 * What a gate shows of itself, such as `breaker.snapshot`, as a stream: what it is now, and then what it is whenever that has
 * changed. A reader that is slower than the changes gets the newest, and misses some before it. What time alone changes is
 * no change, and is seen with the next one. The stream does not end by itself, and does not hold the gate up.
 *
 * @example
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 * import * as Watch from "holdfast/Circuit/Watch"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "payments" })
 *   yield* Watch.changes(breaker.snapshot).pipe(
 *     Stream.map(({ state }) => state),
 *     Stream.changes,
 *     Stream.runForEach((state) => Console.log(`the breaker is ${state}`)),
 *     Effect.fork
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const changes = <A>(watched: Watched<A>): Stream.Stream<A> =>
  Stream.unwrapScoped(
    Effect.map(watched.changed, (changed) =>
      Stream.concat(
        Stream.fromEffect(watched),
        Stream.mapEffect(Stream.fromQueue(changed, { maxChunkSize: 1 }), () => watched)
      ))
  ).pipe(Stream.changesWith((before: A, after: A) => isSame(before, after)))

/** What gates show is plain data and durations, which JSON tells apart. */
const isSame = (before: unknown, after: unknown): boolean => JSON.stringify(before) === JSON.stringify(after)

/**
 * What a gate shows of itself as a `Subscribable` of Effect, for code that takes one.
 *
 * @example
 * ```ts
 * import { Effect, Subscribable } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 * import * as Watch from "holdfast/Circuit/Watch"
 *
 * const inUse = Effect.map(
 *   Bulkhead.make({ key: "reports", capacity: 3 }),
 *   (bulkhead) => Subscribable.map(Watch.subscribable(bulkhead.snapshot), ({ inUse }) => inUse)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const subscribable = <A>(watched: Watched<A>): Subscribable.Subscribable<A> =>
  Subscribable.make({ get: watched, changes: changes(watched) })
