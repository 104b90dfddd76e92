/**
 * What an attempt can know about itself, exported by `Retry`. References, so that they cost nothing where nobody asks.
 */
import * as Context from "effect/Context"

/**
 * The number of the attempt that is running: 1 in the first one, and where nothing is retried. Of nested retries the
 * innermost counts.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Retry } from "holdfast/Schedule"
 *
 * const call = Effect.gen(function*() {
 *   const attempt = yield* Retry.CurrentAttempt
 *   yield* Effect.logDebug("calling", { attempt })
 * })
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class CurrentAttempt extends Context.Reference<CurrentAttempt>()(
  "holdfast/Schedule/internal/current/CurrentAttempt",
  { defaultValue: () => 1 }
) {}

/**
 * The time by which the call must have ended, in milliseconds of the `Clock` since the epoch; `undefined` where there
 * is no such time. A retry inside it begins no sleep that would end at or after the deadline.
 *
 * @example
 * ```ts
 * import { Clock, Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const call = Effect.fail("busy").pipe(
 *   Retry.rules([Retry.onAny({ retries: "unlimited", backoff: Backoff.standard })])
 * )
 * const bounded = Effect.flatMap(Clock.currentTimeMillis, (now) =>
 *   Effect.provideService(call, Retry.CurrentDeadline, now + 10_000)
 * )
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class CurrentDeadline extends Context.Reference<CurrentDeadline>()(
  "holdfast/Schedule/internal/current/CurrentDeadline",
  { defaultValue: (): number | undefined => undefined }
) {}
