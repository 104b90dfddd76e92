/**
 * Retries for HTTP calls. It knows errors by what they carry (a status, a code of the platform, a request with its
 * method), so it fits `HttpClient` of `@effect/platform`, `fetch`, undici and what wraps them.
 *
 * | Rule | Takes | Retries |
 * | --- | --- | --- |
 * | `http.unreached` | host not found, connection refused: nothing was sent | 3 |
 * | `http.rateLimited` | 429: the request was turned away | 5, after the Retry-After of the answer |
 * | `http.timeout` | a timeout, a connection that broke off | 3, if the call is idempotent |
 * | `http.unavailable` | 502, 503 | 3, if the call is idempotent, after the Retry-After of the answer |
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import type { Combinator } from "../Combinator.js"
import { statusOf } from "../internal/httpAnswer.js"
import { retryAfterMillis } from "../internal/retryAfter.js"
import * as Backoff from "../Schedule/Backoff.js"
import * as Retry from "../Schedule/Retry.js"
import { brokenOff, chainOf, hasCode, tooLate, unreached } from "./internal/faults.js"
import { withRules } from "./internal/withRules.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether a call may be repeated that may have been carried out already. Default: as the method of the request says
   * that the error carries (GET, HEAD, OPTIONS, TRACE, PUT and DELETE may, RFC 9110 section 9.2.2); where it carries
   * none, no.
   */
  readonly idempotent?: boolean | undefined
  /** Rules of your own. One with the label of a rule above takes its place, the others come before all of them. */
  readonly rules?: ReadonlyArray<Retry.Rule<unknown>> | undefined
  /** The longest that an answer may ask to wait. Default: 1 minute. */
  readonly hintCap?: Duration.DurationInput | undefined
}

/**
 * The rules, for a retry of your own.
 *
 * @example
 * ```ts
 * import { Http } from "holdfast/Preset"
 * import { Retry } from "holdfast/Schedule"
 *
 * const retry = Retry.rules(Http.rules({ idempotent: true }), { maxElapsed: "1 minute" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rules = (options: Options = {}): ReadonlyArray<Retry.Rule<unknown>> => {
  const { hintCap = "1 minute" } = options
  const repeatable = (error: unknown) => options.idempotent ?? isIdempotent(error)
  return withRules([
    Retry.on((error: unknown) => hasCode(error, ["code"], unreached), {
      label: "http.unreached",
      retries: 3,
      backoff
    }),
    Retry.on((error: unknown) => statusOf(error) === 429, {
      label: "http.rateLimited",
      retries: 5,
      backoff,
      hint: retryAfterMillis,
      hintCap,
      hintJitter: "1 second"
    }),
    Retry.on(
      (error: unknown) =>
        repeatable(error) && (hasCode(error, ["_tag", "name", "code"], tooLate) || hasCode(error, ["code"], brokenOff)),
      { label: "http.timeout", retries: 3, backoff }
    ),
    Retry.on(
      (error: unknown) => repeatable(error) && [502, 503].includes(statusOf(error) ?? 0),
      { label: "http.unavailable", retries: 3, backoff, hint: retryAfterMillis, hintCap, hintJitter: "1 second" }
    )
  ], options.rules)
}

/**
 * Retries an HTTP call by the rules above.
 *
 * @example
 * ```ts
 * import { HttpClient } from "@effect/platform"
 * import { Effect } from "effect"
 * import { Http } from "holdfast/Preset"
 *
 * const quote = HttpClient.get("https://quotes.example.com/ACME").pipe(
 *   Effect.flatMap((response) => response.json),
 *   Http.retry()
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retry = (options?: Options): Combinator => Retry.rules(rules(options))

const backoff = Backoff.exponential("1 second", { cap: "30 seconds", jitter: "full" })

const idempotentMethods = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])

/** Whether the request that an error carries may be repeated; false where it carries none. */
const isIdempotent = (error: unknown): boolean => {
  for (const link of chainOf(error)) {
    if (hasProperty(link, "request") && hasProperty(link.request, "method")) {
      return idempotentMethods.has(String(link.request.method).toUpperCase())
    }
  }
  return false
}
