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
import { type ChildScheduled, type Closing, type Event, type Posted, statusOf, type Unplaced } from "../../Event.js"
import type { Entry, NewRun, News, OwnedRun, Receipt, RunRecord, Written } from "../../Journal.js"
import { Changes, type CommandKey, type LinkState, type RunState } from "./changes.js"
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
} from "./consequences.js"
import { deadlineOf, earliest, firstEvents, nowhere, place } from "./place.js"
import { decideStart } from "./startPolicy.js"

type Of<Tag extends Entry["_tag"]> = Extract<Entry, { readonly _tag: Tag }>

type Consequence =
  | { readonly _tag: "Asked"; readonly run: RunState; readonly ask: Ask }
  | { readonly _tag: "Closed"; readonly run: RunState; readonly closed: Closing; readonly next: RunState | undefined }

/** A pending activity, as far as a transaction looks at it. */
export interface PendingState {
  readonly attempt: number
  readonly worker: string | undefined
  readonly started: boolean
}

/** What a transaction has to know before it can go on. What is not found needs no word, but for the newest run of an id. */
export interface Wanted {
  /** The highest number that a run has: `knowLastRun`. */
  readonly lastRun: boolean
  /** Runs by their run ids: `knowRun`. */
  readonly runIds: ReadonlyArray<string>
  /** The newest run of each of these workflow ids, with its last event where it has closed: `knowLatest`. */
  readonly workflowIds: ReadonlyArray<string>
  /** Which of these signals these runs have: `knowSignal`. */
  readonly signals: ReadonlyArray<readonly [run: number, id: string]>
  /** Which of these activities are pending: `knowPending`. */
  readonly activities: ReadonlyArray<CommandKey>
  /** The links of which one of these runs is the child or the parent, with both runs: `knowRun`, then `knowLink`. */
  readonly linked: ReadonlyArray<number>
}

const nothing: Wanted = {
  lastRun: false,
  runIds: [],
  workflowIds: [],
  signals: [],
  activities: [],
  linked: []
}

export class Transaction {
  readonly changes = new Changes()
  private readonly byId = new Map<number, RunState>()
  private readonly byRunId = new Map<string, RunState>()
  /** The newest run of each workflow id that has been looked for. */
  private readonly latest = new Map<string, RunState | undefined>()
  private readonly signals = new Set<string>()
  private readonly pending = new Map<string, PendingState | undefined>()
  private readonly links = new Map<number, LinkState>()
  private readonly newLinks = new Set<LinkState>()
  private consequences: Array<Consequence> = []
  private lastId = 0

  constructor(private readonly entries: ReadonlyArray<Entry>) {}

  *run(): Generator<Wanted, Written, void> {
    yield* this.readForEntries()
    const receipts = this.entries.map((entry) => this.write(entry))
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
    return { receipts, consequences: news }
  }

  // --- what the store has found

  knowLastRun(id: number): void {
    this.lastId = id
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

  knowPending(run: number, command: number, pending: PendingState): void {
    this.pending.set(`${run}/${command}`, pending)
  }

  knowLink(link: LinkState & { readonly id: number }): void {
    if (!this.links.has(link.id)) this.links.set(link.id, link)
  }

  hasRun(id: number): boolean {
    return this.byId.has(id)
  }

  // --- what has to be read

  private *readForEntries(): Generator<Wanted, void, void> {
    const runIds: Array<string> = []
    const workflowIds: Array<string> = []
    const sent: Array<readonly [workflowId: string, event: Unplaced<Posted>]> = []
    const attempts: Array<readonly [runId: string, command: number]> = []
    let begins = false
    for (const entry of this.entries) {
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
    yield* this.read({
      lastRun: begins,
      runIds: [...runIds, ...attempts.map(([runId]) => runId)],
      workflowIds
    })
    // Only where somebody else has written can somebody else have ended an activity. What stands before an append in the
    // same group counts as that.
    const written = workflowIds.length + attempts.length > 0
    const appendedTo = new Set<string>()
    for (const entry of this.entries) {
      if (entry._tag !== "Append") continue
      const run = this.byRunId.get(entry.runId)
      const first = !appendedTo.has(entry.runId)
      appendedTo.add(entry.runId)
      if (run === undefined || (!written && first && seenUpTo(entry.events) >= run.position.lastSeq)) continue
      for (const target of carriedEnds(entry.events)) attempts.push([entry.runId, target])
    }
    const activities = attempts.flatMap(([runId, command]): ReadonlyArray<CommandKey> => {
      const run = this.byRunId.get(runId)
      return run === undefined ? [] : [[run.id, command]]
    })
    yield* this.read({ signals: this.signalsIn(sent), activities })
  }

  private *readForConsequences(consequences: ReadonlyArray<Consequence>): Generator<Wanted, void, void> {
    const workflowIds: Array<string> = []
    const sent: Array<readonly [workflowId: string, event: Unplaced<Posted>]> = []
    const linked: Array<number> = []
    for (const consequence of consequences) {
      if (consequence._tag === "Closed") {
        linked.push(consequence.run.id)
        continue
      }
      const { ask } = consequence
      if (ask._tag === "Leave") linked.push(consequence.run.id)
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
      runIds: distinct(wanted.runIds ?? [], (runId) => !this.byRunId.has(runId)),
      workflowIds: distinct(wanted.workflowIds ?? [], (workflowId) => !this.latest.has(workflowId))
    }
    const { activities, lastRun, linked, runIds, signals, workflowIds } = missing
    if (lastRun || [runIds, workflowIds, signals, activities, linked].some(({ length }) => length > 0)) yield missing
  }

  private signalsIn(
    sent: ReadonlyArray<readonly [workflowId: string, event: Unplaced<Posted>]>
  ): ReadonlyArray<readonly [run: number, id: string]> {
    return sent.flatMap(([workflowId, event]) => {
      const run = this.latest.get(workflowId)
      return run === undefined || event._tag !== "SignalReceived" || event.id === undefined ? [] : [[run.id, event.id]]
    })
  }

  // --- changing

  private append(run: RunState, events: ReadonlyArray<Unplaced<Event>>): ReadonlyArray<Event> {
    const placed = place(events, run.position)
    run.position = placed
    this.changes.move(run)
    for (const event of placed.events) {
      this.changes.append(run.id, event)
      this.follow(run, event)
    }
    if (placed.closed !== undefined) {
      run.closed = placed.closed
      run.closedSeq = placed.closed.seq
      run.status = statusOf(placed.closed)
      this.changes.closing.add(run)
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
        this.pending.set(`${run.id}/${event.command}`, { attempt: 1, worker: undefined, started: false })
        break
      case "AttemptFailed":
        this.note(run, event.target, { attempt: event.attempt + 1, worker: undefined, started: false })
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        this.note(run, event.target, undefined)
        break
    }
  }

  /** What becomes of an activity that is known to be pending. */
  private note(run: RunState, command: number, pending: PendingState | undefined): void {
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
  ): readonly [RunState, PendingState] | undefined {
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
    this.changes.attempts.push({
      _tag: "Beat",
      run: run.id,
      command: id.command,
      at,
      outside,
      details,
      secret
    })
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
      this.changes.blocked.add(run)
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
    this.changes.links.add(link)
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

const distinct = <A>(values: ReadonlyArray<A>, wanted: (value: A) => boolean): ReadonlyArray<A> =>
  values.length === 0 ? values : [...new Set(values)].filter(wanted)
