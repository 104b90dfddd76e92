/**
 * Runs by what they are: each list is one range of one index, in the order of that index.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { JournalStore, RunFilter } from "../../Journal.js"
import { recordColumns, type RecordRow, recordTables } from "./runRow.js"
import { execute, type Value } from "./statement.js"

type ListOptions = Parameters<JournalStore["list"]>[0]

export interface Query {
  readonly text: string
  readonly values: ReadonlyArray<Value>
}

export const listQuery = ({ after, filter, limit }: ListOptions): Query => {
  const { conditions, index, values } = conditionsOf(filter)
  if (after !== undefined) {
    conditions.push("(r.started_at, r.workflow_id, r.run_id) < (?, ?, ?)")
    values.push(after.startedAt, after.workflowId, after.runId)
  }
  return {
    text: `SELECT ${recordColumns} FROM ${recordTables.replace("holdfast_runs r", `holdfast_runs r ${index}`)}
     ${where(conditions)} ORDER BY r.started_at DESC, r.workflow_id DESC, r.run_id DESC LIMIT ?`,
    values: [...values, limit]
  }
}

export const countQuery = (filter: RunFilter): Query => {
  const { conditions, index, values } = conditionsOf(filter)
  return { text: `SELECT count(*) AS count FROM holdfast_runs r ${index} ${where(conditions)}`, values }
}

export const list = (connection: Connection, options: ListOptions) => {
  const { text, values } = listQuery(options)
  return execute<RecordRow>(connection, text, values)
}

export const count = (connection: Connection, filter: RunFilter) => {
  const { text, values } = countQuery(filter)
  return execute<{ readonly count: number }>(connection, text, values)
}

/** The conditions, and the index that answers most of them. */
const conditionsOf = ({ startedBefore, startedFrom, status, workflow, workflowId }: RunFilter) => {
  const conditions: Array<string> = []
  const values: Array<Value> = []
  const must = (condition: string, value: Value | undefined): void => {
    if (value === undefined) return
    conditions.push(condition)
    values.push(value)
  }
  must("r.workflow_id = ?", workflowId)
  must("r.status = ?", status)
  must("r.workflow = ?", workflow)
  must("r.started_at >= ?", startedFrom)
  must("r.started_at < ?", startedBefore)
  const index = workflowId !== undefined
    ? "holdfast_runs_id"
    : workflow !== undefined
    ? "holdfast_runs_workflow"
    : status !== undefined
    ? "holdfast_runs_status"
    : "holdfast_runs_started"
  return { conditions, values, index: `INDEXED BY ${index}` }
}

const where = (conditions: ReadonlyArray<string>): string =>
  conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`
