/**
 * What the end of a call means to a breaker, exported by `CircuitBreaker`.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { statusOf } from "../../../internal/httpAnswer.js"
import type { Classify } from "../../CircuitBreaker.js"

/**
 * What the end of a call means unless `Options.classify` says otherwise:
 *
 * - a value is a success;
 * - an error with an HTTP status (its own `status`, or that of its `response`) from 400 to 499, or 507, is an answer:
 *   the server works. It is a success of a probe, and neutral in a closed breaker;
 * - any other typed error is a failure;
 * - an interruption or a defect is neutral.
 *
 * @example
 * ```ts
 * import { Cause, Exit } from "effect"
 * import { CircuitBreaker } from "holdfast/Circuit"
 *
 * // as usual, but defects of the driver count too
 * const classify: CircuitBreaker.Classify = (exit, phase) =>
 *   Exit.isFailure(exit) && Cause.isDie(exit.cause) ? "failure" : CircuitBreaker.classify(exit, phase)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classify: Classify = (exit, phase) =>
  Exit.isSuccess(exit)
    ? "success"
    : Option.match(Cause.failureOption(exit.cause), {
      onNone: () => "neutral",
      onSome: (error) => !isAnswer(error) ? "failure" : phase === "HalfOpen" ? "success" : "neutral"
    })

/** Whether an error is the answer of a server that works: it refuses this request, not all of them. */
export const isAnswer = (error: unknown): boolean => {
  const status = statusOf(error)
  return status !== undefined && ((status >= 400 && status < 500) || status === 507)
}
