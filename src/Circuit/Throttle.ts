/**
 * A throttle on the side of the client: when the dependency refuses calls, a part of them is not sent at all, the more
 * the more it refuses. Unlike a breaker it never stops all calls, and needs no probes to find out that things are well
 * again.
 *
 * The formula is that of Google's "Site Reliability Engineering", chapter "Handling Overload".
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import type { Combinator, Description } from "../Combinator.js"
import { statusOf } from "../internal/httpAnswer.js"
import { reader } from "../InvalidOptions.js"
import type * as Gate from "./Gate.js"
import { isAnswer } from "./internal/breaker/classify.js"
import { defaultMaxKeys, makeFamily } from "./internal/gate/family.js"
import { bothForms } from "./internal/gate/forms.js"
import { gateTag } from "./internal/gate/gateTag.js"
import { type Throttled, ThrottleImpl, TypeId } from "./internal/throttle/throttle.js"
import type { Settings } from "./internal/throttle/throttling.js"

export { Throttled, TypeId } from "./internal/throttle/throttle.js"

/**
 * A throttle and what can be asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Throttle extends Gate.Gate<Throttled> {
  readonly [TypeId]: typeof TypeId
  /** What the throttle has counted. */
  readonly snapshot: Gate.Watched<Snapshot>
  /** Forgets what was counted. */
  readonly reset: Effect.Effect<void>
}

/**
 * The counters of a throttle at one time, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly throttle: string
  /** The calls that began in the window, those that were not sent too. */
  readonly requests: number
  /** Those of the requests that the dependency did not refuse. */
  readonly accepts: number
  /** The part of the next calls that is not sent, from 0 to 1. */
  readonly probability: number
  /** How many calls were turned away since the throttle was made. */
  readonly rejected: number
}

/**
 * Says what the end of a call means: whether the dependency took it on, or refused it. What says nothing is `neutral`;
 * such a call is taken out of the counts.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = (exit: Exit.Exit<unknown, unknown>) => "accepted" | "refused" | "neutral"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors and descriptions call the throttle. */
  readonly key: string
  /**
   * The dependency gets up to this many times the calls that it accepts. Lower turns away more, and earlier. From 1.
   * Default 2.
   */
  readonly k?: number | undefined
  /** In place of `k`, the part of the calls that should be accepted: below it calls are turned away. It is 1 / `k`. */
  readonly successThreshold?: number | undefined
  /**
   * At most this part of the calls is turned away, however few are accepted. Default: no limit with `k`, which leaves
   * one call in as many as there are; 0.9 with `successThreshold`.
   */
  readonly maxProbability?: number | undefined
  /** With fewer calls in the window than this, none is turned away. Default 10. */
  readonly minimumRequests?: number | undefined
  /** How far back calls are counted. Default 2 minutes. */
  readonly window?: Duration.DurationInput | undefined
  /** In how many steps the window slides. Default 24. */
  readonly buckets?: number | undefined
  /** What the end of a call means. Default: `classify`. */
  readonly classify?: Classify | undefined
}

/**
 * A throttle that has counted nothing. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Throttle } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const throttle = yield* Throttle.make({ key: "search" })
 *   return yield* Effect.succeed("found").pipe(Throttle.protect(throttle))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Throttle> =>
  Effect.sync(() => build("Throttle.make", options)(options.key))

/**
 * Puts an effect behind a throttle: with a probability that depends on what was refused lately, it fails with
 * `Throttled` without running.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Throttle } from "holdfast/Circuit"
 *
 * declare const search: Effect.Effect<string, Error>
 *
 * const gentle = (throttle: Throttle.Throttle) => search.pipe(Throttle.protect(throttle))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  (throttle: Throttle): Combinator<Throttled>
  <A, E, R>(self: Effect.Effect<A, E, R>, throttle: Throttle): Effect.Effect<A, E | Throttled, R>
} = bothForms((throttle: Throttle) => throttle.protect)

/**
 * What the end of a call means unless `Options.classify` says otherwise:
 *
 * - a value is accepted, and so is an error with an HTTP status from 400 to 499 (except 429), or 507: the server has
 *   looked at the request;
 * - any other typed error is refused: 429, 5xx, a connection that failed, a time-out;
 * - an interruption or a defect says nothing.
 *
 * @example
 * ```ts
 * import { Exit } from "effect"
 * import { Throttle } from "holdfast/Circuit"
 *
 * const refused = Throttle.classify(Exit.fail({ status: 429 })) // "refused"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classify: Classify = (exit) =>
  Exit.isSuccess(exit)
    ? "accepted"
    : Option.match(Cause.failureOption(exit.cause), {
      onNone: () => "neutral",
      onSome: (error) => isAnswer(error) && statusOf(error) !== 429 ? "accepted" : "refused"
    })

/**
 * One throttle for each key, such as one for each host: made with the same options when the key is first used. Above
 * `maxKeys` (10,000 unless given) those that count nothing any more are forgotten. Errors name the throttle
 * `family/key`. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Throttle } from "holdfast/Circuit"
 *
 * declare const fetchFrom: (host: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const hosts = yield* Throttle.keyed({ key: "hosts" })
 *   return yield* fetchFrom("a.example").pipe(hosts.protect("a.example"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = (
  options: Options & { readonly maxKeys?: number | undefined }
): Effect.Effect<Gate.Keyed<Throttle, Throttled>> =>
  Effect.sync(() =>
    makeFamily<Throttled, ThrottleImpl>({
      description: describe(options.key, settingsOf("Throttle.keyed", options)),
      maxKeys: reader("Throttle.keyed").integer("maxKeys", options.maxKeys ?? defaultMaxKeys, 1),
      make: build("Throttle.keyed", options),
      isSpare: (throttle, now) => throttle.isSpare(now)
    })
  )

/**
 * Whether a value is a `Throttle`.
 *
 * @example
 * ```ts
 * import { Throttle } from "holdfast/Circuit"
 *
 * const no = Throttle.isThrottle("search") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isThrottle = (u: unknown): u is Throttle => hasProperty(u, TypeId)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, `holdfast/Throttle/${Id}`, Throttle> {
  /** One throttle for everything that is built with this layer; its key is the tag's id unless given. */
  readonly layer: (options?: Partial<Options>) => Layer.Layer<Self>
  /** Puts an effect behind the throttle of the context. */
  readonly protect: Combinator<Throttled, Self>
}

/**
 * A throttle as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Throttle } from "holdfast/Circuit"
 *
 * class Search extends Throttle.Tag("Search")<Search>() {}
 *
 * const search = Effect.succeed("found").pipe(Search.protect)
 *
 * const program = Effect.provide(search, Search.layer({ k: 1.5 }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("Throttle", id)<Self, Throttle>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options }))
  })
}

const build = (module: string, options: Options): (key: string) => ThrottleImpl => {
  const settings = settingsOf(module, options)
  return (key) => new ThrottleImpl(key, describe(key, settings), settings, options.classify ?? classify)
}

const describe = (key: string, { k, maxProbability, minimumRequests, shape }: Settings): Description => ({
  policy: "Throttle",
  key,
  settings: {
    k,
    maxProbability,
    minimumRequests,
    windowMillis: Math.round(shape.widthMillis * shape.buckets)
  }
})

const settingsOf = (module: string, options: Options): Settings => {
  const read = reader(module)
  const { k, maxProbability, successThreshold } = options
  if (k !== undefined && successThreshold !== undefined) read.refuse("k", k, "absent where there is a successThreshold")
  if (k !== undefined && !(k >= 1 && k < Infinity)) read.refuse("k", k, "a finite number from 1 up")
  if (successThreshold !== undefined && !(successThreshold > 0 && successThreshold <= 1)) {
    read.refuse("successThreshold", successThreshold, "a number above 0, up to 1")
  }
  if (maxProbability !== undefined && !(maxProbability > 0 && maxProbability <= 1)) {
    read.refuse("maxProbability", maxProbability, "a number above 0, up to 1")
  }
  const buckets = read.integer("buckets", options.buckets ?? 24, 1)
  return {
    k: successThreshold === undefined ? k ?? 2 : 1 / successThreshold,
    maxProbability: maxProbability ?? (successThreshold === undefined ? 1 : 0.9),
    minimumRequests: read.integer("minimumRequests", options.minimumRequests ?? 10, 0),
    shape: { widthMillis: read.positiveDuration("window", options.window ?? "2 minutes") / buckets, buckets }
  }
}
