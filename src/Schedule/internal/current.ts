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
 * The time by which the call must have ended; `undefined` where there is no such time. A retry inside it begins no sleep
 * that would end at or after the deadline. It is counted in milliseconds as `Clock.currentTimeNanos` counts, which
 * nobody sets; `Deadline.current` says it by the wall clock.
 *
 * @example
 * ```ts
 * import { Clock, Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 *
 * const call = Effect.fail("busy").pipe(
 *   Retry.rules([Retry.onAny({ retries: "unlimited", backoff: Backoff.standard })])
 * )
 * const bounded = Effect.flatMap(Clock.currentTimeNanos, (now) =>
 *   Effect.provideService(call, Retry.CurrentDeadline, Number(now / 1_000_000n) + 10_000)
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
