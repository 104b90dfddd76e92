/**
 * The arithmetic of backoff curves. Pure: a delay is a function of the curve, the retry index, one random number and,
 * for the decorrelated curve, the delay before it.
 *
 * Invariants, for every index up to 10^6 and beyond: a delay is never negative, never NaN, never above the cap, and
 * never above `longest`.
 */
import type { Description, Jitter } from "../Backoff.js"

/** The longest delay there is, in milliseconds (about 285,000 years): what an overflow saturates to. */
export const longest = Number.MAX_SAFE_INTEGER

/** Whether a delay of this curve depends on the random number; if not, none is drawn. */
export const needsRandom = (curve: Description): boolean => curve._tag === "Decorrelated" || curve.jitter !== "none"

/** The delay before retry `retry` (0 is the first), in milliseconds, fractions kept. */
export const delayMillis = (
  curve: Description,
  retry: number,
  random: number,
  previous: number | undefined
): number => {
  const n = retry > 0 ? Math.floor(retry) : 0
  const u = random > 0 ? Math.min(random, 1) : 0
  switch (curve._tag) {
    case "Constant":
      return jittered(curve.jitter, capped(curve.delayMillis, null), u)
    case "Linear":
      return jittered(curve.jitter, capped(curve.initialMillis + curve.stepMillis * n, curve.capMillis), u)
    case "Exponential":
      return jittered(curve.jitter, capped(curve.initialMillis * curve.factor ** n, curve.capMillis), u)
    case "Decorrelated": {
      const base = curve.initialMillis
      const before = previous === undefined || !(previous > base) ? base : previous
      return capped(base + u * (3 * before - base), curve.capMillis)
    }
  }
}

// The plateau of a capped curve is jittered too, so that callers which have reached it stay apart. As every jitter
// lies between 0 and 1 times the value, the result cannot pass the cap.
const jittered = (jitter: Jitter, value: number, u: number): number =>
  jitter === "none" ? value : jitter === "full" ? u * value : value / 2 + u * (value / 2)

// Written so that Infinity and NaN fall to the limit as well.
const capped = (value: number, cap: number | null): number => {
  const limit = cap === null ? longest : Math.min(cap, longest)
  return value < limit ? Math.max(value, 0) : limit
}
