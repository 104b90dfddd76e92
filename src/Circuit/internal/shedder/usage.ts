/**
 * How much each user has used lately: in this window and the one before it, so that what is long ago is forgotten.
 */
import { usageQuantiles } from "./priorityShedding.js"

export class Usage {
  private current = new Map<string, number>()
  private before: ReadonlyMap<string, number> = new Map()
  private quantiles: ReadonlyMap<string, number> = new Map()
  private startedAt = -Infinity

  constructor(private readonly windowMillis: number, private readonly maxUsers: number) {}

  add(user: string, amount: number): void {
    const { current } = this
    const known = current.get(user)
    if (known === undefined && current.size >= this.maxUsers) return
    current.set(user, (known ?? 0) + amount)
  }

  /** Works out anew how the users compare. */
  compare(now: number): void {
    const sums = new Map(this.before)
    for (const [user, amount] of this.current) sums.set(user, (sums.get(user) ?? 0) + amount)
    this.quantiles = usageQuantiles(sums)
    if (now - this.startedAt < this.windowMillis) return
    this.before = now - this.startedAt < 2 * this.windowMillis ? this.current : new Map()
    this.current = new Map()
    this.startedAt = now
  }

  /** The part of the other users that has used less; `undefined` for a user that is not known. */
  quantileOf(user: string): number | undefined {
    return this.quantiles.get(user)
  }
}
