/**
 * A rule of a retry in its working form: options read, durations in milliseconds, the matcher compiled.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type { Json } from "../../Combinator.js"
import { reader } from "../../InvalidOptions.js"
import { isBackoff } from "../Backoff.js"
import type { Rule, RuleOptions } from "../Retry.js"
import { longest } from "./curve.js"
import { curveOf } from "./curveSchedule.js"
import { covers, type Matcher, tagsOf } from "./matcher.js"
import type { Source } from "./pace.js"

/** What every rule carries. */
export const RuleTypeId: unique symbol = Symbol.for("holdfast/Schedule/Retry/Rule")

/** How an attempt ended, as the rules see it. */
export interface Ending {
  /** Empty where the attempt gave a value. */
  readonly cause: Cause.Cause<unknown>
  /** The error that a rule for errors may look at: where there is a defect, none may hide it by trying again. */
  readonly error: Option.Option<unknown>
  readonly value: Option.Option<unknown>
}

/** The end of an attempt as the rules see it. */
export const endingOf = (exit: Exit.Exit<unknown, unknown>): Ending =>
  Exit.isSuccess(exit)
    ? { cause: Cause.empty, error: Option.none(), value: Option.some(exit.value) }
    : {
      cause: exit.cause,
      error: Cause.isDie(exit.cause) ? Option.none() : Cause.failureOption(exit.cause),
      value: Option.none()
    }

/** What a rule looks at. */
export type Subject =
  | { readonly _tag: "Error"; readonly matcher: Matcher }
  | { readonly _tag: "Cause"; readonly test: (cause: Cause.Cause<unknown>) => boolean }
  | { readonly _tag: "Value"; readonly test: (value: unknown) => boolean }

/** What a server answers when it is asked when to come back: a time, never, or nothing. */
export type Pushback = number | "stop" | undefined

/** A rule with everything read. */
export interface CompiledRule extends Rule<unknown> {
  readonly subject: Subject
  /** Infinity for no limit. */
  readonly retries: number
  readonly source: Source
  readonly exhausted: "stop" | "next"
  readonly combine: "replace" | "max"
  readonly hintCapMillis: number
  readonly hintJitterMillis: number
  readonly matches: (ending: Ending) => boolean
  /** The delay that the ending itself asks for at a time of the wall clock; zero when it asks for none. */
  readonly hintMillis: (ending: Ending, now: number) => number
  readonly pushbackMillis: (ending: Ending) => Pushback
  readonly settings: { readonly [name: string]: Json }
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
  // Only what the subject has matched is given to what the options say of it.
  const hint = options.hint as ((matched: unknown, now: number) => Duration.DurationInput | undefined) | undefined
  const pushback = options.pushback as ((matched: unknown) => string | number | undefined) | undefined
  const source: Source = isBackoff(backoff)
    ? { _tag: "Curve", curve: curveOf(backoff) }
    : Schedule.isSchedule(backoff)
    ? { _tag: "Schedule", schedule: backoff as Schedule.Schedule<unknown, unknown> }
    : read.refuse("backoff", backoff, "a Backoff or a Schedule")
  const rule = {
    [RuleTypeId]: (_: unknown) => {},
    label: options.label ?? label,
    subject,
    retries: options.retries === "unlimited" ? Infinity : read.integer("retries", options.retries, 0),
    source,
    exhausted: exhausted === "stop" || exhausted === "next"
      ? exhausted
      : read.refuse("exhausted", exhausted, "\"stop\" or \"next\""),
    combine: combine === "max" || combine === "replace"
      ? combine
      : read.refuse("combine", combine, "\"replace\" or \"max\""),
    hintCapMillis: options.hintCap === undefined ? longest : read.positiveDuration("hintCap", options.hintCap),
    hintJitterMillis: options.hintJitter === undefined ? 0 : read.finiteDuration("hintJitter", options.hintJitter),
    matches: (ending: Ending) => matches(subject, ending),
    hintMillis: hint === undefined
      ? () => 0
      : (ending: Ending, now: number) => askedMillis(hint(matchedOf(subject, ending), now)),
    pushbackMillis: pushback === undefined
      ? () => undefined
      : (ending: Ending) => parsePushback(pushback(matchedOf(subject, ending)))
  }
  return { ...rule, settings: describe(rule, hint !== undefined, pushback !== undefined) }
}

/** Whether a value is a rule. */
export const isRule = (u: unknown): u is CompiledRule => hasProperty(u, RuleTypeId)

/** Whether an earlier rule leaves nothing for a later one, as far as that can be seen. */
export const hides = (earlier: CompiledRule, later: CompiledRule): boolean => {
  if (earlier.exhausted === "next" && (earlier.retries < Infinity || earlier.source._tag === "Schedule")) return false
  return earlier.subject._tag === "Error"
    ? later.subject._tag === "Error" && covers(earlier.subject.matcher, later.subject.matcher)
    : later.subject._tag === earlier.subject._tag && earlier.subject.test === later.subject.test
}

/** The subject in words: what kind it is, and the tags of errors that it takes where they are known. */
export const describeMatcher = (matcher: Matcher): { readonly [name: string]: Json } => ({
  kind: matcher.kind,
  label: matcher.label,
  tags: tagsOf(matcher)
})

const matches = (subject: Subject, { cause, error, value }: Ending): boolean => {
  switch (subject._tag) {
    case "Error":
      return Option.isSome(error) && subject.matcher.test(error.value)
    case "Cause":
      return Option.isNone(value) && subject.test(cause)
    case "Value":
      return Option.isSome(value) && subject.test(value.value)
  }
}

/** What the options are told of an ending that the subject has matched. */
export const matchedOf = (subject: Subject, ending: Ending): unknown =>
  subject._tag === "Cause"
    ? ending.cause
    : Option.getOrUndefined(subject._tag === "Error" ? ending.error : ending.value)

// What is no duration, or none above zero, asks for nothing.
const askedMillis = (hint: Duration.DurationInput | undefined): number =>
  hint === undefined
    ? 0
    : Math.min(Option.match(Duration.decodeUnknown(hint), { onNone: () => 0, onSome: Duration.toMillis }), longest)

// As gRPC reads its header: what is there but makes no sense means that the caller should not come back.
const parsePushback = (header: string | number | undefined): Pushback => {
  if (header === undefined) return undefined
  const millis = typeof header === "number" ? header : /^\d+$/.test(header) ? Number(header) : NaN
  return millis >= 0 ? Math.min(millis, longest) : "stop"
}

const describe = (
  rule: Pick<
    CompiledRule,
    "label" | "subject" | "retries" | "source" | "exhausted" | "combine" | "hintCapMillis" | "hintJitterMillis"
  >,
  hasHint: boolean,
  hasPushback: boolean
): { readonly [name: string]: Json } => ({
  label: rule.label,
  matcher: rule.subject._tag === "Error"
    ? describeMatcher(rule.subject.matcher)
    : { kind: rule.subject._tag === "Cause" ? "cause" : "value", label: rule.label, tags: [] },
  retries: rule.retries === Infinity ? "unlimited" : rule.retries,
  backoff: rule.source._tag === "Curve" ? rule.source.curve.description : { _tag: "Schedule" },
  exhausted: rule.exhausted,
  combine: rule.combine,
  hasHint,
  hintCapMillis: rule.hintCapMillis === longest ? null : rule.hintCapMillis,
  hintJitterMillis: rule.hintJitterMillis,
  hasPushback
})
