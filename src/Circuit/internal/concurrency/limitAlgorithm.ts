/**
 * What an adaptive limit is: a pure function from what was measured of the calls to how many may run at a time. No
 * effects; states are plain data.
 */

/** What was measured of one call. */
export interface Sample {
  readonly rttMillis: number
  /** How many calls were under way when it began, itself included. */
  readonly inflight: number
  /** Whether it was given up for overload: refused, or timed out. */
  readonly dropped: boolean
}

export interface Algorithm<S> {
  readonly initial: S
  readonly limit: (state: S) => number
  readonly onSample: (state: S, sample: Sample, now: number) => S
}

export interface Bounds {
  readonly initial: number
  readonly min: number
  readonly max: number
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high)

/** The whole-number logarithm by which steps and queues grow with the limit; at least 1. */
export const log10 = (limit: number): number => Math.max(1, Math.floor(Math.log10(limit)))

/** So few calls are under way that their durations say nothing about the limit. */
export const isIdle = (inflight: number, limit: number): boolean => 2 * inflight < limit

/** Durations are divided by; a clock may be too coarse to see one. */
export const shortest = 1e-6
