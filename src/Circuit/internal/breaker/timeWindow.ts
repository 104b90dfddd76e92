/**
 * What happened in the last while: a window of time that slides by buckets. No effects, plain immutable data.
 *
 *      older buckets, expired as time passes      newest
 *     ├──────────┬──────────┬──────────┬──────────┼─────▶ now
 *
 * A bucket is `widthMillis` wide and known by its number, now divided by the width. The window is the newest bucket and
 * the `buckets - 1` before it: what is further back is gone, however long nothing was recorded. It expires on read and
 * on write alike. A clock that goes back writes into the newest bucket.
 */

export interface Shape {
  readonly widthMillis: number
  readonly buckets: number
}

/** What is counted: numbers in an order that the user of the window chooses. */
export type Counts = ReadonlyArray<number>

interface Bucket {
  readonly number: number
  readonly counts: Counts
}

export interface TimeWindow {
  /** The sums over all buckets. */
  readonly sums: Counts
  readonly newest: Bucket
  /** Oldest first, without those in which nothing happened. */
  readonly older: ReadonlyArray<Bucket>
}

/** A window of so many counts, with nothing in it. */
export const emptyTimeWindow = (counts: number): TimeWindow => {
  const none = Array.from({ length: counts }, () => 0)
  return { sums: none, newest: { number: 0, counts: none }, older: [] }
}

/** The window as it is at a time; the same object when nothing has expired. */
export const expire = (shape: Shape, window: TimeWindow, now: number): TimeWindow => {
  const number = Math.floor(now / shape.widthMillis)
  const { newest, older } = window
  if (number <= newest.number) return window
  const first = number - shape.buckets + 1
  const kept = newest.number < first
    ? []
    : [
      ...older.filter((bucket) => bucket.number >= first),
      ...(newest.counts.some((count) => count > 0) ? [newest] : [])
    ]
  const none = newest.counts.map(() => 0)
  const sums = kept.length === 0
    ? none
    : none.map((_, index) => kept.reduce((sum, bucket) => sum + bucket.counts[index]!, 0))
  return { sums, newest: { number, counts: none }, older: kept }
}

/** The window with more in it. */
export const add = (shape: Shape, window: TimeWindow, counts: Counts, now: number): TimeWindow => {
  const { newest, older, sums } = expire(shape, window, now)
  return {
    sums: plus(sums, counts),
    newest: { number: newest.number, counts: plus(newest.counts, counts) },
    older
  }
}

/** The number of the bucket that is written to at a time. */
export const bucketAt = (shape: Shape, window: TimeWindow, now: number): number =>
  Math.max(Math.floor(now / shape.widthMillis), window.newest.number)

/** The window with more, or less, in an earlier bucket; as it is when that bucket has left it. */
export const addTo = (shape: Shape, window: TimeWindow, counts: Counts, bucket: number, now: number): TimeWindow => {
  const current = expire(shape, window, now)
  const { newest, older, sums } = current
  if (bucket >= newest.number) return add(shape, current, counts, now)
  return older.some(({ number }) => number === bucket)
    ? {
      sums: plus(sums, counts),
      newest,
      older: older.map((each) => each.number === bucket ? { number: bucket, counts: plus(each.counts, counts) } : each)
    }
    : current
}

const plus = (left: Counts, right: Counts): Counts => left.map((count, index) => count + right[index]!)
