/**
 * Runs as rows, and as the records that others see of them.
 */
import * as Effect from "effect/Effect"
import { type Closing, isClosing, type Status } from "../../Event.js"
import type { RunRecord } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { type BatchRow, eventOf, storedEvents } from "./batchRow.js"
import { overValues } from "./statement.js"

/** A run as it is stored. */
export interface RunRow {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly started_at: number
  readonly deadline: number | null
  readonly cancel_by: number | null
  readonly due_seq: number
  readonly local_activities: number
  readonly owner: string | null
  readonly epoch: number
  readonly owner_crashes: number
  readonly status: Status
  readonly closed_seq: number | null
  readonly blocked: string | null
}

/** A run with the number of its last event, and whether it has rows of activities. */
export interface RunStateRow extends RunRow {
  readonly last_seq: number
  readonly has_activities: 0 | 1
}

/** A run with its last event, where that has closed it. */
export type RecordRow = RunStateRow & (Pick<BatchRow, "format" | "events"> | { readonly events: null })

const columnNames = [
  "id",
  "run_id",
  "workflow_id",
  "workflow",
  "started_at",
  "deadline",
  "cancel_by",
  "due_seq",
  "local_activities",
  "owner",
  "epoch",
  "owner_crashes",
  "status",
  "closed_seq",
  "blocked"
]
export const runColumns = columnNames.join(", ")

const stateColumns = `${columnNames.map((name) => `r.${name}`).join(", ")},
  (SELECT max(last_seq) FROM holdfast_batches WHERE run = r.id) AS last_seq,
  CASE WHEN EXISTS (SELECT 1 FROM holdfast_activities WHERE run = r.id) THEN 1 ELSE 0 END AS has_activities`
export const recordColumns = `${stateColumns}, b.format, b.events`
export const recordTables = "holdfast_runs r LEFT JOIN holdfast_batches b ON b.run = r.id AND b.last_seq = r.closed_seq"

export const selectByRunId = overValues<RunStateRow>((ids) =>
  `SELECT ${stateColumns} FROM holdfast_runs r WHERE run_id IN (VALUES ${ids})`
)

export const selectById = overValues<RunStateRow>((ids) =>
  `SELECT ${stateColumns} FROM holdfast_runs r WHERE id IN (VALUES ${ids})`
)

/** The newest run of each workflow id; if one of them is open, it is this one. */
export const selectLatest = overValues<RecordRow>((ids) =>
  `SELECT ${recordColumns} FROM ${recordTables} WHERE r.id IN
     (SELECT max(id) FROM holdfast_runs WHERE workflow_id IN (VALUES ${ids}) GROUP BY workflow_id)`
)

export const selectClosed = overValues<RecordRow>((ids) =>
  `SELECT ${recordColumns} FROM ${recordTables} WHERE r.run_id IN (VALUES ${ids}) AND r.closed_seq IS NOT NULL`
)

export const closingOf = (row: RecordRow): Effect.Effect<Closing | undefined, JournalError> =>
  Effect.gen(function*() {
    if (row.events === null) return undefined
    const events = yield* storedEvents(row)
    const closed = yield* eventOf(events.at(-1)!)
    return isClosing(closed)
      ? closed
      : yield* new JournalError({
        reason: "Corrupt",
        detail: `the last event of run ${row.run_id} should close it`
      })
  })

export const recordOf = (row: RecordRow): Effect.Effect<RunRecord, JournalError> =>
  Effect.map(closingOf(row), (closed) => ({
    runId: row.run_id,
    workflowId: row.workflow_id,
    workflow: row.workflow,
    startedAt: row.started_at,
    status: row.status,
    events: row.last_seq,
    blocked: row.blocked ?? undefined,
    closed
  }))
