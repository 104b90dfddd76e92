/**
 * Sleeps of any length. The live clock arms no timer beyond 2^31 - 1 ms (24.8 days) and would never wake up, so a
 * longer sleep goes in steps of at most that.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { longestTimer } from "./liveClock.js"

/** Sleeps for a number of milliseconds; not at all for zero or less. */
export const sleepMillis = (millis: number): Effect.Effect<void> =>
  millis <= 0
    ? Effect.void
    : millis <= longestTimer
    ? Effect.sleep(Duration.millis(millis))
    : Effect.flatMap(Effect.sleep(Duration.millis(longestTimer)), () => sleepMillis(millis - longestTimer))
