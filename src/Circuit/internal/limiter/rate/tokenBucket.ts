/**
 * A token bucket as GCRA, the generic cell rate algorithm (ITU-T I.371): instead of a level that is filled again and
 * again there is one time, at which the bucket will be full. A call may take when, after taking, that time is at most
 * one bucket away.
 *
 * The time is kept as a sum, `at` + `spent` tokens' worth of time: when the bucket was last full, and what was taken
 * since. So it is exact at any rate; as one number since the epoch it would be rounded to a quarter of a microsecond,
 * and a thousand times that in a second.
 */
import type { Algorithm, Limit } from "./algorithm.js"

export interface TokenBucket {
  /** When it was last full. */
  readonly at: number
  /** What was taken since. */
  readonly spent: number
}

/** The time in which so many tokens come. One division, so that what should be whole is. */
const timeOf = (limit: Limit, tokens: number): number => tokens * limit.intervalMillis / limit.limit

/** How long until it is full; below zero, how long it has been. */
const untilFull = (limit: Limit, { at, spent }: TokenBucket, now: number): number => timeOf(limit, spent) - (now - at)

const tokensIn = (limit: Limit, millis: number): number => millis * limit.limit / limit.intervalMillis

export const tokenBucket: Algorithm<TokenBucket> = {
  initial: { at: 0, spent: 0 },
  wait: (limit, state, cost, ahead, now) => {
    const excess = cost + ahead - limit.capacity
    const wait = timeOf(limit, state.spent + excess) - (now - state.at)
    // It does not fill up further while it is full, whoever waits.
    return ahead > 0 ? Math.max(wait, timeOf(limit, excess)) : wait
  },
  take: (limit, state, cost, now, late) =>
    untilFull(limit, state, now) + late < 0
      ? { at: now - late, spent: cost }
      : { at: state.at, spent: state.spent + cost },
  // Tokens come back in the order in which they were taken. Those of this call are back when the bucket would be full
  // but for what was taken later; to give back more would let more calls pass than a full bucket and the rate allow.
  giveBack: (limit, state, cost, taken, now) => {
    const outstanding = tokensIn(limit, untilFull(limit, taken, now))
    // All of it, but for what rounding has taken from it, is all of it.
    const tokens = outstanding > cost - 1e-9 ? cost : Math.max(0, outstanding)
    return tokens === 0 ? state : { at: state.at, spent: state.spent - tokens }
  },
  empty: ({ capacity }, at) => ({ at, spent: capacity }),
  change: (from, to, state, now) => ({
    at: now,
    spent: Math.min(to.capacity, Math.max(0, tokensIn(from, untilFull(from, state, now))))
  }),
  remaining: (limit, state, now) => {
    const millis = untilFull(limit, state, now)
    return millis <= 0 ? limit.capacity : Math.max(0, limit.capacity - tokensIn(limit, millis))
  },
  resetAfter: (limit, state, now) => Math.max(0, untilFull(limit, state, now))
}
