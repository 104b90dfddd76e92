/**
 * Time that does not go back. When the clock is set back, the time from before it was set goes on from there: what is
 * stored as times stays what it was, neither later nor earlier.
 *
 *     clock:  100 ─ 200 ─ 300 ┐         set back by 200
 *             100 ─ 200 ◀─────┘ ─ 300
 *     here:   100 ─ 200 ─ 300 ─── 300 ─ 400
 */
import { nowOf } from "../../../internal/now.js"
import type { Runner } from "./gate.js"

export class SteadyTime {
  /** How far the clock was set back, all in all. */
  private behind = 0
  private latest = -Infinity

  /** Milliseconds, by the clock of a fiber. */
  read(fiber: Runner): number {
    const now = nowOf(fiber) + this.behind
    if (now < this.latest) {
      this.behind += this.latest - now
      return this.latest
    }
    this.latest = now
    return now
  }
}
