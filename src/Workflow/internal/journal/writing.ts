/**
 * Writing to runs: events that are appended, runs that begin, and what that leads to in others.
 */
import { type Closing, type Event, type ExternalEvent, statusOf, type Unsequenced } from "../../Event.js"
import type { NewRun, Notification } from "../../Journal.js"
import type { LinkState, RunState } from "../../JournalTransaction.js"
import { Changes } from "./changes.js"
import type { Ask } from "./consequences.js"
import { Known, ownedRun } from "./known.js"
import { assignSequence, deadlineOf, earliest, nowhere } from "./sequence.js"

export type Consequence =
  | { readonly _tag: "Requested"; readonly run: RunState; readonly ask: Ask }
  | { readonly _tag: "Closed"; readonly run: RunState; readonly closed: Closing; readonly next: RunState | undefined }

export class Writing {
  readonly known = new Known()
  readonly changes = new Changes()
  private consequences: Array<Consequence> = []

  append(run: RunState, events: ReadonlyArray<Unsequenced<Event>>): ReadonlyArray<Event> {
    const appended = assignSequence(events, run.position)
    const { localActivities, position: { dueSeq } } = run
    run.position = { lastSeq: appended.lastSeq, dueSeq: appended.dueSeq }
    if (appended.events.length > 0) this.changes.batches.push([run, appended.events])
    for (const event of appended.events) {
      this.changes.follow(run.id, event)
      this.known.follow(run, event)
      if (event._tag === "CancelRequested") {
        run.status = "Cancelling"
        run.cancelBy = earliest(run.cancelBy, event.by)
        this.changes.restate(run)
      }
    }
    if (appended.dueSeq !== dueSeq || run.localActivities !== localActivities) this.changes.move(run)
    if (appended.closed !== undefined) {
      run.closed = appended.closed
      run.closedSeq = appended.closed.seq
      run.status = statusOf(appended.closed)
      this.changes.closing.add(run)
    }
    return appended.events
  }

  begin(
    run: NewRun,
    workflowId: string,
    workflow: string,
    events: ReadonlyArray<Unsequenced<Event>>,
    notifications: Array<Notification>
  ): RunState {
    const [started] = events
    if (started?._tag !== "RunStarted") throw new Error(`run ${run.runId} does not begin with RunStarted`)
    const state = this.known.add({
      runId: run.runId,
      workflowId,
      workflow,
      startedAt: started.at,
      deadline: deadlineOf(started),
      cancelBy: undefined,
      owner: run.worker,
      epoch: run.worker === undefined ? 0 : 1,
      ownerCrashes: 0,
      status: "Running",
      blocked: undefined,
      position: nowhere,
      localActivities: 0,
      closedSeq: undefined,
      closed: undefined
    })
    this.changes.begin(state)
    const appended = this.append(state, events)
    notifications.push({ _tag: "RunCreated", owner: run.worker, run: ownedRun(state), events: appended })
    return state
  }

  post(run: RunState, event: Unsequenced<ExternalEvent>, notifications: Array<Notification>): void {
    const [posted] = this.append(run, [event])
    notifications.push({ _tag: "Posted", owner: run.owner, runId: run.runId, event: posted as ExternalEvent })
    if (run.closed !== undefined) this.follows({ _tag: "Closed", run, closed: run.closed, next: undefined })
  }

  /** The same where the run may have closed meanwhile. */
  tell(run: RunState, event: Unsequenced<ExternalEvent>, notifications: Array<Notification>): void {
    if (run.closedSeq === undefined) this.post(run, event, notifications)
  }

  /** Its owner is alive, and gets on. */
  clearCrashes(run: RunState): void {
    if (run.ownerCrashes === 0) return
    run.ownerCrashes = 0
    this.changes.move(run)
  }

  follows(consequence: Consequence): void {
    this.consequences.push(consequence)
  }

  /** What has followed since it was asked for last. */
  takeConsequences(): ReadonlyArray<Consequence> {
    const taken = this.consequences
    this.consequences = []
    return taken
  }

  link(link: LinkState): void {
    this.known.addLink(link)
    this.changes.links.add(link)
  }

  unlink(link: LinkState): void {
    this.known.dropLink(link)
    this.changes.unlink(link)
  }
}
