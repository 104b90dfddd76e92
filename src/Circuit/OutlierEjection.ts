/**
 * Takes a host out of service for a while when its calls go worse than those of the others: after so many failures in a
 * row, or when its success rate is far below the mean of the fleet. It is a breaker for fleets, which knows that a host
 * can be done without as long as enough others are left.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Pipeable } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Combinator } from "../Combinator.js"
import { reader } from "../InvalidOptions.js"
import type { Gate, Watched } from "./Gate.js"
import { classify as classifyForBreaker } from "./internal/breaker/classify.js"
import { checkHosts, type HostEjected, OutlierEjectionImpl, TypeId } from "./internal/outlier/outlierEjection.js"
import type { Settings } from "./internal/outlier/outliers.js"

export { HostEjected, TypeId } from "./internal/outlier/outlierEjection.js"

/**
 * A fleet of hosts, and which of them are in service.
 *
 * @since 0.1.0
 * @category models
 */
export interface OutlierEjection extends Pipeable {
  readonly [TypeId]: typeof TypeId
  /** What errors, events and descriptions call it. */
  readonly key: string
  /** The hosts in service, in the order given. There is always at least one. */
  readonly available: Effect.Effect<ReadonlyArray<string>>
  /** One of those in service, each in its turn. */
  readonly pick: Effect.Effect<string>
  /**
   * Puts a call to a host behind the gate of that host: it fails with `HostEjected` while the host is out of service,
   * and its end counts otherwise. Throws `InvalidOptions` when there is no such host.
   */
  readonly protect: (host: string) => Combinator<HostEjected>
  /** The gate itself. */
  readonly gate: (host: string) => Gate<HostEjected>
  /** Other hosts from now on. What is known of those that stay is kept. Dies with `InvalidOptions` when there is none. */
  readonly setHosts: (hosts: ReadonlyArray<string>) => Effect.Effect<void>
  /** All hosts, in the order given. */
  readonly snapshot: Watched<ReadonlyArray<HostStatus>>
  /** The ejections from now on, each once and in order, until the scope closes. */
  readonly ejections: Effect.Effect<Queue.Dequeue<Ejection>, never, Scope.Scope>
}

/**
 * What is known of a host, as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface HostStatus {
  readonly host: string
  /** Failures in a row. */
  readonly failures: number
  /** How often the host was ejected, less what has been made good by successes since. */
  readonly timesEjected: number
  /** Milliseconds since the epoch; `null` for a host in service. */
  readonly ejectedUntil: number | null
}

/**
 * A host was taken out of service. Times are in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ejection {
  readonly fleet: string
  readonly host: string
  readonly reason: "failures" | "successRate"
  readonly at: number
  readonly until: number
  readonly timesEjected: number
}

/**
 * Says what the end of a call means for its host.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = (exit: Exit.Exit<unknown, unknown>) => "success" | "failure" | "neutral"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What errors, events and descriptions call the fleet. */
  readonly key: string
  readonly hosts: ReadonlyArray<string>
  /** So many failures in a row eject a host; `"unlimited"` where they shall not. Default 5. */
  readonly failures?: number | "unlimited" | undefined
  /** Ejects hosts whose success rate is far below the mean. Default: rates are not looked at. */
  readonly successRate?: SuccessRateOptions | undefined
  /** For how long a host is out of service the first time; the n-th time it is n times that. Default 30 seconds. */
  readonly ejectFor?: Duration.DurationInput | undefined
  /** The longest time out of service. Default 5 minutes. */
  readonly ejectForAtMost?: Duration.DurationInput | undefined
  /**
   * At most this part of the hosts is out of service, rounded down: above 0, up to 1. One is always left. Default 0.5.
   */
  readonly maxEjection?: number | undefined
  /** A success takes one from the times a host was ejected, at most this often. Default 10 seconds. */
  readonly decayEvery?: Duration.DurationInput | undefined
  /** What the end of a call means. Default: `classify`. */
  readonly classify?: Classify | undefined
}

/**
 * How success rates are compared.
 *
 * @since 0.1.0
 * @category models
 */
export interface SuccessRateOptions {
  /** Rates are of intervals of this length, and compared when one is over. Default 10 seconds. */
  readonly interval?: Duration.DurationInput | undefined
  /** Hosts with fewer requests in the interval are left out. Default 100. */
  readonly minimumRequests?: number | undefined
  /** With fewer hosts to compare none is ejected. Default 5. */
  readonly minimumHosts?: number | undefined
  /** A host is ejected when its rate is more than so many standard deviations below the mean. Default 1.9. */
  readonly deviations?: number | undefined
}

/**
 * A fleet with all its hosts in service. Dies with `InvalidOptions` when the options can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { OutlierEjection } from "holdfast/Circuit"
 *
 * declare const fetchFrom: (host: string) => Effect.Effect<string, Error>
 *
 * const program = Effect.gen(function*() {
 *   const fleet = yield* OutlierEjection.make({ key: "search", hosts: ["a.example", "b.example", "c.example"] })
 *   const host = yield* fleet.pick
 *   return yield* fetchFrom(host).pipe(fleet.protect(host))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<OutlierEjection> =>
  Effect.sync(() => {
    const settings = settingsOf(options)
    checkHosts("OutlierEjection.make", options.hosts)
    return new OutlierEjectionImpl(
      options.key,
      describe(settings),
      options.hosts,
      settings,
      options.classify ?? classify
    )
  })

/**
 * What the end of a call means unless `Options.classify` says otherwise: a value is a success, and so is an error with
 * an HTTP status from 400 to 499, or 507, for the host works; any other typed error is a failure; an interruption or a
 * defect is neutral.
 *
 * @example
 * ```ts
 * import { Exit } from "effect"
 * import { OutlierEjection } from "holdfast/Circuit"
 *
 * const works = OutlierEjection.classify(Exit.fail({ status: 404 })) // "success"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classify: Classify = (exit) => classifyForBreaker(exit, "HalfOpen")

/**
 * Whether a value is an `OutlierEjection`.
 *
 * @example
 * ```ts
 * import { OutlierEjection } from "holdfast/Circuit"
 *
 * const no = OutlierEjection.isOutlierEjection("search") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isOutlierEjection = (u: unknown): u is OutlierEjection => hasProperty(u, TypeId)

const describe = ({ baseMillis, decayMillis, failures, longestMillis, maxEjection, successRate }: Settings) => ({
  failures,
  successRate: successRate === null ? null : { ...successRate },
  ejectForMillis: baseMillis,
  ejectForAtMostMillis: longestMillis,
  maxEjection,
  decayEveryMillis: decayMillis
})

const settingsOf = (options: Options): Settings => {
  const read = reader("OutlierEjection.make")
  const { failures = 5, maxEjection = 0.5, successRate } = options
  const { deviations = 1.9 } = successRate ?? {}
  if (!(maxEjection > 0 && maxEjection <= 1)) read.refuse("maxEjection", maxEjection, "a number above 0, up to 1")
  if (!(deviations > 0 && deviations < Infinity)) {
    read.refuse("successRate.deviations", deviations, "a finite number above 0")
  }
  if (failures === "unlimited" && successRate === undefined) {
    read.refuse("failures", failures, "a number where there is no successRate")
  }
  const baseMillis = read.positiveDuration("ejectFor", options.ejectFor ?? "30 seconds")
  const longestMillis = read.positiveDuration("ejectForAtMost", options.ejectForAtMost ?? Math.max(300_000, baseMillis))
  if (longestMillis < baseMillis) read.refuse("ejectForAtMost", options.ejectForAtMost, "no shorter than ejectFor")
  return {
    failures: failures === "unlimited" ? null : read.integer("failures", failures, 1),
    successRate: successRate === undefined ? null : {
      intervalMillis: read.positiveDuration("successRate.interval", successRate.interval ?? "10 seconds"),
      minimumHosts: read.integer("successRate.minimumHosts", successRate.minimumHosts ?? 5, 2),
      minimumRequests: read.integer("successRate.minimumRequests", successRate.minimumRequests ?? 100, 1),
      factor: deviations
    },
    baseMillis,
    longestMillis,
    maxEjection,
    decayMillis: read.duration("decayEvery", options.decayEvery ?? "10 seconds")
  }
}
