/**
 * What a rate limiter is, but for who waits: plain data and functions of it. No effects, no clock.
 *
 * All times are milliseconds of one clock that does not go back, and may have fractions. A state is immutable; what a
 * call left when it took is kept as its receipt.
 */

export interface Limit {
  /** So many tokens come (or may be spent) in each interval. */
  readonly limit: number
  readonly intervalMillis: number
  /** The most that can be spent at once. */
  readonly capacity: number
}

export interface Algorithm<S> {
  /** Nothing spent. */
  readonly initial: S
  /**
   * How long after `now` a call may take that costs `cost`, once those that stand before it have taken `ahead`
   * together. Zero or less: now, and it could have so long ago.
   */
  readonly wait: (limit: Limit, state: S, cost: number, ahead: number, now: number) => number
  /** What a call leaves that takes now, or whose turn was `late` milliseconds ago. It may take: see `wait`. */
  readonly take: (limit: Limit, state: S, cost: number, now: number, late: number) => S
  /**
   * What is left when a call has not run after all; `taken` is what it left. What has come back since by itself is not
   * given twice.
   */
  readonly giveBack: (limit: Limit, state: S, cost: number, taken: S, now: number) => S
  /** Everything spent at a time, which may be yet to come. */
  readonly empty: (limit: Limit, at: number) => S
  /** The same when the limit is another: what is spent stays spent, up to what can be. */
  readonly change: (from: Limit, to: Limit, state: S, now: number) => S
  /** What could be spent now, with fractions. */
  readonly remaining: (limit: Limit, state: S, now: number) => number
  /** How long until nothing is spent, if nobody calls. */
  readonly resetAfter: (limit: Limit, state: S, now: number) => number
}
