/**
 * Where appended events go in their run: their numbers, and what is left for a turn to consume.
 */
import { type Closing, type Event, isArrival, isClosing, type RunStarted, type Unsequenced } from "../../Event.js"
import type { NextRun } from "../../Journal.js"
import type { Position } from "../../JournalTransaction.js"

export interface Sequenced extends Position {
  readonly events: ReadonlyArray<Event>
  readonly closed: Closing | undefined
}

export const nowhere: Position = { lastSeq: 0, dueSeq: 0 }

/** The events that a run which goes on from another one begins with. */
export const firstEvents = ({ posted, started }: NextRun): ReadonlyArray<Unsequenced<Event>> => [started, ...posted]

/** When a run has to end, in milliseconds since the epoch. */
export const deadlineOf = (
  { at, executionDeadline = Infinity, runTimeout = Infinity }: Pick<
    RunStarted,
    "at" | "executionDeadline" | "runTimeout"
  >
): number | undefined => {
  const deadline = Math.min(at + runTimeout, executionDeadline)
  return deadline === Infinity ? undefined : deadline
}

/** The earlier of two times of which either may be missing. */
export const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

export const assignSequence = (appended: ReadonlyArray<Unsequenced<Event>>, after: Position): Sequenced => {
  // Arrivals that come with a turn are carried by it, so they are consumed as they are written.
  const carried = appended.some((event) => event._tag === "TurnTaken")
  let { dueSeq, lastSeq } = after
  let closed: Closing | undefined
  const events = appended.map((unsequenced): Event => {
    const event = { ...unsequenced, seq: ++lastSeq } as Event
    if (isArrival(event) && !carried) dueSeq = event.seq
    if (event._tag === "TurnTaken" && dueSeq <= event.consumedUpTo) dueSeq = 0
    if (isClosing(event)) closed = event
    return event
  })
  return { events, lastSeq, dueSeq, closed }
}
