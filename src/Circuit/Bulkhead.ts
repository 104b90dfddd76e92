/**
 * A bulkhead: at most so many calls run at the same time. The others wait in line for as long as they may, or are
 * turned away at once.
 *
 * The line is first come, first served. A place that comes free goes to the first of the line in the same moment, so
 * nobody slips in between, and a call that was let in is never turned away after all. Every step costs the same however
 * many wait.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import type { Combinator, Description } from "../Combinator.js"
import { reader } from "../InvalidOptions.js"
import type * as Gate from "./Gate.js"
import * as internal from "./internal/bulkhead/bulkhead.js"
import { TypeId } from "./internal/bulkhead/bulkhead.js"
import type { BulkheadFull, WeightTooHigh } from "./internal/bulkhead/bulkheadFull.js"
import { defaultMaxKeys, makeFamily } from "./internal/gate/family.js"
import { gateTag } from "./internal/gate/gateTag.js"

export { BulkheadFull, WeightTooHigh } from "./internal/bulkhead/bulkheadFull.js"

export { TypeId }

/**
 * A bulkhead and what can be asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead extends Gate.Gate<BulkheadFull> {
  readonly [TypeId]: TypeId
  /** How many places there are. */
  readonly capacity: Effect.Effect<number>
  /** How many places are in use; more than the capacity only after that was lowered. */
  readonly inUse: Effect.Effect<number>
  /** How many places are free: never below 0, never above the capacity. */
  readonly available: Effect.Effect<number>
  /** How many calls stand in line. */
  readonly waiting: Effect.Effect<number>
  /** All of these at one time. */
  readonly snapshot: Gate.Watched<Snapshot>
  /**
   * Changes the number of places. With more, those who wait are let in at once. With fewer, those inside end in peace;
   * one that waits and has become too heavy is let in when nobody else is inside. Dies with `InvalidOptions` below 1.
   */
  readonly resize: (capacity: number) => Effect.Effect<void>
  /**
   * The same bulkhead for calls that take several places. Such a call waits until all of them are free, and nobody
   * behind it is let in before. While it is heavier than the capacity it fails with `WeightTooHigh`. Throws
   * `InvalidOptions` unless it is a whole number from 1.
   */
  readonly withWeight: (weight: number) => Gate.Gate<BulkheadFull | WeightTooHigh>
  /**
   * The same places as a `Semaphore`, for code that was written for one. It waits in the same line, however long that
   * is and however long it takes. It releases only what its `take` has given, and dies with `InvalidOptions` when asked
   * for more permits than there are places.
   */
  readonly semaphore: Effect.Semaphore
}

/**
 * The places of a bulkhead at one time, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly bulkhead: string
  readonly capacity: number
  /** How many places are in use; more than the capacity only after that was lowered. */
  readonly inUse: number
  /** How many calls stand in line. */
  readonly waiting: number
  /** How many calls were turned away since the bulkhead was made. */
  readonly rejected: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors and descriptions call the bulkhead. */
  readonly key: string
  /** How many places there are. Default 10. */
  readonly capacity?: number | undefined
  /** How many calls may wait in line. Default 0: a call that finds no place is turned away at once. */
  readonly queue?: number | "unlimited" | undefined
  /** How long a call waits in line before it is turned away. Default: for as long as it takes. */
  readonly queueTimeout?: Duration.DurationInput | undefined
  /** When a call that is turned away is told to try again. Default: `queueTimeout` if given, else 1 second. */
  readonly retryAfter?: Duration.DurationInput | undefined
  /**
   * Lets more important calls (see `Priority`) pass less important ones in the line. A call counts as one class higher
   * for each `aging` that it has waited, so that none waits for ever. Default of `aging`: 1 second. Default: calls
   * are equal.
   */
  readonly priority?: { readonly aging?: Duration.DurationInput | undefined } | undefined
}

/**
 * How one kind of calls differs from the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** How many places a call takes: a whole number from 1. */
  readonly weight: number
}

/**
 * A bulkhead with nobody in it. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ key: "reports", capacity: 3, queue: 100, queueTimeout: "5 seconds" })
 *   return yield* Effect.succeed("done").pipe(Bulkhead.protect(bulkhead))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Bulkhead> =>
  Effect.sync(() => build("Bulkhead.make", options)(options.key))

/**
 * Puts an effect behind a bulkhead: it runs while it holds a place, and fails with `BulkheadFull` without running when
 * it gets none. With `weight` it holds several places; see `Bulkhead.withWeight`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 *
 * declare const render: Effect.Effect<string, Error>
 *
 * const rendered = (bulkhead: Bulkhead.Bulkhead) =>
 *   render.pipe(
 *     Bulkhead.protect(bulkhead, { weight: 2 }),
 *     Effect.catchTag("BulkheadFull", (full) => Effect.fail(new Error(full.message)))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function protect(bulkhead: Bulkhead): Combinator<BulkheadFull>
export function protect(bulkhead: Bulkhead, call: CallOptions): Combinator<BulkheadFull | WeightTooHigh>
export function protect<A, E, R>(
  self: Effect.Effect<A, E, R>,
  bulkhead: Bulkhead
): Effect.Effect<A, E | BulkheadFull, R>
export function protect<A, E, R>(
  self: Effect.Effect<A, E, R>,
  bulkhead: Bulkhead,
  call: CallOptions
): Effect.Effect<A, E | BulkheadFull | WeightTooHigh, R>
export function protect<A, E, R>(
  first: Effect.Effect<A, E, R> | Bulkhead,
  second?: Bulkhead | CallOptions,
  third?: CallOptions
): unknown {
  return isBulkhead(first) ? behind(first, second as CallOptions | undefined) : behind(second as Bulkhead, third)(first)
}

const behind = (bulkhead: Bulkhead, call: CallOptions | undefined): Combinator<BulkheadFull | WeightTooHigh> =>
  call === undefined ? bulkhead.protect : bulkhead.withWeight(call.weight).protect

/**
 * One bulkhead for each key, such as one for each tenant: made with the same options when the key is first used. At
 * most `maxKeys` (10,000 unless given) that nobody uses are kept. Errors name the bulkhead `family/key`. Dies with
 * `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 *
 * declare const report: (tenant: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const tenants = yield* Bulkhead.keyed({ key: "tenants", capacity: 2 })
 *   return yield* report("acme").pipe(tenants.protect("acme"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = (
  options: Options & { readonly maxKeys?: number | undefined }
): Effect.Effect<Gate.Keyed<Bulkhead, BulkheadFull>> =>
  Effect.sync(() =>
    makeFamily<BulkheadFull, internal.BulkheadImpl>({
      description: describe(options.key, settingsOf("Bulkhead.keyed", options)),
      maxKeys: reader("Bulkhead.keyed").integer("maxKeys", options.maxKeys ?? defaultMaxKeys, 1),
      make: build("Bulkhead.keyed", options),
      isSpare: (bulkhead) => bulkhead.isSpare
    })
  )

/**
 * Whether a value is a `Bulkhead`.
 *
 * @example
 * ```ts
 * import { Bulkhead } from "holdfast/Circuit"
 *
 * const no = Bulkhead.isBulkhead("reports") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isBulkhead = (u: unknown): u is Bulkhead => hasProperty(u, TypeId)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, `holdfast/Bulkhead/${Id}`, Bulkhead> {
  /** One bulkhead for everything that is built with this layer; its key is the tag's id unless given. */
  readonly layer: (options?: Partial<Options>) => Layer.Layer<Self>
  /** Puts an effect behind the bulkhead of the context. */
  readonly protect: Combinator<BulkheadFull, Self>
}

/**
 * A bulkhead as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 *
 * class Reports extends Bulkhead.Tag("Reports")<Reports>() {}
 *
 * const report = Effect.succeed("done").pipe(Reports.protect)
 *
 * const program = Effect.provide(report, Reports.layer({ capacity: 3 }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("Bulkhead", id)<Self, Bulkhead>()
  return Object.assign(tag, {
    layer: (options?: Partial<Options>) => Layer.effect(tag, make({ key: id, ...options }))
  })
}

const build = (module: string, options: Options): (key: string) => internal.BulkheadImpl => {
  const settings = settingsOf(module, options)
  return (key) => new internal.BulkheadImpl(key, describe(key, settings), settings)
}

const describe = (key: string, settings: internal.Settings): Description => {
  const { agingMillis, capacity, queue, queueTimeoutMillis, retryAfterMillis } = settings
  return {
    policy: "Bulkhead",
    key,
    settings: {
      capacity,
      queue: queue === Infinity ? null : queue,
      queueTimeoutMillis: queueTimeoutMillis === Infinity ? null : queueTimeoutMillis,
      retryAfterMillis,
      agingMillis: agingMillis ?? null
    }
  }
}

const settingsOf = (module: string, options: Options): internal.Settings => {
  const read = reader(module)
  const { capacity = 10, priority, queue = 0, queueTimeout, retryAfter } = options
  const queueTimeoutMillis = queueTimeout === undefined ? Infinity : read.duration("queueTimeout", queueTimeout)
  if (queueTimeoutMillis === 0) read.refuse("queueTimeout", queueTimeout, "a duration above zero")
  return {
    capacity: read.integer("capacity", capacity, 1),
    queue: queue === "unlimited" ? Infinity : read.integer("queue", queue, 0),
    queueTimeoutMillis,
    retryAfterMillis: retryAfter === undefined
      ? (queueTimeoutMillis === Infinity ? 1_000 : queueTimeoutMillis)
      : read.finiteDuration("retryAfter", retryAfter),
    agingMillis: priority === undefined ? undefined : read.positiveDuration("priority.aging", priority.aging ?? 1_000)
  }
}
