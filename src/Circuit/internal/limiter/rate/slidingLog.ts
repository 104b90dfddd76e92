/**
 * What was spent when: exact, at the price of remembering it for an interval. At no time was more than the limit spent
 * in the interval before it.
 *
 * The log is an array that only grows at its end, shared by the states that follow one another; each knows its own part.
 * So to take is to push, and a state from before still reads the same. It is copied when what has expired is most of it.
 */
import type { Algorithm, Limit } from "./algorithm.js"

export interface SlidingLog {
  readonly log: ReadonlyArray<Entry>
  /** The part of `log` that counts: from an index up to, and without, another. */
  readonly from: number
  readonly to: number
}

export interface Entry {
  readonly at: number
  readonly cost: number
  /** What was spent up to and with this one, since the log began. */
  readonly total: number
}

/** What had been spent before an index. */
const before = ({ log }: SlidingLog, index: number): number => index === 0 ? 0 : log[index - 1]!.total

/** The first index in the part that counts whose entry is past something; its end if none is. */
const search = ({ from, log, to }: SlidingLog, isPast: (entry: Entry) => boolean): number => {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >> 1
    if (isPast(log[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}

/** Without what has expired. */
const at = ({ intervalMillis }: Limit, state: SlidingLog, now: number): SlidingLog => {
  const from = search(state, (entry) => entry.at > now - intervalMillis)
  return from === state.from ? state : { log: state.log, from, to: state.to }
}

const spentIn = (state: SlidingLog): number => before(state, state.to) - before(state, state.from)

/** A log of its own with these entries. */
const logOf = (entries: ReadonlyArray<Pick<Entry, "at" | "cost">>): SlidingLog => {
  let total = 0
  return { log: entries.map(({ at, cost }) => ({ at, cost, total: total += cost })), from: 0, to: entries.length }
}

export const slidingLog: Algorithm<SlidingLog> = {
  initial: { log: [], from: 0, to: 0 },
  wait: (limit, state, cost, ahead, now) => {
    // Who is alone may have had its turn before now. Behind others, what has expired makes no difference.
    const live = ahead === 0 ? state : at(limit, state, now)
    const excess = spentIn(live) + ahead + cost - limit.capacity
    // Those who wait spend the limit once in an interval, in the pattern of the log. Where some cost more than others,
    // some of it stays unspent, and it takes longer than this says.
    const intervals = Math.max(1, Math.ceil((ahead + cost) / limit.capacity))
    const inPattern = excess - (intervals - 1) * limit.capacity
    if (inPattern <= 0) return intervals > 1 ? (intervals - 1) * limit.intervalMillis : -Infinity
    const start = before(live, live.from)
    const index = search(live, (entry) => entry.total - start >= inPattern)
    return live.log[index]!.at + intervals * limit.intervalMillis - now
  },
  take: (limit, state, cost, now, late) => {
    const turn = now - late
    const live = at(limit, state, turn)
    const fresh = live.from > 64 && live.from > live.to - live.from ? logOf(live.log.slice(live.from, live.to)) : live
    // Another state may have gone on from here in another way; all have begun with the same empty one.
    const isLast = fresh.to > 0 && fresh.to === fresh.log.length
    const log = isLast ? fresh.log as Array<Entry> : fresh.log.slice(0, fresh.to)
    log.push({ at: turn, cost, total: before(fresh, fresh.to) + cost })
    return { log, from: fresh.from, to: fresh.to + 1 }
  },
  giveBack: (limit, state, cost, taken, now) => {
    const live = at(limit, state, now)
    const own = taken.log[taken.to - 1]!
    const entries = live.log.slice(live.from, live.to)
    const index = entries.findIndex((entry) => entry.at === own.at && entry.cost === cost)
    return index < 0 ? live : logOf(entries.filter((_, other) => other !== index))
  },
  empty: (limit, at) => logOf([{ at, cost: limit.capacity }]),
  change: (from, _, state, now) => at(from, state, now),
  remaining: (limit, state, now) => Math.max(0, limit.capacity - spentIn(at(limit, state, now))),
  resetAfter: (limit, state, now) => {
    const live = at(limit, state, now)
    return live.from === live.to ? 0 : live.log[live.to - 1]!.at + limit.intervalMillis - now
  }
}
