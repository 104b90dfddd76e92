/**
 * The retry quota of the AWS SDKs ("standard" retry mode): a bucket of tokens, from which an extra attempt takes some,
 * and more of them after a time-out. A success gives back what the attempt that succeeded had taken, or a little where
 * it was the first.
 *
 * Invariant: 0 ≤ tokens ≤ capacity.
 */
import { type Core, same } from "./core.js"

export interface Settings {
  readonly capacity: number
  readonly cost: number
  /** The cost after a failure that suggests overload. */
  readonly timeoutCost: number
  /** What a call that needed no extra attempt gives back. */
  readonly refill: number
}

export interface State {
  readonly tokens: number
}

/** A budget of this kind. */
export const quota = ({ capacity, cost, refill, timeoutCost }: Settings): Core<State> => {
  const give = (state: State, tokens: number): State =>
    state.tokens === capacity ? state : { tokens: Math.min(capacity, state.tokens + tokens) }
  return {
    initial: { tokens: capacity },
    transition: (state, event) => {
      switch (event._tag) {
        case "Withdraw": {
          const price = event.costly ? timeoutCost : cost
          return state.tokens >= price ? [{ tokens: state.tokens - price }, price] : [state, undefined]
        }
        case "Refund":
          return same(give(state, event.cost))
        case "CallEnded":
          return same(event.succeeded && !event.retried ? give(state, refill) : state)
        case "AttemptFailed":
        case "CallStarted":
        case "ExtraEnded":
          return same(state)
      }
    },
    balance: (state) => state.tokens
  }
}
