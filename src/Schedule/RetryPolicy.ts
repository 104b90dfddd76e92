/**
 * A retry policy that can be stored: how often, after which delays, and for which errors not.
 *
 * Where `Retry` holds functions and runs effects, a `RetryPolicy` is plain data with one pure function, `next`, that
 * says what follows a failed attempt. What must survive its process (an attempt of a durable activity) uses it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { hasProperty } from "effect/Predicate"
import { reader } from "../InvalidOptions.js"
import * as Backoff from "./Backoff.js"
import * as curve from "./internal/curve.js"
import { curveOf } from "./internal/curveSchedule.js"
import * as description from "./internal/description.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Schedule/RetryPolicy")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * When to retry, as an immutable value.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy {
  readonly [TypeId]: TypeId
  /** How many retries may follow the first attempt. */
  readonly retries: number | "unlimited"
  /** The delay before each retry. */
  readonly backoff: Backoff.Backoff
  /** Tags of errors that are never retried. */
  readonly nonRetryable: ReadonlyArray<string>
  /** No attempt starts later than this after the first one. */
  readonly maxElapsed: Duration.Duration | undefined
}

/**
 * A policy as JSON. Times are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Encoded {
  readonly retries: number | "unlimited"
  readonly backoff: Backoff.Description
  readonly nonRetryable: ReadonlyArray<string>
  readonly maxElapsedMillis: number | null
}

/**
 * What follows a failed attempt: another one after a delay (whole milliseconds), or none, and why.
 *
 * @since 0.1.0
 * @category models
 */
export type Next =
  | { readonly _tag: "Retry"; readonly delayMillis: number }
  | { readonly _tag: "Stop"; readonly reason: StopReason }

/**
 * Why no attempt follows: the error is not worth one, the retries are used up, or the next attempt would start after
 * `maxElapsed`.
 *
 * @since 0.1.0
 * @category models
 */
export type StopReason = "NonRetryable" | "RetriesExhausted" | "MaxElapsed"

/**
 * What is known after a failed attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempted {
  /** How many attempts have failed so far, this one included: from 1 up. */
  readonly failures: number
  /** The `_tag` of the error, if it has one. */
  readonly errorTag?: string | undefined
  /** The error itself said that no retry can help. */
  readonly nonRetryable?: boolean | undefined
  /** The delay that the error itself asked for; it takes the place of the curve when it is above zero. */
  readonly retryAfterMillis?: number | undefined
  /** The time since the first attempt started. */
  readonly elapsedMillis: number
  /** A random number in [0, 1), for the jitter. */
  readonly random: number
  /** The delay before the attempt that has failed now; only the decorrelated curve looks at it. */
  readonly previousDelayMillis?: number | undefined
  /** The random number of that delay; only the second decorrelated curve looks at it, and assumes 0.5 without. */
  readonly previousRandom?: number | undefined
}

/**
 * A stored policy that cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export class UndecodableRetryPolicy extends Data.TaggedError("UndecodableRetryPolicy")<{
  /** Where in the value, e.g. `backoff.factor`; empty for the value itself. */
  readonly path: string
  /** What is there. */
  readonly actual: unknown
  /** What belongs there, as a phrase. */
  readonly expected: string
}> {
  override get message(): string {
    return `a stored retry policy cannot be read: ${
      this.path === "" ? "it" : this.path
    } must be ${this.expected}, not ${
      typeof this.actual === "object" && this.actual !== null ? "an object" : String(this.actual)
    }`
  }
}

/**
 * A policy from its options. Throws `InvalidOptions` when they can never work, or when the backoff is `Backoff.custom`,
 * which cannot be stored.
 *
 * @example
 * ```ts
 * import { Backoff, RetryPolicy } from "holdfast/Schedule"
 *
 * const policy = RetryPolicy.make({
 *   retries: 5,
 *   backoff: Backoff.exponential("1 second", { cap: "1 minute", jitter: "full" }),
 *   nonRetryable: ["CardDeclined"],
 *   maxElapsed: "1 hour"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  /** How many retries may follow the first attempt: 0 or more, or `"unlimited"`. */
  readonly retries: number | "unlimited"
  /** The delay before each retry. */
  readonly backoff: Backoff.Backoff
  /** Tags of errors that are never retried. Default: none. */
  readonly nonRetryable?: ReadonlyArray<string> | undefined
  /** No attempt starts later than this after the first one. Default: no limit. */
  readonly maxElapsed?: Duration.DurationInput | undefined
}): RetryPolicy => {
  const read = reader("RetryPolicy.make")
  const maxElapsed = options.maxElapsed === undefined ? Infinity : read.duration("maxElapsed", options.maxElapsed)
  return new Policy(
    options.retries === "unlimited" ? "unlimited" : read.integer("retries", options.retries, 0),
    Backoff.isBackoff(options.backoff) && options.backoff.description._tag !== "Custom"
      ? options.backoff
      : read.refuse("backoff", options.backoff, "a Backoff that can be stored, which one of a function cannot"),
    Object.freeze([...(options.nonRetryable ?? [])]),
    maxElapsed < Infinity ? Duration.millis(maxElapsed) : undefined
  )
}

/**
 * Whether a value is a `RetryPolicy`.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "holdfast/Schedule"
 *
 * const yes = RetryPolicy.isRetryPolicy(RetryPolicy.none) // true
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetryPolicy = (u: unknown): u is RetryPolicy => hasProperty(u, TypeId)

/**
 * What follows a failed attempt. Pure: the time, the random number and the delay before are given.
 *
 * The delay is the curve's for retry `failures - 1`, or the one that the error asked for, rounded to whole
 * milliseconds. A retry that would start after `maxElapsed` is not worth its wait: the answer is to stop now.
 *
 * @example
 * ```ts
 * import { Backoff, RetryPolicy } from "holdfast/Schedule"
 *
 * const policy = RetryPolicy.make({ retries: 1, backoff: Backoff.constant("5 seconds") })
 *
 * RetryPolicy.next(policy, { failures: 1, elapsedMillis: 20, random: 0 }) // { _tag: "Retry", delayMillis: 5000 }
 * RetryPolicy.next(policy, { failures: 2, elapsedMillis: 5040, random: 0 }) // { _tag: "Stop", reason: "RetriesExhausted" }
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const next = (policy: RetryPolicy, attempted: Attempted): Next => {
  if (
    attempted.nonRetryable === true ||
    (attempted.errorTag !== undefined && policy.nonRetryable.includes(attempted.errorTag))
  ) {
    return stop("NonRetryable")
  }
  if (policy.retries !== "unlimited" && attempted.failures > policy.retries) {
    return stop("RetriesExhausted")
  }
  const asked = attempted.retryAfterMillis ?? 0
  const delayMillis = Math.round(
    asked > 0 ? Math.min(asked, curve.longest) : curve.delayMillis(
      curveOf(policy.backoff),
      attempted.failures - 1,
      attempted.random,
      { millis: attempted.previousDelayMillis, random: attempted.previousRandom }
    )
  )
  return policy.maxElapsed !== undefined && attempted.elapsedMillis + delayMillis > Duration.toMillis(policy.maxElapsed)
    ? stop("MaxElapsed")
    : { _tag: "Retry", delayMillis }
}

/**
 * The policy as JSON.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "holdfast/Schedule"
 *
 * const json = JSON.stringify(RetryPolicy.encode(RetryPolicy.none))
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (policy: RetryPolicy): Encoded => ({
  retries: policy.retries,
  backoff: policy.backoff.description,
  nonRetryable: policy.nonRetryable,
  maxElapsedMillis: policy.maxElapsed === undefined ? null : Duration.toMillis(policy.maxElapsed)
})

/**
 * The policy that a JSON value encodes, or `UndecodableRetryPolicy` saying where the value is wrong.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "holdfast/Schedule"
 *
 * const stored = JSON.stringify(RetryPolicy.encode(RetryPolicy.none))
 * const again = RetryPolicy.decode(JSON.parse(stored)) // Right(policy)
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (value: unknown): Either.Either<RetryPolicy, UndecodableRetryPolicy> =>
  Either.try({
    try: () => parse(value),
    catch: (error) => {
      if (error instanceof UndecodableRetryPolicy) return error
      throw error
    }
  })

class Policy implements RetryPolicy {
  constructor(
    readonly retries: number | "unlimited",
    readonly backoff: Backoff.Backoff,
    readonly nonRetryable: ReadonlyArray<string>,
    readonly maxElapsed: Duration.Duration | undefined
  ) {
    Object.freeze(this)
  }
  get [TypeId](): TypeId {
    return TypeId
  }
  toJSON() {
    return encode(this)
  }
}

/**
 * No retry at all.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "holdfast/Schedule"
 *
 * RetryPolicy.next(RetryPolicy.none, { failures: 1, elapsedMillis: 0, random: 0 }) // Stop
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: RetryPolicy = /* #__PURE__ */ new Policy(
  0,
  /* #__PURE__ */ Backoff.constant(0),
  /* #__PURE__ */ Object.freeze([]),
  undefined
)

const stop = (reason: StopReason): Next => ({ _tag: "Stop", reason })

const refuse: description.Refuse = (path, actual, expected) => {
  throw new UndecodableRetryPolicy({ path, actual, expected })
}

const parse = (value: unknown): RetryPolicy => {
  const fields = description.record(value, "", refuse)
  const { backoff, maxElapsedMillis, nonRetryable, retries } = fields
  return new Policy(
    retries === "unlimited" || (typeof retries === "number" && Number.isSafeInteger(retries) && retries >= 0)
      ? retries
      : refuse("retries", retries, "a whole number of at least 0, or \"unlimited\""),
    Backoff.fromDescription(description.parse(backoff, "backoff", refuse)),
    Array.isArray(nonRetryable) && nonRetryable.every((tag) => typeof tag === "string")
      ? Object.freeze([...nonRetryable])
      : refuse("nonRetryable", nonRetryable, "a list of strings"),
    maxElapsedMillis === null
      ? undefined
      : Duration.millis(description.nonNegative(maxElapsedMillis, "maxElapsedMillis", refuse))
  )
}
