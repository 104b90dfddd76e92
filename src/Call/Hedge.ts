/**
 * More attempts beside a slow one: when the first attempt has not ended after a delay, a second is started, and the
 * first value wins.
 *
 * It trades load for latency: the slowest calls are cut short, for a few more calls altogether. So the delay should be
 * one that most calls do not reach, such as their 95th percentile, and a budget should bound the hedges of all calls.
 * Calls that must not happen twice are not to be hedged.
 *
 * Losers are interrupted, and the value comes out without waiting for their finalizers, which run on in the background.
 * An interruption of the caller interrupts all attempts and waits for them.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Combinator, Json } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { reader } from "../InvalidOptions.js"
import { ledgerOf } from "../Schedule/internal/budget/budget.js"
import { isRetryBudget, type RetryBudget } from "../Schedule/RetryBudget.js"
import { hedged, type Hedging } from "./internal/hedgedCall.js"
import { estimatorOf } from "./internal/latency/estimator.js"
import { isLatency, type Latency } from "./Latency.js"

/**
 * When a hedge is started: after a fixed delay, after one that is computed from its number (from 1), or when the call
 * has taken longer than a quantile of those before it.
 *
 * @since 0.1.0
 * @category models
 */
export type Delay = Duration.DurationInput | ((hedge: number) => Duration.DurationInput) | Latency

/**
 * What a hedge tells its observer; attempt 0 is the primary.
 *
 * - `Started`: a hedge was started, because the delay was over or an attempt had failed;
 * - `Refused`: the budget has refused a hedge, and this call makes no more;
 * - `Won`: a call with hedges was decided by this attempt.
 *
 * @since 0.1.0
 * @category models
 */
export type HedgeEvent =
  | { readonly _tag: "Started"; readonly attempt: number; readonly because: "delay" | "failure" }
  | { readonly _tag: "Refused"; readonly attempt: number }
  | { readonly _tag: "Won"; readonly attempt: number }

/**
 * How calls are hedged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out A = never, out E = never, out R = never, F extends "primary" | "all" = "primary"> {
  /** How many attempts there may be beside the first. Default 1. */
  readonly hedges?: number | undefined
  /** What the hedges run instead of the call itself, in turn: other replicas. Default: the call itself. */
  readonly targets?: ReadonlyArray<Effect.Effect<A, E, R>> | undefined
  /**
   * What comes out when all attempts fail: the failure of the `"primary"` (default), or `"all"` failures in one cause,
   * the primary's first.
   */
  readonly failure?: F | undefined
  /** With a quantile: below so many samples there is no hedge by time. Default 20. */
  readonly minSamples?: number | undefined
  /** With a quantile: the shortest delay. Default zero. */
  readonly floor?: Duration.DurationInput | undefined
  /** With a quantile: the longest delay. Default: none. */
  readonly ceiling?: Duration.DurationInput | undefined
  /** Bounds the hedges, and retries, of all calls that share it. A hedge that it refuses is not started. */
  readonly budget?: RetryBudget | undefined
  /** Told of every hedge. It runs beside the call, which neither waits for it nor fails with it. */
  readonly onEvent?: ((event: HedgeEvent) => Effect.Effect<unknown, never, R>) | undefined
}

/**
 * Starts another attempt when an effect has not ended after a delay, and again after each further delay, up to
 * `hedges` of them. The first value wins. An attempt that fails starts the next hedge at once; when all have failed,
 * the failure of the primary comes out. Throws `InvalidOptions` when an option can never work.
 *
 * With a `Latency` as the delay the hedge feeds it with the times of primaries that succeed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Hedge, Latency } from "holdfast/Call"
 * import { RetryBudget } from "holdfast/Schedule"
 *
 * declare const fetchQuote: Effect.Effect<number, Error>
 * declare const fetchFromReplica: Effect.Effect<number, Error>
 *
 * const simple = fetchQuote.pipe(Hedge.after("50 millis"))
 *
 * const careful = Effect.gen(function*() {
 *   const latency = yield* Latency.make({ quantile: 0.95 })
 *   const budget = yield* RetryBudget.ratio({ key: "quotes", ratio: 0.05 })
 *   return fetchQuote.pipe(
 *     Hedge.after(latency, { floor: "5 millis", ceiling: "1 second", targets: [fetchFromReplica], budget })
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function after<A = never, E = never, R = never, F extends "primary" | "all" = "primary">(
  delay: Delay,
  options?: Options<A, E, R, F>
): Combinator<"all" extends F ? E : never, R, never, A>
export function after<A, E, R, A2 = never, E2 = never, R2 = never, F extends "primary" | "all" = "primary">(
  self: Effect.Effect<A, E, R>,
  delay: Delay,
  options?: Options<A2, E2, R2, F>
): Effect.Effect<A | A2, ("all" extends F ? E2 : never) | E, R | R2>
export function after(...args: ReadonlyArray<unknown>): unknown {
  return Effect.isEffect(args[0]) ? combinator(args[1], args[2])(args[0]) : combinator(args[0], args[1])
}

type AnyOptions = Options<unknown, unknown, unknown, "primary" | "all">

// Called by the signatures above only; what they let through is checked here.
const combinator = (delay: unknown, given: unknown): Combinator => {
  const read = reader("Hedge.after")
  const options = (given ?? {}) as AnyOptions
  const { budget, failure = "primary", targets = [] } = options
  const hedges = read.integer("hedges", options.hedges ?? 1, 1)
  const timing = timingOf(read, delay as Delay, options)
  const hedging: Hedging = {
    hedges,
    delayMillis: timing.delayMillis,
    onPrimary: timing.onPrimary,
    targets: Array.isArray(targets) && targets.every(Effect.isEffect)
      ? [...targets]
      : read.refuse("targets", targets, "a list of effects"),
    failure: failure === "primary" || failure === "all"
      ? failure
      : read.refuse("failure", failure, "\"primary\" or \"all\""),
    budget: budget === undefined
      ? undefined
      : isRetryBudget(budget)
      ? ledgerOf(budget)
      : read.refuse("budget", budget, "a RetryBudget"),
    onEvent: options.onEvent
  }
  return makeCombinator([{
    policy: "Hedge",
    settings: { hedges, ...timing.settings, targets: targets.length, failure, budget: budget?.key ?? null }
  }], [{ around: (call) => hedged(hedging, call.inner()) }])
}

interface Timing extends Pick<Hedging, "delayMillis" | "onPrimary"> {
  readonly settings: { readonly [name: string]: Json }
}

type Reader = ReturnType<typeof reader>

const timingOf = (read: Reader, delay: Delay, options: AnyOptions): Timing => {
  if (isLatency(delay)) return percentile(read, delay, options)
  for (const option of ["minSamples", "floor", "ceiling"] as const) {
    if (options[option] !== undefined) read.refuse(option, options[option], "absent where the delay is no Latency")
  }
  if (typeof delay === "function") {
    return {
      delayMillis: (hedge) => read.duration("delay", delay(hedge)),
      onPrimary: undefined,
      settings: { kind: "computed", delayMillis: null }
    }
  }
  const millis = read.duration("delay", delay)
  return {
    delayMillis: () => millis,
    onPrimary: undefined,
    settings: { kind: "fixed", delayMillis: millis === Infinity ? null : millis }
  }
}

const percentile = (read: Reader, latency: Latency, options: AnyOptions): Timing => {
  const { method, settings } = estimatorOf(latency)
  const minSamples = read.integer("minSamples", options.minSamples ?? 20, 1)
  const floorMillis = read.duration("floor", options.floor ?? 0)
  const ceilingMillis = options.ceiling === undefined ? Infinity : read.duration("ceiling", options.ceiling)
  if (ceilingMillis < floorMillis) read.refuse("ceiling", options.ceiling, "at least the floor")
  return {
    delayMillis: (_hedge, now) => {
      if (method.count(now) < minSamples) return Infinity
      const estimate = method.estimate(now) ?? Infinity
      return Math.min(Math.max(estimate, floorMillis), ceilingMillis)
    },
    onPrimary: method.add,
    settings: {
      kind: "percentile",
      delayMillis: null,
      estimate: settings,
      minSamples,
      floorMillis,
      ceilingMillis: ceilingMillis === Infinity ? null : ceilingMillis
    }
  }
}
