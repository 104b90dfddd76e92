/**
 * A limit that follows the gradient of latency: the long-term average of the durations over the last one, after
 * Gradient2 of Netflix concurrency-limits. No effects.
 *
 *     gradient = clamp(tolerance · long / short, 0.5, 1)
 *     limit'   = (1 - smoothing) · limit + smoothing · (limit · gradient + room)
 *
 * Three things are done in another way than there. Room to grow is added only where the gradient is 1: added always, it
 * keeps a limit up, or lets it grow, although latency is above what is tolerated (the limit then settles at
 * room / (1 - gradient), whatever the dependency can do). A dropped call counts as a gradient of 0.5, where there it is
 * not looked at. And the limit may fall below where it started.
 */
import { type Algorithm, type Bounds, clamp, isIdle, shortest } from "./limitAlgorithm.js"

export interface Settings extends Bounds {
  /** What is added to the limit while latency is as usual. */
  readonly room: number
  /** So many times the usual latency is still as usual. */
  readonly tolerance: number
  /** Over how many calls the usual latency is averaged. */
  readonly longWindow: number
  readonly smoothing: number
}

export interface State {
  readonly limit: number
  /** The average; 0 where there is none. */
  readonly longMillis: number
  /** How many calls went into the average, up to `warmUp`. */
  readonly calls: number
}

export const gradient = (settings: Settings): Algorithm<State> => ({
  initial: { limit: settings.initial, longMillis: 0, calls: 0 },
  limit: ({ limit }) => limit,
  onSample: (state, { dropped, inflight, rttMillis }) => {
    if (dropped) return { ...state, limit: step(settings, state.limit, lowest) }
    const short = Math.max(rttMillis, shortest)
    const { calls, longMillis } = averaged(settings, state, short)
    const limit = isIdle(inflight, state.limit)
      ? state.limit
      : step(settings, state.limit, gradientOf(settings, longMillis, short))
    return { limit, longMillis, calls }
  }
})

/** The gradient of a latency. */
export const gradientOf = ({ tolerance }: Pick<Settings, "tolerance">, longMillis: number, shortMillis: number) =>
  clamp(tolerance * longMillis / shortMillis, lowest, 1)

/** The limit after a call with a gradient. */
export const step = (
  { max, min, room, smoothing }: Pick<Settings, "max" | "min" | "room" | "smoothing">,
  limit: number,
  gradient: number
): number => clamp((1 - smoothing) * limit + smoothing * (limit * gradient + (gradient === 1 ? room : 0)), min, max)

const lowest = 0.5

/** So many calls are averaged plainly, before each new one has the weight of the window. */
const warmUp = 10

const averaged = (
  { longWindow }: Settings,
  { calls, longMillis }: State,
  short: number
): Pick<State, "calls" | "longMillis"> => {
  if (calls < warmUp) return { calls: calls + 1, longMillis: (longMillis * calls + short) / (calls + 1) }
  const next = longMillis + 2 / (longWindow + 1) * (short - longMillis)
  // After a long time of load the average would take just as long to come down again.
  return { calls, longMillis: next / short > 2 ? next * 0.95 : next }
}
