/**
 * Where the delays of one rule come from, in one call: a curve, or any schedule of Effect, which is driven step by step
 * with what the attempts ended with.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Schedule from "effect/Schedule"
import * as Decision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import * as curve from "./curve.js"

/** What a pace is made from. */
export type Source =
  | { readonly _tag: "Curve"; readonly curve: curve.Curve }
  | { readonly _tag: "Schedule"; readonly schedule: Schedule.Schedule<unknown, unknown> }

/** The delays of one rule in one call. */
export interface Pace {
  /** The next delay in milliseconds at a time of the wall clock, or `undefined` where a schedule has come to its end. */
  readonly next: (now: number, ended: unknown) => Effect.Effect<number | undefined>
  /** Goes back to the first delay. */
  readonly restart: () => void
}

/** A pace at its first delay. */
export const makePace = (source: Source): Pace =>
  source._tag === "Curve" ? new CurvePace(source.curve) : new SchedulePace(source.schedule)

class CurvePace implements Pace {
  private step = 0
  private drawn = curve.nothingDrawn
  constructor(private readonly curve: curve.Curve) {}

  next(): Effect.Effect<number> {
    return curve.needsRandom(this.curve)
      ? Effect.map(Random.next, (random) => this.delay(random))
      : Effect.sync(() => this.delay(0))
  }

  restart(): void {
    this.step = 0
    this.drawn = curve.nothingDrawn
  }

  private delay(random: number): number {
    const millis = curve.delayMillis(this.curve, this.step++, random, this.drawn)
    this.drawn = { millis, random }
    return millis
  }
}

class SchedulePace implements Pace {
  private state: unknown
  constructor(private readonly schedule: Schedule.Schedule<unknown, unknown>) {
    this.state = schedule.initial
  }

  next(now: number, ended: unknown): Effect.Effect<number | undefined> {
    return Effect.map(this.schedule.step(now, ended, this.state), ([state, _out, decision]) => {
      this.state = state
      return Decision.isContinue(decision)
        ? Math.min(Math.max(0, Intervals.start(decision.intervals) - now), curve.longest)
        : undefined
    })
  }

  restart(): void {
    this.state = this.schedule.initial
  }
}
