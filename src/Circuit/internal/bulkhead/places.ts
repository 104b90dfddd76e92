/**
 * The places of a bulkhead and the line for them: plain data, changed in single steps. No effects, no clock.
 *
 *              ┌──────────────┐  fits, and nobody waits
 *     arrive ─▶│     take     │──────────────────────────▶ in ──give──▶ out
 *              └──────┬───────┘                            ▲
 *                     │ otherwise, up to `maxWaiting`      │ next: the first of the line, as soon as it fits
 *                     └────────▶ join ─────────────────────┘
 *                                 └──leave──▶ out
 *
 * Invariants:
 * - Nobody overtakes: while anyone waits, what arrives joins the line, and only its first is let in. So one who needs
 *   many places gets them, and those behind it wait though they would fit.
 * - `inUse` is the sum of the weights of those inside. It exceeds `capacity` only after that was lowered, or while one
 *   is inside that became too heavy in line: it is let in when nobody else is, or the line would stand for ever.
 * - Being inside is for good: nothing but `give` ends it.
 */
import type { WaitingLine } from "../gate/line.js"

export interface Weighted {
  readonly weight: number
}

export class Places<W extends Weighted> {
  inUse = 0
  constructor(public capacity: number, readonly maxWaiting: number, readonly line: WaitingLine<W>) {}

  /** Places that a call could take now; none while the capacity was lowered below what is in use. */
  get available(): number {
    return Math.max(0, this.capacity - this.inUse)
  }

  /** Takes places at once, if nobody waits and they are there. */
  take(weight: number): boolean {
    if (this.line.size > 0 || this.inUse + weight > this.capacity) return false
    this.inUse += weight
    return true
  }

  /** Whether nobody more may join the line. */
  get isLineFull(): boolean {
    return this.line.size >= this.maxWaiting
  }

  join(waiter: W): void {
    this.line.join(waiter)
  }

  /** Takes one that waits out of the line. Those behind may fit now: see `next`. */
  leave(waiter: W): void {
    this.line.leave(waiter)
  }

  /** Gives places back. Those who wait may fit now: see `next`. */
  give(weight: number): void {
    this.inUse -= weight
  }

  /** Lets in the first of the line, if it fits. To be asked until it says no. */
  next(): W | undefined {
    const { first } = this.line
    if (first === undefined) return undefined
    if (this.inUse + first.weight > this.capacity && this.inUse > 0) return undefined
    this.line.leave(first)
    this.inUse += first.weight
    return first
  }
}
