/**
 * What becomes of each entry: written, or refused for what is known of its run.
 */
import type { Event, Unsequenced } from "../../Event.js"
import type { Entry, Notification, Receipt } from "../../Journal.js"
import type { PendingState, RunState } from "../../JournalTransaction.js"
import { asksOf, carriedEnds, replacedAt, seenUpTo } from "./consequences.js"
import { recordOf } from "./known.js"
import { assignSequence, firstEvents } from "./sequence.js"
import { decideStart } from "./startPolicy.js"
import type { Writing } from "./writing.js"

type Of<Tag extends Entry["_tag"]> = Extract<Entry, { readonly _tag: Tag }>

/** Writes one entry, or refuses it. */
export const writeEntry = (to: Writing, entry: Entry): Receipt => {
  switch (entry._tag) {
    case "Start":
      return start(to, entry)
    case "Post":
      return send(to, entry)
    case "Report":
      return report(to, entry)
    case "Heartbeat":
      return beat(to, entry)
    case "Append":
    case "Block":
      return owners(to, entry)
  }
}

const start = (to: Writing, entry: Of<"Start">): Receipt => {
  const { run, signal, started, workflow, workflowId } = entry
  const notifications: Array<Notification> = []
  const existing = to.known.latest.get(workflowId)
  const decision = decideStart(existing && recordOf(existing), entry)
  if (decision === "Refuse") return { _tag: "Exists", record: recordOf(existing!) }
  const attached = decision === "Attach" ? existing : undefined
  if (decision === "Replace") to.post(existing!, replacedAt(started.at), notifications)
  const state = attached ?? to.begin(run, workflowId, workflow, [started], notifications)
  if (signal !== undefined && !to.known.isKnownSignal(state, signal)) to.post(state, signal, notifications)
  return { _tag: "Started", created: attached === undefined, record: recordOf(state), notifications }
}

const send = (to: Writing, { event, workflowId }: Of<"Post">): Receipt => {
  const run = to.known.latest.get(workflowId)
  if (run === undefined || run.closedSeq !== undefined) return { _tag: "NotOpen", known: run !== undefined }
  if (to.known.isKnownSignal(run, event)) return { _tag: "Duplicate", runId: run.runId }
  const notifications: Array<Notification> = []
  to.post(run, event, notifications)
  return { _tag: "Posted", runId: run.runId, notifications }
}

const pendingAttempt = (
  to: Writing,
  runId: string,
  command: number,
  attempt: number | undefined,
  worker: string | undefined
): readonly [RunState, PendingState] | undefined => {
  const run = to.known.byRunId.get(runId)
  if (run === undefined || run.closedSeq !== undefined) return undefined
  const pending = to.known.pendingOf(run, command)
  if (pending === undefined || (attempt !== undefined && pending.attempt !== attempt)) return undefined
  return worker === undefined || pending.worker === worker ? [run, pending] : undefined
}

const report = (to: Writing, { attempt, event, runId, unstarted, worker }: Of<"Report">): Receipt => {
  const found = pendingAttempt(to, runId, event.target, attempt, worker)
  if (found === undefined || (unstarted === true && found[1].started)) return { _tag: "NotPending" }
  const notifications: Array<Notification> = []
  to.post(found[0], event, notifications)
  return { _tag: "Posted", runId, notifications }
}

const beat = (to: Writing, { at, details, id, outside = false, secret, worker }: Of<"Heartbeat">): Receipt => {
  const found = pendingAttempt(to, id.runId, id.command, id.attempt, worker)
  if (found === undefined) return { _tag: "NotPending" }
  const [run] = found
  to.changes.attempts.push({
    _tag: "Beat",
    run: run.id,
    command: id.command,
    at,
    outside,
    details,
    secret
  })
  if (outside) to.known.note(run, id.command, { started: true })
  return { _tag: "Recorded" }
}

const owners = (to: Writing, entry: Of<"Append" | "Block">): Receipt => {
  const run = to.known.byRunId.get(entry.runId)
  if (
    run === undefined || run.closedSeq !== undefined || run.owner !== entry.worker || run.epoch !== entry.epoch
  ) return { _tag: "Fenced" }
  if (entry._tag === "Block") {
    run.blocked = entry.reason
    to.changes.blocked.add(run)
    return { _tag: "Recorded" }
  }
  const { children = [], next } = entry
  const unseen = next !== undefined && assignSequence(entry.events, run.position).dueSeq > 0
  if (unseen || hasEnded(to, run, entry.events)) return { _tag: "Conflict" }
  const events = to.append(run, entry.events)
  to.clearCrashes(run)
  const { lastSeq } = run.position
  for (const ask of asksOf(events, children)) to.follows({ _tag: "Requested", run, ask })
  const notifications: Array<Notification> = []
  const begun = next &&
    to.begin(
      { runId: next.runId, worker: entry.worker },
      run.workflowId,
      run.workflow,
      firstEvents(next),
      notifications
    )
  if (run.closed !== undefined) to.follows({ _tag: "Closed", run, closed: run.closed, next: begun })
  return { _tag: "Appended", lastSeq, notifications }
}

/** Whether a turn carries the end of an activity that somebody else has ended. */
const hasEnded = (to: Writing, run: RunState, events: ReadonlyArray<Unsequenced<Event>>): boolean => {
  return seenUpTo(events) < run.position.lastSeq &&
    carriedEnds(events).some((target) => to.known.pendingOf(run, target) === undefined)
}
