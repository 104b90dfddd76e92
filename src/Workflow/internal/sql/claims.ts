/**
 * Who owns what: runs and attempts that a worker takes, keeps by its lease, and gives up.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { AttemptId, JournalStore, PendingActivity } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import { backoffMillis, quarantineAfter } from "../journal/quarantine.js"
import {
  activityColumns,
  type ActivityRow,
  fromRow,
  pendingActivities,
  type RunOfActivities,
  scheduledIn
} from "./activityRow.js"
import { runColumns, type RunRow } from "./runRow.js"
import { execute, overRows, overValues, type Row, skipLocked } from "./statement.js"
import { upsertLease } from "./workers.js"

type Options<Method extends "claim" | "takeAttempts"> = Parameters<JournalStore[Method]>[0]

export const claimRuns = Effect.fnUntraced(function*(
  connection: Connection,
  { leaseUntil, now, quarantined, worker, workflows }: Options<"claim">
) {
  yield* execute(connection, upsertLease, [worker, leaseUntil])
  const claimed = yield* Effect.forEach(workflows, (workflow) =>
    Effect.all([
      execute<RunRow>(connection, claimFree, [worker, workflow]),
      execute<RunRow>(connection, claimFromDead, [worker, workflow, now])
    ]))
  const quarantinedRuns = yield* Effect.forEach(
    workflows,
    (workflow) =>
      execute<{ readonly id: number; readonly owner_crashes: number }>(connection, selectQuarantined, [
        workflow,
        now,
        now
      ])
  )
  const tried = quarantinedRuns.flat().sort((a, b) => a.owner_crashes - b.owner_crashes || a.id - b.id)
  const claimedQuarantined = yield* Effect.forEach(
    tried.slice(0, quarantined),
    ({ owner_crashes, id }) =>
      execute<RunRow>(connection, claimQuarantined, [worker, now + backoffMillis(owner_crashes + 1), id])
  )
  const runs = [...claimed.flat(2), ...claimedQuarantined.flat()]
  const fresh = new Set(runs.map((row) => row.run_id))
  const due = yield* execute<{ readonly run_id: string; readonly due_seq: number }>(
    connection,
    "SELECT run_id, due_seq FROM holdfast_runs WHERE owner = ? AND due_seq > 0 AND closed_seq IS NULL",
    [worker]
  )
  yield* execute(connection, forgetDead, [now - forgottenAfter])
  const timers = yield* selectTimers(connection, runs.map((row) => row.id))
  const read = yield* readable(yield* pendingActivities(connection, runs))
  return {
    moreQuarantined: tried.length > quarantined,
    due: due.filter((row) => !fresh.has(row.run_id)).map((row) => ({ runId: row.run_id, dueSeq: row.due_seq })),
    runs: runs.map((row) => ({
      runId: row.run_id,
      workflowId: row.workflow_id,
      workflow: row.workflow,
      startedAt: row.started_at,
      deadline: row.deadline ?? undefined,
      cancelBy: row.cancel_by ?? undefined,
      epoch: row.epoch,
      due: row.due_seq > 0,
      blocked: row.blocked !== null
    })),
    ...read,
    timers: timers.map((row) => ({ runId: row.run_id, command: row.command, fireAt: row.fire_at }))
  }
})

export const takeAttempts = Effect.fnUntraced(function*(
  connection: Connection,
  { activities, limit, now, queue, worker }: Options<"takeAttempts">
) {
  if (activities.length === 0) return { attempts: [], next: undefined }
  const names = activities.map(() => "?").join(", ")
  const waiting = `FROM holdfast_activities a WHERE queue = ? AND activity IN (${names}) AND outside = 0
    AND (worker IS NULL OR worker IN (SELECT worker FROM holdfast_workers WHERE lease_until <= ?))`
  const values: Row = [queue, ...activities, now]
  const ready = yield* execute<{ readonly run: number; readonly command: number }>(
    connection,
    `SELECT run, command ${waiting} AND not_before <= ? ORDER BY scheduled_at, run, command LIMIT ? ${skipLocked}`,
    [...values, now, limit]
  )
  for (const { command, run } of ready) {
    yield* execute(
      connection,
      "UPDATE holdfast_activities SET worker = ?, started_at = ?, beat_at = NULL WHERE run = ? AND command = ?",
      [worker, now, run, command]
    )
  }
  const rows = yield* selectTaken(connection, ready.map(({ command, run }) => [run, command]))
  const runs = yield* selectRunsOf(connection, [...new Set(ready.map(({ run }) => run))])
  const scheduledOf = yield* scheduledIn(connection, rows)
  const rowOf = new Map(rows.map((row) => [`${row.run}/${row.command}`, row]))
  const runOf = new Map(runs.map((run) => [run.id, run]))
  const { activities: attempts } = yield* readable(ready.map(({ command, run }) => {
    const row = rowOf.get(`${run}/${command}`)!
    return [runOf.get(run)!, fromRow(runOf.get(run)!, row, scheduledOf(row))] as const
  }))
  // A worker that has got all it wanted asks again before it waits.
  if (ready.length === limit) return { attempts, next: undefined }
  const [later] = yield* execute<{ readonly next: number | null }>(
    connection,
    `SELECT min(not_before) AS next ${waiting} AND not_before > ?`,
    [...values, now]
  )
  return { attempts, next: later?.next ?? undefined }
})

export const takenBy = (connection: Connection, worker: string) =>
  Effect.map(
    execute<{ readonly run_id: string; readonly command: number; readonly attempt: number }>(
      connection,
      `SELECT r.run_id, a.command, a.attempt FROM holdfast_activities a JOIN holdfast_runs r ON r.id = a.run
       WHERE a.worker = ? ORDER BY a.run, a.command`,
      [worker]
    ),
    (rows) => rows.map(({ attempt, command, run_id }): AttemptId => ({ runId: run_id, command, attempt }))
  )

export const releaseAll = Effect.fnUntraced(function*(connection: Connection, worker: string) {
  yield* execute(connection, "UPDATE holdfast_runs SET owner = NULL WHERE owner = ? AND closed_seq IS NULL", [worker])
  // One that is completed from outside goes on without its worker.
  yield* execute(
    connection,
    `UPDATE holdfast_activities SET worker = NULL, started_at = CASE WHEN outside = 1 THEN started_at END
     WHERE worker = ?`,
    [worker]
  )
  yield* execute(connection, "DELETE FROM holdfast_workers WHERE worker = ?", [worker])
})

export const pendingIn = Effect.fnUntraced(function*(connection: Connection, runId: string) {
  const runs = yield* execute<RunOfActivities>(
    connection,
    `${runOfActivities} WHERE run_id = ? AND closed_seq IS NULL`,
    [
      runId
    ]
  )
  const timers = yield* selectTimers(connection, runs.map(({ id }) => id))
  const activities = yield* pendingActivities(connection, runs)
  return {
    activities: yield* Effect.forEach(activities, ([, activity]) => activity),
    timers: [...timers].sort((a, b) => a.fire_at - b.fire_at).map(({ command, fire_at, run_id }) => ({
      runId: run_id,
      command,
      fireAt: fire_at
    }))
  }
})

export const secretOf = (connection: Connection, { attempt, command, runId }: AttemptId) =>
  Effect.map(
    execute<{ readonly secret: string | null }>(
      connection,
      `SELECT secret FROM holdfast_activities
       WHERE run = (SELECT id FROM holdfast_runs WHERE run_id = ?) AND command = ? AND attempt = ?`,
      [runId, command, attempt]
    ),
    (rows) => rows[0]?.secret ?? undefined
  )

const selectTimers = overValues<{ readonly run_id: string; readonly command: number; readonly fire_at: number }>((
  runs
) =>
  `SELECT r.run_id, t.command, t.fire_at FROM holdfast_timers t JOIN holdfast_runs r ON r.id = t.run
   WHERE t.run IN (VALUES ${runs}) ORDER BY t.run, t.command`
)

/** What has been taken stays so where it cannot be read, and the others are not to suffer from it. */
const readable = (
  found: ReadonlyArray<readonly [run: RunOfActivities, activity: Either.Either<PendingActivity, JournalError>]>
) =>
  Effect.map(
    Effect.forEach(found, ([run, activity]) =>
      activity.pipe(
        Effect.tapError((error) =>
          Effect.logWarning(`holdfast: an activity of run ${run.run_id} is left out for now`, Cause.fail(error))
        ),
        Effect.mapError(() => run.run_id),
        Effect.either
      )),
    (found) => {
      const [unread, activities] = Array.separate(found)
      return unread.length === 0 ? { activities } : { activities, unread: Array.dedupe(unread) }
    }
  )

const runOfActivities = "SELECT id, run_id, workflow_id, workflow, local_activities FROM holdfast_runs"

const selectRunsOf = overValues<RunOfActivities>((ids) => `${runOfActivities} WHERE id IN (VALUES ${ids})`)

const selectTaken = overRows<ActivityRow>(
  2,
  (rows) => `SELECT ${activityColumns} FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
)

const busy =
  "(due_seq > 0 OR local_activities > 0 OR EXISTS (SELECT 1 FROM holdfast_activities WHERE run = holdfast_runs.id))"
const ifBusy = `CASE WHEN ${busy} THEN 1 ELSE 0 END`
const ofDead =
  "closed_seq IS NULL AND workflow = ? AND owner IN (SELECT worker FROM holdfast_workers WHERE lease_until <= ?)"

// Statements of their own, so that each finds its runs by the index of open runs by owner. A run of a dead worker that is
// being written to is left for the next claim: the worker may have stopped in the middle of that.
const claimFree = `UPDATE holdfast_runs SET owner = ?, epoch = epoch + 1
  WHERE closed_seq IS NULL AND workflow = ? AND owner IS NULL RETURNING ${runColumns}`
const claimFromDead = `UPDATE holdfast_runs SET owner = ?, epoch = epoch + 1, owner_crashes = owner_crashes + ${ifBusy}
  WHERE id IN (SELECT id FROM holdfast_runs WHERE ${ofDead} AND owner_crashes < ${quarantineAfter} ${skipLocked})
  RETURNING ${runColumns}`
const selectQuarantined = `SELECT id, owner_crashes FROM holdfast_runs
  WHERE ${ofDead} AND owner_crashes >= ${quarantineAfter} AND claim_not_before <= ?`
const claimQuarantined =
  `UPDATE holdfast_runs SET owner = ?, epoch = epoch + 1, owner_crashes = owner_crashes + ${ifBusy},
  claim_not_before = CASE WHEN ${busy} THEN ? ELSE claim_not_before END WHERE id = ? RETURNING ${runColumns}`

/** A worker that was stopped for long may still begin a run as it wakes up, and its lease must be known to be over then. */
const forgottenAfter = 30 * 86_400_000

const forgetDead = `DELETE FROM holdfast_workers WHERE lease_until <= ?
  AND NOT EXISTS (SELECT 1 FROM holdfast_runs WHERE owner = worker AND closed_seq IS NULL)
  AND NOT EXISTS (SELECT 1 FROM holdfast_activities a WHERE a.worker = holdfast_workers.worker)`
