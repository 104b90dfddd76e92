/**
 * Whether time passes by itself. Under a virtual clock nothing may wait in real time: the clock would not see it.
 */
import * as Clock from "effect/Clock"

const live: unknown = Object.getPrototypeOf(Clock.make())

export const isLive = (clock: Clock.Clock): boolean => Object.getPrototypeOf(clock) === live
