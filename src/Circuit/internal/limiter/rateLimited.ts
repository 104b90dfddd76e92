/**
 * The rejections of a rate limiter, exported by `RateLimiter`.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { RejectionTypeId } from "../gate/rejection.js"

/**
 * The call would pass the rate (`limit`), or the limiter takes no calls for a while because it was told so (`blocked`).
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Data.TaggedError("RateLimited")<{
  /** The key of the limiter. */
  readonly limiter: string
  readonly reason: "limit" | "blocked"
  /** What the call would have cost. */
  readonly cost: number
  /** When the call could pass, if nobody else calls. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    const what = this.reason === "limit" ? "has no token left" : "takes no calls, as it was told to wait"
    const cost = this.cost === 1 ? "" : ` for a call that costs ${this.cost}`
    return `rate limiter "${this.limiter}" ${what}${cost}; try again in ${Duration.format(this.retryAfter)}`
  }
}

/**
 * The call costs more than the limiter ever lets pass at once, so it could never run.
 *
 * @since 0.1.0
 * @category errors
 */
export class CostTooHigh extends Data.TaggedError("CostTooHigh")<{
  /** The key of the limiter. */
  readonly limiter: string
  readonly cost: number
  /** The most that can be spent at once. */
  readonly capacity: number
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `a call that costs ${this.cost} can never pass rate limiter "${this.limiter}", which lets at most ${this.capacity} pass at once; split the call or raise the limit`
  }
}
