/**
 * One transaction of entries on rows: reads what it asks for, and writes what it has changed, statement by statement.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import type { Entry, Written } from "../../Journal.js"
import type { AttemptChange, Changes, RunState } from "../../JournalTransaction.js"
import { Transaction } from "../journal/transaction.js"
import { rowOf } from "./batchRow.js"
import type { Database, Failure } from "./database.js"
import { FoundActivities, read } from "./read.js"
import { execute, overRows, overValues, type Row } from "./statement.js"

export const writeEntries = Effect.fnUntraced(function*(
  database: Database,
  connection: Connection,
  entries: ReadonlyArray<Entry>
) {
  const transaction = new Transaction(entries)
  const found = new FoundActivities()
  const steps = transaction.run()
  let step = steps.next()
  while (step.done !== true) {
    yield* read(database, connection, transaction.known, found, step.value)
    step = steps.next()
  }
  yield* write(connection, found, transaction.changes)
  return step.value
}) satisfies (...args: never) => Effect.Effect<Written, Failure>

const write = Effect.fnUntraced(function*(connection: Connection, found: FoundActivities, changes: Changes) {
  const closing = [...changes.closing]
  const closed = closing.map(({ id }) => id)
  yield* insertBatches(connection, changes.batches.map(([run, events]) => rowOf(run.id, events)))
  yield* insertActivities(connection, newActivityRows(found, changes))
  yield* insertTimers(
    connection,
    [...changes.timers.values()].map(([run, { command, fireAt }]) => [run, command, fireAt])
  )
  yield* insertSignals(connection, changes.signals)
  for (const change of changes.attempts) yield* changeAttempt(connection, change)
  yield* deleteActivities(connection, changes.endedActivities.filter(([run]) => found.runs.has(run)))
  yield* deleteTimers(connection, changes.endedTimers)
  yield* deleteActivitiesOf(connection, closed.filter((run) => found.runs.has(run)))
  yield* deleteTimersOf(connection, closed)
  yield* deleteSignalsOf(connection, closed)
  yield* moveRuns(
    connection,
    [...changes.moved].map(({ id, localActivities, ownerCrashes, position }) => [
      id,
      position.dueSeq,
      localActivities,
      ownerCrashes
    ])
  )
  yield* restateRuns(
    connection,
    [...changes.restated].filter((run) => !changes.closing.has(run)).map(({ cancelBy, id, status }) => [
      id,
      status,
      cancelBy ?? null
    ])
  )
  yield* closeRuns(
    connection,
    closing.filter((run) => !changes.begun.has(run)).map(({ closedSeq, id, status }) => [id, closedSeq ?? null, status])
  )
  // After the runs that they go on from have closed: a workflow id has one open run.
  yield* insertRuns(connection, [...changes.begun].map(insertedRow))
  for (const { blocked, id } of changes.blocked) {
    yield* execute(connection, "UPDATE holdfast_runs SET blocked = ? WHERE id = ?", [blocked ?? null, id])
  }
  yield* deleteLinks(connection, changes.endedLinks)
  for (const { child, command, id, parent } of changes.movedLinks) {
    yield* execute(connection, "UPDATE holdfast_children SET child = ?, parent = ?, command = ? WHERE id = ?", [
      child,
      parent,
      command ?? null,
      id!
    ])
  }
  yield* insertLinks(
    connection,
    [...changes.links].map(({ child, command, parent, parentClose }) => [child, parent, command ?? null, parentClose])
  )
})

/** Activities that need a row from now on: they go to a queue, or something is to be kept of them that is no event. */
const newActivityRows = (found: FoundActivities, changes: Changes): ReadonlyArray<Row> => {
  const rows = new Map<string, Row>()
  for (const [key, [run, { activity, at, command, queue, seq }]] of changes.activities) {
    if (queue !== undefined) rows.set(key, [run, command, seq, activity, queue, at, 1, 0])
  }
  for (const change of changes.attempts) {
    if (change._tag === "Failed") continue
    const { command, run } = change
    const key = `${run}/${command}`
    if (found.rows.has(key) || rows.has(key)) continue
    const scheduled = changes.activities.get(key)?.[1]
    const local = found.local.get(key)
    if (scheduled !== undefined) {
      rows.set(key, [run, command, scheduled.seq, scheduled.activity, null, scheduled.at, 1, 0])
    } else if (local !== undefined) {
      const { attempt, notBefore, scheduled: { activity, at, seq } } = local
      rows.set(key, [run, command, seq, activity as string, null, at as number, attempt, notBefore])
    }
  }
  for (const [run] of rows.values()) found.runs.add(run as number)
  return [...rows.values()]
}

const changeAttempt = (connection: Connection, change: AttemptChange) =>
  change._tag === "Failed"
    ? execute(
      connection,
      `UPDATE holdfast_activities SET attempt = ?, not_before = ?, worker = NULL, started_at = NULL, outside = 0,
         beat_at = NULL, secret = NULL WHERE run = ? AND command = ?`,
      [change.event.attempt + 1, change.event.retryAt, change.run, change.event.target]
    )
    : execute(
      connection,
      `UPDATE holdfast_activities SET beat_at = ?, outside = CASE WHEN ? = 1 THEN 1 ELSE outside END, started_at = coalesce(started_at, ?),
         details = coalesce(?, details), secret = coalesce(secret, ?) WHERE run = ? AND command = ?`,
      [
        change.at,
        change.outside ? 1 : 0,
        change.outside ? change.at : null,
        change.details ?? null,
        change.secret ?? null,
        change.run,
        change.command
      ]
    )

const insertedRow = (run: RunState): Row => [
  run.id,
  run.runId,
  run.workflowId,
  run.workflow,
  run.startedAt,
  run.deadline ?? null,
  run.cancelBy ?? null,
  run.position.dueSeq,
  run.localActivities,
  run.owner ?? null,
  run.epoch,
  run.ownerCrashes,
  run.status,
  run.closedSeq ?? null
]

const insertRuns = overRows(
  14,
  (rows) =>
    `INSERT INTO holdfast_runs (id, run_id, workflow_id, workflow, started_at, deadline, cancel_by, due_seq, local_activities,
       owner, epoch, owner_crashes, status, closed_seq) VALUES ${rows}`
)
const insertBatches = overRows(
  4,
  (rows) => `INSERT INTO holdfast_batches (run, last_seq, format, events) VALUES ${rows}`
)
const insertActivities = overRows(
  8,
  (rows) =>
    `INSERT INTO holdfast_activities (run, command, seq, activity, queue, scheduled_at, attempt, not_before) VALUES ${rows}`
)
const insertTimers = overRows(3, (rows) => `INSERT INTO holdfast_timers (run, command, fire_at) VALUES ${rows}`)

const insertSignals = overRows(2, (rows) => `INSERT INTO holdfast_signals (run, id) VALUES ${rows}`)

const insertLinks = overRows(
  4,
  (rows) => `INSERT INTO holdfast_children (child, parent, command, parent_close) VALUES ${rows}`
)

const deleteActivities = overRows(
  2,
  (rows) => `DELETE FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
)
const deleteTimers = overRows(2, (rows) => `DELETE FROM holdfast_timers WHERE (run, command) IN (VALUES ${rows})`)
const deleteActivitiesOf = overValues((runs) => `DELETE FROM holdfast_activities WHERE run IN (VALUES ${runs})`)
const deleteTimersOf = overValues((runs) => `DELETE FROM holdfast_timers WHERE run IN (VALUES ${runs})`)
const deleteSignalsOf = overValues((runs) => `DELETE FROM holdfast_signals WHERE run IN (VALUES ${runs})`)
const deleteLinks = overValues((ids) => `DELETE FROM holdfast_children WHERE id IN (VALUES ${ids})`)

const moveRuns = overRows(
  4,
  (rows) =>
    `WITH moved (id, due_seq, local_activities, owner_crashes) AS (VALUES ${rows})
     UPDATE holdfast_runs SET due_seq = moved.due_seq, local_activities = moved.local_activities,
       owner_crashes = moved.owner_crashes
     FROM moved WHERE holdfast_runs.id = moved.id`
)

// Apart from the above: an update that names these columns rewrites the indexes with them, changed or not.
const restateRuns = overRows(
  3,
  (rows) =>
    `WITH restated (id, status, cancel_by) AS (VALUES ${rows})
     UPDATE holdfast_runs SET status = restated.status, cancel_by = CAST(restated.cancel_by AS BIGINT)
     FROM restated WHERE holdfast_runs.id = restated.id`
)
const closeRuns = overRows(
  3,
  (rows) =>
    `WITH closing (id, closed_seq, status) AS (VALUES ${rows})
     UPDATE holdfast_runs SET closed_seq = closing.closed_seq, status = closing.status
     FROM closing WHERE holdfast_runs.id = closing.id`
)
