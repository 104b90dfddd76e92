/**
 * Reads that an engine cannot go on without: they are repeated until the journal answers.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

const schedule = Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("5 seconds"))

/** Repeats a read that fails, first after 100 ms, then at longer and longer intervals of at most 5 seconds. */
export const untilRead = <A, E, R>(read: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  Effect.orDie(Effect.retry(read, schedule))
