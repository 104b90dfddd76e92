/**
 * The algorithms of an adaptive limit as values, exported by `ConcurrencyLimit`.
 */
import type * as Duration from "effect/Duration"
import * as MutableRef from "effect/MutableRef"
import type { Json } from "../../../Combinator.js"
import { reader } from "../../../InvalidOptions.js"
import * as additive from "./aimd.js"
import * as gradients from "./gradient.js"
import * as machine from "./limitAlgorithm.js"
import * as vegases from "./vegas.js"
import * as windows from "./windowedLimit.js"

/** Carried by every `Algorithm`. */
export const AlgorithmTypeId: unique symbol = Symbol.for("holdfast/Circuit/ConcurrencyLimit/Algorithm")

/**
 * How a limit is worked out from the durations of calls. Made with `gradient`, `vegas`, `aimd`, `windowed` or `custom`;
 * it is a description, and each limit that is made of it has a state of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Algorithm {
  readonly [AlgorithmTypeId]: typeof AlgorithmTypeId
  readonly algorithm: string
  readonly settings: { readonly [name: string]: Json }
}

/**
 * What was measured of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sample {
  /** How long it took, in milliseconds. */
  readonly rttMillis: number
  /** How many calls were under way when it began, itself included. */
  readonly inflight: number
  /** Whether it was given up for overload: refused, or timed out. */
  readonly dropped: boolean
}

/**
 * Where a limit starts, and between what it stays.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundsOptions {
  readonly initial?: number | undefined
  readonly min?: number | undefined
  readonly max?: number | undefined
}

/** An algorithm at work: the state that its functions are applied to, of whatever kind that is. */
export interface Working {
  /** How many calls may be under way: whole, and at least 1. */
  readonly limit: () => number
  readonly sample: (sample: Sample, now: number) => void
  readonly state: () => unknown
}

/** An algorithm with what makes it work; `phase` is a random number in [0, 1). */
interface AlgorithmParts extends Algorithm {
  readonly start: (phase: number) => Working
}

/** Puts an algorithm to work. */
export const startAlgorithm = (algorithm: Algorithm, phase: number): Working =>
  (algorithm as AlgorithmParts).start(phase)

/**
 * Follows the gradient of latency: grows while calls take as long as usual, and shrinks in proportion when they take
 * longer than tolerated. The choice for those without an opinion.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const make = ConcurrencyLimit.make({ key: "db", algorithm: ConcurrencyLimit.gradient({ max: 500 }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const gradient = (
  options: BoundsOptions & {
    /** What is added while latency is as usual. Default 4. */
    readonly room?: number | undefined
    /** So many times the usual latency is still as usual, from 1. Default 1.5. */
    readonly tolerance?: number | undefined
    /** Over how many calls the usual latency is averaged. Default 600. */
    readonly longWindow?: number | undefined
    /** How far each call moves the limit, above 0 and up to 1. Default 0.2. */
    readonly smoothing?: number | undefined
  } = {}
): Algorithm => {
  const read = reader("ConcurrencyLimit.gradient")
  const settings = {
    ...boundsOf(read, options, { initial: 20, min: 1, max: 200 }),
    room: above(read, "room", options.room ?? 4, 0),
    tolerance: atLeast(read, "tolerance", options.tolerance ?? 1.5, 1),
    longWindow: read.integer("longWindow", options.longWindow ?? 600, 1),
    smoothing: part(read, "smoothing", options.smoothing ?? 0.2)
  }
  return make("gradient", settings, () => gradients.gradient(settings))
}

/**
 * Estimates how many calls wait in the dependency, and keeps that number small. Grows and shrinks in steps.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const make = ConcurrencyLimit.make({ key: "db", algorithm: ConcurrencyLimit.vegas() })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const vegas = (
  options: BoundsOptions & {
    /** How far a step goes towards the new limit, above 0 and up to 1. Default 1. */
    readonly smoothing?: number | undefined
    /** The latency of an idle dependency is looked for anew after so many calls for each of the limit. Default 30. */
    readonly probeAfter?: number | undefined
  } = {}
): Algorithm => {
  const read = reader("ConcurrencyLimit.vegas")
  const settings = {
    ...boundsOf(read, options, { initial: 20, min: 1, max: 1_000 }),
    smoothing: part(read, "smoothing", options.smoothing ?? 1),
    probeAfter: above(read, "probeAfter", options.probeAfter ?? 30, 0)
  }
  return make("vegas", settings, (phase) => vegases.vegas({ ...settings, phase }))
}

/**
 * One more for each call that is well while the limit is used, a tenth less for each that is dropped or takes too long.
 * The simplest: it only knows too long from a limit that you give.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const make = ConcurrencyLimit.make({ key: "db", algorithm: ConcurrencyLimit.aimd({ timeout: "1 second" }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const aimd = (
  options: BoundsOptions & {
    /** What is left of the limit after a decrease: above 0, below 1. Default 0.9. */
    readonly backoff?: number | undefined
    /** A call that takes longer counts as dropped. Default 5 seconds. */
    readonly timeout?: Duration.DurationInput | undefined
  } = {}
): Algorithm => {
  const read = reader("ConcurrencyLimit.aimd")
  const { backoff = 0.9 } = options
  const settings = {
    ...boundsOf(read, options, { initial: 20, min: 20, max: 200 }),
    backoff: backoff > 0 && backoff < 1 ? backoff : read.refuse("backoff", backoff, "a number above 0 and below 1"),
    timeoutMillis: read.positiveDuration("timeout", options.timeout ?? 5_000)
  }
  return make("aimd", settings, () => additive.aimd(settings))
}

/**
 * Moves once for each window of calls, by their 90th percentile and by how latency and throughput go along with the
 * number of calls. Slower than the others, and the steadiest where durations scatter.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const make = ConcurrencyLimit.make({ key: "db", algorithm: ConcurrencyLimit.windowed({ max: 500 }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const windowed = (
  options: BoundsOptions & {
    /** A window lasts at least so long, and until it has seen `windowCalls`. Default 1 second. */
    readonly windowMin?: Duration.DurationInput | undefined
    /** A window lasts at most so long. Default 30 seconds. */
    readonly windowMax?: Duration.DurationInput | undefined
    /** Default 50. */
    readonly windowCalls?: number | undefined
    /** Over how many windows the recent latency is averaged. Default 2. */
    readonly recentAge?: number | undefined
    /** Over how many windows the usual latency is averaged. Default 10. */
    readonly baselineAge?: number | undefined
    /** The limit is at most so many times the calls that are under way. Default 5. */
    readonly headroom?: number | undefined
  } = {}
): Algorithm => {
  const read = reader("ConcurrencyLimit.windowed")
  const windowMinMillis = read.positiveDuration("windowMin", options.windowMin ?? 1_000)
  const windowMaxMillis = read.positiveDuration("windowMax", options.windowMax ?? 30_000)
  if (windowMaxMillis < windowMinMillis) read.refuse("windowMax", options.windowMax, "no shorter than windowMin")
  const settings = {
    ...boundsOf(read, options, { initial: 20, min: 1, max: 200 }),
    windowMinMillis,
    windowMaxMillis,
    windowMinCalls: read.integer("windowCalls", options.windowCalls ?? 50, 1),
    recentAge: atLeast(read, "recentAge", options.recentAge ?? 2, 1),
    baselineAge: atLeast(read, "baselineAge", options.baselineAge ?? 10, 1),
    headroom: atLeast(read, "headroom", options.headroom ?? 5, 1)
  }
  return make("windowed", settings, () => windows.windowed(settings))
}

/**
 * An algorithm of your own: a pure function from a state and what was measured of a call to the next state. The limit
 * is rounded down, and is never below 1.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * // Twenty, and half of that once a call was dropped
 * const cautious = ConcurrencyLimit.custom({
 *   algorithm: "cautious",
 *   initial: { limit: 20 },
 *   limit: (state) => state.limit,
 *   onSample: (state, { dropped }) => dropped ? { limit: 10 } : state
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const custom = <S>(options: {
  /** What descriptions call it. */
  readonly algorithm: string
  readonly initial: S
  readonly limit: (state: S) => number
  /** `now` is in milliseconds since the epoch. */
  readonly onSample: (state: S, sample: Sample, now: number) => S
}): Algorithm => make(options.algorithm, {}, () => options)

const make = <S>(
  algorithm: string,
  settings: Algorithm["settings"],
  start: (phase: number) => machine.Algorithm<S>
): AlgorithmParts => ({
  [AlgorithmTypeId]: AlgorithmTypeId,
  algorithm,
  settings,
  start: (phase) => {
    const { initial, limit, onSample } = start(phase)
    const cell = MutableRef.make(initial)
    return {
      limit: () => Math.max(1, Math.floor(limit(MutableRef.get(cell)))),
      sample: (sample, now) => {
        MutableRef.set(cell, onSample(MutableRef.get(cell), sample, now))
      },
      state: () => MutableRef.get(cell)
    }
  }
})

type Reader = ReturnType<typeof reader>

/** What is not given gives way to what is. */
const boundsOf = (read: Reader, options: BoundsOptions, defaults: machine.Bounds): machine.Bounds => {
  const max = read.integer("max", options.max ?? Math.max(defaults.max, options.min ?? 1, options.initial ?? 1), 1)
  const min = read.integer("min", options.min ?? Math.min(defaults.min, max, options.initial ?? max), 1)
  const initial = read.integer("initial", options.initial ?? machine.clamp(defaults.initial, min, max), 1)
  if (min > max) read.refuse("min", min, `at most the maximum of ${max}`)
  if (initial < min || initial > max) read.refuse("initial", initial, `a whole number from ${min} to ${max}`)
  return { initial, min, max }
}

const above = (read: Reader, option: string, value: number, bound: number): number =>
  value > bound && value < Infinity ? value : read.refuse(option, value, `a finite number above ${bound}`)

const atLeast = (read: Reader, option: string, value: number, bound: number): number =>
  value >= bound && value < Infinity ? value : read.refuse(option, value, `a finite number from ${bound} up`)

const part = (read: Reader, option: string, value: number): number =>
  value > 0 && value <= 1 ? value : read.refuse(option, value, "a number above 0, up to 1")
