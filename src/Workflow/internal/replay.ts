/**
 * A history, run again turn by turn, with the recorded boundaries and times.
 */
import { type Arrival, type Command, type Event, isArrival, isCommand } from "../Event.js"
import type { Execution } from "./execution.js"

/**
 * Brings a fresh execution to the end of a history. Gives the arrivals that no recorded turn consumed, in order; when the
 * execution does not fit, its `fault` says where.
 */
export const replay = (execution: Execution, history: ReadonlyArray<Event>): ReadonlyArray<Arrival> => {
  let waiting: Array<Arrival> = []
  for (let i = 0; i < history.length && execution.fault === undefined; i++) {
    const event = history[i]!
    if (isArrival(event)) waiting.push(event)
    if (event._tag !== "TurnTaken") continue
    const firstCarried = event.seq - event.carried
    const consumed = (arrival: Arrival) => arrival.seq <= event.upTo || arrival.seq >= firstCarried
    const arrivals = waiting.filter(consumed)
    waiting = waiting.filter((arrival) => !consumed(arrival))
    execution.turn(event.at, arrivals, commandsAfter(history, i))
  }
  return waiting
}

const commandsAfter = (history: ReadonlyArray<Event>, turn: number): ReadonlyArray<Command> => {
  const commands: Array<Command> = []
  for (let i = turn + 1; i < history.length; i++) {
    const event = history[i]!
    if (!isCommand(event)) break
    commands.push(event)
  }
  return commands
}
