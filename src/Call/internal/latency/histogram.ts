/**
 * Quantiles of the last while, to a relative error: samples are counted in buckets whose bounds grow by a factor, one
 * set of buckets for each slice of time, and slices that are over are dropped as a whole (log buckets as in C. Masson,
 * J. Rim and H. Lee, "DDSketch", VLDB 2019).
 *
 * Invariant: for every quantile the answer is within `error` of the sample of that rank, among the samples of the
 * slices that live.
 *
 * A histogram is changed in place. It is still plain data: copying it for every sample would cost more than many a call.
 */

export interface Settings {
  /** The relative error, such as 0.01. */
  readonly error: number
  /** How long a slice of time is, in milliseconds, and how many of them live. */
  readonly sliceMillis: number
  readonly slices: number
}

/** What was seen in one slice of time. */
interface Slice {
  readonly at: number
  count: number
  /** Samples per bucket. */
  readonly buckets: Map<number, number>
}

export class Histogram {
  private slices: Array<Slice> = []
  private readonly logGrowth: number
  private readonly growth: number
  constructor(private readonly settings: Settings) {
    this.growth = (1 + settings.error) / (1 - settings.error)
    this.logGrowth = Math.log(this.growth)
  }

  add(sample: number, now: number): void {
    const bucket = Math.ceil(Math.log(Math.max(sample, smallest)) / this.logGrowth)
    const slice = this.sliceAt(now)
    slice.count++
    slice.buckets.set(bucket, (slice.buckets.get(bucket) ?? 0) + 1)
  }

  /** How many samples live. */
  count(now: number): number {
    this.expire(now)
    return this.slices.reduce((sum, { count }) => sum + count, 0)
  }

  /** The value of a rank; `undefined` without samples. */
  quantile(quantile: number, now: number): number | undefined {
    const total = this.count(now)
    if (total === 0) return undefined
    const merged = new Map<number, number>()
    for (const { buckets } of this.slices) {
      for (const [bucket, count] of buckets) merged.set(bucket, (merged.get(bucket) ?? 0) + count)
    }
    let left = Math.max(1, Math.ceil(quantile * total))
    for (const [bucket, count] of [...merged].sort(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return 2 * this.growth ** bucket / (this.growth + 1)
    }
    return undefined
  }

  private sliceAt(now: number): Slice {
    this.expire(now)
    const at = Math.floor(now / this.settings.sliceMillis)
    const last = this.slices.at(-1)
    // A clock that was set back adds to the newest slice.
    if (last !== undefined && last.at >= at) return last
    const slice: Slice = { at, count: 0, buckets: new Map() }
    this.slices.push(slice)
    return slice
  }

  private expire(now: number): void {
    const first = Math.floor(now / this.settings.sliceMillis) - this.settings.slices + 1
    if (this.slices.length > 0 && this.slices[0]!.at < first) this.slices = this.slices.filter(({ at }) => at >= first)
  }
}

/** A nanosecond: what takes no time at all is counted as this. */
const smallest = 1e-6
