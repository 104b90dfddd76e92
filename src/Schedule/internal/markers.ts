/**
 * What code that knows an error says about retrying it, exported by `Retry`. Kept beside the error, not in it: the
 * error stays the same object with the same type, and may be frozen.
 */
import * as Duration from "effect/Duration"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import { reader } from "../../InvalidOptions.js"

/**
 * Marks an error as one that no retry can help, whatever the rules say. The error stays the same object, and the mark
 * is seen through errors that wrap it in their `cause`. Objects only; an object that several failures share is marked
 * for all of them.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Retry } from "holdfast/Schedule"
 *
 * class Rejected extends Data.TaggedError("Rejected")<{ readonly reason: string }> {}
 *
 * const call = Effect.fail(Retry.nonRetryable(new Rejected({ reason: "no such account" })))
 * ```
 *
 * @since 0.1.0
 * @category markers
 */
export const nonRetryable = <E extends object>(error: E): E => mark(error, { nonRetryable: true })

/**
 * Marks an error with the delay to wait before the next attempt. It wins over the hint and the curve of the rule that
 * takes the error, but not over its `hintCap`. Throws `InvalidOptions` for a negative delay. Objects only, as with
 * `nonRetryable`.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Retry } from "holdfast/Schedule"
 *
 * class Busy extends Data.TaggedError("Busy") {}
 *
 * const call = Effect.fail(Retry.retryAfter("30 seconds", new Busy()))
 * ```
 *
 * @since 0.1.0
 * @category markers
 */
export const retryAfter = <E extends object>(delay: Duration.DurationInput, error: E): E =>
  mark(error, { retryAfterMillis: reader("Retry.retryAfter").finiteDuration("delay", delay) })

/**
 * Whether an error, or one that it wraps, is marked as `nonRetryable`.
 *
 * @example
 * ```ts
 * import { Retry } from "holdfast/Schedule"
 *
 * const error = Retry.nonRetryable(new Error("no such account"))
 * const yes = Retry.isNonRetryable({ cause: error }) // true
 * ```
 *
 * @since 0.1.0
 * @category markers
 */
export const isNonRetryable = (error: unknown): boolean => read(error).nonRetryable

/**
 * The delay above zero that an error, or one that it wraps, is marked with; the outermost counts.
 *
 * @example
 * ```ts
 * import { Retry } from "holdfast/Schedule"
 *
 * const error = Retry.retryAfter("30 seconds", new Error("busy"))
 * const delay = Retry.retryAfterOf({ cause: error }) // Some(30 seconds)
 * ```
 *
 * @since 0.1.0
 * @category markers
 */
export const retryAfterOf = (error: unknown): Option.Option<Duration.Duration> => {
  const { retryAfterMillis } = read(error)
  return retryAfterMillis > 0 ? Option.some(Duration.millis(retryAfterMillis)) : Option.none()
}

interface Mark {
  readonly nonRetryable: boolean
  readonly retryAfterMillis: number
}

const marks = globalValue(Symbol.for("holdfast/Schedule/markers"), () => new WeakMap<object, Mark>())

const unmarked: Mark = { nonRetryable: false, retryAfterMillis: 0 }

/** Adds to what is known about an error. */
const mark = <E extends object>(error: E, change: Partial<Mark>): E => {
  marks.set(error, { ...(marks.get(error) ?? unmarked), ...change })
  return error
}

/** What is known about an error, or about any error it wraps; the outermost delay counts. */
export const read = (error: unknown): Mark => {
  let found = unmarked
  let current = error
  // Chains of causes are short; the bound is for one that bites its own tail.
  for (let depth = 0; depth < 32 && typeof current === "object" && current !== null; depth++) {
    const here = marks.get(current)
    if (here !== undefined) {
      found = {
        nonRetryable: found.nonRetryable || here.nonRetryable,
        retryAfterMillis: found.retryAfterMillis > 0 ? found.retryAfterMillis : here.retryAfterMillis
      }
    }
    current = "cause" in current ? current.cause : undefined
  }
  return found
}
