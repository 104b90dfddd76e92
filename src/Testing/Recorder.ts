/**
 * Keeps what happened, in order and with the time, for a test to look at.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

/**
 * @since 0.1.0
 * @category models
 */
export interface Recorder<in out A> {
  /** Keeps one more. */
  readonly record: (value: A) => Effect.Effect<void>
  /** What was kept, oldest first. */
  readonly values: Effect.Effect<ReadonlyArray<A>>
  /** The same with the time at which it was kept, in milliseconds of the `Clock` since the epoch. */
  readonly entries: Effect.Effect<ReadonlyArray<Entry<A>>>
  /** What was kept, and forgets it. */
  readonly takeAll: Effect.Effect<ReadonlyArray<A>>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Entry<out A> {
  readonly at: number
  readonly value: A
}

/**
 * An empty recorder. Give `record` to whatever takes an observer: `Retry.rules(..., { onRetry: recorder.record })`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Recorder } from "holdfast/Testing"
 *
 * const program = Effect.gen(function*() {
 *   const recorder = yield* Recorder.make<string>()
 *   yield* recorder.record("started")
 *   return yield* recorder.values // ["started"]
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(): Effect.Effect<Recorder<A>> =>
  Effect.sync(() => {
    let entries: ReadonlyArray<Entry<A>> = []
    const values = Effect.sync(() => entries.map(({ value }) => value))
    return {
      record: (value) =>
        Effect.map(Clock.currentTimeMillis, (at) => {
          entries = [...entries, { at, value }]
        }),
      values,
      entries: Effect.sync(() => entries),
      takeAll: Effect.zipLeft(values, Effect.sync(() => entries = []))
    }
  })

/**
 * Records what a queue gives out, until the scope closes: the transitions of a breaker, the events of a pool.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 * import { Recorder } from "holdfast/Testing"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "payments" })
 *   const transitions = yield* Recorder.fromDequeue(yield* breaker.changes)
 *   return yield* transitions.values
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDequeue = <A>(queue: Queue.Dequeue<A>): Effect.Effect<Recorder<A>, never, Scope.Scope> =>
  Effect.tap(
    make<A>(),
    ({ record }) => Effect.forkScoped(Effect.interruptible(Effect.forever(Effect.flatMap(Queue.take(queue), record))))
  )
