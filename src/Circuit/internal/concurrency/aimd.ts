/**
 * Additive increase, multiplicative decrease: one more as long as calls are well, a part less when one is dropped or
 * takes too long. (D.-M. Chiu and R. Jain, 1989.) No effects.
 */
import { type Algorithm, type Bounds, clamp, isIdle } from "./limitAlgorithm.js"

export interface Settings extends Bounds {
  /** What is left of the limit after a decrease. */
  readonly backoff: number
  /** A call that takes longer counts as dropped. */
  readonly timeoutMillis: number
}

export interface State {
  readonly limit: number
}

export const aimd = ({ backoff, initial, max, min, timeoutMillis }: Settings): Algorithm<State> => ({
  initial: { limit: initial },
  limit: ({ limit }) => limit,
  onSample: (state, { dropped, inflight, rttMillis }) => {
    const { limit } = state
    if (dropped || rttMillis > timeoutMillis) return { limit: clamp(limit * backoff, min, max) }
    return isIdle(inflight, limit) ? state : { limit: clamp(limit + 1, min, max) }
  }
})
