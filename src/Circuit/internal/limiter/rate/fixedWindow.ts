/**
 * So much in each window, from one multiple of the interval to the next. The simplest, and the coarsest: at the border
 * of two windows twice the limit can pass within a moment.
 */
import type { Algorithm, Limit } from "./algorithm.js"

export interface FixedWindow {
  readonly start: number
  readonly spent: number
}

/** The window that a time lies in. */
const windowAt = ({ intervalMillis }: Limit, state: FixedWindow, now: number): FixedWindow =>
  now - state.start < intervalMillis
    ? state
    : { start: state.start + Math.floor((now - state.start) / intervalMillis) * intervalMillis, spent: 0 }

export const fixedWindow: Algorithm<FixedWindow> = {
  initial: { start: 0, spent: 0 },
  // Those who wait fill window after window. Where some cost more than others, a window may not fill up, and it takes
  // longer than this says.
  wait: (limit, state, cost, ahead, now) => {
    // Who is alone may have had its turn in a window before this one.
    const { spent, start } = ahead === 0 ? state : windowAt(limit, state, now)
    const room = Math.max(0, limit.capacity - spent)
    const windows = Math.max(0, Math.ceil((ahead + cost - room) / limit.capacity))
    return start + windows * limit.intervalMillis - now
  },
  take: (limit, state, cost, now, late) => {
    const { spent, start } = windowAt(limit, state, now - late)
    return { start, spent: spent + cost }
  },
  giveBack: (limit, state, cost, taken, now) => {
    const current = windowAt(limit, state, now)
    return current.start === taken.start ? { start: current.start, spent: current.spent - cost } : current
  },
  empty: (limit, at) => ({ start: windowAt(limit, fixedWindow.initial, at).start, spent: limit.capacity }),
  change: (from, _, state, now) => windowAt(from, state, now),
  remaining: (limit, state, now) => Math.max(0, limit.capacity - windowAt(limit, state, now).spent),
  resetAfter: (limit, state, now) => {
    const { spent, start } = windowAt(limit, state, now)
    return spent === 0 ? 0 : start + limit.intervalMillis - now
  }
}
