/**
 * A curve as a schedule of Effect: it recurs for ever and gives out the delays it waited.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Decision from "effect/ScheduleDecision"
import * as Interval from "effect/ScheduleInterval"
import type { Backoff } from "../Backoff.js"
import * as curve from "./curve.js"
import type { Description } from "./description.js"

export const TypeId: unique symbol = Symbol.for("holdfast/Schedule/Backoff")

export type TypeId = typeof TypeId

/** The schedule's state: how many delays were given out, and the last of them. */
interface Position extends curve.Drawn {
  readonly retry: number
}

const start: Position = { retry: 0, ...curve.nothingDrawn }

const variance = {
  _Out: (_: never) => _,
  _In: (_: unknown) => _,
  _R: (_: never) => _
}

class CurveSchedule implements Backoff, curve.Curve {
  readonly initial = start
  constructor(readonly description: Description, readonly custom: ((retry: number) => number) | undefined) {}
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  get [Schedule.ScheduleTypeId]() {
    return variance
  }
  step(now: number, _input: unknown, state: Position) {
    const next = (random: number) => {
      const millis = curve.delayMillis(this, state.retry, random, state)
      return [
        { retry: state.retry + 1, millis, random } satisfies Position,
        Duration.millis(millis),
        Decision.continueWith(Interval.after(now + millis))
      ] as const
    }
    return curve.needsRandom(this)
      ? Effect.map(Random.next, next)
      : Effect.sync(() => next(0))
  }
  pipe() {
    return pipeArguments(this, arguments)
  }
  toJSON() {
    return { _id: "Backoff", ...this.description }
  }
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
  toString() {
    return JSON.stringify(this)
  }
}

/** The backoff of a description; `custom` is the function of a custom one. */
export const makeBackoff = (description: Description, custom?: (retry: number) => number): Backoff =>
  new CurveSchedule(Object.freeze(description), custom)

/** The curve of a backoff. All of them are made here. */
export const curveOf = (backoff: Backoff): curve.Curve => backoff as CurveSchedule
