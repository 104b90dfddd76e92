/**
 * What one transaction of entries wants to know, read from rows.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import type { Known, LinkState, RunState, Wanted } from "../../JournalTransaction.js"
import { localActivities, type LocalActivity } from "./activityRow.js"
import type { Database } from "./database.js"
import { closingOf, type RunStateRow, selectById, selectByRunId, selectLatest } from "./runRow.js"
import { overRows, overValues } from "./statement.js"

/** What has been found of activities beside what a transaction looks at. */
export class FoundActivities {
  /** Runs that have rows of activities. */
  readonly runs = new Set<number>()
  /** The activities, of those that were asked for, that have a row. */
  readonly rows = new Set<string>()
  /** Those that have none. */
  readonly local = new Map<string, LocalActivity>()
}

export const read = Effect.fnUntraced(function*(
  database: Database,
  connection: Connection,
  known: Known,
  found: FoundActivities,
  wanted: Wanted
) {
  const stateOf = (row: RunStateRow): RunState => {
    if (row.has_activities === 1) found.runs.add(row.id)
    return runState(row)
  }
  yield* database.lock(connection, wanted)
  if (wanted.newRuns > 0) known.knowNewRuns(yield* database.newRuns(connection, wanted.newRuns))
  for (const row of yield* selectByRunId(connection, wanted.runIds)) known.knowRun(stateOf(row))
  for (const workflowId of wanted.workflowIds) known.knowLatest(workflowId, undefined)
  for (const row of yield* selectLatest(connection, wanted.workflowIds)) {
    known.knowLatest(row.workflow_id, { ...stateOf(row), closed: yield* closingOf(row) })
  }
  for (const { id, run } of yield* selectSignals(connection, wanted.signals)) known.knowSignal(run, id)
  for (const row of yield* selectPending(connection, wanted.activities)) {
    found.rows.add(`${row.run}/${row.command}`)
    known.knowPending(row.run, row.command, {
      queued: row.queue !== null,
      attempt: row.attempt,
      worker: row.worker ?? undefined,
      started: row.started_at !== null
    })
  }
  for (const [run, commands] of withoutRow(wanted, found)) {
    const count = known.runOf(run)?.localActivities ?? 0
    if (count === 0) continue
    for (const [command, activity] of yield* localActivities(connection, run, count, commands)) {
      if (found.rows.has(`${run}/${command}`)) continue
      found.local.set(`${run}/${command}`, activity)
      known.knowPending(run, command, { queued: false, attempt: activity.attempt, worker: undefined, started: false })
    }
  }
  if (wanted.linked.length === 0) return
  const links = [
    ...yield* selectParents(connection, wanted.linked),
    ...yield* selectChildren(connection, wanted.linked)
  ]
  const ids = new Set(links.flatMap(({ child, parent }) => [child, parent]))
  for (const row of yield* selectById(connection, [...ids].filter((id) => known.runOf(id) === undefined))) {
    known.knowRun(stateOf(row))
  }
  for (const { child, command, id, parent, parent_close } of links) {
    known.knowLink({ id, child, parent, command: command ?? undefined, parentClose: parent_close })
  }
})

/** The activities that were asked for and have no row, by their runs. */
const withoutRow = (wanted: Wanted, found: FoundActivities): ReadonlyMap<number, ReadonlyArray<number>> => {
  const commands = new Map<number, Array<number>>()
  for (const [run, command] of wanted.activities) {
    if (found.rows.has(`${run}/${command}`)) continue
    const ofRun = commands.get(run)
    if (ofRun === undefined) commands.set(run, [command])
    else ofRun.push(command)
  }
  return commands
}

const runState = (row: RunStateRow): RunState => ({
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
  localActivities: row.local_activities,
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
  readonly queue: string | null
  readonly attempt: number
  readonly worker: string | null
  readonly started_at: number | null
}>(
  2,
  (rows) =>
    `SELECT run, command, queue, attempt, worker, started_at FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
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
