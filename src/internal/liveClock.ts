/**
 * Whether time passes by itself. Only under that very clock is a timer of the platform the same as a sleep; under any
 * other, a test's or a workflow's, nothing may wait in real time, since the clock would not see it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"

export const liveClock: Clock.Clock = Context.get(DefaultServices.liveServices, Clock.Clock)

export const isLive = (clock: Clock.Clock): boolean => clock === liveClock

/** The longest that a timer of the platform can wait, in milliseconds (24.8 days); it fires at once for more. */
export const longestTimer = 2 ** 31 - 1
