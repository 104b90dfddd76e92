/**
 * How many attempts beyond the first may be made, over all calls that share the budget.
 *
 * The rules of a retry bound what one call does. When everything fails, every call retries, and the load is multiplied
 * just when it should shrink. A budget bounds what all calls do together. It never refuses a first attempt: it refuses
 * a retry, or a hedge, and then the failure comes out as it is.
 *
 * A budget is a value, made once and shared by sharing it: one for each thing that is called. Retries and hedges take
 * the same budget, also one around the other; a call then counts once.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type { Description } from "../Combinator.js"
import { reader } from "../InvalidOptions.js"
import * as budget from "./internal/budget/budget.js"
import { TypeId } from "./internal/budget/budget.js"
import * as inFlightCore from "./internal/budget/inFlight.js"
import * as quotaCore from "./internal/budget/quota.js"
import * as ratioCore from "./internal/budget/ratio.js"
import * as throttleCore from "./internal/budget/throttle.js"

export { TypeId }

/**
 * A budget for attempts beyond the first.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget extends Pipeable {
  readonly [TypeId]: TypeId
  /** The name of the budget, in descriptions. */
  readonly key: string
  /** The budget as plain data. */
  readonly description: Description
  /** What is left of the budget, and what was asked of it so far. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * A budget at one time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** What can be spent: tokens of a throttle or a quota, attempts of the other kinds. */
  readonly balance: number
  /** How many attempts the budget has allowed. */
  readonly granted: number
  /** How many attempts the budget has refused. */
  readonly refused: number
}

/**
 * Counts failures against successes, as gRPC does: a failure takes a token, a success gives a part of one back, and
 * there are retries only while more than half of the tokens are left. It follows a dependency that fails within a few
 * calls, and needs no clock.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* RetryBudget.throttle({ key: "inventory" })
 *   const policy = Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.standard })], { budget })
 *   return yield* Effect.fail("busy").pipe(policy)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const throttle = (options: {
  readonly key: string
  /** From 1 to 1000. Default 10. */
  readonly maxTokens?: number | undefined
  /** What a success gives back, above zero, in thousandths at the finest. Default 0.1. */
  readonly tokenRatio?: number | undefined
}): Effect.Effect<RetryBudget> =>
  Effect.sync(() => {
    const read = reader("RetryBudget.throttle")
    const { key, maxTokens = 10, tokenRatio = 0.1 } = options
    const settings = {
      maxTokens: maxTokens >= 1 && maxTokens <= 1000
        ? maxTokens
        : read.refuse("maxTokens", maxTokens, "a number from 1 to 1000"),
      tokenRatio: tokenRatio >= 0.001 && tokenRatio < Infinity
        ? tokenRatio
        : read.refuse("tokenRatio", tokenRatio, "a finite number of at least 0.001")
    }
    return budget.makeBudget(describe(key, "throttle", settings), throttleCore.throttle(settings))
  })

/**
 * A share of the calls of the last while, as Finagle does it: each call allows `ratio` of a retry for as long as `ttl`,
 * and `reservePerSecond` keeps retries possible where there are few calls.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "holdfast/Schedule"
 *
 * // of 100 calls in 10 seconds 20 may be retried once, and 100 more as a reserve
 * const budget = RetryBudget.ratio({ key: "search", ratio: 0.2, reservePerSecond: 10, ttl: "10 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const ratio = (options: {
  readonly key: string
  /** Retries per call, above zero and up to 1000. Default 0.2. */
  readonly ratio?: number | undefined
  /** Retries per second that need no calls. Default 10. */
  readonly reservePerSecond?: number | undefined
  /** How long a call allows what it allows. Default 10 seconds. */
  readonly ttl?: Duration.DurationInput | undefined
}): Effect.Effect<RetryBudget> =>
  Effect.sync(() => {
    const read = reader("RetryBudget.ratio")
    const { key, ratio = 0.2, reservePerSecond = 10 } = options
    const ttlMillis = read.positiveDuration("ttl", options.ttl ?? "10 seconds")
    const settings = {
      ratio: ratio > 0 && ratio <= 1000 ? ratio : read.refuse("ratio", ratio, "a number above 0 and up to 1000"),
      reserve: reservePerSecond >= 0 && reservePerSecond < Infinity
        ? reservePerSecond * ttlMillis / 1000
        : read.refuse("reservePerSecond", reservePerSecond, "a finite number of zero or more"),
      ttlMillis
    }
    return budget.makeBudget(describe(key, "ratio", settings), ratioCore.ratio(settings))
  })

/**
 * A bucket of tokens, as the SDKs of AWS have it: a retry takes some, more after a time-out or a broken connection; a
 * success gives back what its last retry took, or a little where it needed none. It needs no clock.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "holdfast/Schedule"
 *
 * // 100 retries in a row when nothing succeeds, 50 when everything times out
 * const budget = RetryBudget.quota({ key: "objects", capacity: 500, cost: 5, timeoutCost: 10 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const quota = (options: {
  readonly key: string
  /** Default 500. */
  readonly capacity?: number | undefined
  /** What a retry takes. Default 5. */
  readonly cost?: number | undefined
  /** What a retry takes after a failure that `isCostly` takes. Default 10. */
  readonly timeoutCost?: number | undefined
  /** What a call that succeeds without a retry gives back. Default 1. */
  readonly refill?: number | undefined
  /**
   * Whether a failure suggests that the other side is overloaded. Default: what is tagged as a time-out, or has the
   * `code` of a connection that was refused, reset or timed out.
   */
  readonly isCostly?: ((error: unknown) => boolean) | undefined
}): Effect.Effect<RetryBudget> =>
  Effect.sync(() => {
    const read = reader("RetryBudget.quota")
    const tokens = (option: "capacity" | "cost" | "timeoutCost", otherwise: number): number => {
      const value = options[option] ?? otherwise
      return value > 0 && value < Infinity ? value : read.refuse(option, value, "a finite number above zero")
    }
    const { key, refill = 1 } = options
    const settings = {
      capacity: tokens("capacity", 500),
      cost: tokens("cost", 5),
      timeoutCost: tokens("timeoutCost", 10),
      refill: refill >= 0 && refill < Infinity
        ? refill
        : read.refuse("refill", refill, "a finite number of zero or more")
    }
    const { capacity, cost } = settings
    if (cost > capacity) read.refuse("cost", cost, `at most the capacity of ${capacity}`)
    return budget.makeBudget(describe(key, "quota", settings), quotaCore.quota(settings), options.isCostly ?? isCostly)
  })

/**
 * A share of what is in flight now, as Envoy does it: no more retries while those under way are more than `ratio` of
 * the calls, unless they are fewer than `floor`. It needs no clock, and forgets at once.
 *
 * Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "holdfast/Schedule"
 *
 * const budget = RetryBudget.inFlight({ key: "search", ratio: 0.2, floor: 3 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const inFlight = (options: {
  readonly key: string
  /** Retries per call in flight, from 0 to 1. Default 0.2. */
  readonly ratio?: number | undefined
  /** So many retries may always be in flight, 1 or more. Default 3. */
  readonly floor?: number | undefined
}): Effect.Effect<RetryBudget> =>
  Effect.sync(() => {
    const read = reader("RetryBudget.inFlight")
    const { key, ratio = 0.2 } = options
    const settings = {
      ratio: ratio >= 0 && ratio <= 1 ? ratio : read.refuse("ratio", ratio, "a number from 0 to 1"),
      floor: read.integer("floor", options.floor ?? 3, 1)
    }
    return budget.makeBudget(describe(key, "inFlight", settings), inFlightCore.inFlight(settings))
  })

/**
 * Whether a value is a `RetryBudget`.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "holdfast/Schedule"
 *
 * const no = RetryBudget.isRetryBudget("inventory") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetryBudget = (u: unknown): u is RetryBudget => hasProperty(u, TypeId)

const describe = (key: string, kind: string, settings: { readonly [name: string]: number }) => ({
  policy: "RetryBudget",
  key,
  settings: { kind, ...settings }
})

const timeouts = new Set(["TimedOut", "DeadlineExceeded", "TimeoutException"])
const broken = new Set(["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EPIPE", "EAI_AGAIN"])

const isCostly = (error: unknown): boolean =>
  (hasProperty(error, "_tag") && timeouts.has(String(error._tag))) ||
  (hasProperty(error, "code") && broken.has(String(error.code)))
