/**
 * An estimator with its state: what `Latency` makes, and hedges ask.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type { Json } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import type { Latency } from "../../Latency.js"

export const TypeId: unique symbol = Symbol.for("holdfast/Call/Latency")

export type TypeId = typeof TypeId

/** How samples become an estimate. Times are in milliseconds. */
export interface Method {
  readonly add: (sample: number, now: number) => void
  readonly estimate: (now: number) => number | undefined
  /** How many samples the estimate rests on. */
  readonly count: (now: number) => number
}

export class Estimator implements Latency {
  constructor(
    readonly quantile: number,
    readonly method: Method,
    readonly settings: { readonly [name: string]: Json }
  ) {}
  get [TypeId](): typeof TypeId {
    return TypeId
  }

  readonly record = (took: Duration.DurationInput): Effect.Effect<void> =>
    Effect.withFiberRuntime((fiber) => {
      this.method.add(Duration.toMillis(Duration.decode(took)), nowOf(fiber))
      return Effect.void
    })
  readonly estimate: Effect.Effect<Option.Option<Duration.Duration>> = Effect.withFiberRuntime((fiber) => {
    const millis = this.method.estimate(nowOf(fiber))
    return Effect.succeed(millis === undefined ? Option.none() : Option.some(Duration.millis(millis)))
  })
  readonly samples: Effect.Effect<number> = Effect.withFiberRuntime((fiber) =>
    Effect.succeed(this.method.count(nowOf(fiber)))
  )

  pipe() {
    return pipeArguments(this, arguments)
  }
  toJSON() {
    return { _id: "Latency", ...this.settings }
  }
  toString() {
    return JSON.stringify(this)
  }
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

/** All estimators are made here. */
export const estimatorOf = (latency: Latency): Estimator => latency as Estimator
