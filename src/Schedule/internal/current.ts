/**
 * What an attempt can know about itself. References, so that they cost nothing where nobody asks.
 */
import * as Context from "effect/Context"

/** See `Retry.CurrentAttempt`. */
export class CurrentAttempt extends Context.Reference<CurrentAttempt>()(
  "holdfast/Schedule/internal/current/CurrentAttempt",
  { defaultValue: () => 1 }
) {}

/** See `Retry.CurrentDeadline`. */
export class CurrentDeadline extends Context.Reference<CurrentDeadline>()(
  "holdfast/Schedule/internal/current/CurrentDeadline",
  { defaultValue: (): number | undefined => undefined }
) {}
