/**
 * A share of what is in flight now (the retry budget of Envoy): no more extra attempts while those under way are more
 * than `ratio` of the calls, unless they are fewer than `floor`. Looking and adding is one step, so that callers that
 * fail together cannot all pass.
 *
 * Invariant: `calls` and `extras` are what has started and not ended; both are 0 when nothing is in flight.
 */
import { type Core, same } from "./core.js"

export interface Settings {
  readonly ratio: number
  readonly floor: number
}

export interface State {
  readonly calls: number
  readonly extras: number
}

/** A budget of this kind. */
export const inFlight = ({ floor, ratio }: Settings): Core<State> => ({
  initial: { calls: 0, extras: 0 },
  transition: (state, event) => {
    switch (event._tag) {
      case "CallStarted":
        return same({ ...state, calls: state.calls + 1 })
      case "CallEnded":
        return same({ ...state, calls: state.calls - 1 })
      case "Withdraw":
        return state.extras >= floor && state.extras / state.calls > ratio
          ? [state, undefined]
          : [{ ...state, extras: state.extras + 1 }, 1]
      case "ExtraEnded":
        return same({ ...state, extras: state.extras - 1 })
      case "AttemptFailed":
      case "Refund":
        return same(state)
    }
  },
  // How many more extra attempts could start at once.
  balance: ({ calls, extras }) => Math.max(0, Math.max(floor, Math.floor(ratio * calls + 1e-9) + 1) - extras)
})
