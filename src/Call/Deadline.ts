/**
 * A point in time by which a call must have ended, and which everything inside it can see.
 *
 * A timeout limits one step; a deadline limits the whole, however it is divided into steps, retries and calls to others.
 * Nested deadlines never extend each other: the earliest counts. A retry begins no sleep that would end after it, and
 * what calls another process can tell it how much time is left.
 *
 * When the time is over the work is interrupted, and `DeadlineExceeded` comes out after its finalizers have run.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { RejectionTypeId } from "../Circuit/Gate.js"
import type { Combinator, Description } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { fromWallClock, nowOf, toWallClock } from "../internal/now.js"
import type { Call } from "../internal/pipeline.js"
import { stackless } from "../internal/stackless.js"
import { reader } from "../InvalidOptions.js"
import { CurrentDeadline } from "../Schedule/internal/current.js"
import { inFiber } from "./internal/inFiber.js"

/**
 * The deadline has passed.
 *
 * Where it had passed before the work began, the work did not run: then this is a rejection, from which no gate
 * concludes anything about what was to be called.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{
  /** In milliseconds since the epoch. */
  readonly deadline: number
  /** Whether the work had begun; it was interrupted then. */
  readonly started: boolean
  /** Present where the work had not begun. */
  readonly [RejectionTypeId]?: typeof RejectionTypeId
}> {
  override get message(): string {
    const at = Option.match(DateTime.make(this.deadline), {
      onNone: () => String(this.deadline),
      onSome: DateTime.formatIso
    })
    return this.started
      ? `the deadline ${at} has passed; the work was interrupted`
      : `the deadline ${at} had passed before the work began; it did not run`
  }
}

/**
 * Gives an effect a deadline: a duration from when it starts, or the ambient deadline where that is earlier. It fails
 * with `DeadlineExceeded` when the deadline passes, and without running when it has passed already. Everything inside
 * sees the deadline. Throws `InvalidOptions` when the duration is negative.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Deadline } from "holdfast/Call"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * declare const fetchQuote: Effect.Effect<number, Error>
 *
 * // all attempts and the waits between them end within 5 seconds
 * const quote = fetchQuote.pipe(
 *   Retry.rules([Retry.onAny({ retries: 10, backoff: Backoff.exponential("100 millis") })]),
 *   Deadline.within("5 seconds")
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function within(duration: Duration.DurationInput): Combinator<DeadlineExceeded>
export function within<A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput
): Effect.Effect<A, E | DeadlineExceeded, R>
export function within<A, E, R>(
  first: Effect.Effect<A, E, R> | Duration.DurationInput,
  second?: Duration.DurationInput
): unknown {
  const given = Effect.isEffect(first) ? second as Duration.DurationInput : first
  const millis = reader("Deadline.within").duration("duration", given)
  const combinator = limited(
    { policy: "Deadline", settings: { withinMillis: millis === Infinity ? null : millis } },
    (fiber) => nowOf(fiber) + millis
  )
  return Effect.isEffect(first) ? combinator(first) : combinator
}

/**
 * Gives an effect a deadline at a time, in milliseconds since the epoch; see `within`. Throws `InvalidOptions` when it
 * is not a number.
 *
 * @example
 * ```ts
 * import { DateTime, Effect } from "effect"
 * import { Deadline } from "holdfast/Call"
 *
 * const midnight = DateTime.toEpochMillis(DateTime.unsafeMake("2030-01-01"))
 * const work = Effect.sleep("1 hour").pipe(Deadline.at(midnight))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function at(deadline: number): Combinator<DeadlineExceeded>
export function at<A, E, R>(
  self: Effect.Effect<A, E, R>,
  deadline: number
): Effect.Effect<A, E | DeadlineExceeded, R>
export function at<A, E, R>(first: Effect.Effect<A, E, R> | number, second?: number): unknown {
  const given = Effect.isEffect(first) ? second as number : first
  const deadline = typeof given === "number" && !Number.isNaN(given)
    ? given
    : reader("Deadline.at").refuse("deadline", given, "a number of milliseconds since the epoch")
  const combinator = limited(
    { policy: "Deadline", settings: { atMillis: Number.isFinite(deadline) ? deadline : null } },
    (fiber) => fromWallClock(deadline, fiber)
  )
  return Effect.isEffect(first) ? combinator(first) : combinator
}

/**
 * The ambient deadline in milliseconds since the epoch, if there is one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Deadline } from "holdfast/Call"
 *
 * const program = Effect.flatMap(Deadline.current, (deadline) => Effect.log("must end by", deadline))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<Option.Option<number>> = Effect.withFiberRuntime((fiber) => {
  const deadline = Context.get(fiber.currentContext, CurrentDeadline)
  return Effect.succeed(deadline === undefined ? Option.none() : Option.some(toWallClock(deadline, fiber)))
})

/**
 * The time that is left until the ambient deadline, if there is one; zero when it has passed.
 *
 * @example
 * ```ts
 * import { Duration, Effect, Option } from "effect"
 * import { Deadline } from "holdfast/Call"
 *
 * const isHurried = Effect.map(Deadline.remaining, Option.exists(Duration.lessThan("1 second")))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const remaining: Effect.Effect<Option.Option<Duration.Duration>> = Effect.withFiberRuntime((fiber) => {
  const deadline = Context.get(fiber.currentContext, CurrentDeadline)
  return Effect.succeed(
    deadline === undefined ? Option.none() : Option.some(Duration.millis(Math.max(0, deadline - nowOf(fiber))))
  )
})

/**
 * The time that is left as the value of a header, to tell another process: that of gRPC's `grpc-timeout`, such as
 * `1500m`. `None` where there is no deadline, and so nothing to tell.
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Deadline } from "holdfast/Call"
 *
 * const headers = Effect.map(
 *   Deadline.header,
 *   Option.match({ onNone: () => ({}), onSome: (timeout) => ({ "grpc-timeout": timeout }) })
 * )
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const header: Effect.Effect<Option.Option<string>> = Effect.map(remaining, Option.map((left) => encode(left)))

/**
 * Gives an effect the deadline that another process has told in a header; see `header`. A header that is absent or makes
 * no sense gives none, and leaves the ambient deadline as it is.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Deadline } from "holdfast/Call"
 *
 * declare const answer: Effect.Effect<string>
 *
 * const handle = (headers: { readonly [name: string]: string | undefined }) =>
 *   answer.pipe(Deadline.fromHeader(headers["grpc-timeout"]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const fromHeader = (value: string | undefined): Combinator<DeadlineExceeded> =>
  within(Option.getOrElse(decode(value ?? ""), () => Duration.infinity))

/**
 * A duration as the value of gRPC's `grpc-timeout`: at most eight digits and a unit, rounded down to what can be said.
 *
 * @example
 * ```ts
 * import { Deadline } from "holdfast/Call"
 *
 * const value = Deadline.encode("1.5 seconds") // "1500m"
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (duration: Duration.DurationInput): string => {
  const millis = Duration.toMillis(Duration.decode(duration))
  for (const [unit, size] of units) {
    const amount = Math.floor(millis / size)
    // Of what is shorter than a millisecond something should be left.
    if (amount <= mostDigits && (unit !== "u" || millis < 1)) return `${amount}${unit}`
  }
  return `${mostDigits}H`
}

/**
 * The duration that a value of gRPC's `grpc-timeout` tells; `None` when it makes no sense.
 *
 * @example
 * ```ts
 * import { Deadline } from "holdfast/Call"
 *
 * const duration = Deadline.decode("1500m") // Some(1.5 seconds)
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (value: string): Option.Option<Duration.Duration> => {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? []
  const size = unit === "n" ? 1e-6 : units.find(([name]) => name === unit)?.[1]
  return size === undefined ? Option.none() : Option.some(Duration.millis(Number(digits) * size))
}

const units = [["u", 1e-3], ["m", 1], ["S", 1_000], ["M", 60_000], ["H", 3_600_000]] as const

const mostDigits = 99_999_999

const limited = (
  description: Description,
  deadlineOf: (fiber: Call["fiber"]) => number
): Combinator<DeadlineExceeded> => makeCombinator([description], [{ around: (call) => limit(call, deadlineOf) }])

const limit = (call: Call, deadlineOf: (fiber: Call["fiber"]) => number) => {
  const now = nowOf(call.fiber)
  const ambient = Context.get(call.fiber.currentContext, CurrentDeadline) ?? Infinity
  const deadline = Math.min(deadlineOf(call.fiber), ambient)
  if (deadline === Infinity) return undefined
  if (deadline <= now) {
    const at = toWallClock(deadline, call.fiber)
    return Exit.fail(
      stackless(() => new DeadlineExceeded({ deadline: at, started: false, [RejectionTypeId]: RejectionTypeId }))
    )
  }
  const late = Effect.suspend(() =>
    stackless(() => new DeadlineExceeded({ deadline: toWallClock(deadline, call.fiber), started: true }))
  )
  return inFiber(Effect.provideService(call.inner(), CurrentDeadline, deadline), deadline - now, late, false)
}
