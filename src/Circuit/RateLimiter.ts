/**
 * A rate limiter: so many calls in an interval. The others wait for their turn, for as long as they may, or are turned
 * away at once and told when to come again.
 *
 * Who waits stands in line, first come, first served. Nothing is taken while waiting: a call that is interrupted in
 * line leaves its turn to those behind it, and one that a later gate rejects gives its token back. Every step costs the
 * same however many wait, and rates are exact however high they are.
 *
 * An answer that asks to wait (429, or 503 with a Retry-After) blocks the limiter for that time.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import type { Combinator } from "../Combinator.js"
import { reader } from "../InvalidOptions.js"
import type * as Gate from "./Gate.js"
import { defaultMaxKeys, makeFamily } from "./internal/gate/family.js"
import { gateTag } from "./internal/gate/gateTag.js"
import { TypeId } from "./internal/limiter/limiter.js"
import { buildLimiter } from "./internal/limiter/limiterOptions.js"
import type { CostTooHigh, RateLimited } from "./internal/limiter/rateLimited.js"
import { askedMillis } from "./internal/limiter/retryAfterHeader.js"

export { CostTooHigh, RateLimited } from "./internal/limiter/rateLimited.js"

export { TypeId }

/**
 * A rate limiter and what can be asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimiter extends Gate.Gate<RateLimited> {
  readonly [TypeId]: TypeId
  /** The same limiter for calls that cost more, or that wait for a different time. */
  readonly with: (call: CallOptions) => Gate.Gate<RateLimited | CostTooHigh>
  /**
   * Takes tokens where they are there, and says how things stand. It never waits, and never passes calls that do. Dies
   * with `InvalidOptions` for a negative cost.
   */
  readonly allow: (cost?: number) => Effect.Effect<Allowance>
  /** How things stand. Reading changes nothing. */
  readonly snapshot: Gate.Watched<Snapshot>
  /**
   * Takes no calls for a while. It only extends: of two blocks the one that ends later counts. Those in line who may
   * not wait that long are turned away at once.
   */
  readonly blockFor: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Everything can be spent again, and no block is left. Those who wait are let in as far as that reaches. */
  readonly reset: Effect.Effect<void>
  /**
   * Changes the limit; what is not given stays. What is spent stays spent, up to the new limit. Calls that took before
   * have nothing to give back. Dies with `InvalidOptions` when it can never work.
   */
  readonly setLimit: (change: Change) => Effect.Effect<void>
  /**
   * Blocks the limiter where the end of an effect asks for it, and nothing else. For attempts inside of a retry that
   * hides their answers from a limiter outside of it; behind the limiter it is not needed.
   */
  readonly heed: Combinator
}

/**
 * How a rate is counted.
 *
 * - `token-bucket`: tokens come at an even pace, and up to `burst` of them are saved.
 * - `fixed-window`: so many in each window of time. At the border of two windows twice as many can pass in a moment.
 * - `sliding-log`: never more than `limit` in the interval before any moment. It remembers each call for an interval.
 * - `sliding-counter`: nearly that, from two counts: it takes the calls of the window before as spread evenly.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = "token-bucket" | "fixed-window" | "sliding-log" | "sliding-counter"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors and descriptions call the limiter. */
  readonly key: string
  /** So many calls in each interval. Default 10. */
  readonly limit?: number | undefined
  /** Default 1 second. */
  readonly interval?: Duration.DurationInput | undefined
  /** Default `"token-bucket"`. */
  readonly algorithm?: Algorithm | undefined
  /** How many calls can be saved up; for the token bucket only. Default: `limit`, or 50 when that is not given. */
  readonly burst?: number | undefined
  /**
   * How long a call may wait for its turn. One that would wait longer is turned away at once. An infinite duration is
   * no limit. Default 0: no call waits.
   */
  readonly maxWait?: Duration.DurationInput | undefined
  /**
   * What is there when a block ends: what has `"accrued"` meanwhile (default), which may be a full burst, or nothing:
   * `"empty"`.
   */
  readonly resume?: "accrued" | "empty" | undefined
  /**
   * For how long the end of a call asks to wait, given its value or typed error and the time in milliseconds since the
   * epoch. Default: `retryAfterOf`.
   */
  readonly retryAfterOf?: ((answer: unknown, now: number) => Option.Option<Duration.Duration>) | undefined
  /** The longest that the end of a call may ask for. Default 5 minutes. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
}

/**
 * How one kind of calls differs from what the limiter was made for.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** How many tokens a call takes, or a function that says so for each call. Zero or more. Default 1. */
  readonly cost?: number | (() => number) | undefined
  /** How long a call may wait for its turn. Default: that of the limiter. */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * A new limit; what is not given stays as it is.
 *
 * @since 0.1.0
 * @category models
 */
export type Change = Pick<Options, "limit" | "interval" | "burst">

/**
 * How things stand at a limiter.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly limiter: string
  /** The most that can be spent at once. */
  readonly limit: number
  /** What could be spent now, but for a block; what those in line will take is not counted. */
  readonly remaining: number
  /** How long until all of it can be spent again, if nobody calls, but for a block. */
  readonly resetAfter: Duration.Duration
  /** How long the limiter takes no calls. */
  readonly blockedFor: Duration.Duration
  /** How many calls stand in line. */
  readonly waiting: number
  /** How many calls were turned away since the limiter was made. */
  readonly rejected: number
}

/**
 * The answer to `allow`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Allowance {
  /** Whether the tokens were taken. */
  readonly allowed: boolean
  /** The most that can be spent at once. */
  readonly limit: number
  /** What could be spent after this; nothing during a block. */
  readonly remaining: number
  /** How long until all of it can be spent again, if nobody calls. */
  readonly resetAfter: Duration.Duration
  /** Zero when allowed; else how long until it would be. Infinite when the cost is higher than the limit. */
  readonly retryAfter: Duration.Duration
}

/**
 * A limiter with nothing spent. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.make({ key: "github", limit: 5_000, interval: "1 hour", maxWait: "1 minute" })
 *   return yield* Effect.succeed("repository").pipe(RateLimiter.protect(limiter))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<RateLimiter> =>
  Effect.sync(() => buildLimiter("RateLimiter.make", options, retryAfterOf).make(options.key))

/**
 * Puts an effect behind a limiter: it runs when it has taken its tokens, and fails with `RateLimited` without running
 * when it would have to wait for longer than it may. A call that costs more than can be spent at once fails with
 * `CostTooHigh`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * declare const search: Effect.Effect<string, Error>
 *
 * const limited = (limiter: RateLimiter.RateLimiter) =>
 *   search.pipe(
 *     RateLimiter.protect(limiter, { cost: 10, maxWait: "2 seconds" }),
 *     Effect.catchTag("RateLimited", (limited) => Effect.fail(new Error(limited.message)))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function protect(limiter: RateLimiter): Combinator<RateLimited>
export function protect(limiter: RateLimiter, call: CallOptions): Combinator<RateLimited | CostTooHigh>
export function protect<A, E, R>(
  self: Effect.Effect<A, E, R>,
  limiter: RateLimiter
): Effect.Effect<A, E | RateLimited, R>
export function protect<A, E, R>(
  self: Effect.Effect<A, E, R>,
  limiter: RateLimiter,
  call: CallOptions
): Effect.Effect<A, E | RateLimited | CostTooHigh, R>
export function protect<A, E, R>(
  first: Effect.Effect<A, E, R> | RateLimiter,
  second?: RateLimiter | CallOptions,
  third?: CallOptions
): unknown {
  return isRateLimiter(first)
    ? behind(first, second as CallOptions | undefined)
    : behind(second as RateLimiter, third)(first)
}

const behind = (limiter: RateLimiter, call: CallOptions | undefined): Combinator<RateLimited | CostTooHigh> =>
  call === undefined ? limiter.protect : limiter.with(call).protect

/**
 * For how long a response asks to wait, or an error that is or holds one: `status` and `headers` of the value or of its
 * `response`. `now` is in milliseconds since the epoch.
 *
 * - 429 (too many requests): its Retry-After, in seconds or as a date, which counts from the Date of the response or,
 *   where it has none, from `now`; without one that can be read, a minute.
 * - 503 (service unavailable): its Retry-After; without one, nothing.
 * - Anything else asks for nothing.
 *
 * @example
 * ```ts
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * const asked = RateLimiter.retryAfterOf({ status: 429, headers: { "Retry-After": "30" } }, 0) // Some(30 seconds)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const retryAfterOf = (answer: unknown, now: number): Option.Option<Duration.Duration> => {
  const millis = askedMillis(answer, now)
  return millis > 0 ? Option.some(Duration.millis(millis)) : Option.none()
}

/**
 * The headers with which a server tells its clients how things stand: `RateLimit-Limit`, `RateLimit-Remaining` and
 * `RateLimit-Reset`, and `Retry-After` when the call was not allowed. Times are in whole seconds, rounded up.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * const answer = (limiter: RateLimiter.RateLimiter) =>
 *   Effect.map(limiter.allow(), (allowance) => ({
 *     status: allowance.allowed ? 200 : 429,
 *     headers: RateLimiter.headers(allowance)
 *   }))
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const headers = (allowance: Allowance): { readonly [name: string]: string } => ({
  "RateLimit-Limit": String(allowance.limit),
  "RateLimit-Remaining": String(allowance.remaining),
  "RateLimit-Reset": seconds(allowance.resetAfter),
  // There is no number for never.
  ...(allowance.allowed || !Duration.isFinite(allowance.retryAfter)
    ? {}
    : { "Retry-After": seconds(allowance.retryAfter) })
})

const seconds = (duration: Duration.Duration): string => String(Math.ceil(Duration.toSeconds(duration)))

/**
 * One limiter for each key, such as one for each tenant: made with the same options when the key is first used. At most
 * `maxKeys` (10,000 unless given) that nothing is spent of are kept. Errors name the limiter `family/key`. Dies with
 * `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * declare const search: (tenant: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const tenants = yield* RateLimiter.keyed({ key: "tenants", limit: 100 })
 *   return yield* search("acme").pipe(tenants.protect("acme"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = (
  options: Options & { readonly maxKeys?: number | undefined }
): Effect.Effect<Gate.Keyed<RateLimiter, RateLimited>> =>
  Effect.sync(() => {
    const { describe, make } = buildLimiter("RateLimiter.keyed", options, retryAfterOf)
    return makeFamily<RateLimited, RateLimiter & { readonly isSpare: (now: number) => boolean }>({
      description: describe(options.key),
      maxKeys: reader("RateLimiter.keyed").integer("maxKeys", options.maxKeys ?? defaultMaxKeys, 1),
      make,
      isSpare: (limiter, now) => limiter.isSpare(now)
    })
  })

/**
 * Whether a value is a `RateLimiter`.
 *
 * @example
 * ```ts
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * const no = RateLimiter.isRateLimiter("github") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isRateLimiter = (u: unknown): u is RateLimiter => hasProperty(u, TypeId)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Context.TagClass<Self, `holdfast/RateLimiter/${Id}`, RateLimiter>
{
  /** One limiter for everything that is built with this layer; its key is the tag's id unless given. */
  readonly layer: (options?: Partial<Options>) => Layer.Layer<Self>
  /** Puts an effect behind the limiter of the context. */
  readonly protect: Combinator<RateLimited, Self>
}

/**
 * A limiter as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "holdfast/Circuit"
 *
 * class GitHub extends RateLimiter.Tag("GitHub")<GitHub>() {}
 *
 * const repository = Effect.succeed("repository").pipe(GitHub.protect)
 *
 * const program = Effect.provide(repository, GitHub.layer({ limit: 5_000, interval: "1 hour" }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("RateLimiter", id)<Self, RateLimiter>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options }))
  })
}
