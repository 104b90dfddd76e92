/**
 * Reads that an engine cannot go on without: they are repeated until the journal answers.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** How long what has failed so often rests before it is tried again, in milliseconds. */
export const pauseMillis = (failures: number): number => Math.min(100 * 2 ** failures, 5_000)

const schedule = Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("5 seconds"))

/** Repeats a read that fails, first after 100 ms, then at longer and longer intervals of at most 5 seconds. */
export const untilRead = <A, E, R>(read: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  Effect.orDie(Effect.retry(read, schedule))
