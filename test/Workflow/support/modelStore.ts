/**
 * A store that changes its state entry by entry, as the contract says it, and takes all back where a group fails. It shares
 * no code with the transaction of the real stores but for single decisions, and is what they are compared with.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  type ChildScheduled,
  type Closing,
  type Event,
  type ExternalEvent,
  isClosing,
  statusOf,
  type Unsequenced
} from "../../../src/Workflow/Event.js"
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
} from "../../../src/Workflow/internal/journal/consequences.js"
import { backoffMillis, quarantineAfter } from "../../../src/Workflow/internal/journal/quarantine.js"
import { assignSequence, deadlineOf, earliest, firstEvents } from "../../../src/Workflow/internal/journal/sequence.js"
import { decideStart } from "../../../src/Workflow/internal/journal/startPolicy.js"
import type {
  Entry,
  JournalStore,
  NewRun,
  Notification,
  OwnedRun,
  PendingActivity,
  PendingTimer,
  Receipt,
  RunFilter,
  RunPosition,
  RunRecord,
  Services,
  Written
} from "../../../src/Workflow/Journal.js"
import type { Position } from "../../../src/Workflow/JournalTransaction.js"
import { JournalError } from "../../../src/Workflow/WorkflowError.js"

/** An activity, the worker that has taken its attempt from a queue, and what only its token tells. */
type Activity = PendingActivity & { readonly worker: string | undefined; readonly secret: string | undefined }

interface Stored {
  readonly run: Pick<OwnedRun, "runId" | "workflowId" | "workflow" | "startedAt" | "deadline">
  readonly events: Array<Event>
  readonly activities: Map<number, Activity>
  readonly timers: Map<number, PendingTimer>
  /** The ids of its signals. */
  readonly signals: Set<string>
  owner: string | undefined
  epoch: number
  /** How many owners have died since somebody appended to it. */
  deaths: number
  claimNotBefore: number
  dueSeq: number
  blocked: string | undefined
  cancelling: boolean
  cancelBy: number | undefined
  closed: Closing | undefined
}

/** A run that another one has asked for. */
interface Link {
  child: Stored
  parent: Stored
  /** Absent: nobody waits for it, since the parent has gone on as another run. */
  command: number | undefined
  readonly parentClose: ChildScheduled["parentClose"]
}

type Consequence =
  | { readonly _tag: "Requested"; readonly stored: Stored; readonly ask: Ask }
  | { readonly _tag: "Closed"; readonly stored: Stored; readonly closed: Closing; readonly next: Stored | undefined }

export const modelStore = (): JournalStore => {
  const runs = new Map<string, Stored>()
  const latest = new Map<string, Stored>()
  const leases = new Map<string, number>()
  const services = new Map<string, Services>()
  const links = new Set<Link>()
  let pendingConsequences: Array<Consequence> = []

  const positionOf = ({ dueSeq, events }: Stored): Position => ({ lastSeq: events.length, dueSeq })

  const record = ({ blocked, cancelling, closed, events, run }: Stored): RunRecord => ({
    runId: run.runId,
    workflowId: run.workflowId,
    workflow: run.workflow,
    startedAt: run.startedAt,
    status: closed !== undefined ? statusOf(closed) : cancelling ? "Cancelling" : "Running",
    events: events.length,
    blocked,
    closed: closed && copyOf(closed)
  })

  const ownedRun = ({ blocked, cancelBy, dueSeq, epoch, run }: Stored): OwnedRun => ({
    ...run,
    cancelBy,
    epoch,
    due: dueSeq > 0,
    blocked: blocked !== undefined
  })

  const begin = (
    run: Pick<OwnedRun, "runId" | "workflowId" | "workflow">,
    worker: string | undefined,
    events: ReadonlyArray<Unsequenced<Event>>,
    notifications: Array<Notification>
  ): Stored => {
    const [started] = events
    if (started?._tag !== "RunStarted") throw new Error(`run ${run.runId} does not begin with RunStarted`)
    const { runId, workflow, workflowId } = run
    if (runs.has(runId)) throw new JournalError({ reason: "Write", detail: `there is a run ${runId} already` })
    const stored: Stored = {
      run: { runId, workflowId, workflow, startedAt: started.at, deadline: deadlineOf(started) },
      events: [],
      activities: new Map(),
      timers: new Map(),
      owner: worker,
      epoch: worker === undefined ? 0 : 1,
      deaths: 0,
      claimNotBefore: 0,
      dueSeq: 0,
      blocked: undefined,
      cancelling: false,
      cancelBy: undefined,
      closed: undefined,
      signals: new Set()
    }
    runs.set(runId, stored)
    latest.set(workflowId, stored)
    const placed = append(stored, events)
    notifications.push({ _tag: "RunCreated", owner: worker, run: ownedRun(stored), events: placed.map(copyOf) })
    return stored
  }

  const index = (stored: Stored, event: Event): void => {
    const { runId, workflow, workflowId } = stored.run
    switch (event._tag) {
      case "ActivityScheduled":
        stored.activities.set(event.command, {
          workflow,
          workflowId,
          runId,
          scheduled: event,
          attempt: 1,
          notBefore: 0,
          worker: undefined,
          startedAt: undefined,
          outside: false,
          beatAt: undefined,
          details: undefined,
          secret: undefined
        })
        break
      case "AttemptFailed": {
        const pending = stored.activities.get(event.target)
        if (pending !== undefined) {
          stored.activities.set(event.target, {
            ...pending,
            attempt: event.attempt + 1,
            notBefore: event.retryAt,
            worker: undefined,
            startedAt: undefined,
            outside: false,
            beatAt: undefined,
            secret: undefined
          })
        }
        break
      }
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        stored.activities.delete(event.target)
        break
      case "TimerStarted":
        stored.timers.set(event.command, { runId, command: event.command, fireAt: event.fireAt })
        break
      case "TimerCancelled":
      case "TimerFired":
        stored.timers.delete(event.target)
        break
      case "SignalReceived":
        if (event.id !== undefined) stored.signals.add(event.id)
        break
      case "CancelRequested":
        stored.cancelling = true
        stored.cancelBy = earliest(stored.cancelBy, event.by)
        break
    }
    if (isClosing(event)) {
      stored.activities.clear()
      stored.timers.clear()
    }
  }

  const append = (stored: Stored, unplaced: ReadonlyArray<Unsequenced<Event>>): ReadonlyArray<Event> => {
    const placed = assignSequence(unplaced, positionOf(stored))
    const events = placed.events.map(own)
    stored.events.push(...events)
    stored.dueSeq = placed.dueSeq
    stored.closed = placed.closed
    for (const event of events) index(stored, event)
    return events
  }

  const post = (stored: Stored, event: Unsequenced<ExternalEvent>, notifications: Array<Notification>): void => {
    const [posted] = append(stored, [event])
    notifications.push({
      _tag: "Posted",
      owner: stored.owner,
      runId: stored.run.runId,
      event: copyOf(posted as ExternalEvent)
    })
    if (stored.closed !== undefined) {
      pendingConsequences.push({ _tag: "Closed", stored, closed: stored.closed, next: undefined })
    }
  }

  /** The same where the run may have closed meanwhile. */
  const tell = (stored: Stored, event: Unsequenced<ExternalEvent>, notifications: Array<Notification>): void => {
    if (stored.closed === undefined) post(stored, event, notifications)
  }

  const isKnownSignal = (stored: Stored, event: Unsequenced<ExternalEvent>): boolean =>
    event._tag === "SignalReceived" && event.id !== undefined && stored.signals.has(event.id)

  // --- entries

  const start = (entry: Extract<Entry, { readonly _tag: "Start" }>): Receipt => {
    const { run, signal, started, workflow, workflowId } = entry
    const notifications: Array<Notification> = []
    const existing = latest.get(workflowId)
    const decision = decideStart(existing && record(existing), entry)
    if (decision === "Refuse") return { _tag: "Exists", record: record(existing!) }
    const attached = decision === "Attach" ? existing : undefined
    if (decision === "Replace") post(existing!, replacedAt(started.at), notifications)
    const stored = attached ?? begin({ ...run, workflowId, workflow }, run.worker, [started], notifications)
    if (signal !== undefined && !isKnownSignal(stored, signal)) post(stored, signal, notifications)
    return { _tag: "Started", created: attached === undefined, record: record(stored), notifications }
  }

  const send = ({ event, workflowId }: Extract<Entry, { readonly _tag: "Post" }>): Receipt => {
    const stored = latest.get(workflowId)
    if (stored === undefined || stored.closed !== undefined) return { _tag: "NotOpen", known: stored !== undefined }
    const { runId } = stored.run
    if (isKnownSignal(stored, event)) return { _tag: "Duplicate", runId }
    const notifications: Array<Notification> = []
    post(stored, event, notifications)
    return { _tag: "Posted", runId, notifications }
  }

  const pendingAttempt = (
    runId: string,
    command: number,
    attempt: number | undefined,
    worker: string | undefined
  ): readonly [Stored, Activity] | undefined => {
    const stored = runs.get(runId)
    const activity = stored?.activities.get(command)
    if (stored === undefined || activity === undefined) return undefined
    if (attempt !== undefined && activity.attempt !== attempt) return undefined
    return worker === undefined || activity.worker === worker ? [stored, activity] : undefined
  }

  const report = (
    { attempt, event, runId, unstarted, worker }: Extract<Entry, { readonly _tag: "Report" }>
  ): Receipt => {
    const pending = pendingAttempt(runId, event.target, attempt, worker)
    if (pending === undefined || (unstarted === true && pending[1].startedAt !== undefined)) {
      return { _tag: "NotPending" }
    }
    const notifications: Array<Notification> = []
    post(pending[0], event, notifications)
    return { _tag: "Posted", runId, notifications }
  }

  const beat = (
    { at, details, id, outside, secret, worker }: Extract<Entry, { readonly _tag: "Heartbeat" }>
  ): Receipt => {
    const pending = pendingAttempt(id.runId, id.command, id.attempt, worker)
    if (pending === undefined) return { _tag: "NotPending" }
    const [stored, activity] = pending
    stored.activities.set(id.command, {
      ...activity,
      beatAt: at,
      startedAt: activity.startedAt ?? (outside === true ? at : undefined),
      outside: activity.outside || outside === true,
      details: details ?? activity.details,
      secret: activity.secret ?? secret
    })
    return { _tag: "Recorded" }
  }

  const owners = (entry: Extract<Entry, { readonly _tag: "Append" | "Block" }>): Receipt => {
    const stored = runs.get(entry.runId)
    if (
      stored === undefined || stored.closed !== undefined || stored.owner !== entry.worker ||
      stored.epoch !== entry.epoch
    ) return { _tag: "Fenced" }
    if (entry._tag === "Block") {
      stored.blocked = entry.reason
      return { _tag: "Recorded" }
    }
    const { children = [], next } = entry
    const position = positionOf(stored)
    const unseen = next !== undefined && assignSequence(entry.events, position).dueSeq > 0
    const ended = seenUpTo(entry.events) < position.lastSeq &&
      carriedEnds(entry.events).some((target) => !stored.activities.has(target))
    if (unseen || ended) return { _tag: "Conflict" }
    const events = append(stored, entry.events)
    stored.deaths = 0
    const lastSeq = stored.events.length
    for (const ask of asksOf(events, children)) pendingConsequences.push({ _tag: "Requested", stored, ask })
    const notifications: Array<Notification> = []
    const begun = next && begin({ ...stored.run, runId: next.runId }, entry.worker, firstEvents(next), notifications)
    const { closed } = stored
    if (closed !== undefined) pendingConsequences.push({ _tag: "Closed", stored, closed, next: begun })
    return { _tag: "Appended", lastSeq, notifications }
  }

  const write = (entry: Entry): Receipt => {
    switch (entry._tag) {
      case "Start":
        return start(entry)
      case "Post":
        return send(entry)
      case "Report":
        return report(entry)
      case "Heartbeat":
        return beat(entry)
      case "Append":
      case "Block":
        return owners(entry)
    }
  }

  // --- consequences

  const askFor = (parent: Stored, scheduled: ChildScheduled, run: NewRun, notifications: Array<Notification>): void => {
    const { command, parentClose, workflow, workflowId } = scheduled
    const existing = latest.get(workflowId)
    const decision = existing === parent ? "Refuse" : decideStart(existing && record(existing), scheduled)
    if (decision === "Refuse") return tell(parent, childRefused(scheduled, record(existing!)), notifications)
    if (decision === "Attach" && existing!.closed !== undefined) {
      return tell(parent, childClosed(command, existing!.run.runId, existing!.closed), notifications)
    }
    if (decision === "Replace") post(existing!, replacedAt(scheduled.at), notifications)
    const child = decision === "Attach"
      ? existing!
      : begin({ ...run, workflowId, workflow }, run.worker, [childStarted(scheduled, parent.run)], notifications)
    // Where the parent has closed in the same transaction, what follows from that comes after this.
    links.add({ child, parent, command, parentClose })
  }

  /** The parent has ended before its child. */
  const endWith = ({ child, parentClose }: Link, at: number, notifications: Array<Notification>): void => {
    const message = parentEnded(parentClose, at)
    if (message !== undefined) tell(child, message, notifications)
  }

  const asked = (stored: Stored, ask: Ask, notifications: Array<Notification>): void => {
    switch (ask._tag) {
      case "Child":
        return askFor(stored, ask.scheduled, ask.run, notifications)
      case "DetachChild": {
        const { at, target } = ask.cancelled
        for (const link of links) {
          if (link.parent !== stored || link.command !== target) continue
          links.delete(link)
          const message = parentLeft(link.parentClose, at)
          if (message !== undefined) tell(link.child, message, notifications)
        }
        return
      }
      case "Send": {
        const to = latest.get(ask.sent.workflowId)
        const open = to !== undefined && to.closed === undefined
        const message = messageOf(ask.sent)
        if (open && !isKnownSignal(to, message)) post(to, message, notifications)
        const outcome = open ? "Delivered" : to === undefined ? "NotFound" : "Ended"
        tell(stored, answerTo(ask.sent, outcome), notifications)
      }
    }
  }

  const closed = (
    stored: Stored,
    closing: Closing,
    next: Stored | undefined,
    notifications: Array<Notification>
  ): void => {
    for (const link of links) {
      if (link.child !== stored) continue
      if (next !== undefined) link.child = next
      else {
        links.delete(link)
        if (link.command !== undefined) {
          tell(link.parent, childClosed(link.command, stored.run.runId, closing), notifications)
        }
      }
    }
    for (const link of links) {
      if (link.parent !== stored) continue
      if (next !== undefined) {
        link.parent = next
        link.command = undefined
      } else {
        links.delete(link)
        endWith(link, closing.at, notifications)
      }
    }
  }

  const settle = (): ReadonlyArray<Notification> => {
    const notifications: Array<Notification> = []
    for (const consequence of pendingConsequences) {
      const { stored } = consequence
      if (consequence._tag === "Requested") asked(stored, consequence.ask, notifications)
      else closed(stored, consequence.closed, consequence.next, notifications)
    }
    pendingConsequences = []
    return notifications
  }

  const writeAll = (entries: ReadonlyArray<Entry>): Written => {
    const undo = mayFail(entries) ? snapshot({ runs, latest, links }) : undefined
    try {
      return { receipts: entries.map(write), consequences: settle() }
    } catch (error) {
      undo?.()
      pendingConsequences = []
      throw error
    }
  }

  /** Whether a run may be begun under a known id, or without one. */
  const mayFail = (entries: ReadonlyArray<Entry>): boolean => {
    const runIds = new Set<string>()
    const isKnown = (runId: string): boolean => runs.has(runId) || runIds.size === runIds.add(runId).size
    return entries.some((entry) => {
      if (entry._tag === "Start") return isKnown(entry.run.runId)
      if (entry._tag !== "Append") return false
      const { children = [], events, next } = entry
      return (next !== undefined && isKnown(next.runId)) || children.some(({ runId }) => isKnown(runId)) ||
        children.length < events.filter(({ _tag }) => _tag === "ChildScheduled").length
    })
  }

  // --- reads

  const matches = ({ startedBefore, startedFrom, status, workflow, workflowId }: RunFilter) => (run: RunRecord) =>
    (workflow === undefined || run.workflow === workflow) &&
    (workflowId === undefined || run.workflowId === workflowId) &&
    (status === undefined || run.status === status) &&
    (startedFrom === undefined || run.startedAt >= startedFrom) &&
    (startedBefore === undefined || run.startedAt < startedBefore)

  const matching = (filter: RunFilter): ReadonlyArray<RunRecord> =>
    [...runs.values()].map(record).filter(matches(filter))

  const isOver = (worker: string, now: number): boolean => (leases.get(worker) ?? Infinity) <= now

  return {
    write: (entries) =>
      Effect.suspend(() => {
        try {
          return Effect.succeed(writeAll(entries))
        } catch (error) {
          return error instanceof JournalError ? Effect.fail(error) : Effect.die(error)
        }
      }),
    history: (runId) => Effect.sync(() => (runs.get(runId)?.events ?? []).map(copyOf)),
    run: (runId) => Effect.sync(() => Option.map(Option.fromNullable(runs.get(runId)), record)),
    latest: (workflowId) => Effect.sync(() => Option.map(Option.fromNullable(latest.get(workflowId)), record)),
    list: ({ after, filter, limit }) =>
      Effect.sync(() =>
        matching(filter)
          .filter((run) => after === undefined || newestFirst(after, run) < 0)
          .sort(newestFirst)
          .slice(0, limit)
      ),
    count: (filter) => Effect.sync(() => matching(filter).length),
    pending: (runId) =>
      Effect.sync(() => {
        const stored = runs.get(runId)
        return {
          activities: stored === undefined ? [] : activitiesOf(stored).map(publicPart),
          timers: stored === undefined ? [] : timersOf(stored)
        }
      }),
    closed: (runIds) =>
      Effect.sync(() =>
        runIds.flatMap((runId) => {
          const stored = runs.get(runId)
          return stored?.closed === undefined ? [] : [record(stored)]
        })
      ),
    claim: ({ leaseUntil, now, quarantined, worker, workflows }) =>
      Effect.sync(() => {
        leases.set(worker, leaseUntil)
        const open = [...runs.values()].filter(({ closed }) => closed === undefined)
        const due = open.filter(({ dueSeq, owner }) => owner === worker && dueSeq > 0)
        const claimable = open.filter(({ run }) => workflows.includes(run.workflow))
        const fromDead = claimable.filter(({ owner }) => owner !== undefined && isOver(owner, now))
        const quarantinedRuns = fromDead
          .filter(({ deaths, claimNotBefore }) => deaths >= quarantineAfter && claimNotBefore <= now)
          .sort((a, b) => a.deaths - b.deaths)
        const claimed = [
          ...claimable.filter(({ owner }) => owner === undefined),
          ...fromDead.filter(({ deaths }) => deaths < quarantineAfter),
          ...quarantinedRuns.slice(0, quarantined)
        ]
        for (const stored of claimed) {
          const busy = stored.dueSeq > 0 || stored.activities.size > 0
          if (stored.owner !== undefined && busy) {
            stored.deaths++
            stored.claimNotBefore = now + backoffMillis(stored.deaths)
          }
          stored.owner = worker
          stored.epoch++
        }
        return {
          moreQuarantined: quarantinedRuns.length > quarantined,
          due: due.map(({ dueSeq, run: { runId } }) => ({ runId, dueSeq })),
          runs: claimed.map(ownedRun),
          activities: claimed.flatMap((stored) => activitiesOf(stored).map(publicPart)),
          timers: claimed.flatMap(timersOf)
        }
      }),
    takeAttempts: ({ activities, limit, now, queue, worker }) =>
      Effect.sync(() => {
        const waiting = [...runs.values()]
          .flatMap((stored) => activitiesOf(stored).map((activity) => ({ stored, activity })))
          .filter(({ activity: { outside, scheduled, worker } }) =>
            scheduled.queue === queue && activities.includes(scheduled.activity) && !outside &&
            (worker === undefined || isOver(worker, now))
          )
          .sort((a, b) => a.activity.scheduled.at - b.activity.scheduled.at)
        const ready = waiting.filter(({ activity }) => activity.notBefore <= now).slice(0, limit)
        const later = waiting.map(({ activity }) => activity.notBefore).filter((at) => at > now)
        return {
          attempts: ready.map(({ activity, stored }) => {
            const taken: Activity = { ...activity, worker, startedAt: now, beatAt: undefined }
            stored.activities.set(activity.scheduled.command, taken)
            return publicPart(taken)
          }),
          next: ready.length === limit || later.length === 0 ? undefined : Math.min(...later)
        }
      }),
    taken: (worker) =>
      Effect.sync(() =>
        [...runs.values()].flatMap((stored) =>
          activitiesOf(stored).filter((activity) => activity.worker === worker).map((
            { attempt, runId, scheduled: { command } }
          ) => ({ runId, command, attempt }))
        )
      ),
    heartbeat: (worker, leaseUntil, offered) =>
      Effect.sync(() => {
        leases.set(worker, leaseUntil)
        if (offered !== undefined) services.set(worker, structuredClone(offered))
      }),
    workers: (now) =>
      Effect.sync(() =>
        [...services].filter(([worker]) => !isOver(worker, now)).sort(([a], [b]) => byBytes(a, b)).map((
          [worker, offered]
        ) => ({ worker, services: structuredClone(offered) }))
      ),
    backlog: (now) =>
      Effect.sync(() => {
        const isFree = (worker: string | undefined) => worker === undefined || isOver(worker, now)
        const open = [...runs.values()].filter(({ closed }) => closed === undefined)
        const attempts = open.flatMap((stored) =>
          activitiesOf(stored).flatMap(({ outside, scheduled: { activity, queue }, worker }) =>
            queue !== undefined && !outside && isFree(worker) ? [{ queue, activity }] : []
          )
        )
        return {
          runs: counted(open.filter(({ owner }) => isFree(owner)).map(({ run: { workflow } }) => ({ workflow }))),
          attempts: counted(attempts)
        }
      }),
    secret: ({ attempt, command, runId }) =>
      Effect.sync(() => {
        const activity = runs.get(runId)?.activities.get(command)
        return activity?.attempt === attempt ? activity.secret : undefined
      }),
    owner: (runId) =>
      Effect.sync(() => {
        const stored = runs.get(runId)
        return stored?.closed === undefined ? stored?.owner : undefined
      }),
    release: (worker) =>
      Effect.sync(() => {
        leases.delete(worker)
        services.delete(worker)
        for (const stored of runs.values()) {
          if (stored.owner === worker && stored.closed === undefined) stored.owner = undefined
          for (const [command, activity] of stored.activities) {
            if (activity.worker === worker) {
              // One that is completed from outside goes on without its worker.
              const startedAt = activity.outside ? activity.startedAt : undefined
              stored.activities.set(command, { ...activity, worker: undefined, startedAt })
            }
          }
        }
      }),
    version: Effect.succeed(undefined)
  }
}

// Nobody changes what the store holds, neither who wrote it nor who has read it.

const hasParts = (event: Event): boolean => "retry" in event || "failure" in event || "parent" in event

const own = (event: Event): Event => hasParts(event) ? structuredClone(event) : event

const copyOf = <E extends Event>(event: E): E => hasParts(event) ? structuredClone(event) : { ...event }

/** In the order of their commands. */
const activitiesOf = ({ activities }: Stored): ReadonlyArray<Activity> =>
  [...activities.values()].sort((a, b) => a.scheduled.command - b.scheduled.command)

const timersOf = ({ timers }: Stored): ReadonlyArray<PendingTimer> =>
  [...timers.values()].map((timer) => ({ ...timer })).sort((a, b) => a.fireAt - b.fireAt || a.command - b.command)

const publicPart = ({ secret: _secret, worker: _worker, ...activity }: Activity): PendingActivity => ({
  ...activity,
  scheduled: copyOf(activity.scheduled)
})

/** How often each of these stands there, in the order of the bytes of their fields. */
const counted = <Names extends { readonly [field: string]: string }>(
  each: ReadonlyArray<Names>
): ReadonlyArray<Names & { readonly count: number }> => {
  const groups = new Map<string, { readonly names: Names; count: number }>()
  for (const names of each) {
    const key = Object.values(names).join("\0")
    const group = groups.get(key) ?? { names, count: 0 }
    group.count++
    groups.set(key, group)
  }
  return [...groups].sort(([a], [b]) => byBytes(a, b)).map(([, { count, names }]) => ({ ...names, count }))
}

const newestFirst = (a: RunPosition, b: RunPosition): number =>
  b.startedAt - a.startedAt || byBytes(b.workflowId, a.workflowId) || byBytes(b.runId, a.runId)

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

// --- taking all back

interface State {
  readonly runs: Map<string, Stored>
  readonly latest: Map<string, Stored>
  readonly links: Set<Link>
}

/** Gives what takes the state back to what it is now. */
const snapshot = ({ latest, links, runs }: State): () => void => {
  const kept = new Map([...runs.values()].map((stored) => [stored, keptOf(stored)]))
  const newest = [...latest]
  const family = [...links].map((link) => ({ ...link }))
  return () => {
    runs.clear()
    latest.clear()
    links.clear()
    for (const stored of kept.values()) runs.set(stored.run.runId, stored)
    for (const [workflowId, stored] of newest) latest.set(workflowId, kept.get(stored)!)
    for (const { child, parent, ...link } of family) {
      links.add({ ...link, child: kept.get(child)!, parent: kept.get(parent)! })
    }
  }
}

const keptOf = (stored: Stored): Stored => ({
  ...stored,
  events: [...stored.events],
  activities: new Map(stored.activities),
  timers: new Map(stored.timers),
  signals: new Set(stored.signals)
})
