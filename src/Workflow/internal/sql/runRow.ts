/**
 * Runs as rows, and as the records that others see of them.
 */
import * as Effect from "effect/Effect"
import { type Closing, isClosing, type Status } from "../../Event.js"
import type { RunRecord } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { eventOf, type EventRow } from "./eventRow.js"
import { overValues } from "./statement.js"

export interface RunRow {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly started_at: number
  readonly deadline: number | null
  readonly cancel_by: number | null
  readonly last_seq: number
  readonly due_seq: number
  readonly owner: string | null
  readonly epoch: number
  readonly owner_crashes: number
  readonly status: Status
  readonly closed_seq: number | null
  readonly blocked: string | null
}

/** A run with the event that has closed it. */
export type RecordRow = RunRow & (EventRow | { readonly kind: null })

const columnNames = [
  "id",
  "run_id",
  "workflow_id",
  "workflow",
  "started_at",
  "deadline",
  "cancel_by",
  "last_seq",
  "due_seq",
  "owner",
  "epoch",
  "owner_crashes",
  "status",
  "closed_seq",
  "blocked"
]
export const runColumns = columnNames.join(", ")
export const recordColumns = `${columnNames.map((name) => `r.${name}`).join(", ")}, e.seq, e.kind, e.body, e.payload`
export const recordTables = "holdfast_runs r LEFT JOIN holdfast_events e ON e.run = r.id AND e.seq = r.closed_seq"

export const selectByRunId = overValues<RunRow>((ids) =>
  `SELECT ${runColumns} FROM holdfast_runs WHERE run_id IN (VALUES ${ids})`
)

export const selectById = overValues<RunRow>((ids) =>
  `SELECT ${runColumns} FROM holdfast_runs WHERE id IN (VALUES ${ids})`
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
  row.kind === null
    ? Effect.succeed(undefined)
    : Effect.flatMap(eventOf(row), (closed) =>
      isClosing(closed)
        ? Effect.succeed(closed)
        : new JournalError({ reason: "Corrupt", detail: `the last event of run ${row.run_id} should close it` }))

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
