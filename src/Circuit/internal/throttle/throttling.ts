/**
 * Client-side adaptive throttling (Google, "Site Reliability Engineering", chapter "Handling Overload"). No effects.
 *
 * A client that knows how many of its requests were accepted lately turns away a part of the new ones itself:
 *
 *     p = max(0, (requests - k · accepts) / (requests + 1)), at most `maxProbability`
 *
 * Requests count when they start, those that are turned away here too, so that p stays high while nothing is accepted
 * and falls with the first that are. With `k` = 2 the dependency sees about twice what it accepts.
 */
import { add, addTo, bucketAt, emptyTimeWindow, expire, type Shape, type TimeWindow } from "../breaker/timeWindow.js"

export interface Settings {
  readonly k: number
  /** Of a dependency that accepts nothing, this part is turned away at most. */
  readonly maxProbability: number
  /** With fewer requests in the window than this, none is turned away. */
  readonly minimumRequests: number
  readonly shape: Shape
}

/** Requests and accepts. */
export type State = TimeWindow

export const initial: State = emptyTimeWindow(2)

/** The formula. */
export const probability = (settings: Omit<Settings, "shape">, requests: number, accepts: number): number =>
  requests < settings.minimumRequests
    ? 0
    : Math.min(settings.maxProbability, Math.max(0, (requests - settings.k * accepts) / (requests + 1)))

/** The counts as they are at a time. */
export const countsAt = (settings: Settings, state: State, now: number) => {
  const [requests, accepts] = expire(settings.shape, state, now).sums
  return { requests: requests!, accepts: accepts! }
}

/** A request starts: with this probability it is to be turned away. */
export const start = (
  settings: Settings,
  state: State,
  now: number
): readonly [next: State, decision: { readonly probability: number; readonly bucket: number }] => {
  const { accepts, requests } = countsAt(settings, state, now)
  return [add(settings.shape, state, [1, 0], now), {
    probability: probability(settings, requests, accepts),
    bucket: bucketAt(settings.shape, state, now)
  }]
}

/** A request was accepted. */
export const accepted = (settings: Settings, state: State, now: number): State =>
  add(settings.shape, state, [0, 1], now)

/** A request that started in a bucket says nothing: it was not sent, or its end is not known. */
export const withdrawn = (settings: Settings, state: State, bucket: number, now: number): State =>
  addTo(settings.shape, state, [-1, 0], bucket, now)

/** How long it is until the window moves on, and the probability with it. */
export const untilNextBucket = (settings: Settings, state: State, now: number): number =>
  (bucketAt(settings.shape, state, now) + 1) * settings.shape.widthMillis - now
