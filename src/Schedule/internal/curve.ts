/**
 * The arithmetic of backoff curves. Pure: a delay is a function of the curve, the retry index, one random number and,
 * for the decorrelated curves, what was drawn before.
 *
 * Invariants, for every index up to 10^6 and beyond: a delay is never negative, never NaN, never above the cap (unless
 * the jitter is told to exceed it), and never above `longest`. The curve is capped first and spread then, so that
 * callers on its plateau stay apart.
 *
 * Sources: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) for full, equal and decorrelated jitter; gRPC
 * A6 "Client Retries" for ±20 %. The second decorrelated curve takes differences of a smooth function at random points,
 * so that its delays need no earlier delay, only the earlier random number, and have no steps that callers crowd on.
 */
import type { Description, Spread } from "./description.js"

/** The longest delay there is, in milliseconds (about 285,000 years): what an overflow saturates to. */
export const longest = Number.MAX_SAFE_INTEGER

/** A curve in its working form. Only a custom one has a function. */
export interface Curve {
  readonly description: Description
  /** The delay of a custom curve, in milliseconds, before cap and jitter. */
  readonly custom?: ((retry: number) => number) | undefined
}

/** What a curve remembers of the delay before: how long it was, and the random number it was drawn with. */
export interface Drawn {
  readonly millis: number | undefined
  readonly random: number | undefined
}

/** Nothing was drawn yet. */
export const nothingDrawn: Drawn = { millis: undefined, random: undefined }

/** Whether a delay of this curve depends on the random number; if not, none is drawn. */
export const needsRandom = ({ description }: Curve): boolean =>
  description._tag === "Decorrelated" || description._tag === "DecorrelatedV2" || description.jitter !== "none"

/** The delay before retry `retry` (0 is the first), in milliseconds, fractions kept. */
export const delayMillis = (curve: Curve, retry: number, random: number, before: Drawn): number => {
  const { description } = curve
  const n = retry > 0 ? Math.floor(retry) : 0
  const u = random > 0 ? Math.min(random, 1) : 0
  switch (description._tag) {
    case "Constant":
      return spread(description.jitter, description.delayMillis, null, u)
    case "Linear":
      return spread(
        description.jitter,
        description.initialMillis + description.stepMillis * n,
        description.capMillis,
        u
      )
    case "Exponential":
      return spread(
        description.jitter,
        description.initialMillis * description.factor ** n,
        description.capMillis,
        u
      )
    case "Fibonacci":
      return spread(description.jitter, description.initialMillis * fibonacci(n + 1), description.capMillis, u)
    case "List": {
      const { after, delaysMillis } = description
      const index = after === "cycle" ? n % delaysMillis.length : Math.min(n, delaysMillis.length - 1)
      return spread(description.jitter, delaysMillis[index] ?? 0, null, u)
    }
    case "Custom":
      return spread(description.jitter, curve.custom?.(n) ?? 0, description.capMillis, u)
    case "Decorrelated": {
      const base = description.initialMillis
      const last = before.millis === undefined || !(before.millis > base) ? base : before.millis
      return capped(base + u * (3 * last - base), description.capMillis)
    }
    case "DecorrelatedV2": {
      // Where the random number before is not known, its mean stands in.
      const last = n === 0 ? 0 : smooth(n - 1 + (before.random ?? 0.5))
      return capped((smooth(n + u) - last) * description.initialMillis / smoothScale, description.capMillis)
    }
  }
}

const spread = (jitter: Spread, raw: number, cap: number | null, u: number): number => {
  const value = capped(raw, cap)
  if (typeof jitter === "object") return proportional(value, jitter.proportional, jitter.exceedCap ? null : cap, u)
  switch (jitter) {
    case "none":
      return value
    case "full":
      return u * value
    case "equal":
      return value / 2 + u * (value / 2)
    case "grpc":
      return proportional(value, 0.2, cap, u)
  }
}

const proportional = (value: number, fraction: number, cap: number | null, u: number): number =>
  capped(value * (1 - fraction + 2 * fraction * u), cap)

// Written so that Infinity and NaN fall to the limit as well.
const capped = (value: number, cap: number | null): number => {
  const limit = cap === null ? longest : Math.min(cap, longest)
  return value < limit ? Math.max(value, 0) : limit
}

/** The n-th Fibonacci number, the first two being 1; exact up to n = 70, and to 14 digits beyond. */
const fibonacci = (n: number): number => Math.round(goldenRatio ** n / Math.sqrt(5))

const goldenRatio = (1 + Math.sqrt(5)) / 2

/** Grows as 2^t, but with a first step that may be anything from zero up. */
const smooth = (t: number): number => 2 ** t * Math.tanh(Math.sqrt(4 * t))

/** With it, the median of the first delay is about the initial one. */
const smoothScale = 1.4
