/**
 * Retries for gRPC calls. It knows errors by the `code` of their status, as `@grpc/grpc-js` and its like give it, and
 * heeds the server's pushback (`grpc-retry-pushback-ms`, gRPC A6): a time to wait, or the wish not to be called again.
 *
 * | Rule | Takes | Retries |
 * | --- | --- | --- |
 * | `grpc.unavailable` | UNAVAILABLE | 3 |
 * | `grpc.resourceExhausted` | RESOURCE_EXHAUSTED | 5 |
 * | `grpc.deadlineExceeded` | DEADLINE_EXCEEDED | 3, if the call is idempotent |
 *
 * @since 0.1.0
 */
import { hasProperty } from "effect/Predicate"
import type { Combinator } from "../Combinator.js"
import * as Backoff from "../Schedule/Backoff.js"
import * as Retry from "../Schedule/Retry.js"
import { chainOf, hasCode } from "./internal/faults.js"
import { withRules } from "./internal/withRules.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether a call may be repeated that may have been carried out already. Default false. */
  readonly idempotent?: boolean | undefined
  /** Rules of your own. One with the label of a rule above takes its place, the others come before all of them. */
  readonly rules?: ReadonlyArray<Retry.Rule<unknown>> | undefined
}

/**
 * The rules, for a retry of your own.
 *
 * @example
 * ```ts
 * import { Grpc } from "holdfast/Preset"
 * import { Retry } from "holdfast/Schedule"
 *
 * const retry = Retry.rules(Grpc.rules({ idempotent: true }), { maxElapsed: "10 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rules = (options: Options = {}): ReadonlyArray<Retry.Rule<unknown>> =>
  withRules([
    Retry.on((error: unknown) => hasStatus(error, 14, "UNAVAILABLE"), {
      label: "grpc.unavailable",
      retries: 3,
      backoff,
      pushback
    }),
    Retry.on((error: unknown) => hasStatus(error, 8, "RESOURCE_EXHAUSTED"), {
      label: "grpc.resourceExhausted",
      retries: 5,
      backoff,
      pushback
    }),
    Retry.on((error: unknown) => options.idempotent === true && hasStatus(error, 4, "DEADLINE_EXCEEDED"), {
      label: "grpc.deadlineExceeded",
      retries: 3,
      backoff,
      pushback
    })
  ], options.rules)

/**
 * Retries a gRPC call by the rules above.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Grpc } from "holdfast/Preset"
 *
 * declare const call: Effect.Effect<string, Error>
 *
 * const answer = call.pipe(Grpc.retry({ idempotent: true }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retry = (options?: Options): Combinator => Retry.rules(rules(options))

const backoff = Backoff.exponential("1 second", { cap: "30 seconds", jitter: "grpc" })

const hasStatus = (error: unknown, code: number, name: string): boolean =>
  hasCode(error, ["code"], new Set<unknown>([code, name]))

/** What the server says about coming back, in the metadata of the error. */
const pushback = (error: unknown): string | undefined => {
  for (const link of chainOf(error)) {
    if (!hasProperty(link, "metadata") || !hasProperty(link.metadata, "get")) continue
    const { metadata } = link
    const values: unknown = typeof metadata.get === "function" ? metadata.get("grpc-retry-pushback-ms") : undefined
    const [value] = Array.isArray(values) ? values : [values]
    if (value !== undefined && value !== null) return String(value)
  }
  return undefined
}
