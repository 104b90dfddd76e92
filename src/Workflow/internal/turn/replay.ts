/**
 * A history, run again turn by turn, with the recorded boundaries and times.
 */
import {
  type Arrival,
  type Command,
  type Event,
  isArrival,
  isClosing,
  isCommand,
  type Unsequenced
} from "../../Event.js"
import type { Execution } from "./execution.js"

/**
 * Brings a fresh execution to the end of a history. Gives the arrivals that no recorded turn consumed, in order; when the
 * execution does not fit, its `fault` says where.
 *
 * Every event is looked at once. A turn consumes the first of the waiting arrivals and the last of them, never one
 * between, so what waits is a line that is taken from at both ends.
 */
export const replay = (execution: Execution, history: ReadonlyArray<Event>): ReadonlyArray<Arrival> => {
  const waiting: Array<Arrival> = []
  let first = 0
  for (let i = 0; i < history.length && execution.fault === undefined;) {
    const event = history[i++]!
    if (isArrival(event)) waiting.push(event)
    if (event._tag !== "TurnTaken") continue
    const arrivals: Array<Arrival> = []
    while (first < waiting.length && waiting[first]!.seq <= event.consumedUpTo) arrivals.push(waiting[first++]!)
    const firstCarried = event.seq - event.inlineArrivals
    let end = waiting.length
    while (end > first && waiting[end - 1]!.seq >= firstCarried) end--
    for (let j = end; j < waiting.length; j++) arrivals.push(waiting[j]!)
    waiting.length = end
    if (first === end) first = waiting.length = 0
    const commands: Array<Command> = []
    for (let next = history[i]; next !== undefined && isCommand(next); next = history[++i]) commands.push(next)
    execution.turn(event.at, arrivals, commands)
  }
  return waiting.slice(first)
}

/** What a replay has come to, with the turn that would follow. */
export interface Examined {
  /** What no recorded turn consumed. */
  readonly arrivals: ReadonlyArray<Arrival>
  /** What the turn that consumes them would issue. */
  readonly newCommands: ReadonlyArray<Unsequenced<Command>>
}

/**
 * Replays a history and, where the run is open and something has arrived, takes the turn that would come next.
 */
export const examine = (execution: Execution, history: ReadonlyArray<Event>): Examined => {
  const arrivals = replay(execution, history)
  const last = history.at(-1)
  const ended = execution.fault !== undefined || last === undefined || isClosing(last)
  if (ended || arrivals.length === 0) return { arrivals, newCommands: [] }
  const at = arrivals.reduce((latest, arrival) => Math.max(latest, arrival.at), 0)
  const newCommands = execution.turn(at, arrivals)
  return { arrivals, newCommands: execution.fault === undefined ? newCommands : [] }
}
