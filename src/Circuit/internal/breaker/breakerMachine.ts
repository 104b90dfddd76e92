/**
 * The state machine of a circuit breaker. No effects, no clock: the time is given and does not go back, and states are
 * plain data.
 *
 *                      enough failures                          open until `openUntil`, next call
 *        ┌────────┐ ─────────────────────▶ ┌──────┐ ─────────────────────────────────────▶ ┌───────────┐
 *        │ Closed │                        │ Open │                                        │ Half-open │
 *        └────────┘ ◀───────────────────── └──────┘ ◀───────────────────────────────────── └───────────┘
 *             ▲         healthy again                    too many probes fail, or time over      │
 *             └──────────────────────────────────────────────────────────────────────────────────┘
 *                                           enough probes succeed
 *
 *        Any of them ──▶ Isolated, while somebody holds it so ──▶ back to what it was
 *
 * Invariants:
 * - Every change of state starts a new generation. A permit is the generation it was issued in, and what a call of an
 *   older generation came to changes nothing.
 * - A half-open breaker has at most `probes` probes out. When they are all out and none was issued for a while, they
 *   are given up: a new generation expires their permits, and the next call is a probe.
 * - A half-open breaker is decided by its first `sample` probes: closed when `successes` of them succeeded, open as soon
 *   as so many failed that no longer enough can.
 * - An open breaker issues no permits, so no call can extend the time it is open.
 */
import { type Counts, countsOf, emptyTally, recordInTally, type Tally, type Trip, tripsAt } from "./tally.js"

/** Times are in milliseconds. */
export interface Settings {
  readonly trip: Trip
  /** How many probes may be out at a time. */
  readonly probes: number
  readonly successes: number
  readonly sample: number
  /** How long it may be half-open; infinite for as long as it takes. */
  readonly deadlineMillis: number
  readonly onDeadline: "reopen" | "close"
  /** `null` is four times as long as it was open. */
  readonly staleProbeAfterMillis: number | null
}

export interface Closed {
  readonly _tag: "Closed"
  readonly generation: number
  readonly tally: Tally
}

export interface Open {
  readonly _tag: "Open"
  readonly generation: number
  readonly openedAt: number
  readonly openUntil: number
  /** For how long it was opened. */
  readonly openForMillis: number
  /** How often it has been opened again since it was closed. */
  readonly reopens: number
}

export interface HalfOpen {
  readonly _tag: "HalfOpen"
  readonly generation: number
  readonly successes: number
  readonly failures: number
  readonly probes: number
  readonly startedAt: number
  readonly lastProbeAt: number
  readonly openForMillis: number
  readonly reopens: number
}

export interface Isolated {
  readonly _tag: "Isolated"
  readonly generation: number
  readonly holders: ReadonlyArray<{ readonly id: number; readonly reason: string }>
  readonly before: Closed | Open | HalfOpen
}

export type State = Closed | Open | HalfOpen | Isolated

/**
 * What a call means to the breaker.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "success" | "failure" | "neutral"

export type Event =
  | { readonly _tag: "Admit" }
  | { readonly _tag: "Settle"; readonly generation: number; readonly outcome: Outcome; readonly slow: boolean }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Isolate"; readonly id: number; readonly reason: string }
  | { readonly _tag: "Release"; readonly id: number }
  /** What was found out in another way than by a call, about the breaker as it was in a generation. */
  | { readonly _tag: "Health"; readonly generation: number; readonly healthy: boolean }

/**
 * What the event came to. `Expired` is the outcome of a call of an older generation, or news of one: it changes
 * nothing.
 */
export type Decision =
  | { readonly _tag: "Admitted"; readonly generation: number; readonly phase: "Closed" | "HalfOpen" }
  | { readonly _tag: "Rejected"; readonly state: "Open" | "HalfOpen"; readonly retryAfterMillis: number }
  | { readonly _tag: "Isolated"; readonly reason: string }
  | { readonly _tag: "Settled" }
  | { readonly _tag: "Expired" }

/** What opens the breaker. */
export interface Break {
  /** The failures that were counted. */
  readonly failures: number
  /** Of all that was counted, the part that failed, from 0 to 1. */
  readonly rate: number
  /** How often it has been opened again since it was closed: 0 the first time. */
  readonly reopens: number
}

/** For how many milliseconds a break opens it. Asked only when it opens. */
export type BreakFor = (broken: Break) => number

/** A new breaker. */
export const initial = (settings: Settings): State => ({
  _tag: "Closed",
  generation: 0,
  tally: emptyTally(settings.trip)
})

/** What an event makes of a state at a time. The same state object comes back when nothing changes. */
export const transition = (
  settings: Settings,
  before: State,
  event: Event,
  now: number,
  breakFor: BreakFor
): readonly [next: State, decision: Decision] => {
  const state = overdue(settings, before, now, breakFor)
  switch (event._tag) {
    case "Admit":
      return admit(settings, state, now)
    case "Settle":
      return event.generation === state.generation
        ? [settle(settings, state, event.outcome, event.slow, now, breakFor), settled]
        : [state, expired]
    case "Reset":
      return [reset(settings, state), settled]
    case "Isolate":
      return [isolate(state, { id: event.id, reason: event.reason }), settled]
    case "Release":
      return state._tag === "Isolated" ? [release(state, event.id), settled] : [state, expired]
    case "Health":
      return state._tag === "Open" && event.generation === state.generation
        ? [event.healthy ? closed(settings, state) : extended(state, now), settled]
        : [state, expired]
  }
}

/** The state once the time of a half-open breaker is over, of which nobody has to tell it. */
export const overdue = (settings: Settings, state: State, now: number, breakFor: BreakFor): State =>
  state._tag === "HalfOpen" && now - state.startedAt >= settings.deadlineMillis
    ? settings.onDeadline === "close"
      ? closed(settings, state)
      : open(state, probed(state), state.reopens + 1, state.startedAt + settings.deadlineMillis, breakFor)
    : state

/** The state as it would answer now: an open breaker whose time is over is half-open, though no call has come yet. */
export const view = (settings: Settings, state: State, now: number): State => {
  // How long it will be open again is decided when it is; until somebody asks, it is as long as the last time.
  const current = overdue(settings, state, now, () => state._tag === "HalfOpen" ? state.openForMillis : 0)
  return current._tag === "Open" && now >= current.openUntil ? halfOpen(current, now) : current
}

/** What has been counted since the breaker is in its state; nothing while it is open. */
export const counted = (settings: Settings, state: State, now: number): Counts =>
  state._tag === "Closed"
    ? countsOf(settings.trip, state.tally, now)
    : state._tag === "HalfOpen"
    ? { total: state.successes + state.failures, failures: state.failures, slow: 0 }
    : { total: 0, failures: 0, slow: 0 }

const admit = (settings: Settings, state: State, now: number): readonly [State, Decision] => {
  switch (state._tag) {
    case "Closed":
      return [state, { _tag: "Admitted", generation: state.generation, phase: "Closed" }]
    case "Open":
      return now >= state.openUntil
        ? admit(settings, halfOpen(state, now), now)
        : [state, rejected("Open", state.openUntil - now)]
    case "HalfOpen": {
      if (state.probes < settings.probes) return probe({ ...state, probes: state.probes + 1, lastProbeAt: now })
      const staleIn = state.lastProbeAt + (settings.staleProbeAfterMillis ?? 4 * state.openForMillis) - now
      return staleIn <= 0
        ? probe({ ...state, generation: state.generation + 1, probes: 1, lastProbeAt: now })
        // A probe is out; if it fails, this is how long the breaker stays open.
        : [state, rejected("HalfOpen", Math.min(staleIn, state.openForMillis))]
    }
    case "Isolated":
      return [state, { _tag: "Isolated", reason: state.holders[0]!.reason }]
  }
}

const settle = (
  settings: Settings,
  state: State,
  outcome: Outcome,
  slow: boolean,
  now: number,
  breakFor: BreakFor
): State => {
  switch (state._tag) {
    case "Closed": {
      if (outcome === "neutral") return state
      const tally = recordInTally(settings.trip, state.tally, outcome === "failure", slow, now)
      return tripsAt(settings.trip, tally, now)
        ? open(state, countsOf(settings.trip, tally, now), 0, now, breakFor)
        : tally === state.tally
        ? state
        : { ...state, tally }
    }
    case "HalfOpen": {
      const probes = state.probes - 1
      if (outcome === "neutral") return { ...state, probes }
      // A breaker that may have opened because calls were slow is not closed by slow ones.
      const next = outcome === "success" && !slow
        ? { ...state, probes, successes: state.successes + 1 }
        : { ...state, probes, failures: state.failures + 1 }
      return next.successes >= settings.successes
        ? closed(settings, state)
        : next.failures > settings.sample - settings.successes
        ? open(state, probed(next), state.reopens + 1, now, breakFor)
        : next
    }
    // They issue no permits.
    case "Open":
    case "Isolated":
      return state
  }
}

const closed = (settings: Settings, before: State): Closed => ({
  _tag: "Closed",
  generation: before.generation + 1,
  tally: emptyTally(settings.trip)
})

const open = (
  before: State,
  { failures, total }: Counts,
  reopens: number,
  openedAt: number,
  breakFor: BreakFor
): Open => {
  const openForMillis = breakFor({ failures, rate: total === 0 ? 0 : failures / total, reopens })
  return {
    _tag: "Open",
    generation: before.generation + 1,
    openedAt,
    openUntil: openedAt + openForMillis,
    openForMillis,
    reopens
  }
}

const extended = (state: Open, now: number): Open => {
  const openUntil = now + state.openForMillis
  return openUntil > state.openUntil ? { ...state, openUntil } : state
}

const halfOpen = ({ generation, openForMillis, reopens }: Open, now: number): HalfOpen => ({
  _tag: "HalfOpen",
  generation: generation + 1,
  successes: 0,
  failures: 0,
  probes: 0,
  startedAt: now,
  lastProbeAt: now,
  openForMillis,
  reopens
})

const reset = (settings: Settings, state: State): State =>
  // Who isolates it decides for how long; what it goes back to is reset.
  state._tag === "Isolated" ? { ...state, before: closed(settings, state.before) } : closed(settings, state)

const isolate = (state: State, holder: Isolated["holders"][number]): Isolated =>
  state._tag === "Isolated"
    ? { ...state, holders: [...state.holders, holder] }
    : { _tag: "Isolated", generation: state.generation + 1, holders: [holder], before: state }

const release = (state: Isolated, id: number): State => {
  const holders = state.holders.filter((holder) => holder.id !== id)
  if (holders.length > 0) return { ...state, holders }
  const { before } = state
  const generation = state.generation + 1
  if (before._tag !== "HalfOpen") return { ...before, generation }
  // Its probes have expired, so it begins again with the next call.
  const { openForMillis, reopens, startedAt } = before
  return { _tag: "Open", generation, openedAt: startedAt, openUntil: startedAt, openForMillis, reopens }
}

const probed = ({ failures, successes }: HalfOpen): Counts => ({ total: successes + failures, failures, slow: 0 })

const probe = (state: HalfOpen): readonly [State, Decision] => [
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
