/**
 * What follows an attempt that did not give what was wanted: the rules, asked in order.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { wallClockOf } from "../../internal/now.js"
import type { RetryEvent, Suppressed } from "../Retry.js"
import * as markers from "./markers.js"
import type { Matcher } from "./matcher.js"
import { makePace, type Pace } from "./pace.js"
import { type CompiledRule, type Ending, matchedOf } from "./rule.js"

/** What one call has used up; all but `attempts` are per rule. */
export interface Counters {
  attempts: number
  readonly used: Array<number>
  readonly paces: Array<Pace>
}

/** The counters of a call that has not failed yet. */
export const makeCounters = (rules: ReadonlyArray<CompiledRule>): Counters => ({
  attempts: 0,
  used: rules.map(() => 0),
  paces: rules.map(({ source }) => makePace(source))
})

/** What is asked about one ending. */
export interface Question {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly never: ReadonlyArray<Matcher>
  readonly counters: Counters
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly ending: Ending
  /** The delay, shortened where that is wanted; `undefined` when the next attempt would start too late. */
  readonly inTime: (wanted: number, asked: boolean) => number | undefined
  /** Told when a rule takes the ending, whether or not it has retries left. */
  readonly onMatch: () => void
  /** Whether there may be one more attempt. Asked last, so that nothing is taken in vain. */
  readonly withdraw: (matched: unknown) => boolean
}

/** What follows: a retry, one that is not made although its rule would, or nothing. */
export const decide = (question: Question): Effect.Effect<RetryEvent<unknown> | undefined> => {
  const { ending, never } = question
  question.counters.attempts++
  const mark = markers.read(Option.getOrUndefined(ending.error))
  if (mark.nonRetryable) return nothing
  if (Option.isSome(ending.error) && never.some(({ test }) => test(Option.getOrUndefined(ending.error)))) return nothing
  return ask(question, 0, mark.retryAfterMillis)
}

const nothing = Effect.succeed(undefined)

/** Asks the rules from `index` on. */
const ask = (
  question: Question,
  from: number,
  marked: number
): Effect.Effect<RetryEvent<unknown> | undefined> => {
  const { counters, ending, rules } = question
  for (let index = from; index < rules.length; index++) {
    const rule = rules[index]!
    if (!rule.matches(ending)) continue
    question.onMatch()
    if (counters.used[index]! < rule.retries) return tryRule(question, index, marked)
    if (rule.exhausted === "stop") return nothing
  }
  return nothing
}

const tryRule = (
  question: Question,
  index: number,
  marked: number
): Effect.Effect<RetryEvent<unknown> | undefined> => {
  const { counters, ending } = question
  const rule = question.rules[index]!
  const pace = counters.paces[index]!
  const matched = matchedOf(rule.subject, ending)
  const about = { rule: rule.label, attempt: counters.attempts, cause: ending.cause, value: ending.value }
  const suppressed = (reason: Suppressed<unknown>["reason"], millis: number) =>
    ({ _tag: "Suppressed", reason, delay: Duration.millis(millis), ...about }) as const

  const pushback = rule.pushbackMillis(ending)
  if (pushback === "stop") return Effect.succeed(suppressed("pushback", 0))
  if (pushback !== undefined) pace.restart()
  const asked = marked > 0 ? marked : pushback ?? rule.hintMillis(ending, wallClockOf(question.fiber))
  const isAsked = asked > 0 || pushback !== undefined
  const wait = isAsked
    ? hinted(rule, pace, asked, question, matched)
    : pace.next(wallClockOf(question.fiber), matched)

  return Effect.flatMap(wait, (wanted) => {
    if (wanted === undefined) {
      // A schedule that has come to its end is a rule that is used up.
      counters.used[index] = Infinity
      return rule.exhausted === "stop" ? nothing : ask(question, index + 1, marked)
    }
    const millis = question.inTime(wanted, isAsked)
    if (millis === undefined) return Effect.succeed(suppressed("time", wanted))
    if (!question.withdraw(matched)) return Effect.succeed(suppressed("budget", millis))
    counters.used[index]!++
    return Effect.succeed({ _tag: "Retrying", delay: Duration.millis(millis), ...about } as const)
  })
}

/** What was asked for takes the place of the curve, which then stays where it is. */
const hinted = (
  rule: CompiledRule,
  pace: Pace,
  asked: number,
  { fiber }: Question,
  matched: unknown
): Effect.Effect<number | undefined> => {
  // Timers leave out what is no whole millisecond, and would be too early.
  const capped = (millis: number) => Math.min(rule.hintCapMillis, Math.ceil(millis))
  const wait = rule.hintJitterMillis > 0
    ? Effect.map(Random.next, (u) => capped(asked + u * rule.hintJitterMillis))
    : Effect.succeed(capped(asked))
  return rule.combine === "replace"
    ? wait
    : Effect.zipWith(
      pace.next(wallClockOf(fiber), matched),
      wait,
      (own, hint) => own === undefined ? undefined : Math.max(own, hint)
    )
}
