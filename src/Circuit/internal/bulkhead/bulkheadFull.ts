/**
 * The rejections of a bulkhead, exported by `Bulkhead`.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { RejectionTypeId } from "../gate/rejection.js"

/**
 * The bulkhead has no place for the call: nor in its line (`full`), or none came free in time (`timeout`).
 *
 * @since 0.1.0
 * @category errors
 */
export class BulkheadFull extends Data.TaggedError("BulkheadFull")<{
  /** The key of the bulkhead. */
  readonly bulkhead: string
  readonly reason: "full" | "timeout"
  readonly capacity: number
  /** The places that were in use. */
  readonly inUse: number
  /** How many calls stood in line, this one not counted. */
  readonly waiting: number
  /** When it is worth trying again: as the bulkhead was set, since nobody knows when a place comes free. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    const use = `${this.inUse} of ${this.capacity} places are in use`
    const line = this.waiting === 1 ? "1 call waits" : `${this.waiting} calls wait`
    const what = this.reason === "full"
      ? `is full: ${use}${this.waiting > 0 ? ` and ${line}` : ""}`
      : `had no place in time: ${use} and ${line}`
    return `bulkhead "${this.bulkhead}" ${what}; try again in ${Duration.format(this.retryAfter)}`
  }
}

/**
 * The call needs more places than the bulkhead has, so it could never run.
 *
 * @since 0.1.0
 * @category errors
 */
export class WeightTooHigh extends Data.TaggedError("WeightTooHigh")<{
  /** The key of the bulkhead. */
  readonly bulkhead: string
  readonly weight: number
  readonly capacity: number
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `a call of weight ${this.weight} can never pass bulkhead "${this.bulkhead}", which has ${this.capacity} ${
      this.capacity === 1 ? "place" : "places"
    }; split the call or raise the capacity`
  }
}
