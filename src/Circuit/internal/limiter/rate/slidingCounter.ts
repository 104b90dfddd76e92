/**
 * An estimate of what was spent in the last interval, from the counts of two windows: that of the current one, and of
 * the one before it the part that still lies in the interval, as though it had been spent evenly.
 */
import type { Algorithm, Limit } from "./algorithm.js"

export interface SlidingCounter {
  /** Of the current window. */
  readonly start: number
  readonly current: number
  readonly previous: number
}

const windowAt = ({ intervalMillis }: Limit, state: SlidingCounter, now: number): SlidingCounter => {
  const passed = Math.floor((now - state.start) / intervalMillis)
  return passed < 1
    ? state
    : { start: state.start + passed * intervalMillis, current: 0, previous: passed === 1 ? state.current : 0 }
}

/** What counts as spent in the interval before now. */
export const estimate = (limit: Limit, state: SlidingCounter, now: number): number => {
  const { current, previous, start } = windowAt(limit, state, now)
  return current + previous * (start + limit.intervalMillis - now) / limit.intervalMillis
}

/** When the part of `previous` that counts is down to `room`, from the start of the window. */
const decayed = ({ intervalMillis }: Limit, previous: number, room: number): number =>
  previous === 0 ? 0 : intervalMillis * (previous - room) / previous

/**
 * How long those in line take to spend so much, from the start of a window after one that was spent up. The last of
 * each window is due as the next begins, and counts for that: so a window has one less than the limit.
 */
const atPace = ({ capacity, intervalMillis }: Limit, cost: number): number =>
  capacity > 1 ? intervalMillis * cost / (capacity - 1) : 2 * intervalMillis * cost

export const slidingCounter: Algorithm<SlidingCounter> = {
  initial: { start: 0, current: 0, previous: 0 },
  wait: (limit, state, cost, ahead, now) => {
    // Who is alone may have had its turn in a window before this one.
    const { current, previous, start } = ahead === 0 ? state : windowAt(limit, state, now)
    const room = limit.capacity - current
    const need = cost + ahead
    if (need <= room) return start + decayed(limit, previous, room - need) - now
    // Not in this window. In the next, this one is the previous.
    if (ahead === 0) return start + limit.intervalMillis + decayed(limit, current, limit.capacity - cost) - now
    // Those who wait spend what there is as soon as it is there. Where some cost more than others, some of it stays
    // unspent, and it takes longer than this says.
    const behind = need - Math.max(0, room)
    if (room > 0 && previous > 0) return start + limit.intervalMillis + atPace(limit, behind) - now
    return behind <= limit.capacity
      ? start + limit.intervalMillis * (1 + behind / limit.capacity) - now
      : start + 2 * limit.intervalMillis + atPace(limit, behind - limit.capacity) - now
  },
  take: (limit, state, cost, now, late) => {
    const { current, previous, start } = windowAt(limit, state, now - late)
    return { start, current: current + cost, previous }
  },
  giveBack: (limit, state, cost, taken, now) => {
    const { current, previous, start } = windowAt(limit, state, now)
    return start === taken.start
      ? { start, current: current - cost, previous }
      : start === taken.start + limit.intervalMillis
      ? { start, current, previous: previous - cost }
      : state
  },
  empty: (limit, at) => ({
    start: windowAt(limit, slidingCounter.initial, at).start,
    current: limit.capacity,
    previous: 0
  }),
  change: (from, _, state, now) => windowAt(from, state, now),
  remaining: (limit, state, now) => Math.max(0, limit.capacity - estimate(limit, state, now)),
  resetAfter: (limit, state, now) => {
    const { current, previous, start } = windowAt(limit, state, now)
    const windows = current > 0 ? 2 : previous > 0 ? 1 : 0
    return windows === 0 ? 0 : start + windows * limit.intervalMillis - now
  }
}
