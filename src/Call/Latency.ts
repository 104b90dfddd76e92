/**
 * How long calls take: a running estimate of one quantile, such as the time that 95 of 100 calls do not exceed.
 *
 * An estimator is a value, made once and shared by sharing it: one for each thing that is called. A hedge that waits for
 * a quantile feeds it by itself.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import { reader } from "../InvalidOptions.js"
import * as internal from "./internal/latency/estimator.js"
import { TypeId } from "./internal/latency/estimator.js"
import { Histogram } from "./internal/latency/histogram.js"
import * as movingQuantile from "./internal/latency/movingQuantile.js"
import * as p2Algorithm from "./internal/latency/p2.js"

export { TypeId }

/**
 * An estimator of one quantile.
 *
 * @since 0.1.0
 * @category models
 */
export interface Latency extends Pipeable {
  readonly [TypeId]: TypeId
  /** The quantile that is estimated, between 0 and 1. */
  readonly quantile: number
  /** Adds a sample: how long a call took. */
  readonly record: (took: Duration.DurationInput) => Effect.Effect<void>
  /** The estimate; `None` without samples. */
  readonly estimate: Effect.Effect<Option.Option<Duration.Duration>>
  /** How many samples the estimate rests on. */
  readonly samples: Effect.Effect<number>
}

/**
 * An estimator that counts the samples of the last while in buckets: exact to a relative error, and it forgets what is
 * older than its window. The one to take, unless memory is very scarce: it holds a number for each bucket that is used.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Latency } from "holdfast/Call"
 *
 * const program = Effect.gen(function*() {
 *   const latency = yield* Latency.make({ quantile: 0.95 })
 *   yield* latency.record("120 millis")
 *   return yield* latency.estimate
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  /** Between 0 and 1. */
  readonly quantile: number
  /** What is older is forgotten, slice by slice. Default 1 minute. */
  readonly window?: Duration.DurationInput | undefined
  /** How many slices the window has. Default 6. */
  readonly slices?: number | undefined
  /** The relative error, between 0 and 1. Default 0.01. */
  readonly error?: number | undefined
}): Effect.Effect<Latency> =>
  Effect.sync(() => {
    const read = reader("Latency.make")
    const quantile = quantileOf(read, options.quantile)
    const windowMillis = read.positiveDuration("window", options.window ?? "1 minute")
    const slices = read.integer("slices", options.slices ?? 6, 1)
    const error = fraction(read, "error", options.error ?? 0.01)
    const sliceMillis = windowMillis / slices
    const histogram = new Histogram({ error, slices, sliceMillis })
    let known = { estimate: undefined as number | undefined, count: 0, slice: -1 }
    return new internal.Estimator(quantile, {
      add: (sample, now) => histogram.add(sample, now),
      estimate: (now) => {
        // A few samples more or less do not move a quantile, and to add up all buckets takes its time.
        const slice = Math.floor(now / sliceMillis)
        const count = histogram.count(now)
        if (slice !== known.slice || count > known.count * 1.02) {
          known = { estimate: histogram.quantile(quantile, now), count, slice }
        }
        return known.estimate
      },
      count: (now) => histogram.count(now)
    }, { kind: "histogram", quantile, windowMillis, slices, error })
  })

/**
 * An estimator in constant memory (the P² algorithm): two sets of five markers in rotation. It forgets by number of
 * samples, not by time.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Latency } from "holdfast/Call"
 *
 * const latency = Latency.p2({ quantile: 0.95, every: 1000 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const p2 = (options: {
  /** Between 0 and 1. */
  readonly quantile: number
  /** The estimate rests on the last `every` to 2 × `every` samples. Default 1000. */
  readonly every?: number | undefined
}): Effect.Effect<Latency> =>
  Effect.sync(() => {
    const read = reader("Latency.p2")
    const quantile = quantileOf(read, options.quantile)
    const every = read.integer("every", options.every ?? 1000, 5)
    let state = p2Algorithm.initialRotation
    return new internal.Estimator(quantile, {
      add: (sample) => {
        state = p2Algorithm.addRotating(quantile, every, state, sample)
      },
      estimate: () => p2Algorithm.estimate(quantile, state.older),
      count: () => state.older.count
    }, { kind: "p2", quantile, every })
  })

/**
 * An estimator in four numbers: it goes a small step up or down with each sample. The cheapest one, and the least exact:
 * it wavers by a few percent, and follows a change within a few `age`s.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Latency } from "holdfast/Call"
 *
 * const latency = Latency.moving({ quantile: 0.9, age: 100 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const moving = (options: {
  /** Between 0 and 1. */
  readonly quantile: number
  /** After so many samples what was seen has lost most of its weight. Default 100. */
  readonly age?: number | undefined
}): Effect.Effect<Latency> =>
  Effect.sync(() => {
    const read = reader("Latency.moving")
    const settings = {
      quantile: quantileOf(read, options.quantile),
      age: read.integer("age", options.age ?? 100, 1)
    }
    let state = movingQuantile.initial
    return new internal.Estimator(settings.quantile, {
      add: (sample) => {
        state = movingQuantile.add(settings, state, sample)
      },
      estimate: () => state.count === 0 ? undefined : Math.max(0, state.estimate),
      count: () => state.count
    }, { kind: "moving", ...settings })
  })

/**
 * Whether a value is a `Latency`.
 *
 * @example
 * ```ts
 * import { Latency } from "holdfast/Call"
 *
 * const no = Latency.isLatency("95 ms") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isLatency = (u: unknown): u is Latency => hasProperty(u, TypeId)

type Reader = ReturnType<typeof reader>

const fraction = (read: Reader, option: string, value: number): number =>
  value > 0 && value < 1 ? value : read.refuse(option, value, "a number between 0 and 1")

const quantileOf = (read: Reader, value: number): number => fraction(read, "quantile", value)
