/**
 * What a store in memory holds, and how a transaction reads and changes it: all of its changes are made at once, or none.
 */
import { type Closing, type Event, isClosing } from "../../Event.js"
import type { Entry, PendingActivity, PendingTimer, Written } from "../../Journal.js"
import type { AttemptChange, Changes, Known, LinkState, RunState, Wanted } from "../../JournalTransaction.js"
import { JournalError } from "../../WorkflowError.js"
import { Transaction } from "../journal/transaction.js"

/** An activity, the worker that has taken its attempt from a queue, and what only its token tells. */
export type Activity = PendingActivity & { readonly worker: string | undefined; readonly secret: string | undefined }

export interface Stored {
  run: RunState
  readonly events: Array<Event>
  readonly activities: Map<number, Activity>
  readonly timers: Map<number, PendingTimer>
  /** The ids of its signals. */
  readonly signals: Set<string>
  claimNotBefore: number
}

export class Rows {
  readonly byRunId = new Map<string, Stored>()
  /** The run of each workflow id that was begun last. */
  readonly latest = new Map<string, Stored>()
  private readonly byId = new Map<number, Stored>()
  private readonly links = new Map<number, LinkState>()
  private lastLink = 0

  /** Writes all entries, or throws and has written none. */
  write(entries: ReadonlyArray<Entry>): Written {
    const transaction = new Transaction(entries)
    const steps = transaction.run()
    let step = steps.next()
    while (step.done !== true) {
      this.read(transaction.known, step.value)
      step = steps.next()
    }
    this.apply(transaction.changes)
    return step.value
  }

  private read(known: Known, wanted: Wanted): void {
    if (wanted.newRuns > 0) {
      known.knowNewRuns(Array.from({ length: wanted.newRuns }, (_, i) => this.byId.size + 1 + i))
    }
    for (const runId of wanted.runIds) {
      const stored = this.byRunId.get(runId)
      if (stored !== undefined) known.knowRun(stateOf(stored))
    }
    for (const workflowId of wanted.workflowIds) {
      const stored = this.latest.get(workflowId)
      known.knowLatest(workflowId, stored && stateOf(stored))
    }
    for (const [run, id] of wanted.signals) if (this.byId.get(run)?.signals.has(id)) known.knowSignal(run, id)
    for (const [run, command] of wanted.activities) {
      const activity = this.byId.get(run)?.activities.get(command)
      if (activity === undefined) continue
      const { attempt, scheduled: { queue }, startedAt, worker } = activity
      known.knowPending(run, command, {
        queued: queue !== undefined,
        attempt,
        worker,
        started: startedAt !== undefined
      })
    }
    if (wanted.linked.length === 0) return
    const runs = new Set(wanted.linked)
    for (const [id, link] of this.links) {
      if (!runs.has(link.child) && !runs.has(link.parent)) continue
      for (const run of [link.child, link.parent]) known.knowRun(stateOf(this.byId.get(run)!))
      known.knowLink({ ...link, id })
    }
  }

  private apply(changes: Changes): void {
    const begun = new Set<string>()
    for (const { runId } of changes.begun) {
      if (this.byRunId.has(runId) || begun.size === begun.add(runId).size) {
        throw new JournalError({ reason: "Write", detail: `there is a run ${runId} already` })
      }
    }
    for (const run of changes.begun) this.begin(run)
    for (const [run, events] of changes.batches) {
      const stored = this.byId.get(run.id)!
      stored.run = stateCopy(run)
      for (const event of events) stored.events.push(copyOf(event))
    }
    for (const run of changes.blocked) this.byId.get(run.id)!.run = stateCopy(run)
    for (const [run, scheduled] of changes.activities.values()) {
      const { activities, run: { runId, workflow, workflowId } } = this.byId.get(run)!
      activities.set(scheduled.command, {
        workflow,
        workflowId,
        runId,
        scheduled: copyOf(scheduled),
        attempt: 1,
        notBefore: 0,
        worker: undefined,
        startedAt: undefined,
        outside: false,
        beatAt: undefined,
        details: undefined,
        secret: undefined
      })
    }
    for (const change of changes.attempts) this.changeAttempt(change)
    for (const [run, command] of changes.endedActivities) this.byId.get(run)!.activities.delete(command)
    for (const [run, { command, fireAt }] of changes.timers.values()) {
      const { run: { runId }, timers } = this.byId.get(run)!
      timers.set(command, { runId, command, fireAt })
    }
    for (const [run, command] of changes.endedTimers) this.byId.get(run)!.timers.delete(command)
    for (const [run, id] of changes.signals) this.byId.get(run)!.signals.add(id)
    for (const { id } of changes.closing) {
      const { activities, signals, timers } = this.byId.get(id)!
      for (const pending of [activities, timers, signals]) pending.clear()
    }
    for (const id of changes.endedLinks) this.links.delete(id)
    for (const link of changes.movedLinks) this.links.set(link.id!, { ...link })
    for (const link of changes.links) this.links.set(++this.lastLink, { ...link })
  }

  private begin(run: RunState): void {
    const stored: Stored = {
      run,
      events: [],
      activities: new Map(),
      timers: new Map(),
      signals: new Set(),
      claimNotBefore: 0
    }
    this.byId.set(run.id, stored)
    this.byRunId.set(run.runId, stored)
    this.latest.set(run.workflowId, stored)
  }

  private changeAttempt(change: AttemptChange): void {
    const { activities } = this.byId.get(change.run)!
    const command = change._tag === "Failed" ? change.event.target : change.command
    const activity = activities.get(command)
    if (activity === undefined) return
    activities.set(
      command,
      change._tag === "Failed"
        ? {
          ...activity,
          attempt: change.event.attempt + 1,
          notBefore: change.event.retryAt,
          worker: undefined,
          startedAt: undefined,
          outside: false,
          beatAt: undefined,
          secret: undefined
        }
        : {
          ...activity,
          beatAt: change.at,
          startedAt: activity.startedAt ?? (change.outside ? change.at : undefined),
          outside: activity.outside || change.outside,
          details: change.details ?? activity.details,
          secret: activity.secret ?? change.secret
        }
    )
  }
}

/** In the order of their commands. */
export const activitiesOf = ({ activities }: Stored): ReadonlyArray<Activity> =>
  [...activities.values()].sort((a, b) => a.scheduled.command - b.scheduled.command)

/** By time, and those of one time in the order of their commands. */
export const timersOf = ({ timers }: Stored): ReadonlyArray<PendingTimer> =>
  [...timers.values()].map((timer) => ({ ...timer })).sort((a, b) => a.fireAt - b.fireAt || a.command - b.command)

// --- nobody changes what the store holds, neither who wrote it nor who has read it

const hasParts = (event: Event): boolean => "retry" in event || "failure" in event || "parent" in event

export const copyOf = <E extends Event>(event: E): E => hasParts(event) ? structuredClone(event) : { ...event }

const stateCopy = (run: RunState): RunState => ({ ...run, closed: run.closed && copyOf(run.closed) })

/** A run as a transaction may change it, with its last event where that has closed it. */
const stateOf = ({ events, run }: Stored): RunState => {
  const last = events.at(-1)
  const closed: Closing | undefined = run.closedSeq !== undefined && last !== undefined && isClosing(last)
    ? copyOf(last)
    : undefined
  return { ...run, closed }
}
