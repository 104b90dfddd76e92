/**
 * One transaction of entries on rows: reads what it asks for, and writes what it has changed, statement by statement.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Entry, Written } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import type { AttemptChange, Changes, LinkState, RunState } from "../journal/changes.js"
import type { Known } from "../journal/known.js"
import { Transaction, type Wanted } from "../journal/transaction.js"
import { rowOf } from "./eventRow.js"
import { closingOf, type RunRow, selectById, selectByRunId, selectLatest } from "./runRow.js"
import { execute, overRows, overValues, type Row } from "./statement.js"

export const writeEntries = Effect.fnUntraced(function*(connection: Connection, entries: ReadonlyArray<Entry>) {
  const transaction = new Transaction(entries)
  const steps = transaction.run()
  let step = steps.next()
  while (step.done !== true) {
    yield* read(connection, transaction.known, step.value)
    step = steps.next()
  }
  yield* write(connection, transaction.changes)
  return step.value
}) satisfies (connection: Connection, entries: ReadonlyArray<Entry>) => Effect.Effect<Written, SqlError | JournalError>

// --- reading

const read = Effect.fnUntraced(function*(connection: Connection, known: Known, wanted: Wanted) {
  if (wanted.lastRun) {
    const [row] = yield* execute<{ readonly id: number | null }>(connection, "SELECT max(id) AS id FROM holdfast_runs")
    known.knowLastRun(row?.id ?? 0)
  }
  for (const row of yield* selectByRunId(connection, wanted.runIds)) known.knowRun(stateOf(row))
  for (const workflowId of wanted.workflowIds) known.knowLatest(workflowId, undefined)
  for (const row of yield* selectLatest(connection, wanted.workflowIds)) {
    known.knowLatest(row.workflow_id, { ...stateOf(row), closed: yield* closingOf(row) })
  }
  for (const { id, run } of yield* selectSignals(connection, wanted.signals)) known.knowSignal(run, id)
  for (const { attempt, command, run, started_at, worker } of yield* selectPending(connection, wanted.activities)) {
    known.knowPending(run, command, { attempt, worker: worker ?? undefined, started: started_at !== null })
  }
  if (wanted.linked.length > 0) yield* readLinks(connection, known, wanted.linked)
})

const readLinks = Effect.fnUntraced(
  function*(connection: Connection, known: Known, runs: ReadonlyArray<number>) {
    const rows = [...yield* selectParents(connection, runs), ...yield* selectChildren(connection, runs)]
    const ids = new Set(rows.flatMap(({ child, parent }) => [child, parent]))
    for (const row of yield* selectById(connection, [...ids].filter((id) => !known.hasRun(id)))) {
      known.knowRun(stateOf(row))
    }
    for (const { child, command, id, parent, parent_close } of rows) {
      known.knowLink({ id, child, parent, command: command ?? undefined, parentClose: parent_close })
    }
  }
)

const stateOf = (row: RunRow): RunState => ({
  id: row.id,
  runId: row.run_id,
  workflowId: row.workflow_id,
  workflow: row.workflow,
  startedAt: row.started_at,
  deadline: row.deadline ?? undefined,
  cancelBy: row.cancel_by ?? undefined,
  owner: row.owner ?? undefined,
  epoch: row.epoch,
  ownerCrashes: row.owner_crashes,
  status: row.status,
  blocked: row.blocked ?? undefined,
  position: { lastSeq: row.last_seq, dueSeq: row.due_seq },
  closedSeq: row.closed_seq ?? undefined,
  closed: undefined
})

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

// --- writing

const write = Effect.fnUntraced(function*(connection: Connection, changes: Changes) {
  const closing = [...changes.closing]
  const closed = closing.map(({ id }) => id)
  yield* insertEvents(connection, changes.events.map(([run, event]) => rowOf(run, event)))
  yield* insertActivities(
    connection,
    [...changes.activities.values()].map(([run, { activity, at, command, queue, seq }]) => [
      run,
      command,
      seq,
      activity,
      queue ?? null,
      at
    ])
  )
  yield* insertTimers(
    connection,
    [...changes.timers.values()].map(([run, { command, fireAt }]) => [run, command, fireAt])
  )
  yield* insertSignals(connection, changes.signals)
  for (const change of changes.attempts) yield* changeAttempt(connection, change)
  yield* deleteActivities(connection, changes.endedActivities)
  yield* deleteTimers(connection, changes.endedTimers)
  yield* deleteActivitiesOf(connection, closed)
  yield* deleteTimersOf(connection, closed)
  yield* deleteSignalsOf(connection, closed)
  yield* moveRuns(
    connection,
    [...changes.moved].map((
      { ownerCrashes, id, position }
    ) => [id, position.lastSeq, position.dueSeq, ownerCrashes])
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
      `UPDATE holdfast_activities SET beat_at = ?, outside = max(outside, ?), started_at = coalesce(started_at, ?),
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
  run.position.lastSeq,
  run.position.dueSeq,
  run.owner ?? null,
  run.epoch,
  run.ownerCrashes,
  run.status,
  run.closedSeq ?? null
]

const insertRuns = overRows(
  14,
  (rows) =>
    `INSERT INTO holdfast_runs (id, run_id, workflow_id, workflow, started_at, deadline, cancel_by, last_seq, due_seq, owner, epoch,
       owner_crashes, status, closed_seq) VALUES ${rows}`
)
const insertEvents = overRows(
  5,
  (rows) => `INSERT INTO holdfast_events (run, seq, kind, body, payload) VALUES ${rows}`
)
const insertActivities = overRows(
  6,
  (rows) => `INSERT INTO holdfast_activities (run, command, seq, activity, queue, scheduled_at) VALUES ${rows}`
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
    `WITH moved (id, last_seq, due_seq, owner_crashes) AS (VALUES ${rows})
     UPDATE holdfast_runs SET last_seq = moved.last_seq, due_seq = moved.due_seq, owner_crashes = moved.owner_crashes
     FROM moved WHERE holdfast_runs.id = moved.id`
)

// Apart from the above: an update that names these columns rewrites the indexes with them, changed or not.
const restateRuns = overRows(
  3,
  (rows) =>
    `WITH restated (id, status, cancel_by) AS (VALUES ${rows})
     UPDATE holdfast_runs SET status = restated.status, cancel_by = restated.cancel_by
     FROM restated WHERE holdfast_runs.id = restated.id`
)
const closeRuns = overRows(
  3,
  (rows) =>
    `WITH closing (id, closed_seq, status) AS (VALUES ${rows})
     UPDATE holdfast_runs SET closed_seq = closing.closed_seq, status = closing.status
     FROM closing WHERE holdfast_runs.id = closing.id`
)
