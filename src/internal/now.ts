/**
 * The time of a fiber's clock, without an effect: for what happens within one step.
 *
 * A clock has two hands. The wall clock can be set, by a person or by the network; the other one only goes forward. All
 * that this package times goes by the second one (`nowOf`), so that nothing becomes longer or shorter when the wall
 * clock is set. The wall clock is for dates that come from others or go to them (`wallClockOf`, `toWallClock`).
 *
 * A clock of a program's own may have one hand only. When that is set back, time goes on from the last reading:
 *
 *     clock:  100 ─ 200 ─ 300 ┐         set back by 200
 *             100 ─ 200 ◀─────┘ ─ 300
 *     here:   100 ─ 200 ─ 300 ─── 300 ─ 400
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import { isLive, liveClock } from "./liveClock.js"

type Runner = Fiber.RuntimeFiber<unknown, unknown>

/** Milliseconds that only go forward, in whole numbers. They begin near the epoch, and setting the clock leaves them. */
export const nowOf = (fiber: Runner): number => Math.floor(preciseNowOf(fiber))

/** The same with fractions, for what may take less than a millisecond. */
export const preciseNowOf = (fiber: Runner): number => steadyOf(clockOf(fiber)).read()

/**
 * The time by which what is kept grows old. The hand that only goes forward stands still while the machine sleeps, on
 * most platforms; the wall clock does not. So this is the one of them that says more: a value is never served when
 * either says that it is too old. A wall clock that is set forward cannot be told from a machine that has slept.
 */
export const ageClockOf = (fiber: Runner): number => steadyOf(clockOf(fiber)).readWithSleep()

/** Milliseconds since the epoch, as the wall clock says now. */
export const wallClockOf = (fiber: Runner): number => clockOf(fiber).unsafeCurrentTimeMillis()

/** A time of `nowOf` as the wall clock would have it now. */
export const toWallClock = (millis: number, fiber: Runner): number => millis - nowOf(fiber) + wallClockOf(fiber)

/** A time of the wall clock as one of `nowOf`. */
export const fromWallClock = (millis: number, fiber: Runner): number => millis - wallClockOf(fiber) + nowOf(fiber)

const clockOf = (fiber: Runner): Clock.Clock => Context.get(fiber.currentDefaultServices, Clock.Clock)

/**
 * Nanoseconds since the epoch have more digits than a number, and are off by up to a quarter of a microsecond. What should
 * be a whole millisecond is made one, or it would be taken for the one before it.
 */
const millisOf = (nanos: bigint): number => {
  const millis = Number(nanos) / 1e6
  const whole = Math.round(millis)
  return Math.abs(millis - whole) < 0.000_5 ? whole : millis
}

/** What has been read of a clock so far. */
class Steady {
  private latest = -Infinity
  /** How far it was set back, all in all. */
  private behind = 0
  /** How far the wall clock was ahead at most. */
  private slept = -Infinity
  constructor(private readonly clock: Clock.Clock, private readonly millis: () => number) {}

  read(): number {
    const now = this.millis() + this.behind
    if (now < this.latest) {
      this.behind += this.latest - now
      return this.latest
    }
    this.latest = now
    return now
  }

  readWithSleep(): number {
    const now = Math.floor(this.read())
    this.slept = Math.max(this.slept, this.clock.unsafeCurrentTimeMillis() - now)
    return now + this.slept
  }
}

/**
 * The same hand of the live clock without its big integers, which cost as much again as the reading. Bound here, so that
 * who replaces `performance.now` for a while does not move it.
 */
const liveMillis = (): () => number => {
  const nanos = () => millisOf(liveClock.unsafeCurrentTimeNanos())
  if (typeof performance === "undefined" || typeof performance.now !== "function") return nanos
  const elapsed = performance.now.bind(performance)
  const origin = nanos() - elapsed()
  return () => origin + elapsed()
}

const live = new Steady(liveClock, liveMillis())

// A clock and what is known of it go together: those of a run, or of a test, must not outlive it.
const others = globalValue(Symbol.for("holdfast/internal/now/clocks"), () => new WeakMap<Clock.Clock, Steady>())

const steadyOf = (clock: Clock.Clock): Steady => {
  if (isLive(clock)) return live
  const known = others.get(clock)
  if (known !== undefined) return known
  const made = new Steady(clock, () => millisOf(clock.unsafeCurrentTimeNanos()))
  others.set(clock, made)
  return made
}
