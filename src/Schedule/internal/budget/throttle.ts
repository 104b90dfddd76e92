/**
 * Token throttling of gRPC (proposal A6 "Client Retries"): failures take a token, successes give a part of one back, and
 * there are extra attempts only while more than half of the tokens are left.
 *
 * Counted in thousandths, as gRPC does, so that ten times a tenth is one.
 *
 * Invariant: 0 ≤ tokens ≤ maxTokens.
 */
import { type Core, same } from "./core.js"

export interface Settings {
  readonly maxTokens: number
  /** What a success gives back. */
  readonly tokenRatio: number
}

export interface State {
  readonly thousandths: number
}

/** A budget of this kind. */
export const throttle = ({ maxTokens, tokenRatio }: Settings): Core<State> => {
  const most = Math.round(maxTokens * 1000)
  const gain = Math.round(tokenRatio * 1000)
  return {
    initial: { thousandths: most },
    transition: (state, event) => {
      switch (event._tag) {
        case "AttemptFailed":
          return same({ thousandths: Math.max(0, state.thousandths - 1000) })
        case "CallEnded":
          return same(
            event.succeeded && state.thousandths < most
              ? { thousandths: Math.min(most, state.thousandths + gain) }
              : state
          )
        case "Withdraw":
          return [state, state.thousandths * 2 > most ? 0 : undefined]
        case "CallStarted":
        case "ExtraEnded":
        case "Refund":
          return same(state)
      }
    },
    balance: (state) => state.thousandths / 1000
  }
}
