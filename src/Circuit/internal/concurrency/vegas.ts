/**
 * A limit after TCP Vegas: the calls that wait somewhere are estimated from how much longer a call takes than one on an
 * idle dependency, and the limit is moved so that a few do. (L. Brakmo and L. Peterson, 1995; the steps are those of
 * Netflix concurrency-limits.) No effects.
 *
 *     waiting = ceil(limit · (1 - baseline / rtt))
 *
 *     waiting:  0 ─── log ──────── 3·log ──────── 6·log ───▶
 *     limit:    + 6·log    + log          as is          - log
 *
 * The baseline is the shortest duration there was. From time to time it is looked for anew, since a dependency may have
 * become slower for good. Taking any one call for it would make the latency under load the baseline, after which the
 * limit only grows. So it becomes the shortest duration since the last time, and only when few calls are under way, or
 * the limit is so low that it hardly falls any further: then a call that takes long does so for another reason than
 * load. While a higher limit stays used up, the baseline stays what it was.
 */
import { type Algorithm, type Bounds, clamp, isIdle, log10, shortest } from "./limitAlgorithm.js"

export interface Settings extends Bounds {
  /** How far a step goes towards the new limit, up to 1. */
  readonly smoothing: number
  /** The baseline is looked for anew after so many calls for each of the limit. */
  readonly probeAfter: number
  /** A number in [0, 1): where the sequence starts by which the intervals between two searches vary. */
  readonly phase: number
}

export interface State {
  readonly limit: number
  /** 0 where there is none yet. */
  readonly baselineMillis: number
  /** The shortest duration since the baseline was last looked for; 0 where there was none. */
  readonly shortestMillis: number
  readonly calls: number
  readonly phase: number
}

export const vegas = (settings: Settings): Algorithm<State> => ({
  initial: {
    limit: settings.initial,
    baselineMillis: 0,
    shortestMillis: 0,
    calls: 0,
    phase: settings.phase
  },
  limit: ({ limit }) => limit,
  onSample: (before, { dropped, inflight, rttMillis }) => {
    const rtt = Math.max(rttMillis, shortest)
    // How long a dropped call took says nothing.
    const state = dropped ? before : measured(settings, before, rtt, inflight)
    const limit = step(settings, state.limit, dropped ? rtt : state.baselineMillis, rtt, inflight, dropped)
    return { ...state, limit }
  }
})

/** The limit after one call. */
export const step = (
  { max, min, smoothing }: Pick<Settings, "max" | "min" | "smoothing">,
  limit: number,
  baselineMillis: number,
  rttMillis: number,
  inflight: number,
  dropped: boolean
): number => {
  const log = log10(limit)
  const next = dropped
    ? limit - log
    : isIdle(inflight, limit)
    ? limit
    : limit + stepFor(Math.ceil(limit * (1 - baselineMillis / rttMillis)), log)
  return clamp(limit + smoothing * (next - limit), min, max)
}

const stepFor = (waiting: number, log: number): number =>
  waiting <= log ? 6 * log : waiting < 3 * log ? log : waiting > 6 * log ? -log : 0

/** A limit that falls when more than six of its calls wait does not fall below this. */
const lowest = 7

const measured = (settings: Settings, state: State, rtt: number, inflight: number): State => {
  const calls = state.calls + 1
  const shortestMillis = state.shortestMillis === 0 ? rtt : Math.min(state.shortestMillis, rtt)
  const due = calls >= (0.5 + state.phase / 2) * settings.probeAfter * state.limit
  if (due && (isIdle(inflight, state.limit) || state.limit <= Math.max(settings.min, lowest))) {
    // The golden ratio spreads the phases evenly, so that many callers do not keep in step.
    return {
      limit: state.limit,
      baselineMillis: shortestMillis,
      shortestMillis: 0,
      calls: 0,
      phase: (state.phase + 0.6180339887498949) % 1
    }
  }
  const baselineMillis = state.baselineMillis === 0 ? rtt : Math.min(state.baselineMillis, rtt)
  return { ...state, baselineMillis, shortestMillis, calls }
}
