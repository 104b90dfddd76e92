/**
 * Trying again: one loop over ordered rules.
 *
 * A rule says which failures it takes, how many retries they get, and after which delays. Each rule has its own budget
 * and its own curve, and the first rule that matches a failure decides about it. A failure that no rule takes, and the
 * last failure of a rule that is used up, come out as they are: same error, same cause.
 *
 * All counters are of one call. Time, sleeps and randomness come from Effect's `Clock` and `Random`.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type { Combinator, Description } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { reader } from "../InvalidOptions.js"
import type { Backoff } from "./Backoff.js"
import { ledgerOf } from "./internal/budget/budget.js"
import * as matcher from "./internal/matcher.js"
import * as loop from "./internal/retryLoop.js"
import * as rule from "./internal/rule.js"
import type { TypedCombinator } from "./internal/typedCombinator.js"
import { isRetryBudget, type RetryBudget } from "./RetryBudget.js"

export { CurrentAttempt, CurrentDeadline } from "./internal/current.js"
export { isNonRetryable, nonRetryable, retryAfter, retryAfterOf } from "./internal/markers.js"
export type { Class, Tags, WithTag } from "./internal/matcher.js"
export { RuleTypeId } from "./internal/rule.js"
export type { TypedCombinator } from "./internal/typedCombinator.js"

/**
 * A rule for failures of calls that fail with `E`. Rules are values: keep them in a list and share the list.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule<in E> {
  readonly [rule.RuleTypeId]: (_: E) => void
  /** The name of the rule, in events. */
  readonly label: string
}

/**
 * What a rule does with the failures it takes; `E` is what its hint is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface RuleOptions<in E> {
  /** How many retries these failures get in one call: 0 or more, or `"unlimited"`. */
  readonly retries: number | "unlimited"
  /**
   * The delay before each retry. Its first delay comes before this rule's first retry.
   *
   * Any schedule of Effect will do: it starts anew with each call, is given what the rule has matched, and when it comes
   * to its end the rule is used up. With such a one, `retries: "unlimited"` leaves the limit to the schedule.
   */
  readonly backoff: Backoff | Schedule.Schedule<unknown, NoInfer<E>>
  /**
   * The delay that the failure itself asks for, such as the Retry-After of a response. Above zero it takes the place
   * of the curve, which then does not move forward; anything else leaves the delay to the curve. A part of a millisecond
   * counts as a whole one. `now` is what a date counts from: the time of the `Clock` in milliseconds since the epoch.
   */
  readonly hint?: ((error: E, now: number) => Duration.DurationInput | undefined) | undefined
  /**
   * What the server says about coming back, as the header `grpc-retry-pushback-ms` does: a number of milliseconds to
   * wait, after which the curve starts again from its first delay. A negative number, or text that is no whole number,
   * means that there must be no retry. `undefined` says nothing.
   */
  readonly pushback?: ((error: E) => string | number | undefined) | undefined
  /** The longest delay that a failure may ask for. Default: none. */
  readonly hintCap?: Duration.DurationInput | undefined
  /** Up to this much is added at random to the delay that was asked for, but not past `hintCap`. Default: nothing. */
  readonly hintJitter?: Duration.DurationInput | undefined
  /** `"max"` waits for the longer of curve and hint. Default `"replace"`: the hint alone. */
  readonly combine?: "replace" | "max" | undefined
  /** What happens to a failure when the retries are used up: `"stop"` (default), or the `"next"` rule is asked. */
  readonly exhausted?: "stop" | "next" | undefined
  /** What events call this rule. Default: the tag, or the name of the class or function. */
  readonly label?: string | undefined
}

/**
 * What a retry tells its observer.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryEvent<E> = Retrying<E> | Suppressed<E>

/**
 * A retry that is about to happen.
 *
 * @since 0.1.0
 * @category models
 */
export interface Retrying<out E> extends Decided<E> {
  readonly _tag: "Retrying"
}

/**
 * A retry that a rule with retries left would make, and that is not made:
 *
 * - `budget`: the budget is spent;
 * - `time`: it would start after `maxElapsed` or the deadline;
 * - `pushback`: the server has asked not to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Suppressed<out E> extends Decided<E> {
  readonly _tag: "Suppressed"
  readonly reason: "budget" | "time" | "pushback"
}

/**
 * A decision about an attempt that did not give what was wanted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decided<out E> {
  /** The label of the rule that decided. */
  readonly rule: string
  /** The number of the attempt that has ended; the first is 1. */
  readonly attempt: number
  /** The wait before the next attempt, or what it would have been. */
  readonly delay: Duration.Duration
  /** Empty where the attempt gave a value that was not good enough. */
  readonly cause: Cause.Cause<E>
  /** The value that was not good enough. */
  readonly value: Option.Option<unknown>
}

/**
 * What tells the errors that are never retried: a tag, a class or a predicate.
 *
 * @since 0.1.0
 * @category models
 */
export type Never<E> = matcher.Tags<E> | matcher.Class | ((error: E) => boolean)

/**
 * Options that hold for all rules of a retry.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R = never> {
  /** Errors that are never retried, whatever the rules say: tags, classes and predicates. Default: none. */
  readonly never?: ReadonlyArray<Never<E>> | undefined
  /** Bounds the retries of all calls that share it. Default: none. */
  readonly budget?: RetryBudget | undefined
  /**
   * No attempt starts later than this after the first one. A sleep that would end later is not begun: the failure
   * comes out at once. Default: no limit.
   */
  readonly maxElapsed?: Duration.DurationInput | undefined
  /**
   * Rather than give up because a delay of a curve is too long for `maxElapsed` or the deadline, shorten it so that
   * the next attempt has `minAttempt` left. A delay that the failure asked for is not shortened.
   */
  readonly clamp?: { readonly minAttempt: Duration.DurationInput } | undefined
  /**
   * Told of each retry before its sleep, and of each that is suppressed. It runs beside the call, which neither waits
   * for it nor fails with it.
   */
  readonly onRetry?: ((event: RetryEvent<E>) => Effect.Effect<unknown, never, R>) | undefined
}

/**
 * A rule for errors with a tag, of a class, or that a predicate takes. Throws `InvalidOptions` when an option is
 * missing or can never work.
 *
 * It looks at typed errors only, and only where the cause holds no defect: see `onCause` for the rest.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * class RateLimited extends Data.TaggedError("RateLimited")<{ readonly retryAfter: number }> {}
 * class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}
 *
 * declare const fetchQuote: Effect.Effect<number, RateLimited | HttpError>
 *
 * const quote = fetchQuote.pipe(
 *   Retry.rules([
 *     Retry.on("RateLimited", {
 *       retries: 5,
 *       backoff: Backoff.constant("10 seconds"),
 *       hint: (error) => error.retryAfter,
 *       hintCap: "1 minute"
 *     }),
 *     Retry.on((error) => error._tag === "HttpError" && error.status >= 500, {
 *       retries: 3,
 *       backoff: Backoff.exponential("200 millis", { cap: "10 seconds", jitter: "full" })
 *     })
 *   ])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const on: {
  <E, E2 extends E>(refinement: (error: E) => error is E2, options: RuleOptions<E2>): Rule<E>
  <E>(predicate: (error: E) => boolean, options: RuleOptions<E>): Rule<E>
  <E, C extends matcher.Class>(errorClass: C, options: RuleOptions<InstanceType<C>>): Rule<E>
  <E, const Tag extends matcher.Tags<E>>(tag: Tag, options: RuleOptions<matcher.WithTag<E, Tag>>): Rule<E>
} = (source: string | matcher.Class | ((error: never) => boolean), options: RuleOptions<never>): Rule<unknown> => {
  const compiled = matcher.compile(source) ??
    reader("Retry.on").refuse("matcher", source, "a tag, a class or a predicate")
  return rule.makeRule("Retry.on", compiled.label, { _tag: "Error", matcher: compiled }, options)
}

/**
 * A rule for every typed error. Put it last: rules after it are asked only when it is used up and says
 * `exhausted: "next"`. Throws `InvalidOptions` when an option is missing or can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const call = Effect.fail("busy").pipe(
 *   Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.standard })], { maxElapsed: "1 minute" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const onAny = <E>(options: RuleOptions<E>): Rule<E> =>
  rule.makeRule("Retry.onAny", matcher.all.label, { _tag: "Error", matcher: matcher.all }, options)

/**
 * A rule that looks at the whole cause: the only kind that can retry a defect, or an attempt that interrupted itself.
 * An interruption of the caller is never retried. Throws `InvalidOptions` when an option is missing or can never work.
 *
 * @example
 * ```ts
 * import { Cause, Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const call = Effect.die("driver crashed").pipe(
 *   Retry.rules([Retry.onCause(Cause.isDie, { retries: 1, backoff: Backoff.constant("1 second") })])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const onCause = <E>(
  predicate: (cause: Cause.Cause<E>) => boolean,
  options: RuleOptions<Cause.Cause<E>>
): Rule<E> =>
  rule.makeRule("Retry.onCause", predicate.name === "" ? "cause" : predicate.name, {
    _tag: "Cause",
    // The types of the callers see to it that only the cause of an E comes here.
    test: predicate as (cause: Cause.Cause<unknown>) => boolean
  }, options)

/**
 * A rule for values: it takes those that are not good enough, such as the answer that a job is still running. When the
 * rule is used up, the last value comes out. Throws `InvalidOptions` when an option is missing or can never work.
 *
 * A policy can be used with effects of any type, so the predicate is given an unknown value.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * interface Job {
 *   readonly state: "running" | "done"
 * }
 *
 * declare const readJob: Effect.Effect<Job>
 *
 * const isRunning = (value: unknown) => (value as Job).state === "running"
 *
 * const polled = readJob.pipe(
 *   Retry.rules([Retry.onValue(isRunning, { retries: 20, backoff: Backoff.constant("3 seconds") })])
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const onValue = (predicate: (value: unknown) => boolean, options: RuleOptions<unknown>): Rule<unknown> =>
  rule.makeRule(
    "Retry.onValue",
    predicate.name === "" ? "value" : predicate.name,
    { _tag: "Value", test: predicate },
    options
  )

/**
 * Retries an effect by ordered rules: in one loop, each rule with its own budget, the first that matches decides.
 * The types of error and requirement stay as they are. Throws `InvalidOptions` when an option can never work.
 *
 * A call makes at most 1 + (the sum of all `retries`) attempts. An interruption ends the attempt or the sleep, and no
 * attempt follows; the cause then holds the failure that came before, followed by the interruption.
 *
 * Without a typed effect at hand, as in `const policy = Retry.rules([...])`, tags are not checked and the policy fits
 * every effect that its predicates fit.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const policy = Retry.rules([
 *   Retry.on("Timeout", { retries: 2, backoff: Backoff.constant("1 second") }),
 *   Retry.on("Unavailable", { retries: 5, backoff: Backoff.standard })
 * ], {
 *   maxElapsed: "1 minute",
 *   onRetry: ({ attempt, delay, rule }) => Effect.logInfo("retrying", { attempt, delay, rule })
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function rules<E, R2 = never>(
  rules: ReadonlyArray<Rule<E>> & (unknown extends E ? never : unknown),
  options?: Options<E, R2>
): TypedCombinator<never, R2, never, never, E>
export function rules<R2 = never>(
  rules: ReadonlyArray<Rule<unknown>>,
  options?: Options<unknown, R2>
): Combinator<never, R2>
export function rules<Self extends Effect.Effect<unknown, unknown, unknown>, R2 = never>(
  self: Self,
  rules: ReadonlyArray<Rule<Effect.Effect.Error<Self>>>,
  options?: Options<Effect.Effect.Error<Self>, R2>
): Effect.Effect<Effect.Effect.Success<Self>, Effect.Effect.Error<Self>, Effect.Effect.Context<Self> | R2>
export function rules<A, E, R, R2>(
  first: Effect.Effect<A, E, R> | ReadonlyArray<Rule<E>>,
  second?: ReadonlyArray<Rule<E>> | Options<E, R2>,
  third?: Options<E, R2>
): unknown {
  return Effect.isEffect(first) ? retried(second, third)(first) : retried(first, second)
}

/**
 * A rule that can never decide, because an earlier one takes all of its failures and never passes them on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unreachable {
  /** Where the rule stands in the list, from 0. */
  readonly index: number
  readonly rule: string
  /** The label of the earlier rule. */
  readonly coveredBy: string
}

/**
 * The rules that can never decide: those after a rule for every error, and those whose tag, class or predicate an
 * earlier rule has taken. A rule that is `exhausted: "next"` with a limit lets later rules have their turn.
 *
 * @example
 * ```ts
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const options = { retries: 3, backoff: Backoff.standard }
 * const found = Retry.unreachable([Retry.onAny(options), Retry.on("Timeout", options)])
 * // [{ index: 1, rule: "Timeout", coveredBy: "any error" }]
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const unreachable = <E>(rules: ReadonlyArray<Rule<E>>): ReadonlyArray<Unreachable> => {
  return unreachableIn(makePlan(rules, undefined).rules)
}

const unreachableIn = (all: ReadonlyArray<rule.CompiledRule>): ReadonlyArray<Unreachable> =>
  all.flatMap((later, index) => {
    const earlier = all.slice(0, index).find((earlier) => rule.hides(earlier, later))
    return earlier === undefined ? [] : [{ index, rule: later.label, coveredBy: earlier.label }]
  })

const retried = (list: unknown, options: unknown): Combinator => {
  const plan = makePlan(list, options)
  // What has nothing to do leaves the effect as it is.
  return makeCombinator([describe(plan)], plan.rules.length === 0 ? [] : [loop.retryStage(plan)])
}

// Called by the signatures above only; what they let through is checked here.
const makePlan = (list: unknown, options: unknown): loop.Plan => {
  const read = reader("Retry.rules")
  const { budget, clamp, maxElapsed, never = [], onRetry } = (options ?? {}) as Options<unknown, unknown>
  return {
    rules: Array.isArray(list) && list.every(rule.isRule) ? [...list] : read.refuse("rules", list, "a list of rules"),
    never: never.map((source, index) =>
      matcher.compile(source) ?? read.refuse(`never.${index}`, source, "a tag, a class or a predicate")
    ),
    maxElapsedMillis: maxElapsed === undefined ? Infinity : read.duration("maxElapsed", maxElapsed),
    minAttemptMillis: clamp === undefined ? undefined : read.positiveDuration("clamp.minAttempt", clamp.minAttempt),
    budget: budget === undefined
      ? undefined
      : isRetryBudget(budget)
      ? ledgerOf(budget)
      : read.refuse("budget", budget, "a RetryBudget"),
    onRetry
  }
}

const describe = (plan: loop.Plan): Description => ({
  policy: "Retry",
  settings: {
    rules: plan.rules.map(({ settings }) => settings),
    never: plan.never.map(rule.describeMatcher),
    unreachable: unreachableIn(plan.rules).map(({ coveredBy, index, rule }) => ({ index, rule, coveredBy })),
    maxElapsedMillis: plan.maxElapsedMillis === Infinity ? null : plan.maxElapsedMillis,
    minAttemptMillis: plan.minAttemptMillis ?? null,
    budget: plan.budget?.key ?? null
  }
})
