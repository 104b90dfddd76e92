/**
 * What a write leads to in other runs: children that begin, messages that arrive, and whom the end of a run concerns.
 */
import type { ChildScheduled, Closing } from "../../Event.js"
import type { NewRun, Notification } from "../../Journal.js"
import type { LinkState, RunState } from "../../JournalTransaction.js"
import {
  answerTo,
  type Ask,
  childClosed,
  childRefused,
  childStarted,
  messageOf,
  parentEnded,
  parentLeft,
  replacedAt
} from "./consequences.js"
import { recordOf } from "./known.js"
import { decideStart } from "./startPolicy.js"
import type { Consequence, Writing } from "./writing.js"

/** Writes what follows, and tells of it in `notifications`. */
export const writeConsequence = (to: Writing, consequence: Consequence, notifications: Array<Notification>): void =>
  consequence._tag === "Requested"
    ? asked(to, consequence.run, consequence.ask, notifications)
    : closed(to, consequence.run, consequence.closed, consequence.next, notifications)

const asked = (to: Writing, run: RunState, ask: Ask, notifications: Array<Notification>): void => {
  switch (ask._tag) {
    case "Child":
      return askFor(to, run, ask.scheduled, ask.run, notifications)
    case "DetachChild": {
      const { at, target } = ask.cancelled
      for (const link of to.known.linksOf((link) => link.parent === run.id && link.command === target)) {
        to.unlink(link)
        const message = parentLeft(link.parentClose, at)
        if (message !== undefined) to.tell(to.known.byId.get(link.child)!, message, notifications)
      }
      return
    }
    case "Send": {
      const receiver = to.known.latest.get(ask.sent.workflowId)
      const open = receiver !== undefined && receiver.closedSeq === undefined
      const message = messageOf(ask.sent)
      if (open && !to.known.isKnownSignal(receiver, message)) to.post(receiver, message, notifications)
      const outcome = open ? "Delivered" : receiver === undefined ? "NotFound" : "Ended"
      to.tell(run, answerTo(ask.sent, outcome), notifications)
    }
  }
}

const askFor = (
  to: Writing,
  parent: RunState,
  scheduled: ChildScheduled,
  run: NewRun,
  notifications: Array<Notification>
): void => {
  const { command, parentClose, workflow, workflowId } = scheduled
  const existing = to.known.latest.get(workflowId)
  const decision = existing === parent ? "Refuse" : decideStart(existing && recordOf(existing), scheduled)
  if (decision === "Refuse") return to.tell(parent, childRefused(scheduled, recordOf(existing!)), notifications)
  if (decision === "Attach" && existing!.closed !== undefined) {
    return to.tell(parent, childClosed(command, existing!.runId, existing!.closed), notifications)
  }
  if (decision === "Replace") to.post(existing!, replacedAt(scheduled.at), notifications)
  const child = decision === "Attach"
    ? existing!
    : to.begin(run, workflowId, workflow, [childStarted(scheduled, parent)], notifications)
  // Where the parent has closed in the same transaction, what follows from that comes after this.
  const link: LinkState = { id: undefined, child: child.id, parent: parent.id, command, parentClose }
  to.link(link)
}

/** The parent has ended before its child. */
const endWith = (
  to: Writing,
  { child, parentClose }: LinkState,
  at: number,
  notifications: Array<Notification>
): void => {
  const message = parentEnded(parentClose, at)
  if (message !== undefined) to.tell(to.known.byId.get(child)!, message, notifications)
}

const closed = (
  to: Writing,
  run: RunState,
  closing: Closing,
  next: RunState | undefined,
  notifications: Array<Notification>
): void => {
  for (const link of to.known.linksOf(({ child }) => child === run.id)) {
    if (next !== undefined) {
      link.child = next.id
      to.changes.moveLink(link)
    } else {
      to.unlink(link)
      if (link.command !== undefined) {
        to.tell(to.known.byId.get(link.parent)!, childClosed(link.command, run.runId, closing), notifications)
      }
    }
  }
  for (const link of to.known.linksOf(({ parent }) => parent === run.id)) {
    if (next !== undefined) {
      link.parent = next.id
      link.command = undefined
      to.changes.moveLink(link)
    } else {
      to.unlink(link)
      endWith(to, link, closing.at, notifications)
    }
  }
}
