/**
 * A rule of a retry in its working form: options read, durations in milliseconds, the matcher compiled.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import { reader } from "../../InvalidOptions.js"
import { type Description, isBackoff } from "../Backoff.js"
import type { Rule, RuleOptions } from "../Retry.js"
import { longest } from "./curve.js"
import { covers, type Matcher } from "./matcher.js"

/** What every rule carries. */
export const RuleTypeId: unique symbol = Symbol.for("holdfast/Schedule/Retry/Rule")

/** A failed attempt: its cause, and the error in it that a rule may look at. */
export interface Failure {
  readonly cause: Cause.Cause<unknown>
  readonly error: Option.Option<unknown>
}

/** Looks at the error, or at the whole cause. */
export type Subject = Matcher | ((cause: Cause.Cause<unknown>) => boolean)

/** A rule with everything read. */
export interface CompiledRule extends Rule<unknown> {
  readonly subject: Subject
  /** Infinity for no limit. */
  readonly retries: number
  readonly curve: Description
  readonly exhausted: "stop" | "next"
  readonly combine: "replace" | "max"
  readonly hintCapMillis: number
  readonly hintJitterMillis: number
  readonly matches: (failure: Failure) => boolean
  /** The delay that the failure itself asks for; zero when it asks for none. */
  readonly hintMillis: (failure: Failure) => number
}

/** Reads the options; throws `InvalidOptions` in the name of `constructor`. */
export const makeRule = <E>(
  constructor: string,
  label: string,
  subject: Subject,
  options: RuleOptions<E>
): CompiledRule => {
  const read = reader(constructor)
  const { backoff, combine = "replace", exhausted = "stop" } = options
  // Only what the subject has matched is given to the hint.
  const hint = options.hint as ((matched: unknown) => Duration.DurationInput | undefined) | undefined
  return {
    [RuleTypeId]: (_) => {},
    label: options.label ?? label,
    subject,
    retries: options.retries === "unlimited" ? Infinity : read.integer("retries", options.retries, 0),
    curve: isBackoff(backoff) ? backoff.description : read.refuse("backoff", backoff, "a Backoff"),
    exhausted: exhausted === "stop" || exhausted === "next"
      ? exhausted
      : read.refuse("exhausted", exhausted, "\"stop\" or \"next\""),
    combine: combine === "max" || combine === "replace"
      ? combine
      : read.refuse("combine", combine, "\"replace\" or \"max\""),
    hintCapMillis: options.hintCap === undefined ? longest : read.positiveDuration("hintCap", options.hintCap),
    hintJitterMillis: options.hintJitter === undefined ? 0 : read.finiteDuration("hintJitter", options.hintJitter),
    matches: typeof subject === "function"
      ? ({ cause }) => subject(cause)
      : ({ error }) => Option.isSome(error) && subject.test(error.value),
    hintMillis: hint === undefined
      ? () => 0
      : ({ cause, error }) =>
        askedMillis(hint(Option.isSome(error) && typeof subject !== "function" ? error.value : cause))
  }
}

/** Whether a value is a rule. */
export const isRule = (u: unknown): u is CompiledRule => hasProperty(u, RuleTypeId)

/** Whether an earlier rule leaves nothing for a later one, as far as that can be seen. */
export const hides = (earlier: CompiledRule, later: CompiledRule): boolean =>
  (earlier.exhausted === "stop" || earlier.retries === Infinity) &&
  (typeof earlier.subject === "function" || typeof later.subject === "function"
    ? earlier.subject === later.subject
    : covers(earlier.subject, later.subject))

/** The failure as the rules see it: where there is a defect, no rule for errors may hide it by trying again. */
export const failureOf = (cause: Cause.Cause<unknown>): Failure => ({
  cause,
  error: Cause.isDie(cause) ? Option.none() : Cause.failureOption(cause)
})

// What is no duration, or none above zero, asks for nothing.
const askedMillis = (hint: Duration.DurationInput | undefined): number =>
  hint === undefined
    ? 0
    : Math.min(Option.match(Duration.decodeUnknown(hint), { onNone: () => 0, onSome: Duration.toMillis }), longest)
