/**
 * A store in memory.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type {
  JournalStore,
  OwnedRun,
  PendingActivity,
  RunFilter,
  RunPosition,
  RunRecord,
  Services
} from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { byBytes } from "../journal/byBytes.js"
import { ownedRun, recordOf } from "../journal/known.js"
import { backoffMillis, quarantineAfter } from "../journal/quarantine.js"
import { activitiesOf, type Activity, copyOf, Rows, type Stored, timersOf } from "./rows.js"

export const memoryStore = (): JournalStore => {
  const rows = new Rows()
  const { byRunId: runs, latest } = rows
  const leases = new Map<string, number>()
  const services = new Map<string, Services>()

  const record = ({ run }: Stored): RunRecord => ({ ...recordOf(run), closed: run.closed && copyOf(run.closed) })

  const isOpen = ({ run }: Stored): boolean => run.closedSeq === undefined

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
          return Effect.succeed(rows.write(entries))
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
          return stored === undefined || isOpen(stored) ? [] : [record(stored)]
        })
      ),
    claim: ({ leaseUntil, now, quarantined, worker, workflows }) =>
      Effect.sync(() => {
        leases.set(worker, leaseUntil)
        const open = [...runs.values()].filter(isOpen)
        const due = open.filter(({ run: { owner, position } }) => owner === worker && position.dueSeq > 0)
        const claimable = open.filter(({ run }) => workflows.includes(run.workflow))
        const fromDead = claimable.filter(({ run: { owner } }) => owner !== undefined && isOver(owner, now))
        const quarantinedRuns = fromDead
          .filter(({ claimNotBefore, run: { ownerCrashes } }) =>
            ownerCrashes >= quarantineAfter && claimNotBefore <= now
          )
          .sort((a, b) => a.run.ownerCrashes - b.run.ownerCrashes)
        const claimed = [
          ...claimable.filter(({ run: { owner } }) => owner === undefined),
          ...fromDead.filter(({ run: { ownerCrashes } }) => ownerCrashes < quarantineAfter),
          ...quarantinedRuns.slice(0, quarantined)
        ]
        for (const stored of claimed) {
          const { run } = stored
          const busy = run.position.dueSeq > 0 || stored.activities.size > 0
          const ownerCrashes = run.owner !== undefined && busy ? run.ownerCrashes + 1 : run.ownerCrashes
          if (ownerCrashes > run.ownerCrashes) stored.claimNotBefore = now + backoffMillis(ownerCrashes)
          stored.run = { ...run, owner: worker, epoch: run.epoch + 1, ownerCrashes }
        }
        return {
          moreQuarantined: quarantinedRuns.length > quarantined,
          due: due.map(({ run: { position: { dueSeq }, runId } }) => ({ runId, dueSeq })),
          runs: claimed.map(({ run }): OwnedRun => ownedRun(run)),
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
        const open = [...runs.values()].filter(isOpen)
        const attempts = open.flatMap((stored) =>
          activitiesOf(stored).flatMap(({ outside, scheduled: { activity, queue }, worker }) =>
            queue !== undefined && !outside && isFree(worker) ? [{ queue, activity }] : []
          )
        )
        return {
          runs: counted(
            open.filter(({ run: { owner } }) => isFree(owner)).map(({ run: { workflow } }) => ({ workflow }))
          ),
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
        return stored !== undefined && isOpen(stored) ? stored.run.owner : undefined
      }),
    release: (worker) =>
      Effect.sync(() => {
        leases.delete(worker)
        services.delete(worker)
        for (const stored of runs.values()) {
          if (stored.run.owner === worker && isOpen(stored)) stored.run = { ...stored.run, owner: undefined }
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
