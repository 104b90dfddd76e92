/**
 * Which commands and ends of a run concern others, and as which events they reach them.
 */
import {
  type CancelSent,
  type ChildCancelled,
  type ChildClosed,
  type ChildScheduled,
  type Closing,
  type Event,
  type Message,
  type RunStarted,
  type SendAnswered,
  type SignalSent,
  statusOf,
  type Unsequenced
} from "../../Event.js"
import type { NewRun, RunRecord } from "../../Journal.js"

/** A command that another run has to hear of. */
export type Ask =
  | { readonly _tag: "Child"; readonly scheduled: ChildScheduled; readonly run: NewRun }
  | { readonly _tag: "DetachChild"; readonly cancelled: ChildCancelled }
  | { readonly _tag: "Send"; readonly sent: SignalSent | CancelSent }

/** The asks of an append, in order. A child that nobody waits for before it has begun is not begun. */
export const asksOf = (events: ReadonlyArray<Event>, children: ReadonlyArray<NewRun>): ReadonlyArray<Ask> => {
  const left = new Set(events.map((event) => event._tag === "ChildCancelled" ? event.target : undefined))
  const asks: Array<Ask> = []
  let begun = 0
  for (const event of events) {
    switch (event._tag) {
      case "ChildScheduled": {
        const run = children[begun++]
        if (run === undefined) throw new Error(`command ${event.command} asks for a child without a run for it`)
        if (!left.has(event.command) || event.parentClose === "abandon") {
          asks.push({ _tag: "Child", scheduled: event, run })
        }
        break
      }
      case "ChildCancelled":
        asks.push({ _tag: "DetachChild", cancelled: event })
        break
      case "SignalSent":
      case "CancelSent":
        asks.push({ _tag: "Send", sent: event })
        break
    }
  }
  return asks
}

/** What is sent, as the run that gets it sees it. */
export const messageOf = (sent: SignalSent | CancelSent): Unsequenced<Message> => {
  const { at } = sent
  if (sent._tag === "CancelSent") return { _tag: "CancelRequested", at, reason: sent.reason }
  const { id, payload, signal } = sent
  return { _tag: "SignalReceived", signal, at, ...(id === undefined ? {} : { id }), payload }
}

export const answerTo = (
  { at, command }: SignalSent | CancelSent,
  outcome: SendAnswered["outcome"]
): Unsequenced<SendAnswered> => ({ _tag: "SendAnswered", target: command, at, outcome })

/** The first event of a child. */
export const childStarted = (
  { at, executionDeadline, payload, runTimeout }: ChildScheduled,
  parent: { readonly workflowId: string; readonly runId: string }
): Unsequenced<RunStarted> => ({
  _tag: "RunStarted",
  at,
  parent: { workflowId: parent.workflowId, runId: parent.runId },
  ...(runTimeout === undefined ? {} : { runTimeout }),
  ...(executionDeadline === undefined ? {} : { executionDeadline }),
  payload
})

/** What a parent is told of the end of a child. */
export const childClosed = (target: number, runId: string, closed: Closing): Unsequenced<ChildClosed> => ({
  _tag: "ChildClosed",
  target,
  at: closed.at,
  runId,
  outcome: statusOf(closed) as ChildClosed["outcome"],
  ...messageIn(closed),
  payload: closed._tag === "RunClosed" ? closed.payload : null
})

const messageIn = (closed: Closing): { readonly message?: string } => {
  const message = closed._tag === "RunClosed"
    ? closed.message
    : closed._tag === "RunTerminated"
    ? closed.reason
    : undefined
  return message === undefined ? {} : { message }
}

export const childRefused = (
  { at, command, workflowId }: ChildScheduled,
  existing: Pick<RunRecord, "runId" | "workflow" | "status">
): Unsequenced<ChildClosed> => ({
  _tag: "ChildClosed",
  target: command,
  at,
  runId: existing.runId,
  outcome: "Refused",
  message: `workflow id ${JSON.stringify(workflowId)} has a run of ${existing.workflow} already (${existing.status})`,
  payload: null
})

/** What happens to an open run whose id is given to a new one. */
export const replacedAt = (at: number): Unsequenced<Message> => ({
  _tag: "RunTerminated",
  at,
  reason: "replaced by a new run of its id"
})

/** What happens to a child when its parent has ended before it. */
export const parentEnded = (
  parentClose: ChildScheduled["parentClose"],
  at: number
): Unsequenced<Message> | undefined => {
  const reason = "its parent has ended"
  switch (parentClose) {
    case "terminate":
      return { _tag: "RunTerminated", at, reason }
    case "cancel":
      return { _tag: "CancelRequested", at, reason }
    case "abandon":
      return undefined
  }
}

/** What happens to a child that its parent has stopped waiting for. */
export const parentLeft = (
  parentClose: ChildScheduled["parentClose"],
  at: number
): Unsequenced<Message> | undefined =>
  parentClose === "abandon"
    ? undefined
    : { _tag: "CancelRequested", at, reason: "its parent has stopped waiting for it" }

/** The number up to which the owner of a run has seen its events; what it writes without a turn needs none. */
export const seenUpTo = (events: ReadonlyArray<Unsequenced<Event>>): number => {
  for (const event of events) if (event._tag === "TurnTaken") return event.consumedUpTo
  return Infinity
}

/** The activities whose end a turn carries. */
export const carriedEnds = (events: ReadonlyArray<Unsequenced<Event>>): ReadonlyArray<number> => {
  const ends: Array<number> = []
  for (const event of events) {
    if (event._tag === "TurnTaken") break
    if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") ends.push(event.target)
  }
  return ends
}
