/**
 * A share of the calls of the last while, plus a reserve for when there are few: every call allows `ratio` of an extra
 * attempt, for `ttl` from when it started (the retry budget of Finagle). Time is cut into `slices`, and what a slice
 * holds expires as one.
 *
 * Invariant: `slices` is ordered by `at`, holds each number once, and none that has expired when it was written.
 */
import { type Core, same } from "./core.js"

export interface Settings {
  /** Extra attempts per call. */
  readonly ratio: number
  /** Extra attempts that are always there, per window. */
  readonly reserve: number
  readonly ttlMillis: number
}

/** What happened in one part of the window; `at` is the number of the part. */
export interface Slice {
  readonly at: number
  readonly calls: number
  readonly extras: number
}

export interface State {
  readonly slices: ReadonlyArray<Slice>
}

/** The parts of a window. */
export const parts = 10

/** A budget of this kind. */
export const ratio = (settings: Settings): Core<State> => {
  const width = settings.ttlMillis / parts

  const add = (state: State, now: number, calls: number, extras: number): State => {
    const { slices } = state
    const last = slices.at(-1)
    // A clock that was set back adds to the newest slice.
    const at = Math.max(Math.floor(now / width), last?.at ?? -Infinity)
    return last?.at === at
      ? { slices: [...slices.slice(0, -1), { at, calls: last.calls + calls, extras: last.extras + extras }] }
      : { slices: [...slices.filter((slice) => slice.at > at - parts), { at, calls, extras }] }
  }

  const balance = ({ slices }: State, now: number): number => {
    const at = Math.floor(now / width)
    let calls = 0
    let extras = 0
    for (const slice of slices) {
      if (slice.at <= at - parts) continue
      calls += slice.calls
      extras += slice.extras
    }
    return calls * settings.ratio + settings.reserve - extras
  }

  return {
    initial: { slices: [] },
    transition: (state, event, now) => {
      switch (event._tag) {
        case "CallStarted":
          return same(add(state, now, 1, 0))
        case "Withdraw":
          // A hundred times 0.29 is a little less than 29.
          return balance(state, now) + 1e-9 >= 1 ? [add(state, now, 0, 1), 1] : [state, undefined]
        case "AttemptFailed":
        case "CallEnded":
        case "ExtraEnded":
        case "Refund":
          return same(state)
      }
    },
    balance
  }
}
