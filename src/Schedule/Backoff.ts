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
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Decision from "effect/ScheduleDecision"
import * as Interval from "effect/ScheduleInterval"
import { reader } from "../InvalidOptions.js"
import * as curve from "./internal/curve.js"
import { parse } from "./internal/description.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Schedule/Backoff")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

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
 * How a delay v is spread: `none` waits v, `full` anywhere in [0, v), `equal` anywhere in [v/2, v).
 *
 * @since 0.1.0
 * @category models
 */
export type Jitter = "none" | "full" | "equal"

/**
 * A backoff as plain data, safe to store as JSON. Times are in milliseconds; a cap of `null` is no cap.
 *
 * @since 0.1.0
 * @category models
 */
export type Description =
  | { readonly _tag: "Constant"; readonly delayMillis: number; readonly jitter: Jitter }
  | {
    readonly _tag: "Linear"
    readonly initialMillis: number
    readonly stepMillis: number
    readonly capMillis: number | null
    readonly jitter: Jitter
  }
  | {
    readonly _tag: "Exponential"
    readonly initialMillis: number
    readonly factor: number
    readonly capMillis: number | null
    readonly jitter: Jitter
  }
  | { readonly _tag: "Decorrelated"; readonly initialMillis: number; readonly capMillis: number | null }

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
  return make({
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
  return make({
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
  return make({
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
  return make({
    _tag: "Decorrelated",
    initialMillis: read.positiveDuration("initial", initial),
    capMillis: capOf(read, options?.cap)
  })
}

/**
 * The backoff that a description describes. Throws `InvalidOptions` when it describes none.
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
  make(parse(description, "", reader("Backoff.fromDescription").refuse))

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
 * `retry` counts from 0. `random` is a number in [0, 1) and matters only to a curve with jitter. `previous`, the delay
 * that came before, matters only to the decorrelated curve, which without it starts from its initial delay.
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
  readonly previous?: Duration.DurationInput | undefined
}): Duration.Duration =>
  Duration.millis(curve.delayMillis(
    self.description,
    options.retry,
    options.random,
    options.previous === undefined ? undefined : Duration.toMillis(options.previous)
  ))

/** The schedule's state: how many delays were given out, and the last of them. */
interface Position {
  readonly retry: number
  readonly previous: number | undefined
}

const start: Position = { retry: 0, previous: undefined }

const variance = {
  _Out: (_: never) => _,
  _In: (_: unknown) => _,
  _R: (_: never) => _
}

class Curve implements Backoff {
  readonly initial = start
  constructor(readonly description: Description) {}
  get [TypeId](): TypeId {
    return TypeId
  }
  get [Schedule.ScheduleTypeId]() {
    return variance
  }
  step(now: number, _input: unknown, state: Position) {
    const next = (random: number) => {
      const millis = curve.delayMillis(this.description, state.retry, random, state.previous)
      return [
        { retry: state.retry + 1, previous: millis } satisfies Position,
        Duration.millis(millis),
        Decision.continueWith(Interval.after(now + millis))
      ] as const
    }
    return curve.needsRandom(this.description)
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

const make = (description: Description): Backoff => new Curve(Object.freeze(description))

type Reader = ReturnType<typeof reader>

const capOf = (read: Reader, cap: Duration.DurationInput | undefined): number | null => {
  const millis = cap === undefined ? 0 : read.duration("cap", cap)
  return millis > 0 && millis < Infinity ? millis : null
}

const jitterOf = (read: Reader, jitter: Jitter | undefined): Jitter =>
  jitter === undefined
    ? "none"
    : jitter === "none" || jitter === "full" || jitter === "equal"
    ? jitter
    : read.refuse("jitter", jitter, "\"none\", \"full\" or \"equal\"")

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
