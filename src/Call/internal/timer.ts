/**
 * Timers that call back. A clock can only sleep, which takes a fiber, and interrupting that fiber is the dearest part
 * of a limit that was not reached. Under the live clock, and only under that very clock, a sleep is a timer of the
 * platform, so that one is set directly; every other clock (a test's, a workflow's) is asked to sleep.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import { isLive, longestTimer } from "../../internal/liveClock.js"
import { sleepMillis } from "../../internal/sleep.js"

/** Stops a timer; without effect when it has fired. */
export type Stop = () => void

/**
 * Calls `onEnd` after `millis`, as the clock of `caller` counts them: with a success when the time is over, with the
 * failure of the clock if it could not sleep.
 */
export const startTimer = (
  caller: Fiber.RuntimeFiber<unknown, unknown>,
  runtime: Runtime.Runtime<never>,
  millis: number,
  onEnd: (exit: Exit.Exit<void>) => void
): Stop => {
  if (millis <= longestTimer && isLive(Context.get(caller.currentDefaultServices, Clock.Clock))) {
    // @effect-diagnostics-next-line globalTimers:off
    const handle = setTimeout(() => onEnd(Exit.void), millis)
    return () => clearTimeout(handle)
  }
  const sleeper = Runtime.runFork(runtime, Effect.interruptible(sleepMillis(millis)))
  sleeper.addObserver(onEnd)
  return () => {
    sleeper.removeObserver(onEnd)
    sleeper.unsafeInterruptAsFork(caller.id())
  }
}
