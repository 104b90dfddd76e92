/**
 * Several combinators as one value: it applies to an effect, describes itself, and can be checked.
 *
 * The first combinator that is listed is the outermost, in `compose`, in `make`, in `run` and in what `describe` prints.
 * A pipe reads the other way round: there the innermost comes first.
 *
 *     Policy.compose(a, b)(effect)   is   effect.pipe(b, a)
 *
 * A policy holds no state of its own. What belongs to one call starts fresh with each call; what calls share (a breaker,
 * a limiter, a budget) is a value that you make once, and two policies share it if both were given that value.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as MutableRef from "effect/MutableRef"
import type { Combinator, Description, Json, TypeId, Unhandled, Variance } from "../Combinator.js"
import { isCombinator } from "../Combinator.js"
import { makeCombinator, stagesOf } from "../internal/combinator.js"
import { type Stage, through } from "../internal/pipeline.js"
import { reader } from "../InvalidOptions.js"
import * as linter from "./internal/lint.js"
import { mermaid } from "./internal/mermaid.js"
import { observeAttempts, observeCalls } from "./internal/observedCall.js"
import type { Observer } from "./Observer.js"

export type { Combinator } from "../Combinator.js"

/**
 * Any combinator.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  // Says nothing of the parameters, or those of a combinator that is written in place would be inferred from here.
  readonly [TypeId]: unknown
  readonly descriptions: ReadonlyArray<Description>
}

/**
 * What combinators are together, the first outermost: an inner error that an outer one handles does not come out.
 *
 * @since 0.1.0
 * @category models
 */
export type Composed<Combinators extends ReadonlyArray<Any>> = Combinators extends readonly [
  infer Outer,
  ...infer Inner extends ReadonlyArray<Any>
] ? Around<Outer, Composed<Inner>>
  : Combinator

/**
 * One combinator around another. When the outer one cannot take what the inner one fails with, the two together take
 * no effect that fails.
 *
 * @since 0.1.0
 * @category models
 */
export type Around<Outer, Inner> = Outer extends Is<infer E1, infer R1, infer H1, infer A1, infer In1>
  ? Inner extends Is<infer E2, infer R2, infer H2, infer A2, infer In2>
    ? Combinator<E1 | Unhandled<E2, H1>, R1 | R2, H1 | H2, A1 | A2, [E2] extends [In1] ? In1 & In2 : never>
  : never
  : never

/**
 * The effect that a combinator makes of an effect; `never` when it cannot take the errors of that effect.
 *
 * @since 0.1.0
 * @category models
 */
export type Applied<Self, A, E, R> = Self extends Is<infer E2, infer R2, infer Handled, infer A2, infer In>
  ? [E] extends [In] ? Effect.Effect<A | A2, Unhandled<E, Handled> | E2, R | R2> : never
  : never

/**
 * `unknown` when a combinator can take effects that fail with `E`, otherwise `never`.
 *
 * @since 0.1.0
 * @category models
 */
export type Taken<Self, E> = Self extends Is<infer _E, infer _R, infer _H, infer _A, infer In>
  ? [E] extends [In] ? unknown : never
  : never

interface Is<out E, out R, out Handled, out A, in In> {
  readonly [TypeId]: Variance<E, R, Handled, A, In>
}

/**
 * Combinators as one, the first outermost.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Policy, Timeout } from "holdfast/Call"
 * import { CircuitBreaker } from "holdfast/Circuit"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * declare const fetchQuote: Effect.Effect<number, Error>
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ key: "quotes" })
 *   const policy = Policy.compose(
 *     Timeout.after("10 seconds"),
 *     Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.exponential("200 millis", { jitter: "full" }) })]),
 *     CircuitBreaker.protect(breaker),
 *     Timeout.after("2 seconds")
 *   )
 *   return yield* policy(fetchQuote)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const compose = <const Combinators extends ReadonlyArray<Any>>(
  ...combinators: Combinators
): Composed<Combinators> => composed("Policy.compose", combinators, [])

/**
 * Combinators as one, with observers of the calls that are made through them.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Observer, Policy, Timeout } from "holdfast/Call"
 *
 * const program = Effect.gen(function*() {
 *   const observer = yield* Observer.make((event) => Effect.logDebug(event._tag, event))
 *   const quotes = Policy.make({ policies: [Timeout.after("2 seconds")], observers: [observer] })
 *   yield* quotes(Effect.succeed(42))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Combinators extends ReadonlyArray<Any>>(options: {
  /** Outermost first. */
  readonly policies: Combinators
  /**
   * Told of each call and of each attempt in it, in the order of the list; those of a policy that this one is made of
   * come first.
   */
  readonly observers?: ReadonlyArray<Observer> | undefined
}): Composed<Combinators> => composed("Policy.make", options.policies, options.observers ?? [])

/**
 * Runs an effect under combinators, the first outermost.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback, Policy, Timeout } from "holdfast/Call"
 *
 * const answer = Policy.run(Effect.succeed(42), Fallback.to(0), Timeout.after("1 second"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <A, E, R, const Combinators extends ReadonlyArray<Any>>(
  self: Effect.Effect<A, E, R> & Taken<Composed<Combinators>, E>,
  ...combinators: Combinators
): Applied<Composed<Combinators>, A, E, R> =>
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  through(self, stagesOf(composed("Policy.run", combinators, []))) as Applied<Composed<Combinators>, A, E, R>

/**
 * Stands for the value, the errors and the requirements of any effect, where a function of your own is looked at.
 *
 * @since 0.1.0
 * @category models
 */
export interface Own {
  readonly Own: unique symbol
}

/**
 * A function of your own as a combinator, with the name that descriptions call it. It must fit any effect; what it adds
 * to errors, requirements and values is inferred, and so is that it handles all errors.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Policy, Timeout } from "holdfast/Call"
 *
 * const traced = Policy.custom("traced", (self) => Effect.withSpan(self, "quote"))
 *
 * const policy = Policy.compose(traced, Timeout.after("2 seconds"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const custom = <A, E, R>(
  key: string,
  apply: (self: Effect.Effect<Own, Own, Own>) => Effect.Effect<A, E, R>
): Combinator<Exclude<E, Own>, Exclude<R, Own>, Own extends E ? never : unknown, Exclude<A, Own>> =>
  makeCombinator([{ policy: "Custom", key, settings: {} }], [{
    // The types above say for any effect what the function says for one.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    around: (call) => apply(call.inner() as Effect.Effect<Own, Own, Own>)
  }])

/**
 * What a policy is made of, as plain JSON: each combinator with its settings, outermost first.
 *
 * @example
 * ```ts
 * import { Policy, Timeout } from "holdfast/Call"
 *
 * const policy = Policy.compose(Timeout.after("10 seconds"), Timeout.after("2 seconds"))
 *
 * console.log(JSON.stringify(Policy.describe(policy), undefined, 2))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const describe = (policy: Any): ReadonlyArray<Description> =>
  policy.descriptions.map(({ key, policy, settings }): Description => ({
    policy,
    ...(key === undefined ? {} : { key }),
    settings: plain(settings)
  }))

/**
 * What a policy is made of, as a Mermaid flowchart: how a call goes in, outermost first.
 *
 * @example
 * ```ts
 * import { Policy, Timeout } from "holdfast/Call"
 *
 * console.log(Policy.toMermaid(Timeout.after("2 seconds")))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const toMermaid = (policy: Any): string => mermaid(describe(policy))

/**
 * The rules of `lint`; docs/behaviours/policies.md says what each looks for.
 *
 * @since 0.1.0
 * @category models
 */
export type RuleId = `L${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17 | 18 | 19 | 20}`

/**
 * Something that a policy probably does not mean.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  /** The rule that found the mistake. */
  readonly rule: RuleId
  /** An `error` can never be what is meant; a `warning` may be. */
  readonly severity: "error" | "warning"
  /** What is wrong, and what to do. */
  readonly message: string
  /** Where: positions in the description, outermost 0. */
  readonly at: ReadonlyArray<number>
}

/**
 * What is known of the calls that go through a policy, where the policy itself cannot know it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Assumptions {
  /** How many callers there may be at a time. Default: many. */
  readonly callers?: number | undefined
  /** Whether calling twice does the same as calling once. Default: not known. */
  readonly idempotent?: boolean | undefined
}

/**
 * Looks for combinations that defeat themselves: a retry that hammers an open breaker, a timeout that is over before
 * the backoff is, a rule that can never decide. Each finding says what to do. Takes a policy, or what `describe` has
 * said of one.
 *
 * @example
 * ```ts
 * import { Policy, Timeout } from "holdfast/Call"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const policy = Policy.compose(
 *   Timeout.after("2 seconds"),
 *   Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.standard })]),
 *   Timeout.after("5 seconds")
 * )
 *
 * for (const { message, severity } of Policy.lint(policy)) console.log(`${severity}: ${message}`)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const lint = (
  policy: Any | ReadonlyArray<Description>,
  assumptions: Assumptions = {}
): ReadonlyArray<Finding> => linter.lint("descriptions" in policy ? policy.descriptions : policy, assumptions)

/**
 * Looks at all calls of a program together: at each as `lint` does, and at what they share.
 *
 * @example
 * ```ts
 * import { Policy, Timeout } from "holdfast/Call"
 *
 * const findings = Policy.lintAll({
 *   "GET /quotes": { policy: Timeout.after("2 seconds"), target: "quotes", idempotent: true },
 *   "POST /orders": { policy: Timeout.after("5 seconds"), target: "orders", idempotent: false }
 * })
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const lintAll = (calls: {
  readonly [call: string]: Assumptions & {
    readonly policy: Any
    /** What is called: a host, a service. */
    readonly target?: string | undefined
  }
}): ReadonlyArray<Finding & { readonly call: string }> =>
  linter.lintAll(
    Object.entries(calls).map(([call, { policy, ...rest }]) => ({ ...rest, call, descriptions: policy.descriptions }))
  )

/**
 * A policy that can be replaced while the program runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Swappable<P extends Any> {
  /** What calls are made with. It stays the same value. */
  readonly policy: P
  /** The policy of calls that begin from now on. Those under way end under the one that they began with. */
  readonly swap: (next: P) => Effect.Effect<void>
  /** The policy in force. */
  readonly current: Effect.Effect<P>
}

/**
 * Makes a policy that can be replaced while the program runs, as when its settings are changed. What the policies are
 * made of keeps its state: a breaker that is part of both remains open.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Policy, Timeout } from "holdfast/Call"
 *
 * const program = Effect.gen(function*() {
 *   const quotes = yield* Policy.swappable(Timeout.after("2 seconds"))
 *   yield* Effect.succeed(42).pipe(quotes.policy)
 *   yield* quotes.swap(Timeout.after("5 seconds"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const swappable = <P extends Any>(initial: P): Effect.Effect<Swappable<P>> =>
  Effect.sync(() => {
    const current = MutableRef.make(initial)
    const description: Description = {
      policy: "Swappable",
      get settings() {
        return { current: describe(MutableRef.get(current)).map(({ key = null, ...rest }): Json => ({ ...rest, key })) }
      }
    }
    return {
      policy: makeCombinator([description], [{
        around: (call) => through(call.inner(), stagesOf(MutableRef.get(current)))
      }]) as unknown as P,
      swap: (next) => Effect.sync(() => MutableRef.set(current, next)),
      current: Effect.sync(() => MutableRef.get(current))
    }
  })

const composed = <Combinators extends ReadonlyArray<Any>>(
  module: string,
  combinators: Combinators,
  observers: ReadonlyArray<Observer>
): Composed<Combinators> => {
  for (const combinator of combinators) {
    if (!isCombinator(combinator)) {
      reader(module).refuse("policies", combinator, "combinators of this package, or functions in Policy.custom")
    }
  }
  const parts = combinators.map(partsOf)
  const stages = parts.flatMap(({ stages }) => stages)
  const told = [...parts.flatMap(({ observers }) => observers), ...observers]
  const descriptions = combinators.flatMap(({ descriptions }) => descriptions)
  if (told.length === 0) return makeCombinator(descriptions, stages) as Composed<Combinators>
  const policy = makeCombinator(descriptions, [observeCalls(told), ...stages, observeAttempts(told)])
  return Object.assign(policy, { [Observed]: { stages, observers: told } }) as unknown as Composed<Combinators>
}

/** Kept by a policy with observers, which become those of a policy that it is made part of. */
const Observed: unique symbol = Symbol.for("holdfast/Call/Policy/Observed")

interface Parts {
  readonly stages: ReadonlyArray<Stage>
  readonly observers: ReadonlyArray<Observer>
}

const partsOf = (combinator: Any & { readonly [Observed]?: Parts }): Parts =>
  combinator[Observed] ?? { stages: stagesOf(combinator), observers: [] }

/** A copy that JSON can hold as it is. */
const plain = <A>(value: A): A => JSON.parse(JSON.stringify(value)) as A
