/**
 * A limit on how many calls run at the same time that finds out by itself how high it should be: it measures how long
 * calls take, grows while that stays as usual, and shrinks when calls begin to wait in the dependency.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Random from "effect/Random"
import type { Combinator, Description } from "../Combinator.js"
import { statusOf } from "../internal/httpAnswer.js"
import { reader } from "../InvalidOptions.js"
import type * as Gate from "./Gate.js"
import { ConcurrencyLimitImpl, type LimitExceeded, TypeId } from "./internal/concurrency/concurrencyLimit.js"
import { type Algorithm, gradient, startAlgorithm } from "./internal/concurrency/limitAlgorithms.js"
import { defaultMaxKeys, makeFamily } from "./internal/gate/family.js"
import { bothForms } from "./internal/gate/forms.js"
import { gateTag } from "./internal/gate/gateTag.js"

export { LimitExceeded, TypeId } from "./internal/concurrency/concurrencyLimit.js"
export { aimd, AlgorithmTypeId, custom, gradient, vegas, windowed } from "./internal/concurrency/limitAlgorithms.js"
export type { Algorithm, BoundsOptions, Sample } from "./internal/concurrency/limitAlgorithms.js"

/**
 * An adaptive limit and what can be asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConcurrencyLimit extends Gate.Gate<LimitExceeded> {
  readonly [TypeId]: typeof TypeId
  /** How many calls may be under way now. */
  readonly limit: Effect.Effect<number>
  readonly snapshot: Gate.Watched<Snapshot>
}

/**
 * The counters of a limit at one time, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly limiter: string
  readonly limit: number
  /** How many calls are under way; more than the limit only after it has fallen. */
  readonly inflight: number
  readonly waiting: number
  /** How many calls were turned away since the limit was made. */
  readonly rejected: number
}

/**
 * Says what the end of a call means to the limit: its duration counts, it was dropped for overload, or neither.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = (exit: Exit.Exit<unknown, unknown>) => "measured" | "dropped" | "ignored"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors and descriptions call the limit. */
  readonly key: string
  /** How the limit is worked out. Default: `gradient()`. */
  readonly algorithm?: Algorithm | undefined
  /**
   * Lets calls wait in line for a place: up to twice as many as the limit; from there on a part of them, drawn at
   * random, is turned away, and all from three times the limit. Default: a call that finds no place is turned away.
   */
  readonly queue?: boolean | undefined
  /** What the end of a call means. Default: `classify`. */
  readonly classify?: Classify | undefined
}

/**
 * A concurrency limit that has seen no call yet. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: ConcurrencyLimit.vegas({ max: 100 }) })
 *   return yield* Effect.succeed("row").pipe(ConcurrencyLimit.protect(limit))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<ConcurrencyLimit> =>
  Effect.map(Random.next, (phase) => build(options, options.key, phase))

/**
 * Puts an effect behind a limit: it fails with `LimitExceeded` without running when too many are under way, and its
 * duration is measured otherwise.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * declare const query: Effect.Effect<string, Error>
 *
 * const limited = (limit: ConcurrencyLimit.ConcurrencyLimit) => query.pipe(ConcurrencyLimit.protect(limit))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  (limit: ConcurrencyLimit): Combinator<LimitExceeded>
  <A, E, R>(self: Effect.Effect<A, E, R>, limit: ConcurrencyLimit): Effect.Effect<A, E | LimitExceeded, R>
} = bothForms((limit: ConcurrencyLimit) => limit.protect)

/**
 * What the end of a call means unless `Options.classify` says otherwise:
 *
 * - a value: its duration counts;
 * - an error with the HTTP status 429 or 503 (its own, or that of its `response`), `TimedOut` and `TimeoutException`:
 *   dropped;
 * - any other end is ignored: an error may come much sooner than an answer, and an interruption says nothing.
 *
 * @example
 * ```ts
 * import { Exit } from "effect"
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const dropped = ConcurrencyLimit.classify(Exit.fail({ status: 503 })) // "dropped"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classify: Classify = (exit) =>
  Exit.isSuccess(exit)
    ? "measured"
    : Option.exists(Cause.failureOption(exit.cause), isDrop)
    ? "dropped"
    : "ignored"

const isDrop = (error: unknown): boolean => {
  const status = statusOf(error)
  return status === 429 || status === 503 ||
    (hasProperty(error, "_tag") && (error._tag === "TimedOut" || error._tag === "TimeoutException"))
}

/**
 * One limit for each key, such as one for each host: made with the same options when the key is first used. Above
 * `maxKeys` (10,000 unless given) those with no call under way are forgotten, with what they have learnt. Errors name
 * the limit `family/key`. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * declare const fetchFrom: (host: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const hosts = yield* ConcurrencyLimit.keyed({ key: "hosts" })
 *   return yield* fetchFrom("a.example").pipe(hosts.protect("a.example"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = (
  options: Options & { readonly maxKeys?: number | undefined }
): Effect.Effect<Gate.Keyed<ConcurrencyLimit, LimitExceeded>> =>
  Effect.map(Random.next, (start) => {
    let phase = start
    return makeFamily<LimitExceeded, ConcurrencyLimitImpl>({
      description: describe(options, options.key),
      maxKeys: reader("ConcurrencyLimit.keyed").integer("maxKeys", options.maxKeys ?? defaultMaxKeys, 1),
      make: (key) => {
        phase = (phase + 0.6180339887498949) % 1
        return build(options, key, phase)
      },
      isSpare: (limit) => limit.isSpare
    })
  })

/**
 * Whether a value is a `ConcurrencyLimit`.
 *
 * @example
 * ```ts
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * const no = ConcurrencyLimit.isConcurrencyLimit("db") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isConcurrencyLimit = (u: unknown): u is ConcurrencyLimit => hasProperty(u, TypeId)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Context.TagClass<Self, `holdfast/ConcurrencyLimit/${Id}`, ConcurrencyLimit>
{
  /** One limit for everything that is built with this layer; its key is the tag's id unless given. */
  readonly layer: (options?: Partial<Options>) => Layer.Layer<Self>
  /** Puts an effect behind the limit of the context. */
  readonly protect: Combinator<LimitExceeded, Self>
}

/**
 * A limit as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ConcurrencyLimit } from "holdfast/Circuit"
 *
 * class Database extends ConcurrencyLimit.Tag("Database")<Database>() {}
 *
 * const query = Effect.succeed("row").pipe(Database.protect)
 *
 * const program = Effect.provide(query, Database.layer({ queue: true }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("ConcurrencyLimit", id)<Self, ConcurrencyLimit>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options }))
  })
}

const build = (options: Options, key: string, phase: number): ConcurrencyLimitImpl =>
  new ConcurrencyLimitImpl(
    key,
    describe(options, key),
    startAlgorithm(options.algorithm ?? gradient(), phase),
    { classify: options.classify ?? classify, queue: options.queue === true }
  )

const describe = ({ algorithm = gradient(), queue = false }: Options, key: string): Description => ({
  policy: "ConcurrencyLimit",
  key,
  settings: { algorithm: algorithm.algorithm, ...algorithm.settings, queue }
})
