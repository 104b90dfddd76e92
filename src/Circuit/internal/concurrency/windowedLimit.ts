/**
 * A limit that is moved once for each window of calls, by how latency and throughput went along with the number of
 * calls under way. No effects.
 *
 * Single calls scatter too much to steer by. So a window lasts until it has seen enough calls; its 90th percentile goes
 * through a median of the last five windows, which takes out single bad ones, and through an average: the recent
 * latency. A slower average of that is the baseline. As with Vegas, the two give the number of calls that wait:
 *
 *     waiting = ceil(limit · (1 - baseline / recent))
 *
 * While the limit is used up, the baseline may have followed the load. Then it is told from the correlations: when more
 * calls at a time no longer mean more throughput but longer calls, the limit is too high, whatever the baseline says.
 */
import { correlationOf, type Pair, variationOf } from "./correlation.js"
import { type Algorithm, type Bounds, clamp, log10, type Sample, shortest } from "./limitAlgorithm.js"
import { addNumber, emptyMarkers, type Markers, quantileOf } from "./quantileMarkers.js"

export interface Settings extends Bounds {
  readonly windowMinMillis: number
  readonly windowMaxMillis: number
  readonly windowMinCalls: number
  /** Over how many windows the recent latency and the baseline are averaged. */
  readonly recentAge: number
  readonly baselineAge: number
  /** The limit is at most so many times the calls under way: one that is never reached is not tried out. */
  readonly headroom: number
}

interface Window {
  readonly startedAt: number
  readonly calls: number
  readonly inflight: number
  readonly peak: number
  readonly dropped: number
  readonly markers: Markers
}

export interface State {
  readonly limit: number
  readonly window: Window | null
  /** The percentiles of the last windows, the newest last. */
  readonly percentiles: ReadonlyArray<number>
  readonly recentMillis: number
  readonly baselineMillis: number
  /** Of the last windows: calls under way, with throughput and with latency. */
  readonly history: ReadonlyArray<{ readonly inflight: number; readonly throughput: number; readonly rtt: number }>
}

export const windowed = (settings: Settings): Algorithm<State> => ({
  initial: {
    limit: settings.initial,
    window: null,
    percentiles: [],
    recentMillis: 0,
    baselineMillis: 0,
    history: []
  },
  limit: ({ limit }) => limit,
  onSample: (state, sample, now) => {
    const window = withSample(state.window, sample, now)
    const elapsed = now - window.startedAt
    const isFull = elapsed >= settings.windowMaxMillis ||
      (elapsed >= settings.windowMinMillis && window.calls >= settings.windowMinCalls)
    return isFull ? closeWindow(settings, state, window, Math.max(elapsed, shortest)) : { ...state, window }
  }
})

/** What a window shows. */
export interface Signs {
  readonly waiting: number
  readonly log: number
  /** Whether the limit was used up. */
  readonly full: boolean
  readonly dropped: boolean
  /** Of the calls under way, with throughput and with latency. */
  readonly throughputCorrelation: number
  readonly latencyCorrelation: number
  readonly throughputVariation: number
}

/** Which way the limit goes. */
export const direction = (signs: Signs): -1 | 0 | 1 => {
  const { dropped, full, latencyCorrelation, log, throughputCorrelation, throughputVariation, waiting } = signs
  const longerCalls = latencyCorrelation > 0.5
  return dropped || waiting > 6 * log ||
      (full && (
        throughputCorrelation < 0 ||
        (throughputCorrelation < 0.3 && longerCalls) ||
        (throughputVariation < 0.2 && longerCalls)
      ))
    ? -1
    : waiting < 3 * log
    ? 1
    : 0
}

/**
 * The part of the calls that is turned away while so many wait: none below twice the limit, all from three times the
 * limit up, linear between.
 */
export const rejectRamp = (waiting: number, limit: number): number => clamp(waiting / limit - 2, 0, 1)

const withSample = (window: Window | null, { dropped, inflight, rttMillis }: Sample, now: number): Window => {
  const { calls, dropped: droppedBefore, inflight: sum, markers, peak, startedAt } = window ?? emptyWindow(now)
  return {
    startedAt,
    calls: calls + 1,
    inflight: sum + inflight,
    peak: Math.max(peak, inflight),
    dropped: droppedBefore + (dropped ? 1 : 0),
    // How long a dropped call took says nothing.
    markers: dropped ? markers : addNumber(percentile, markers, Math.max(rttMillis, shortest))
  }
}

const emptyWindow = (now: number): Window => ({
  startedAt: now,
  calls: 0,
  inflight: 0,
  peak: 0,
  dropped: 0,
  markers: emptyMarkers
})

const closeWindow = (settings: Settings, state: State, window: Window, elapsedMillis: number): State => {
  const rtt = quantileOf(percentile, window.markers)
  if (rtt === undefined) {
    return { ...state, window: null, limit: clamp(state.limit - log10(state.limit), settings.min, settings.max) }
  }
  const percentiles = [...state.percentiles, rtt].slice(-medianOver)
  const recentMillis = average(state.recentMillis, medianOf(percentiles), settings.recentAge)
  const baselineMillis = average(state.baselineMillis, recentMillis, settings.baselineAge)
  const inflight = window.inflight / window.calls
  const history = [...state.history, { inflight, throughput: window.calls / elapsedMillis, rtt }].slice(-historyOver)
  const log = log10(state.limit)
  const towards = direction({
    waiting: Math.ceil(state.limit * (1 - baselineMillis / recentMillis)),
    log,
    full: window.peak >= Math.floor(state.limit),
    dropped: window.dropped > 0,
    ...correlations(history)
  })
  const reachable = Math.max(settings.min, Math.min(settings.max, window.peak * settings.headroom))
  return {
    limit: clamp(state.limit + towards * log, settings.min, reachable),
    window: null,
    percentiles,
    recentMillis,
    baselineMillis,
    history
  }
}

/** Of few windows a correlation says nothing. */
const correlations = (history: State["history"]) =>
  history.length < fewest
    ? { throughputCorrelation: 1, latencyCorrelation: 0, throughputVariation: 1 }
    : {
      throughputCorrelation: correlationOf(history.map(({ inflight, throughput }): Pair => ({
        x: inflight,
        y: throughput
      }))),
      latencyCorrelation: correlationOf(history.map(({ inflight, rtt }): Pair => ({ x: inflight, y: rtt }))),
      throughputVariation: variationOf(history.map(({ throughput }) => throughput))
    }

const average = (before: number, value: number, age: number): number =>
  before === 0 ? value : before + 2 / (age + 1) * (value - before)

const medianOf = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const percentile = 0.9
const medianOver = 5
const historyOver = 50
const fewest = 10
