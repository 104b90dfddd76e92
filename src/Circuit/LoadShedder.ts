/**
 * Gives up a part of the calls under load, so that the others come through in time. Four ways to tell that it is too
 * much: calls take too long (`onLatency`), calls wait too long (`queue`), the event loop is late (`onEventLoopDelay`),
 * or gates further in turn calls away (`byPriority`, which then gives up the less important ones).
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { Combinator } from "../Combinator.js"
import { nowOf } from "../internal/now.js"
import { reader } from "../InvalidOptions.js"
import type * as Gate from "./Gate.js"
import { bothForms } from "./internal/gate/forms.js"
import { gateTag } from "./internal/gate/gateTag.js"
import { StartEventLoopMonitor } from "./internal/shedder/eventLoop.js"
import { EventLoopShedder } from "./internal/shedder/eventLoopShedder.js"
import { LatencyShedder } from "./internal/shedder/latencyShedder.js"
import { PriorityShedder } from "./internal/shedder/priorityShedder.js"
import { QueueShedder } from "./internal/shedder/queueShedder.js"
import { type Shed, TypeId } from "./internal/shedder/shedder.js"

export { type EventLoopMonitor, StartEventLoopMonitor } from "./internal/shedder/eventLoop.js"
export { type Reason, Shed, TypeId } from "./internal/shedder/shedder.js"

/**
 * A load shedder of any kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoadShedder extends Gate.Gate<Shed> {
  readonly [TypeId]: typeof TypeId
  readonly snapshot: Gate.Watched<Snapshot>
}

/**
 * What a load shedder does at one time, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly shedder: string
  /** How many calls were given up since the shedder was made. */
  readonly shed: number
  /** Whether calls are given up now. */
  readonly shedding: boolean
  /** Calls in the shedder's places and in its queue; 0 where it has none. */
  readonly inflight: number
  readonly waiting: number
  /** Calls of a level of priority below this are given up; 0 where that is not what it looks at. */
  readonly threshold: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface LatencyOptions {
  /** What errors and descriptions call the shedder. */
  readonly key: string
  /** How long calls may take. */
  readonly limit: Duration.DurationInput
  /** This part of the calls must be within the limit: above 0, up to 1. Default 0.9. */
  readonly percentile?: number | undefined
  /** How far back the latency of calls is looked at. Default 10 seconds. */
  readonly window?: Duration.DurationInput | undefined
  /** In how many steps the window slides. Default 10. */
  readonly buckets?: number | undefined
  /** With fewer calls in the window nothing is shed. Default 10. */
  readonly minimumCalls?: number | undefined
}

/**
 * Sheds every call while too many of those in a window of time took longer than a limit. As the window moves on and
 * empties, calls are let in again and show whether they still take that long. Dies with `InvalidOptions` when the
 * options can never work.
 *
 * Durations are those of calls that end with a value. A call that ends in another way counts only when it took longer
 * than the limit.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const shedder = yield* LoadShedder.onLatency({ key: "search", limit: "500 millis", window: "10 seconds" })
 *   return yield* Effect.succeed("found").pipe(LoadShedder.protect(shedder))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const onLatency = (options: LatencyOptions): Effect.Effect<LoadShedder> =>
  Effect.sync(() => {
    const read = reader("LoadShedder.onLatency")
    const buckets = read.integer("buckets", options.buckets ?? 10, 1)
    return new LatencyShedder(options.key, {
      limitMillis: read.positiveDuration("limit", options.limit),
      percentile: readPart(read, "percentile", options.percentile ?? 0.9),
      minimumCalls: read.integer("minimumCalls", options.minimumCalls ?? 10, 1),
      shape: { widthMillis: read.positiveDuration("window", options.window ?? "10 seconds") / buckets, buckets }
    })
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface QueueOptions {
  /** What errors and descriptions call the shedder. */
  readonly key: string
  /** How many calls run at a time; the others wait in the queue. */
  readonly concurrency: number
  /** How many calls may wait. Default 1,000. */
  readonly queue?: number | undefined
  /**
   * How to tell that calls wait too long.
   *
   * - `"timeout"` (default): a call may wait for `interval` as long as the queue was empty within the last `interval`,
   *   and otherwise only for `target`. For servers: who waits is told soon.
   * - `"sojourn"`: CoDel as for packets (RFC 8289). When calls have waited longer than `target` for a whole `interval`,
   *   one that is about to be served is given up, and then more and more often, until they wait less again.
   */
  readonly law?: "timeout" | "sojourn" | undefined
  /** How long calls may wait under load. Default 5 milliseconds. */
  readonly target?: Duration.DurationInput | undefined
  /** How long a burst may last. Default 100 milliseconds. */
  readonly interval?: Duration.DurationInput | undefined
  /**
   * While the queue is overloaded the newest call is served first, so that at least some are answered while somebody
   * still waits for the answer. Default true.
   */
  readonly newestFirst?: boolean | undefined
}

/**
 * Lets so many calls run at a time, and gives up calls that wait too long for their turn. Dies with `InvalidOptions`
 * when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 50 })
 *   return yield* Effect.succeed("answer").pipe(LoadShedder.protect(shedder))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const queue = (options: QueueOptions): Effect.Effect<LoadShedder> =>
  Effect.sync(() => {
    const read = reader("LoadShedder.queue")
    const { law = "timeout" } = options
    if (law !== "timeout" && law !== "sojourn") read.refuse("law", law, "\"timeout\" or \"sojourn\"")
    const targetMillis = read.positiveDuration("target", options.target ?? 5)
    const intervalMillis = read.positiveDuration("interval", options.interval ?? 100)
    if (intervalMillis < targetMillis) read.refuse("interval", options.interval, "no shorter than the target")
    return new QueueShedder(options.key, {
      law,
      targetMillis,
      intervalMillis,
      concurrency: read.integer("concurrency", options.concurrency, 1),
      maxWaiting: read.integer("queue", options.queue ?? 1_000, 1),
      newestFirst: options.newestFirst ?? true
    })
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface EventLoopOptions {
  /** What errors and descriptions call the shedder. */
  readonly key: string
  /** How late the event loop may be. */
  readonly limit: Duration.DurationInput
  /** This part of the turns of the event loop must be within the limit: above 0, up to 1. Default 0.9. */
  readonly percentile?: number | undefined
  /** How often the delay is read. Default 1 second. */
  readonly window?: Duration.DurationInput | undefined
}

/**
 * Sheds every call while the event loop of the process was late in the last window: then all calls are, whatever they
 * do. When the scope has closed nothing is measured any more, and every call passes. Dies with `InvalidOptions` when the
 * options can never work, and where the delay cannot be measured; see `StartEventLoopMonitor`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const shedder = yield* LoadShedder.onEventLoopDelay({ key: "api", limit: "100 millis" })
 *   return yield* Effect.succeed("answer").pipe(LoadShedder.protect(shedder))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const onEventLoopDelay = (options: EventLoopOptions): Effect.Effect<LoadShedder, never, Scope.Scope> =>
  Effect.flatMap(StartEventLoopMonitor, (start) =>
    Effect.withFiberRuntime((fiber) => {
      const read = reader("LoadShedder.onEventLoopDelay")
      const settings = {
        limitMillis: read.positiveDuration("limit", options.limit),
        percentile: readPart(read, "percentile", options.percentile ?? 0.9),
        windowMillis: read.positiveDuration("window", options.window ?? "1 second")
      }
      return Effect.acquireRelease(
        Effect.sync(() => {
          const monitor = start() ?? read.refuse(
            "monitor",
            undefined,
            "there: this runtime does not measure the delay of its event loop, so provide StartEventLoopMonitor"
          )
          return new EventLoopShedder(options.key, settings, monitor, nowOf(fiber))
        }),
        (shedder) => Effect.sync(() => shedder.close())
      )
    }))

/**
 * @since 0.1.0
 * @category models
 */
export interface PriorityOptions {
  /** What errors and descriptions call the shedder. */
  readonly key: string
  /** How often the shedder decides anew what is given up. Default 1 second. */
  readonly every?: Duration.DurationInput | undefined
  /**
   * Gives up the calls of heavy users first, within a class: those that have used most time in this long. Users are
   * told apart by `Priority.withUser`. Default: chance decides within a class.
   */
  readonly usageWindow?: Duration.DurationInput | undefined
  /** How many users are told apart in that time; those that come later count as unknown. Default 10,000. */
  readonly maxUsers?: number | undefined
}

/**
 * Stands around other gates, and gives up the calls that they would turn away before they do, the less important first:
 * so a critical call is not turned away by a full bulkhead while a sheddable one gets the next place. Every while it
 * looks at which part of the calls the gates inside it have turned away, and gives up that part of the calls from below,
 * by their `Priority`. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead, LoadShedder, Priority } from "holdfast/Circuit"
 *
 * const program = Effect.gen(function*() {
 *   const shedder = yield* LoadShedder.byPriority({ key: "api" })
 *   const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 20 })
 *   return yield* Effect.succeed("row").pipe(
 *     Bulkhead.protect(bulkhead),
 *     LoadShedder.protect(shedder),
 *     Priority.withClass("high")
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const byPriority = (options: PriorityOptions): Effect.Effect<LoadShedder> =>
  Effect.sync(() => {
    const read = reader("LoadShedder.byPriority")
    return new PriorityShedder(options.key, {
      everyMillis: read.positiveDuration("every", options.every ?? "1 second"),
      usageWindowMillis: options.usageWindow === undefined
        ? null
        : read.positiveDuration("usageWindow", options.usageWindow),
      maxUsers: read.integer("maxUsers", options.maxUsers ?? 10_000, 1)
    })
  })

/**
 * Puts an effect behind a load shedder: it fails with `Shed` without running when it is given up.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * declare const answer: Effect.Effect<string, Error>
 *
 * const shed = (shedder: LoadShedder.LoadShedder) => answer.pipe(LoadShedder.protect(shedder))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  (shedder: LoadShedder): Combinator<Shed>
  <A, E, R>(self: Effect.Effect<A, E, R>, shedder: LoadShedder): Effect.Effect<A, E | Shed, R>
} = bothForms((shedder: LoadShedder) => shedder.protect)

/**
 * Whether a value is a `LoadShedder`.
 *
 * @example
 * ```ts
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * const no = LoadShedder.isLoadShedder("api") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoadShedder = (u: unknown): u is LoadShedder => hasProperty(u, TypeId)

/**
 * The class that `Tag` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Context.TagClass<Self, `holdfast/LoadShedder/${Id}`, LoadShedder>
{
  /** One shedder for everything that is built with this layer: the one that an effect makes. */
  readonly layer: <E, R>(make: Effect.Effect<LoadShedder, E, R>) => Layer.Layer<Self, E, Exclude<R, Scope.Scope>>
  /** Puts an effect behind the shedder of the context. */
  readonly protect: Combinator<Shed, Self>
}

/**
 * A load shedder as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * class Api extends LoadShedder.Tag("Api")<Api>() {}
 *
 * const answer = Effect.succeed("answer").pipe(Api.protect)
 *
 * const program = Effect.provide(answer, Api.layer(LoadShedder.queue({ key: "api", concurrency: 50 })))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const tag = gateTag("LoadShedder", id)<Self, LoadShedder>()
  return Object.assign(tag, {
    layer: <E, R>(make: Effect.Effect<LoadShedder, E, R>) => Layer.scoped(tag, make)
  })
}

const readPart = (read: ReturnType<typeof reader>, option: string, value: number): number =>
  value > 0 && value <= 1 ? value : read.refuse(option, value, "a number above 0, up to 1")
