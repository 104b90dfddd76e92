/**
 * Which workers are alive with the code of what, and what waits for one.
 *
 * What waits may be much, and is looked at again and again: names are found by stepping through an index, and what stands
 * under a name is counted as far as a thousand.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Backlog, Services, WorkerRecord } from "../../Journal.js"
import { byBytes } from "../journal/byBytes.js"
import { execute, type Value } from "./statement.js"

const countedUpTo = 1_000

export const beat = (connection: Connection, worker: string, leaseUntil: number, services: Services | undefined) =>
  services === undefined
    ? execute(connection, upsertLease, [worker, leaseUntil])
    : execute(connection, upsertServices, [worker, leaseUntil, JSON.stringify(services)])

export const upsertLease =
  "INSERT INTO holdfast_workers (worker, lease_until) VALUES (?, ?) ON CONFLICT (worker) DO UPDATE SET lease_until = excluded.lease_until"

const upsertServices = `INSERT INTO holdfast_workers (worker, lease_until, services) VALUES (?, ?, ?)
  ON CONFLICT (worker) DO UPDATE SET lease_until = excluded.lease_until, services = excluded.services`

export const workersAlive = (
  connection: Connection,
  now: number
): Effect.Effect<ReadonlyArray<WorkerRecord>, SqlError> =>
  Effect.map(
    execute<{ readonly worker: string; readonly services: string | null }>(
      connection,
      "SELECT worker, services FROM holdfast_workers WHERE lease_until > ?",
      [now]
    ),
    (rows) =>
      rows
        .flatMap(({ services, worker }) =>
          services === null ? [] : [{ worker, services: JSON.parse(services) as Services }]
        )
        .sort((a, b) => byBytes(a.worker, b.worker))
  )

export const backlog = Effect.fnUntraced(function*(connection: Connection, now: number) {
  const dead = yield* execute<{ readonly worker: string }>(
    connection,
    "SELECT worker FROM holdfast_workers WHERE lease_until <= ?",
    [now]
  )
  const owners = [null, ...dead.map(({ worker }) => worker)]
  const runs = new Map<string, number>()
  for (const owner of owners) {
    // A comparison of its own for nobody, since an index of some databases answers no other.
    const of = owner === null ? { sql: "owner IS NULL", values: [] } : { sql: "owner = ?", values: [owner] }
    for (const workflow of yield* distinct(connection, nextWorkflow(of.sql), of.values)) {
      const waiting = yield* execute(connection, selectWaiting(of.sql), [...of.values, workflow, countedUpTo])
      runs.set(workflow, (runs.get(workflow) ?? 0) + waiting.length)
    }
  }
  const attempts: Array<Backlog["attempts"][number]> = []
  for (const queue of yield* distinct(connection, nextQueue, [])) {
    const waiting = yield* execute<{ readonly activity: string }>(connection, selectQueued, [queue, now, countedUpTo])
    const counts = new Map<string, number>()
    for (const { activity } of waiting) counts.set(activity, (counts.get(activity) ?? 0) + 1)
    for (const [activity, count] of sortedByBytes(counts)) attempts.push({ queue, activity, count })
  }
  return { runs: sortedByBytes(runs).map(([workflow, count]) => ({ workflow, count })), attempts }
})

export const ownerOf = (connection: Connection, runId: string) =>
  Effect.map(
    execute<{ readonly owner: string | null }>(
      connection,
      "SELECT owner FROM holdfast_runs WHERE run_id = ? AND closed_seq IS NULL",
      [runId]
    ),
    (rows) => rows[0]?.owner ?? undefined
  )

/** All values of a column, one after another; `next` gives the first after the one that is its last parameter. */
const distinct = Effect.fnUntraced(function*(connection: Connection, next: string, values: ReadonlyArray<Value>) {
  const found: Array<string> = []
  for (let last = "";; last = found.at(-1)!) {
    const [row] = yield* execute<{ readonly name: string }>(connection, next, [...values, last])
    if (row === undefined) return found
    found.push(row.name)
  }
})

const nextWorkflow = (ofOwner: string) =>
  `SELECT workflow AS name FROM holdfast_runs
   WHERE closed_seq IS NULL AND ${ofOwner} AND workflow > ? ORDER BY workflow LIMIT 1`
const selectWaiting = (ofOwner: string) =>
  `SELECT 1 FROM holdfast_runs WHERE closed_seq IS NULL AND ${ofOwner} AND workflow = ? LIMIT ?`
const nextQueue = "SELECT queue AS name FROM holdfast_activities WHERE queue > ? ORDER BY queue LIMIT 1"
const selectQueued = `SELECT activity FROM holdfast_activities WHERE queue = ? AND outside = 0
  AND (worker IS NULL OR worker IN (SELECT worker FROM holdfast_workers WHERE lease_until <= ?))
  ORDER BY scheduled_at, run, command LIMIT ?`

const sortedByBytes = (counts: ReadonlyMap<string, number>): ReadonlyArray<readonly [string, number]> =>
  [...counts].sort(([a], [b]) => byBytes(a, b))
