/**
 * When a breaker opens, exported by `CircuitBreaker`.
 */
import type * as Duration from "effect/Duration"
import type { Json } from "../../../Combinator.js"
import { reader } from "../../../InvalidOptions.js"
import type * as tally from "./tally.js"

/** Carried by every `Trip`. */
export const TripTypeId: unique symbol = Symbol.for("holdfast/Circuit/CircuitBreaker/Trip")

/**
 * What opens a closed breaker. Made with `consecutive`, `countWindow` or `timeWindow`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Trip {
  readonly [TripTypeId]: typeof TripTypeId
  readonly mode: "consecutive" | "countWindow" | "timeWindow"
}

/**
 * Which part of the calls in a window is too much. At least one of the two rates is given; a rate is reached when the
 * window has that much or more.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateOptions {
  /** Opens when this part of the calls failed: above 0, up to 1. */
  readonly failureRate?: number | undefined
  /** Opens when this part of the calls was slow: above 0, up to 1. Needs `slowAfter`. */
  readonly slowRate?: number | undefined
  /** A call that takes so long or longer is slow, whatever it ends with. */
  readonly slowAfter?: Duration.DurationInput | undefined
  /** No rate is looked at before there are so many calls in the window. Default 10. */
  readonly minimumCalls?: number | undefined
}

/** A trip with what it is made of. */
export interface TripParts extends Trip {
  readonly trip: tally.Trip
  /** Infinite where no call is slow. */
  readonly slowAfterMillis: number
}

/**
 * Opens after so many failures in a row.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * const make = CircuitBreaker.make({ key: "payments", trip: CircuitBreaker.consecutive(3) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const consecutive = (failures: number): Trip =>
  trip("consecutive", {
    _tag: "Consecutive",
    failures: reader("CircuitBreaker.consecutive").integer("failures", failures, 1)
  })

/**
 * Opens on the rate of failures, or of slow calls, among the last `size` calls.
 *
 * A minimum of calls that is larger than the window is reached when the window is full. Throws `InvalidOptions` when no
 * rate is given, or one that can never work.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * const trip = CircuitBreaker.countWindow({ size: 100, failureRate: 0.5, minimumCalls: 20 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const countWindow = (options: RateOptions & { readonly size: number }): Trip => {
  const read = reader("CircuitBreaker.countWindow")
  const { rates, slowAfterMillis } = readRates(read, options)
  return trip(
    "countWindow",
    { _tag: "CountWindow", size: read.integer("size", options.size, 1), ...rates },
    slowAfterMillis
  )
}

/**
 * Opens on the rate of failures, or of slow calls, of the last while.
 *
 * The window slides in steps of a bucket. What is older than `span` is gone, also when nothing was called meanwhile.
 * Throws `InvalidOptions` when no rate is given, or one that can never work.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * const trip = CircuitBreaker.timeWindow({
 *   span: "1 minute",
 *   failureRate: 0.5,
 *   slowRate: 0.8,
 *   slowAfter: "2 seconds"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const timeWindow = (
  options: RateOptions & {
    /** How far back it looks. */
    readonly span: Duration.DurationInput
    /** In how many steps it slides. Default 10. */
    readonly buckets?: number | undefined
  }
): Trip => {
  const read = reader("CircuitBreaker.timeWindow")
  const { rates, slowAfterMillis } = readRates(read, options)
  const buckets = read.integer("buckets", options.buckets ?? 10, 1)
  const widthMillis = read.positiveDuration("span", options.span) / buckets
  return trip("timeWindow", { _tag: "TimeWindow", shape: { widthMillis, buckets }, ...rates }, slowAfterMillis)
}

/** What a trip was made of. */
export const partsOf = (self: Trip): TripParts => self as TripParts

/** A trip as plain data: what it does not have is `null`. */
export const describeTrip = ({ mode, slowAfterMillis, trip }: TripParts): { readonly [name: string]: Json } => ({
  mode,
  failures: trip._tag === "Consecutive" ? trip.failures : null,
  windowSize: trip._tag === "CountWindow" ? trip.size : null,
  windowMillis: trip._tag === "TimeWindow" ? Math.round(trip.shape.widthMillis * trip.shape.buckets) : null,
  minimumCalls: trip._tag === "Consecutive" ? null : trip.minimumCalls,
  failureRate: trip._tag === "Consecutive" ? null : trip.failureRate,
  slowRate: trip._tag === "Consecutive" ? null : trip.slowRate,
  slowAfterMillis: slowAfterMillis < Infinity ? slowAfterMillis : null,
  recordsSlowCalls: slowAfterMillis < Infinity
})

const trip = (mode: Trip["mode"], trip: tally.Trip, slowAfterMillis = Infinity): TripParts => ({
  [TripTypeId]: TripTypeId,
  mode,
  trip,
  slowAfterMillis
})

type Reader = ReturnType<typeof reader>

const readRates = (
  read: Reader,
  options: RateOptions
): { readonly rates: tally.Rates; readonly slowAfterMillis: number } => {
  const failureRate = readRate(read, "failureRate", options.failureRate)
  const slowRate = readRate(read, "slowRate", options.slowRate)
  if (failureRate === null && slowRate === null) {
    read.refuse("failureRate", options.failureRate, "a number above 0, up to 1, where there is no slowRate")
  }
  if (slowRate !== null && options.slowAfter === undefined) {
    read.refuse("slowAfter", options.slowAfter, "a duration where there is a slowRate")
  }
  if (slowRate === null && options.slowAfter !== undefined) {
    read.refuse("slowRate", options.slowRate, "a number above 0, up to 1, where there is a slowAfter")
  }
  return {
    rates: {
      minimumCalls: read.integer("minimumCalls", options.minimumCalls ?? 10, 1),
      failureRate,
      slowRate
    },
    slowAfterMillis: options.slowAfter === undefined ? Infinity : read.positiveDuration("slowAfter", options.slowAfter)
  }
}

const readRate = (read: Reader, option: string, rate: number | undefined): number | null =>
  rate === undefined
    ? null
    : rate > 0 && rate <= 1
    ? rate
    : read.refuse(option, rate, "a number above 0, up to 1")
