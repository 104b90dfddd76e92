/**
 * The rejections of a circuit breaker, exported by `CircuitBreaker`.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { RejectionTypeId } from "../gate/rejection.js"

/**
 * The breaker takes no calls: it is open, or half-open with all its probes out.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Data.TaggedError("CircuitOpen")<{
  /** The key of the breaker. */
  readonly breaker: string
  readonly state: "Open" | "HalfOpen"
  /** When it is worth trying again. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return this.state === "Open"
      ? `circuit breaker "${this.breaker}" is open after repeated failures; it takes a probe in ${
        Duration.format(this.retryAfter)
      }`
      : `circuit breaker "${this.breaker}" is half-open and all its probes are out; try again in ${
        Duration.format(this.retryAfter)
      }`
  }
}

/**
 * The breaker takes no calls because somebody holds it so, with `isolate`. Nobody knows for how long, so there is no
 * hint when to try again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Isolated extends Data.TaggedError("Isolated")<{
  /** The key of the breaker. */
  readonly breaker: string
  /** What the first of those who hold it isolated said. */
  readonly reason: string
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `circuit breaker "${this.breaker}" is isolated: ${this.reason}; it takes calls again when the isolation ends`
  }
}
