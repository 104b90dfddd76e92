/**
 * What a transaction knows of the runs that it is about: what its store has found, kept in step with what it changes.
 */
import type { Event, ExternalEvent, Unsequenced } from "../../Event.js"
import type { OwnedRun, RunRecord } from "../../Journal.js"
import type * as Public from "../../JournalTransaction.js"
import type { LinkState, PendingState, RunState } from "../../JournalTransaction.js"

export class Known implements Public.Known {
  readonly byId = new Map<number, RunState>()
  readonly byRunId = new Map<string, RunState>()
  /** The newest run of each workflow id that has been looked for. */
  readonly latest = new Map<string, RunState | undefined>()
  private readonly signals = new Set<string>()
  private readonly pending = new Map<string, PendingState | undefined>()
  private readonly links = new Map<number, LinkState>()
  private readonly newLinks = new Set<LinkState>()
  private newRuns: Array<number> = []

  // --- what the store has found

  knowNewRuns(ids: ReadonlyArray<number>): void {
    this.newRuns = [...ids]
  }

  /** Gives the state that the transaction has of the run: what it has changed already stays. */
  knowRun(found: RunState): RunState {
    const known = this.byId.get(found.id)
    if (known !== undefined) return known
    this.byId.set(found.id, found)
    this.byRunId.set(found.runId, found)
    return found
  }

  knowLatest(workflowId: string, found: RunState | undefined): void {
    if (found === undefined) return void this.latest.set(workflowId, undefined)
    const run = this.knowRun(found)
    run.closed ??= found.closed
    this.latest.set(workflowId, run)
  }

  knowSignal(run: number, id: string): void {
    this.signals.add(`${run}/${id}`)
  }

  /** It is being looked for: unless the store finds it, it is not pending. */
  lookForPending(run: number, command: number): void {
    const key = `${run}/${command}`
    if (!this.pending.has(key)) this.pending.set(key, undefined)
  }

  knowPending(run: number, command: number, pending: PendingState): void {
    this.pending.set(`${run}/${command}`, pending)
  }

  knowLink(link: LinkState & { readonly id: number }): void {
    if (!this.links.has(link.id)) this.links.set(link.id, link)
  }

  runOf(id: number): RunState | undefined {
    return this.byId.get(id)
  }

  // --- what is looked up

  pendingOf(run: RunState, command: number): PendingState | undefined {
    return this.pending.get(`${run.id}/${command}`)
  }

  isKnownSignal(run: RunState, event: Unsequenced<ExternalEvent>): boolean {
    return event._tag === "SignalReceived" && event.id !== undefined && this.signals.has(`${run.id}/${event.id}`)
  }

  /** In the order in which the children were asked for. */
  linksOf(which: (link: LinkState) => boolean): ReadonlyArray<LinkState> {
    if (this.links.size + this.newLinks.size === 0) return []
    const stored = [...this.links.values()].sort((a, b) => a.id! - b.id!)
    return [...stored, ...this.newLinks].filter(which)
  }

  // --- what is changed

  /** Adds a run that begins, under the next of the new numbers. */
  add(begun: Omit<RunState, "id">): RunState {
    const id = this.newRuns.shift()
    if (id === undefined) throw new Error("more runs begin than there are numbers for")
    const run: RunState = { id, ...begun }
    this.byId.set(run.id, run)
    this.byRunId.set(run.runId, run)
    this.latest.set(run.workflowId, run)
    return run
  }

  /** Keeps what is pending and which signals there are in step with an event. */
  follow(run: RunState, event: Event): void {
    switch (event._tag) {
      case "SignalReceived":
        if (event.id !== undefined) this.knowSignal(run.id, event.id)
        break
      case "ActivityScheduled":
        this.knowPending(run.id, event.command, {
          queued: event.queue !== undefined,
          attempt: 1,
          worker: undefined,
          started: false
        })
        if (event.queue === undefined) run.localActivities++
        break
      case "AttemptFailed":
        this.note(run, event.target, { attempt: event.attempt + 1, worker: undefined, started: false })
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        this.end(run, event.target)
        break
    }
  }

  /** An end that nobody has looked at is one of a local activity, by the owner, who has seen that it is pending. */
  private end(run: RunState, command: number): void {
    const key = `${run.id}/${command}`
    const pending = this.pending.get(key)
    const ended = pending === undefined ? !this.pending.has(key) : !pending.queued
    if (ended && run.localActivities > 0) run.localActivities--
    this.pending.set(key, undefined)
  }

  /** What becomes of an activity that is known to be pending. */
  note(run: RunState, command: number, change: Partial<PendingState>): void {
    const key = `${run.id}/${command}`
    const pending = this.pending.get(key)
    if (pending !== undefined) this.pending.set(key, { ...pending, ...change })
  }

  addLink(link: LinkState): void {
    this.newLinks.add(link)
  }

  dropLink(link: LinkState): void {
    if (link.id === undefined) this.newLinks.delete(link)
    else this.links.set(link.id, { ...link, child: gone, parent: gone })
  }
}

/** No run has this id: stands in a link that has been removed, so that it is not read again. */
const gone = -1

export const recordOf = (run: RunState): RunRecord => ({
  runId: run.runId,
  workflowId: run.workflowId,
  workflow: run.workflow,
  startedAt: run.startedAt,
  status: run.status,
  events: run.position.lastSeq,
  blocked: run.blocked,
  closed: run.closed
})

export const ownedRun = (run: RunState): OwnedRun => ({
  runId: run.runId,
  workflowId: run.workflowId,
  workflow: run.workflow,
  startedAt: run.startedAt,
  deadline: run.deadline,
  cancelBy: run.cancelBy,
  epoch: run.epoch,
  due: run.position.dueSeq > 0,
  blocked: run.blocked !== undefined
})
