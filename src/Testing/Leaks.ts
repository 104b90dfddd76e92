/**
 * Whether something leaves fibers behind.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { LiveFibers } from "./internal/liveFibers.js"

/**
 * Fibers that were started and have not ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class FibersLeaked extends Data.TaggedError("FibersLeaked")<{
  /** Their ids, as logs and fiber dumps name them. */
  readonly fibers: ReadonlyArray<string>
}> {
  override get message(): string {
    return `${this.fibers.length} ${this.fibers.length === 1 ? "fiber has" : "fibers have"} not ended: ${
      this.fibers.join(", ")
    }`
  }
}

/**
 * Fails with `FibersLeaked` when an effect has succeeded, but fibers that it started are still running. Those that end
 * by themselves within the same moment of the clock are no leak. The children of an effect end with the fiber that runs
 * it, so this runs it in a fiber of its own.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Leaks } from "holdfast/Testing"
 *
 * const test = Leaks.check(Effect.forkDaemon(Effect.never)) // fails with FibersLeaked
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | FibersLeaked, R> =>
  Effect.suspend(() => {
    const fibers = new LiveFibers()
    const settled = Effect.yieldNow().pipe(
      Effect.repeat({ times: 100, until: () => fibers.alive === 0 })
    )
    return Effect.fork(self).pipe(
      Effect.supervised(fibers),
      Effect.flatMap((fiber) => fiber),
      Effect.zipLeft(settled),
      Effect.tap(() =>
        Effect.flatMap(fibers.value, (alive) =>
          alive.length === 0
            ? Effect.void
            : new FibersLeaked({ fibers: alive.map((fiber) => FiberId.threadName(fiber.id())) }))
      )
    )
  })
