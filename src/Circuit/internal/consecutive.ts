/**
 * The state machine of a breaker that counts consecutive failures. No effects, no clock: the time is given.
 *
 *                    `failures` in a row                     open for `openFor`, next call
 *        ┌────────┐ ─────────────────────▶ ┌──────┐ ─────────────────────────────────────▶ ┌───────────┐
 *        │ Closed │                        │ Open │                                        │ Half-open │
 *        └────────┘                        └──────┘ ◀───────────────────────────────────── └───────────┘
 *             ▲                                               a probe fails                      │
 *             └──────────────────────────────────────────────────────────────────────────────────┘
 *                                            `successes` probes succeed
 *
 * Invariants:
 * - Every change of state starts a new generation. A permit is the generation it was issued in, and what a call of an
 *   older generation came to changes nothing.
 * - A half-open breaker has at most `halfOpenMax` probes out. When they are all out and none was issued for
 *   `staleProbeAfter`, they are given up: a new generation expires their permits, and the next call is a probe.
 * - An open breaker issues no permits, so nothing can extend the time it is open.
 */

/** Times are in milliseconds. */
export interface Settings {
  readonly failures: number
  readonly successes: number
  readonly openForMillis: number
  readonly halfOpenMax: number
  readonly staleProbeAfterMillis: number
}

export type State =
  | { readonly _tag: "Closed"; readonly generation: number; readonly failures: number }
  | { readonly _tag: "Open"; readonly generation: number; readonly openedAt: number }
  | {
    readonly _tag: "HalfOpen"
    readonly generation: number
    readonly successes: number
    readonly probes: number
    readonly lastProbeAt: number
  }

export type Outcome = "success" | "failure" | "neutral"

export type Event =
  | { readonly _tag: "Admit" }
  | { readonly _tag: "Settle"; readonly generation: number; readonly outcome: Outcome }
  | { readonly _tag: "Reset" }

/** What the event came to; `Expired` is the outcome of a call of an older generation, which changes nothing. */
export type Decision =
  | { readonly _tag: "Admitted"; readonly generation: number; readonly phase: "Closed" | "HalfOpen" }
  | { readonly _tag: "Rejected"; readonly state: "Open" | "HalfOpen"; readonly retryAfterMillis: number }
  | { readonly _tag: "Settled" }
  | { readonly _tag: "Expired" }

/** A new breaker. */
export const initial: State = { _tag: "Closed", generation: 0, failures: 0 }

/** What an event makes of a state at a time. The same state object comes back when nothing changes. */
export const transition = (
  settings: Settings,
  state: State,
  event: Event,
  now: number
): readonly [next: State, decision: Decision] => {
  switch (event._tag) {
    case "Admit":
      return admit(settings, state, now)
    case "Settle":
      return event.generation === state.generation
        ? [settle(settings, state, event.outcome, now), settled]
        : [state, expired]
    case "Reset":
      return [closed(state), settled]
  }
}

/** The state as it would answer now: an open breaker whose time is over is half-open, though no call has come yet. */
export const view = (settings: Settings, state: State, now: number): State =>
  state._tag === "Open" && now - state.openedAt >= settings.openForMillis
    ? { _tag: "HalfOpen", generation: state.generation + 1, successes: 0, probes: 0, lastProbeAt: now }
    : state

const admit = (settings: Settings, state: State, now: number): readonly [State, Decision] => {
  switch (state._tag) {
    case "Closed":
      return [state, { _tag: "Admitted", generation: state.generation, phase: "Closed" }]
    case "Open": {
      const next = view(settings, state, now)
      return next._tag === "HalfOpen"
        ? admit(settings, next, now)
        : [state, rejected("Open", Math.min(state.openedAt + settings.openForMillis - now, settings.openForMillis))]
    }
    case "HalfOpen": {
      if (state.probes < settings.halfOpenMax) {
        return probe({ ...state, probes: state.probes + 1, lastProbeAt: now })
      }
      const staleIn = state.lastProbeAt + settings.staleProbeAfterMillis - now
      return staleIn <= 0
        ? probe({ ...state, generation: state.generation + 1, probes: 1, lastProbeAt: now })
        // A probe is out; if it fails, this is how long the breaker stays open.
        : [state, rejected("HalfOpen", Math.min(staleIn, settings.openForMillis))]
    }
  }
}

const settle = (settings: Settings, state: State, outcome: Outcome, now: number): State => {
  switch (state._tag) {
    case "Closed":
      switch (outcome) {
        case "neutral":
          return state
        case "success":
          return state.failures === 0 ? state : { ...state, failures: 0 }
        case "failure":
          return state.failures + 1 >= settings.failures ? open(state, now) : { ...state, failures: state.failures + 1 }
      }
    // oxlint-disable-next-line no-fallthrough -- the switch above returns in every case
    case "Open":
      return state
    case "HalfOpen":
      switch (outcome) {
        case "neutral":
          return { ...state, probes: state.probes - 1 }
        case "success":
          return state.successes + 1 >= settings.successes
            ? closed(state)
            : { ...state, probes: state.probes - 1, successes: state.successes + 1 }
        case "failure":
          return open(state, now)
      }
  }
}

const closed = (before: State): State => ({ _tag: "Closed", generation: before.generation + 1, failures: 0 })

const open = (before: State, now: number): State => ({
  _tag: "Open",
  generation: before.generation + 1,
  openedAt: now
})

const probe = (state: State): readonly [State, Decision] => [
  state,
  { _tag: "Admitted", generation: state.generation, phase: "HalfOpen" }
]

const rejected = (state: "Open" | "HalfOpen", retryAfterMillis: number): Decision => ({
  _tag: "Rejected",
  state,
  retryAfterMillis
})

const settled: Decision = { _tag: "Settled" }
const expired: Decision = { _tag: "Expired" }
