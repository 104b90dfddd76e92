/**
 * A store in memory. Also the model that the SQL store is tested against.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Closing, Event, Posted, Unplaced } from "../Event.js"
import type { Entry, JournalStore, OwnedRun, PendingActivity, PendingTimer, Receipt, RunRecord } from "../Journal.js"
import { firstEvents, place, type Position } from "./place.js"

interface Stored {
  readonly run: Omit<OwnedRun, "epoch" | "due" | "blocked">
  readonly events: Array<Event>
  readonly activities: Map<number, PendingActivity>
  readonly timers: Map<number, PendingTimer>
  owner: string | undefined
  epoch: number
  dueSeq: number
  blocked: string | undefined
  closed: Closing | undefined
  /** The ids of its signals. */
  readonly signals: Set<string>
}

export const memoryStore = (): JournalStore => {
  const runs = new Map<string, Stored>()
  const latest = new Map<string, Stored>()
  const leases = new Map<string, number>()

  const positionOf = ({ dueSeq, events }: Stored): Position => ({ lastSeq: events.length, dueSeq })

  const record = ({ blocked, closed, run }: Stored): RunRecord => ({ ...run, blocked, closed })

  const start = (entry: Extract<Entry, { readonly _tag: "Start" }>): Receipt => {
    const existing = latest.get(entry.workflowId)
    if (existing !== undefined) return { _tag: "Started", created: false, record: record(existing) }
    const { at, payload, runId, worker, workflow, workflowId } = entry
    const stored = create({ runId, workflowId, workflow, startedAt: at }, worker, [{ _tag: "RunStarted", at, payload }])
    return { _tag: "Started", created: true, record: record(stored) }
  }

  const create = (
    run: Stored["run"],
    worker: string | undefined,
    events: ReadonlyArray<Unplaced<Event>>
  ): Stored => {
    const stored: Stored = {
      run,
      events: [],
      activities: new Map(),
      timers: new Map(),
      owner: worker,
      epoch: worker === undefined ? 0 : 1,
      dueSeq: 0,
      blocked: undefined,
      closed: undefined,
      signals: new Set()
    }
    runs.set(run.runId, stored)
    latest.set(run.workflowId, stored)
    append(stored, events)
    return stored
  }

  const index = (stored: Stored, event: Event): void => {
    const { runId } = stored.run
    switch (event._tag) {
      case "ActivityScheduled":
        stored.activities.set(event.command, { runId, scheduled: event, attempt: 1, notBefore: 0 })
        break
      case "AttemptFailed": {
        const pending = stored.activities.get(event.target)
        if (pending !== undefined) {
          stored.activities.set(event.target, { ...pending, attempt: event.attempt + 1, notBefore: event.retryAt })
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
      case "RunClosed":
      case "RunTerminated":
        stored.activities.clear()
        stored.timers.clear()
        break
    }
  }

  const append = (stored: Stored, events: ReadonlyArray<Unplaced<Event>>): ReadonlyArray<Event> => {
    const placed = place(events, positionOf(stored))
    stored.events.push(...placed.events)
    stored.dueSeq = placed.dueSeq
    stored.closed = placed.closed
    for (const event of placed.events) index(stored, event)
    return placed.events
  }

  const post = ({ event, workflowId }: Extract<Entry, { readonly _tag: "Post" }>): Receipt => {
    const stored = latest.get(workflowId)
    if (stored === undefined || stored.closed !== undefined) return { _tag: "NotOpen", known: stored !== undefined }
    if (event._tag === "SignalReceived" && event.id !== undefined) {
      if (stored.signals.has(event.id)) return { _tag: "Known", runId: stored.run.runId }
      stored.signals.add(event.id)
    }
    const [posted] = append(stored, [event])
    return { _tag: "Posted", runId: stored.run.runId, owner: stored.owner, event: posted as Posted }
  }

  const write = (entry: Entry): Receipt => {
    if (entry._tag === "Start") return start(entry)
    if (entry._tag === "Post") return post(entry)
    const stored = runs.get(entry.runId)
    if (
      stored === undefined || stored.closed !== undefined || stored.owner !== entry.worker ||
      stored.epoch !== entry.epoch
    ) return { _tag: "Stale" }
    if (entry._tag === "Block") stored.blocked = entry.reason
    else {
      const { next } = entry
      if (next !== undefined && place(entry.events, positionOf(stored)).dueSeq > 0) return { _tag: "Outrun" }
      append(stored, entry.events)
      if (next !== undefined) {
        create({ ...stored.run, runId: next.runId, startedAt: next.at }, entry.worker, firstEvents(entry.runId, next))
      }
    }
    return { _tag: "Appended", lastSeq: stored.events.length, due: stored.dueSeq > 0 }
  }

  return {
    write: (entries) => Effect.sync(() => entries.map(write)),
    history: (runId) => Effect.sync(() => [...(runs.get(runId)?.events ?? [])]),
    latest: (workflowId) => Effect.sync(() => Option.map(Option.fromNullable(latest.get(workflowId)), record)),
    closed: (runIds) =>
      Effect.sync(() =>
        runIds.flatMap((runId) => {
          const stored = runs.get(runId)
          return stored?.closed === undefined ? [] : [record(stored)]
        })
      ),
    claim: ({ leaseUntil, now, worker, workflows }) =>
      Effect.sync(() => {
        leases.set(worker, leaseUntil)
        const claimed: Array<Stored> = []
        const due: Array<Stored> = []
        for (const stored of runs.values()) {
          const free = stored.owner === undefined || (leases.get(stored.owner) ?? Infinity) <= now
          if (stored.closed === undefined && free && workflows.includes(stored.run.workflow)) {
            stored.owner = worker
            stored.epoch++
            claimed.push(stored)
          } else if (stored.closed === undefined && stored.owner === worker && stored.dueSeq > 0) {
            due.push(stored)
          }
        }
        return {
          due: due.map(({ dueSeq, run: { runId } }) => ({ runId, dueSeq })),
          runs: claimed.map(({ blocked, dueSeq, epoch, run }) => ({
            ...run,
            epoch,
            due: dueSeq > 0,
            blocked: blocked !== undefined
          })),
          activities: claimed.flatMap(({ activities }) => [...activities.values()]),
          timers: claimed.flatMap(({ timers }) => [...timers.values()])
        }
      }),
    heartbeat: (worker, leaseUntil) => Effect.sync(() => void leases.set(worker, leaseUntil)),
    release: (worker) =>
      Effect.sync(() => {
        leases.delete(worker)
        for (const stored of runs.values()) if (stored.owner === worker) stored.owner = undefined
      }),
    version: Effect.succeed(undefined)
  }
}
