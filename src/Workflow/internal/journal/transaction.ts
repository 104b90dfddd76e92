/**
 * One transaction of entries: the same decisions for every store, without Effect and without a database.
 *
 * A store runs the transaction step by step: each step says what has to be read (`Wanted`), the store tells what it has found
 * (`know…`), and at the end it writes the gathered `changes`, all or none of them.
 *
 * ```text
 *   entries ──▶ what they find is read ──▶ receipts and changes ──▶ what they lead to, in other runs
 *                        ▲                                                     │
 *                        └──────────────── until nothing follows ──────────────┘
 * ```
 */
import type { ExternalEvent, Unsequenced } from "../../Event.js"
import type { Entry, Notification, Written } from "../../Journal.js"
import type * as Public from "../../JournalTransaction.js"
import type { CommandKey, Wanted } from "../../JournalTransaction.js"
import type { Changes } from "./changes.js"
import { carriedEnds, messageOf, seenUpTo } from "./consequences.js"
import { writeEntry } from "./entries.js"
import { writeConsequence } from "./following.js"
import type { Known } from "./known.js"
import { type Consequence, Writing } from "./writing.js"

const nothing: Wanted = {
  newRuns: 0,
  runIds: [],
  workflowIds: [],
  signals: [],
  activities: [],
  linked: []
}

export class Transaction implements Public.Transaction {
  private readonly writing = new Writing()

  constructor(private readonly entries: ReadonlyArray<Entry>) {}

  /** What the store tells of what it has found. */
  get known(): Known {
    return this.writing.known
  }

  /** What the store has to write. */
  get changes(): Changes {
    return this.writing.changes
  }

  *run(): Generator<Wanted, Written, void> {
    yield* this.readForEntries()
    const receipts = this.entries.map((entry) => writeEntry(this.writing, entry))
    const notifications: Array<Notification> = []
    for (;;) {
      const following = this.writing.takeConsequences()
      if (following.length === 0) return { receipts, consequences: notifications }
      yield* this.readForConsequences(following)
      for (const consequence of following) writeConsequence(this.writing, consequence, notifications)
    }
  }

  private *readForEntries(): Generator<Wanted, void, void> {
    const runIds: Array<string> = []
    const workflowIds: Array<string> = []
    const sent: Array<readonly [workflowId: string, event: Unsequenced<ExternalEvent>]> = []
    const attempts: Array<readonly [runId: string, command: number]> = []
    let newRuns = 0
    for (const entry of this.entries) {
      switch (entry._tag) {
        case "Start":
          newRuns++
          workflowIds.push(entry.workflowId)
          if (entry.signal !== undefined) sent.push([entry.workflowId, entry.signal])
          break
        case "Post":
          workflowIds.push(entry.workflowId)
          sent.push([entry.workflowId, entry.event])
          break
        case "Report":
          attempts.push([entry.runId, entry.event.target])
          break
        case "Heartbeat":
          attempts.push([entry.id.runId, entry.id.command])
          break
        case "Append":
          newRuns += (entry.next === undefined ? 0 : 1) + (entry.children ?? []).length
          runIds.push(entry.runId)
          break
        case "Block":
          runIds.push(entry.runId)
          break
      }
    }
    yield* this.read({
      newRuns,
      runIds: [...runIds, ...attempts.map(([runId]) => runId)],
      workflowIds
    })
    // Only where somebody else has written can somebody else have ended an activity that a turn carries the end of. What
    // stands before an append in the same group counts as that.
    const written = workflowIds.length + attempts.length > 0
    const appendedTo = new Set<string>()
    for (const entry of this.entries) {
      if (entry._tag !== "Append") continue
      for (const event of entry.events) {
        if (event._tag === "ActivityCancelled") attempts.push([entry.runId, event.target])
      }
      const run = this.known.byRunId.get(entry.runId)
      const first = !appendedTo.has(entry.runId)
      appendedTo.add(entry.runId)
      if (run === undefined || (!written && first && seenUpTo(entry.events) >= run.position.lastSeq)) continue
      for (const target of carriedEnds(entry.events)) attempts.push([entry.runId, target])
    }
    const activities = attempts.flatMap(([runId, command]): ReadonlyArray<CommandKey> => {
      const run = this.known.byRunId.get(runId)
      return run === undefined ? [] : [[run.id, command]]
    })
    for (const [run, command] of activities) this.known.lookForPending(run, command)
    yield* this.read({ signals: this.signalsIn(sent), activities })
  }

  private *readForConsequences(consequences: ReadonlyArray<Consequence>): Generator<Wanted, void, void> {
    const workflowIds: Array<string> = []
    const sent: Array<readonly [workflowId: string, event: Unsequenced<ExternalEvent>]> = []
    const linked: Array<number> = []
    for (const consequence of consequences) {
      if (consequence._tag === "Closed") {
        linked.push(consequence.run.id)
        continue
      }
      const { ask } = consequence
      if (ask._tag === "DetachChild") linked.push(consequence.run.id)
      if (ask._tag === "Child") workflowIds.push(ask.scheduled.workflowId)
      if (ask._tag === "Send") {
        workflowIds.push(ask.sent.workflowId)
        sent.push([ask.sent.workflowId, messageOf(ask.sent)])
      }
    }
    yield* this.read({ workflowIds, linked })
    yield* this.read({ signals: this.signalsIn(sent) })
  }

  /** Asks for what is not known yet; where that is nothing, for nothing. */
  private *read(wanted: Partial<Wanted>): Generator<Wanted, void, void> {
    const missing: Wanted = {
      ...nothing,
      ...wanted,
      runIds: distinct(wanted.runIds ?? [], (runId) => !this.known.byRunId.has(runId)),
      workflowIds: distinct(wanted.workflowIds ?? [], (workflowId) => !this.known.latest.has(workflowId))
    }
    const { activities, linked, newRuns, runIds, signals, workflowIds } = missing
    if (newRuns > 0 || [runIds, workflowIds, signals, activities, linked].some(({ length }) => length > 0)) {
      yield missing
    }
  }

  private signalsIn(
    sent: ReadonlyArray<readonly [workflowId: string, event: Unsequenced<ExternalEvent>]>
  ): ReadonlyArray<readonly [run: number, id: string]> {
    return sent.flatMap(([workflowId, event]) => {
      const run = this.known.latest.get(workflowId)
      return run === undefined || event._tag !== "SignalReceived" || event.id === undefined ? [] : [[run.id, event.id]]
    })
  }
}

const distinct = <A>(values: ReadonlyArray<A>, wanted: (value: A) => boolean): ReadonlyArray<A> =>
  values.length === 0 ? values : [...new Set(values)].filter(wanted)
