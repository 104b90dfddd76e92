/**
 * Which levels of priority are given up. No effects.
 *
 * From time to time it is looked at which part of the calls did not get to run, because a gate further in turned them
 * away. So large a part of the levels seen lately is then given up from below: the quantile of that rank is the
 * threshold, and what is below it is shed at once, without waiting at the gates that would turn it away.
 *
 * While calls are shed, the gates further in have less to turn away, and nothing to be learnt from. So what is shed
 * counts as turned away for the next time too, less a tenth: the threshold falls slowly when the load has gone, and
 * settles where the gates turn away few calls when it stays.
 */
import { levelCount } from "../gate/priority.js"

/** The calls of a period. */
export interface Period {
  /** Let in here, and whatever became of them. */
  readonly passed: number
  /** Of those, the ones that did not run. */
  readonly notRun: number
  readonly shed: number
  /** How many calls there were of each level; a call that may be of any level of its class is spread over them. */
  readonly levels: ReadonlyArray<number>
}

const kept = 0.9

/** The part of the calls that is to be given up. */
export const rejectionRate = ({ notRun, passed, shed }: Omit<Period, "levels">): number =>
  passed + shed === 0 ? 0 : Math.min(1, (notRun + kept * shed) / (passed + shed))

/**
 * The lowest level that is let in, when at most so large a part of the calls is given up: 0 for all, `levelCount` for
 * none. A level is given up as a whole or not at all, so where many calls are of one level it may be less.
 */
export const thresholdFor = (rate: number, levels: ReadonlyArray<number>): number => {
  if (rate <= 0) return 0
  // Sums of parts of calls may be off by less than any call could be.
  const most = rate * levels.reduce((sum, calls) => sum + calls, 0) + 1e-6
  let below = 0
  let threshold = 0
  for (let level = 0; level < levelCount; level++) {
    below += levels[level]!
    if (below > most) break
    if (levels[level]! > 0) threshold = level + 1
  }
  return threshold
}

/**
 * The level of a user within a class: heavy users are at its lower end. `used` is how much each user has used, and what
 * counts is how many of the others have used less. Nobody knows how much an unknown user will use: the top of the class.
 */
export const levelOfUser = (lowest: number, usageQuantile: number | undefined): number =>
  lowest + Math.round(99 * (1 - (usageQuantile ?? 0)))

/** For each user, the part of the others that has used less: 0 for the lightest, 1 for the heaviest. */
export const usageQuantiles = (used: ReadonlyMap<string, number>): ReadonlyMap<string, number> => {
  const sorted = [...used.values()].sort((a, b) => a - b)
  const less = new Map<number, number>()
  for (const [index, usage] of sorted.entries()) if (!less.has(usage)) less.set(usage, index)
  return new Map(
    [...used].map(([user, usage]) => [user, sorted.length < 2 ? 0 : less.get(usage)! / (sorted.length - 1)])
  )
}
