/**
 * How long to wait before trying again.
 *
 * A `Backoff` is a `Schedule` of Effect, so that `Effect.retry` and `Effect.repeat` take it as it stands; it recurs
 * for ever and gives out the delay it waited. It is also plain data: `delay` says its wait for any retry as a pure
 * function, and `description` is JSON from which `fromDescription` makes the same curve again.
 *
 * Delays count from retry 0, the first one. Randomness comes from Effect's `Random`, and none is drawn by a curve
 * without jitter. A delay is never negative and never above the cap; what grows past every number becomes the longest
 * delay there is, 2^53 - 1 milliseconds.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import { reader } from "../InvalidOptions.js"
import * as curve from "./internal/curve.js"
import * as schedule from "./internal/curveSchedule.js"
import { TypeId } from "./internal/curveSchedule.js"
import { type Description, type Jitter, parse, parseAfter, parseSpread, type Spread } from "./internal/description.js"

export type { Description, Jitter, Spread } from "./internal/description.js"

export { TypeId }

/**
 * A curve of delays: a schedule that recurs for ever, and a description of itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backoff extends Schedule.Schedule<Duration.Duration, unknown>, Pipeable {
  readonly [TypeId]: TypeId
  /** The curve as plain data. */
  readonly description: Description
}

/**
 * The same delay every time. Throws `InvalidOptions` when the delay is negative or infinite.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const everyTenSeconds = Backoff.constant("10 seconds")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (
  delay: Duration.DurationInput,
  options?: {
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.constant")
  return schedule.makeBackoff({
    _tag: "Constant",
    delayMillis: read.finiteDuration("delay", delay),
    jitter: jitterOf(read, options?.jitter)
  })
}

/**
 * Grows by a fixed step: `initial`, `initial + step`, `initial + 2·step`, ... up to the cap. Throws `InvalidOptions`
 * when a duration is negative, or `initial` or `step` infinite.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * // 1 s, 2 s, 3 s, 4 s, 5 s, 5 s, ...
 * const patient = Backoff.linear("1 second", { cap: "5 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const linear = (
  initial: Duration.DurationInput,
  options?: {
    /** What each further delay adds. Default: `initial`. */
    readonly step?: Duration.DurationInput | undefined
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.linear")
  const initialMillis = read.finiteDuration("initial", initial)
  return schedule.makeBackoff({
    _tag: "Linear",
    initialMillis,
    stepMillis: options?.step === undefined ? initialMillis : read.finiteDuration("step", options.step),
    capMillis: capOf(read, options?.cap),
    jitter: jitterOf(read, options?.jitter)
  })
}

/**
 * Grows by a factor: `initial`, `initial·factor`, `initial·factor²`, ... up to the cap. Throws `InvalidOptions` when
 * `initial` is not above zero and finite, the cap is negative, or the factor is below 1 or not finite.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Backoff } from "holdfast/Schedule"
 *
 * const curve = Backoff.exponential("200 millis", { cap: "10 seconds", jitter: "full" })
 *
 * // a Schedule as any other
 * const call = Effect.retry(Effect.fail("busy"), Schedule.intersect(curve, Schedule.recurs(3)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const exponential = (
  initial: Duration.DurationInput,
  options?: {
    /** What each further delay is multiplied with, from 1 up. Default 2. */
    readonly factor?: number | undefined
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.exponential")
  const factor = options?.factor ?? 2
  return schedule.makeBackoff({
    _tag: "Exponential",
    initialMillis: read.positiveDuration("initial", initial),
    factor: factor >= 1 && factor < Infinity ? factor : read.refuse("factor", factor, "a finite number from 1 up"),
    capMillis: capOf(read, options?.cap),
    jitter: jitterOf(read, options?.jitter)
  })
}

/**
 * A random walk: each delay is drawn between `initial` and three times the delay before it, up to the cap. Callers
 * that failed together drift apart faster than with a jittered exponential curve. Throws `InvalidOptions` when
 * `initial` is not above zero and finite, or the cap is negative.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const spread = Backoff.decorrelated("1 second", { cap: "30 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decorrelated = (
  initial: Duration.DurationInput,
  options?: {
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
  }
): Backoff => {
  const read = reader("Backoff.decorrelated")
  return schedule.makeBackoff({
    _tag: "Decorrelated",
    initialMillis: read.positiveDuration("initial", initial),
    capMillis: capOf(read, options?.cap)
  })
}

/**
 * A random walk without steps: a smooth exponential curve, read at a random point of each interval. Like `decorrelated`
 * it spreads callers that failed together, but its delays grow about as 2^n and have no plateau below the cap. Throws
 * `InvalidOptions` when `initial` is not above zero and finite, or the cap is negative.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const spread = Backoff.decorrelatedV2("1 second", { cap: "30 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decorrelatedV2 = (
  initial: Duration.DurationInput,
  options?: {
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
  }
): Backoff => {
  const read = reader("Backoff.decorrelatedV2")
  return schedule.makeBackoff({
    _tag: "DecorrelatedV2",
    initialMillis: read.positiveDuration("initial", initial),
    capMillis: capOf(read, options?.cap)
  })
}

/**
 * Grows as the Fibonacci numbers: `initial` times 1, 1, 2, 3, 5, 8, ... up to the cap. Throws `InvalidOptions` when
 * `initial` is not above zero and finite, or the cap is negative.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * // 1 s, 1 s, 2 s, 3 s, 5 s, 8 s, 10 s, 10 s, ...
 * const curve = Backoff.fibonacci("1 second", { cap: "10 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fibonacci = (
  initial: Duration.DurationInput,
  options?: {
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.fibonacci")
  return schedule.makeBackoff({
    _tag: "Fibonacci",
    initialMillis: read.positiveDuration("initial", initial),
    capMillis: capOf(read, options?.cap),
    jitter: jitterOf(read, options?.jitter)
  })
}

/**
 * The delays of a list, one after another. At its end the last delay is repeated, or the list begins again. Throws
 * `InvalidOptions` when the list is empty, or a delay negative or infinite.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * // 1 s, 5 s, 1 min, 1 min, ...
 * const curve = Backoff.list(["1 second", "5 seconds", "1 minute"])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const list = (
  delays: ReadonlyArray<Duration.DurationInput>,
  options?: {
    /** What follows the end of the list. Default `"last"`. */
    readonly after?: "last" | "cycle" | undefined
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.list")
  return schedule.makeBackoff({
    _tag: "List",
    delaysMillis: delays.length === 0
      ? read.refuse("delays", "none", "a list of at least one delay")
      : delays.map((delay, index) => read.finiteDuration(`delays.${index}`, delay)),
    after: parseAfter(options?.after ?? "last", "after", read.refuse),
    jitter: jitterOf(read, options?.jitter)
  })
}

/**
 * The delays of a function of one's own. It is given the number of the retry, from 0, and must be pure: what is no
 * duration, or a negative one, is no delay. A function has no JSON form, so a `RetryPolicy` does not take this curve.
 * Throws `InvalidOptions` when the cap is negative.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const squares = Backoff.custom((retry) => 100 * (retry + 1) ** 2, { cap: "10 seconds", jitter: "full" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const custom = (
  delay: (retry: number) => Duration.DurationInput,
  options?: {
    /** The name of the curve, in descriptions. Default: the name of the function. */
    readonly label?: string | undefined
    /** The longest delay; zero, infinite or absent is no cap. */
    readonly cap?: Duration.DurationInput | undefined
    /** Default `"none"`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => {
  const read = reader("Backoff.custom")
  return schedule.makeBackoff({
    _tag: "Custom",
    label: options?.label ?? (delay.name === "" ? "function" : delay.name),
    capMillis: capOf(read, options?.cap),
    jitter: jitterOf(read, options?.jitter)
  }, (retry) => Option.match(Duration.decodeUnknown(delay(retry)), { onNone: () => 0, onSome: Duration.toMillis }))
}

/**
 * The backoff that a description describes. Throws `InvalidOptions` when it describes none, or a `Custom` one, whose
 * function it does not hold.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const stored = JSON.stringify(Backoff.standard.description)
 * const again = Backoff.fromDescription(JSON.parse(stored))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDescription = (description: Description): Backoff =>
  schedule.makeBackoff(parse(description, "", reader("Backoff.fromDescription").refuse))

/**
 * Whether a value is a `Backoff`.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const yes = Backoff.isBackoff(Backoff.standard) // true
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isBackoff = (u: unknown): u is Backoff => hasProperty(u, TypeId)

/**
 * The delay before one retry, as a pure function.
 *
 * `retry` counts from 0. `random` is a number in [0, 1) and matters only to a curve with jitter. What came before
 * matters only to the decorrelated curves: to the first its delay, without which it starts from the initial one; to the
 * second its random number, without which the middle is assumed.
 *
 * @example
 * ```ts
 * import { Backoff } from "holdfast/Schedule"
 *
 * const fifth = Backoff.delay(Backoff.standard, { retry: 4, random: 0 }) // 16 seconds
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const delay = (self: Backoff, options: {
  readonly retry: number
  readonly random: number
  /** The delay before this one. */
  readonly previous?: Duration.DurationInput | undefined
  /** The random number that the delay before this one was drawn with. */
  readonly previousRandom?: number | undefined
}): Duration.Duration =>
  Duration.millis(curve.delayMillis(schedule.curveOf(self), options.retry, options.random, {
    millis: options.previous === undefined ? undefined : Duration.toMillis(options.previous),
    random: options.previousRandom
  }))

type Reader = ReturnType<typeof reader>

const capOf = (read: Reader, cap: Duration.DurationInput | undefined): number | null => {
  const millis = cap === undefined ? 0 : read.duration("cap", cap)
  return millis > 0 && millis < Infinity ? millis : null
}

const jitterOf = (read: Reader, jitter: Jitter | undefined): Spread =>
  parseSpread(jitter ?? "none", "jitter", read.refuse)

/**
 * The curve for those without an opinion: 1, 2, 4, 8, 16, 30, 30, ... seconds.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff } from "holdfast/Schedule"
 *
 * const call = Effect.fail("busy").pipe(Effect.retry(Backoff.standard))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: Backoff = /* #__PURE__ */ exponential("1 second", { cap: "30 seconds" })
