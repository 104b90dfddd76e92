/**
 * One transaction of entries: what they find is read first, what they change is gathered, and so it goes on with what they
 * lead to, until nothing follows any more. Then all is written.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { type ChildScheduled, type Closing, type Event, type Posted, statusOf, type Unplaced } from "../../Event.js"
import type { Entry, NewRun, News, OwnedRun, Receipt, RunRecord, Written } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import {
  answerTo,
  type Ask,
  asksOf,
  carriedEnds,
  childClosed,
  childRefused,
  childStarted,
  messageOf,
  parentEnded,
  parentLeft,
  replacedAt,
  seenUpTo
} from "../journal/consequences.js"
import { deadlineOf, earliest, firstEvents, nowhere, place } from "../journal/place.js"
import { decideStart } from "../journal/startPolicy.js"
import { Changes, type LinkState, type RunState } from "./changes.js"
import { closingOf, type RecordRow, type RunRow, selectById, selectByRunId, selectLatest } from "./runRow.js"
import { execute, overRows, overValues } from "./statement.js"

type Of<Tag extends Entry["_tag"]> = Extract<Entry, { readonly _tag: Tag }>

type Consequence =
  | { readonly _tag: "Asked"; readonly run: RunState; readonly ask: Ask }
  | { readonly _tag: "Closed"; readonly run: RunState; readonly closed: Closing; readonly next: RunState | undefined }

/** A pending activity, as far as a transaction looks at it. */
interface Pending {
  readonly attempt: number
  readonly worker: string | null
  readonly started: boolean
}

type Read = Effect.Effect<void, SqlError | JournalError>

export const writeEntries = (
  connection: Connection,
  entries: ReadonlyArray<Entry>
): Effect.Effect<Written, SqlError | JournalError> => new Transaction(connection).run(entries)

class Transaction {
  private readonly changes = new Changes()
  private readonly byId = new Map<number, RunState>()
  private readonly byRunId = new Map<string, RunState>()
  /** The newest run of each workflow id that has been looked for. */
  private readonly latest = new Map<string, RunState | undefined>()
  private readonly signals = new Set<string>()
  private readonly pending = new Map<string, Pending | undefined>()
  private readonly links = new Map<number, LinkState>()
  private readonly newLinks = new Set<LinkState>()
  private consequences: Array<Consequence> = []
  private lastId = 0

  constructor(private readonly connection: Connection) {}

  readonly run = Effect.fnUntraced(function*(this: Transaction, entries: ReadonlyArray<Entry>) {
    yield* this.readFor(entries)
    const receipts = entries.map((entry) => this.write(entry))
    const news: Array<News> = []
    while (this.consequences.length > 0) {
      const following = this.consequences
      this.consequences = []
      yield* this.readForConsequences(following)
      for (const consequence of following) {
        if (consequence._tag === "Asked") this.asked(consequence.run, consequence.ask, news)
        else this.closed(consequence.run, consequence.closed, consequence.next, news)
      }
    }
    yield* this.changes.write(this.connection)
    return { receipts, consequences: news } satisfies Written
  })

  // --- reading

  private readonly readFor = Effect.fnUntraced(function*(this: Transaction, entries: ReadonlyArray<Entry>) {
    const runIds: Array<string> = []
    const workflowIds: Array<string> = []
    const sent: Array<readonly [workflowId: string, event: Unplaced<Posted>]> = []
    const attempts: Array<readonly [runId: string, command: number]> = []
    let begins = false
    for (const entry of entries) {
      switch (entry._tag) {
        case "Start":
          begins = true
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
          begins ||= entry.next !== undefined || (entry.children ?? []).length > 0
          runIds.push(entry.runId)
          break
        case "Block":
          runIds.push(entry.runId)
          break
      }
    }
    if (begins) {
      const [row] = yield* execute<{ readonly id: number | null }>(
        this.connection,
        "SELECT max(id) AS id FROM holdfast_runs"
      )
      this.lastId = row?.id ?? 0
    }
    yield* this.readRuns([...runIds, ...attempts.map(([runId]) => runId)])
    yield* this.readLatest(workflowIds)
    yield* this.readSignals(sent)
    // Only where somebody else has written can somebody else have ended an activity. What stands before an append in the
    // same group counts as that.
    const written = workflowIds.length + attempts.length > 0
    const appendedTo = new Set<string>()
    for (const entry of entries) {
      if (entry._tag !== "Append") continue
      const run = this.byRunId.get(entry.runId)
      const first = !appendedTo.has(entry.runId)
      appendedTo.add(entry.runId)
      if (run === undefined || (!written && first && seenUpTo(entry.events) >= run.position.lastSeq)) continue
      for (const target of carriedEnds(entry.events)) attempts.push([entry.runId, target])
    }
    yield* this.readPending(attempts)
  })

  private readonly readForConsequences = Effect.fnUntraced(
    function*(this: Transaction, consequences: ReadonlyArray<Consequence>) {
      const workflowIds: Array<string> = []
      const sent: Array<readonly [workflowId: string, event: Unplaced<Posted>]> = []
      const related: Array<number> = []
      for (const consequence of consequences) {
        if (consequence._tag === "Closed") {
          related.push(consequence.run.id)
          continue
        }
        const { ask } = consequence
        if (ask._tag === "Leave") related.push(consequence.run.id)
        if (ask._tag === "Child") workflowIds.push(ask.scheduled.workflowId)
        if (ask._tag === "Send") {
          workflowIds.push(ask.sent.workflowId)
          sent.push([ask.sent.workflowId, messageOf(ask.sent)])
        }
      }
      yield* this.readLatest(workflowIds)
      yield* this.readSignals(sent)
      yield* this.readLinks(related)
    }
  )

  private readRuns(runIds: ReadonlyArray<string>): Read {
    return Effect.map(
      selectByRunId(this.connection, distinct(runIds, (runId) => !this.byRunId.has(runId))),
      (rows) => {
        for (const row of rows) this.know(row)
      }
    )
  }

  private readLatest(workflowIds: ReadonlyArray<string>): Read {
    const wanted = distinct(workflowIds, (workflowId) => !this.latest.has(workflowId))
    return Effect.flatMap(selectLatest(this.connection, wanted), (rows) => {
      for (const workflowId of wanted) this.latest.set(workflowId, undefined)
      return Effect.forEach(rows, (row: RecordRow) =>
        Effect.map(closingOf(row), (closed) => {
          const run = this.know(row)
          run.closed ??= closed
          this.latest.set(run.workflowId, run)
        }), { discard: true })
    })
  }

  private readSignals(sent: ReadonlyArray<readonly [workflowId: string, event: Unplaced<Posted>]>): Read {
    const wanted = sent.flatMap(([workflowId, event]) => {
      const run = this.latest.get(workflowId)
      return run === undefined || event._tag !== "SignalReceived" || event.id === undefined ? [] : [[run.id, event.id]]
    })
    return Effect.map(selectSignals(this.connection, wanted), (rows) => {
      for (const { id, run } of rows) this.signals.add(`${run}/${id}`)
    })
  }

  private readPending(attempts: ReadonlyArray<readonly [runId: string, command: number]>): Read {
    const wanted = attempts.flatMap(([runId, command]) => {
      const run = this.byRunId.get(runId)
      return run === undefined ? [] : [[run.id, command]]
    })
    for (const [run, command] of wanted) this.pending.set(`${run}/${command}`, undefined)
    return Effect.map(selectPending(this.connection, wanted), (rows) => {
      for (const { attempt, command, run, started_at, worker } of rows) {
        this.pending.set(`${run}/${command}`, { attempt, worker, started: started_at !== null })
      }
    })
  }

  private readonly readLinks = Effect.fnUntraced(function*(this: Transaction, runs: ReadonlyArray<number>) {
    if (runs.length === 0) return
    const rows = [...yield* selectParents(this.connection, runs), ...yield* selectChildren(this.connection, runs)]
    for (const { child, command, id, parent, parent_close } of rows) {
      if (this.links.has(id)) continue
      this.links.set(id, { id, child, parent, command: command ?? undefined, parentClose: parent_close })
    }
    const ids = rows.flatMap(({ child, parent }) => [child, parent])
    for (const row of yield* selectById(this.connection, distinct(ids, (id) => !this.byId.has(id)))) this.know(row)
  })

  private know(row: RunRow): RunState {
    const known = this.byId.get(row.id)
    if (known !== undefined) return known
    const run: RunState = {
      id: row.id,
      runId: row.run_id,
      workflowId: row.workflow_id,
      workflow: row.workflow,
      startedAt: row.started_at,
      deadline: row.deadline ?? undefined,
      cancelBy: row.cancel_by ?? undefined,
      owner: row.owner ?? undefined,
      epoch: row.epoch,
      deaths: row.deaths,
      status: row.status,
      blocked: row.blocked ?? undefined,
      position: { lastSeq: row.last_seq, dueSeq: row.due_seq },
      closedSeq: row.closed_seq ?? undefined,
      closed: undefined
    }
    this.byId.set(run.id, run)
    this.byRunId.set(run.runId, run)
    return run
  }

  // --- changing

  private append(run: RunState, events: ReadonlyArray<Unplaced<Event>>): ReadonlyArray<Event> {
    const placed = place(events, run.position)
    run.position = placed
    this.changes.move(run)
    for (const event of placed.events) {
      this.changes.index(run.id, event)
      this.follow(run, event)
    }
    if (placed.closed !== undefined) {
      run.closed = placed.closed
      run.closedSeq = placed.closed.seq
      run.status = statusOf(placed.closed)
      this.changes.close(run)
    }
    return placed.events
  }

  /** Keeps what has been read in step with an event. */
  private follow(run: RunState, event: Event): void {
    switch (event._tag) {
      case "CancelRequested":
        run.status = "Cancelling"
        run.cancelBy = earliest(run.cancelBy, event.by)
        this.changes.restate(run)
        break
      case "SignalReceived":
        if (event.id !== undefined) this.signals.add(`${run.id}/${event.id}`)
        break
      case "ActivityScheduled":
        this.pending.set(`${run.id}/${event.command}`, { attempt: 1, worker: null, started: false })
        break
      case "AttemptFailed":
        this.note(run, event.target, { attempt: event.attempt + 1, worker: null, started: false })
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        this.note(run, event.target, undefined)
        break
    }
  }

  /** What becomes of an activity that is known to be pending. */
  private note(run: RunState, command: number, pending: Pending | undefined): void {
    const key = `${run.id}/${command}`
    if (this.pending.get(key) !== undefined) this.pending.set(key, pending)
  }

  private begin(
    run: NewRun,
    workflowId: string,
    workflow: string,
    events: ReadonlyArray<Unplaced<Event>>,
    news: Array<News>
  ): RunState {
    const [started] = events
    if (started?._tag !== "RunStarted") throw new Error(`run ${run.runId} does not begin with RunStarted`)
    const state: RunState = {
      id: ++this.lastId,
      runId: run.runId,
      workflowId,
      workflow,
      startedAt: started.at,
      deadline: deadlineOf(started),
      cancelBy: undefined,
      owner: run.worker,
      epoch: run.worker === undefined ? 0 : 1,
      deaths: 0,
      status: "Running",
      blocked: undefined,
      position: nowhere,
      closedSeq: undefined,
      closed: undefined
    }
    this.byId.set(state.id, state)
    this.byRunId.set(state.runId, state)
    this.latest.set(workflowId, state)
    this.changes.begin(state)
    const placed = this.append(state, events)
    news.push({ _tag: "Begun", owner: run.worker, run: ownedRun(state), events: placed })
    return state
  }

  private post(run: RunState, event: Unplaced<Posted>, news: Array<News>): void {
    const [posted] = this.append(run, [event])
    news.push({ _tag: "Posted", owner: run.owner, runId: run.runId, event: posted as Posted })
    if (run.closed !== undefined) this.follows({ _tag: "Closed", run, closed: run.closed, next: undefined })
  }

  /** The same where the run may have closed meanwhile. */
  private tell(run: RunState, event: Unplaced<Posted>, news: Array<News>): void {
    if (run.closedSeq === undefined) this.post(run, event, news)
  }

  private follows(consequence: Consequence): void {
    this.consequences.push(consequence)
  }

  private isKnownSignal(run: RunState, event: Unplaced<Posted>): boolean {
    return event._tag === "SignalReceived" && event.id !== undefined && this.signals.has(`${run.id}/${event.id}`)
  }

  // --- entries

  private write(entry: Entry): Receipt {
    switch (entry._tag) {
      case "Start":
        return this.start(entry)
      case "Post":
        return this.send(entry)
      case "Report":
        return this.report(entry)
      case "Heartbeat":
        return this.beat(entry)
      case "Append":
      case "Block":
        return this.owners(entry)
    }
  }

  private start(entry: Of<"Start">): Receipt {
    const { run, signal, started, workflow, workflowId } = entry
    const news: Array<News> = []
    const existing = this.latest.get(workflowId)
    const decision = decideStart(existing && recordOf(existing), entry)
    if (decision === "Refuse") return { _tag: "Exists", record: recordOf(existing!) }
    const attached = decision === "Attach" ? existing : undefined
    if (decision === "Replace") this.post(existing!, replacedAt(started.at), news)
    const state = attached ?? this.begin(run, workflowId, workflow, [started], news)
    if (signal !== undefined && !this.isKnownSignal(state, signal)) this.post(state, signal, news)
    return { _tag: "Started", created: attached === undefined, record: recordOf(state), news }
  }

  private send({ event, workflowId }: Of<"Post">): Receipt {
    const run = this.latest.get(workflowId)
    if (run === undefined || run.closedSeq !== undefined) return { _tag: "NotOpen", known: run !== undefined }
    if (this.isKnownSignal(run, event)) return { _tag: "Known", runId: run.runId }
    const news: Array<News> = []
    this.post(run, event, news)
    return { _tag: "Posted", runId: run.runId, news }
  }

  private pendingAttempt(
    runId: string,
    command: number,
    attempt: number | undefined,
    worker: string | undefined
  ): readonly [RunState, Pending] | undefined {
    const run = this.byRunId.get(runId)
    if (run === undefined || run.closedSeq !== undefined) return undefined
    const pending = this.pending.get(`${run.id}/${command}`)
    if (pending === undefined || (attempt !== undefined && pending.attempt !== attempt)) return undefined
    return worker === undefined || pending.worker === worker ? [run, pending] : undefined
  }

  private report({ attempt, event, runId, unstarted, worker }: Of<"Report">): Receipt {
    const found = this.pendingAttempt(runId, event.target, attempt, worker)
    if (found === undefined || (unstarted === true && found[1].started)) return { _tag: "NotPending" }
    const news: Array<News> = []
    this.post(found[0], event, news)
    return { _tag: "Posted", runId, news }
  }

  private beat({ at, details, id, outside = false, secret, worker }: Of<"Heartbeat">): Receipt {
    const found = this.pendingAttempt(id.runId, id.command, id.attempt, worker)
    if (found === undefined) return { _tag: "NotPending" }
    const [run, pending] = found
    this.changes.beat(run.id, id.command, id.attempt, { at, outside, details, secret })
    if (outside) this.note(run, id.command, { ...pending, started: true })
    return { _tag: "Noted" }
  }

  private owners(entry: Of<"Append" | "Block">): Receipt {
    const run = this.byRunId.get(entry.runId)
    if (
      run === undefined || run.closedSeq !== undefined || run.owner !== entry.worker || run.epoch !== entry.epoch
    ) return { _tag: "Stale" }
    if (entry._tag === "Block") {
      run.blocked = entry.reason
      this.changes.block(run)
      return { _tag: "Noted" }
    }
    const { children = [], next } = entry
    const unseen = next !== undefined && place(entry.events, run.position).dueSeq > 0
    if (unseen || this.hasEnded(run, entry.events)) return { _tag: "Outrun" }
    const events = this.append(run, entry.events)
    run.deaths = 0
    const { lastSeq } = run.position
    for (const ask of asksOf(events, children)) this.follows({ _tag: "Asked", run, ask })
    const news: Array<News> = []
    const begun = next &&
      this.begin({ runId: next.runId, worker: entry.worker }, run.workflowId, run.workflow, firstEvents(next), news)
    if (run.closed !== undefined) this.follows({ _tag: "Closed", run, closed: run.closed, next: begun })
    return { _tag: "Appended", lastSeq, news }
  }

  /** Whether a turn carries the end of an activity that somebody else has ended. */
  private hasEnded(run: RunState, events: ReadonlyArray<Unplaced<Event>>): boolean {
    return seenUpTo(events) < run.position.lastSeq &&
      carriedEnds(events).some((target) => this.pending.get(`${run.id}/${target}`) === undefined)
  }

  // --- consequences

  private asked(run: RunState, ask: Ask, news: Array<News>): void {
    switch (ask._tag) {
      case "Child":
        return this.askFor(run, ask.scheduled, ask.run, news)
      case "Leave": {
        const { at, target } = ask.cancelled
        for (const link of this.linksOf((link) => link.parent === run.id && link.command === target)) {
          this.unlink(link)
          const message = parentLeft(link.parentClose, at)
          if (message !== undefined) this.tell(this.byId.get(link.child)!, message, news)
        }
        return
      }
      case "Send": {
        const to = this.latest.get(ask.sent.workflowId)
        const open = to !== undefined && to.closedSeq === undefined
        const message = messageOf(ask.sent)
        if (open && !this.isKnownSignal(to, message)) this.post(to, message, news)
        const outcome = open ? "Delivered" : to === undefined ? "NotFound" : "Ended"
        this.tell(run, answerTo(ask.sent, outcome), news)
      }
    }
  }

  private askFor(parent: RunState, scheduled: ChildScheduled, run: NewRun, news: Array<News>): void {
    const { command, parentClose, workflow, workflowId } = scheduled
    const existing = this.latest.get(workflowId)
    const decision = existing === parent ? "Refuse" : decideStart(existing && recordOf(existing), scheduled)
    if (decision === "Refuse") return this.tell(parent, childRefused(scheduled, recordOf(existing!)), news)
    if (decision === "Attach" && existing!.closed !== undefined) {
      return this.tell(parent, childClosed(command, existing!.runId, existing!.closed), news)
    }
    if (decision === "Replace") this.post(existing!, replacedAt(scheduled.at), news)
    const child = decision === "Attach"
      ? existing!
      : this.begin(run, workflowId, workflow, [childStarted(scheduled, parent)], news)
    // Where the parent has closed in the same transaction, what follows from that comes after this.
    const link: LinkState = { id: undefined, child: child.id, parent: parent.id, command, parentClose }
    this.newLinks.add(link)
    this.changes.link(link)
  }

  /** The parent has ended before its child. */
  private endWith({ child, parentClose }: LinkState, at: number, news: Array<News>): void {
    const message = parentEnded(parentClose, at)
    if (message !== undefined) this.tell(this.byId.get(child)!, message, news)
  }

  private closed(run: RunState, closing: Closing, next: RunState | undefined, news: Array<News>): void {
    for (const link of this.linksOf(({ child }) => child === run.id)) {
      if (next !== undefined) {
        link.child = next.id
        this.changes.moveLink(link)
      } else {
        this.unlink(link)
        if (link.command !== undefined) {
          this.tell(this.byId.get(link.parent)!, childClosed(link.command, run.runId, closing), news)
        }
      }
    }
    for (const link of this.linksOf(({ parent }) => parent === run.id)) {
      if (next !== undefined) {
        link.parent = next.id
        link.command = undefined
        this.changes.moveLink(link)
      } else {
        this.unlink(link)
        this.endWith(link, closing.at, news)
      }
    }
  }

  /** In the order in which the children were asked for. */
  private linksOf(which: (link: LinkState) => boolean): ReadonlyArray<LinkState> {
    if (this.links.size + this.newLinks.size === 0) return []
    const stored = [...this.links.values()].sort((a, b) => a.id! - b.id!)
    return [...stored, ...this.newLinks].filter(which)
  }

  private unlink(link: LinkState): void {
    if (link.id === undefined) this.newLinks.delete(link)
    else this.links.set(link.id, { ...link, child: gone, parent: gone })
    this.changes.unlink(link)
  }
}

/** No run has this id: stands in a link that has been removed, so that it is not read again. */
const gone = -1

const recordOf = (run: RunState): RunRecord => ({
  runId: run.runId,
  workflowId: run.workflowId,
  workflow: run.workflow,
  startedAt: run.startedAt,
  status: run.status,
  events: run.position.lastSeq,
  blocked: run.blocked,
  closed: run.closed
})

const ownedRun = (run: RunState): OwnedRun => ({
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

const distinct = <A>(values: ReadonlyArray<A>, wanted: (value: A) => boolean): ReadonlyArray<A> =>
  [...new Set(values)].filter(wanted)

const selectSignals = overRows<{ readonly run: number; readonly id: string }>(
  2,
  (rows) => `SELECT run, id FROM holdfast_signals WHERE (run, id) IN (VALUES ${rows})`
)

const selectPending = overRows<{
  readonly run: number
  readonly command: number
  readonly attempt: number
  readonly worker: string | null
  readonly started_at: number | null
}>(
  2,
  (rows) =>
    `SELECT run, command, attempt, worker, started_at FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
)

interface LinkRow {
  readonly id: number
  readonly child: number
  readonly parent: number
  readonly command: number | null
  readonly parent_close: LinkState["parentClose"]
}

const selectLinks = (side: "child" | "parent") =>
  overValues<LinkRow>((ids) =>
    `SELECT id, child, parent, command, parent_close FROM holdfast_children WHERE ${side} IN (VALUES ${ids})`
  )
const selectParents = selectLinks("child")
const selectChildren = selectLinks("parent")
