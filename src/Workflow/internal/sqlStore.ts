/**
 * A store on `@effect/sql`.
 *
 * Each group of entries is one transaction of a few multi-row statements. The transaction is run by hand on a reserved
 * connection: it begins IMMEDIATE, so that two processes never meet at the upgrade of a read lock, and whatever fails,
 * the COMMIT too, is followed by a ROLLBACK, so that the connection is never handed back inside a transaction.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Event } from "../Event.js"
import type { Entry, JournalStore, Receipt, RunRecord } from "../Journal.js"
import { JournalError } from "../WorkflowError.js"
import { place, type Placed } from "./place.js"
import { migrate } from "./sqlMigrations.js"
import { eventOf, type EventRow, rowOf } from "./sqlRow.js"
import { deleteKeys, insertRows, selectIn, type Value } from "./sqlStatement.js"
import { SharedClock } from "./watcher.js"

interface RunRow {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly started_at: number
  readonly blocked: string | null
}

interface OwnedRow extends RunRow {
  readonly last_seq: number
  readonly due_seq: number
  readonly owner: string | null
  readonly epoch: number
  readonly closed_seq: number | null
}

type RecordRow = RunRow & (EventRow | { readonly kind: null })

/** What a transaction knows of a run while it writes. */
interface Open {
  readonly row: OwnedRow
  position: Pick<Placed, "lastSeq" | "dueSeq">
  closedSeq: number | null
}

const recordColumns =
  "r.id, r.run_id, r.workflow_id, r.workflow, r.started_at, r.blocked, e.seq, e.kind, e.body, e.payload"
const recordTables = "holdfast_runs r LEFT JOIN holdfast_events e ON e.run = r.id AND e.seq = r.closed_seq"

export const sqlStore: Effect.Effect<JournalStore, JournalError, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql.onDialectOrElse({
    sqlite: () => Effect.void,
    orElse: () =>
      Effect.fail(
        new JournalError({
          reason: "Open",
          detail: "Journal.layerSql works on SQLite; this client speaks another dialect"
        })
      )
  })
  const open = (detail: string) =>
    Effect.mapError((cause: unknown) => new JournalError({ reason: "Open", detail, cause }))
  yield* sql`PRAGMA synchronous = FULL`.pipe(open("PRAGMA synchronous = FULL failed"))
  yield* migrate.pipe(
    // Two processes that start at once: the second finds the lock held, and then nothing left to do.
    Effect.sandbox,
    Effect.retry(Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(10))),
    Effect.withClock(yield* SharedClock),
    open("its tables could not be created or migrated"),
    Effect.provideService(SqlClient, sql),
    Effect.withTracerEnabled(false)
  )

  const withConnection = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(sql.reserve, use))

  const transaction = <A, E>(body: (connection: Connection) => Effect.Effect<A, E>) =>
    withConnection((connection) =>
      Effect.uninterruptible(
        run(connection, "BEGIN IMMEDIATE").pipe(
          Effect.zipRight(body(connection)),
          Effect.zipLeft(run(connection, "COMMIT")),
          Effect.onError(() => Effect.ignore(run(connection, "ROLLBACK")))
        )
      )
    )

  const start = Effect.fnUntraced(function*(
    connection: Connection,
    entries: ReadonlyArray<Extract<Entry, { readonly _tag: "Start" }>>
  ) {
    const known = new Map<string, RunRecord>()
    const rows = yield* selectIn<RecordRow>(
      connection,
      (marks) => `SELECT ${recordColumns} FROM ${recordTables} WHERE r.workflow_id IN (${marks}) ORDER BY r.id`,
      entries.map((entry) => entry.workflowId)
    )
    for (const row of rows) known.set(row.workflow_id, yield* recordOf(row))
    const created = new Map<string, Extract<Entry, { readonly _tag: "Start" }>>()
    const receipts = entries.map((entry): Receipt => {
      const existing = known.get(entry.workflowId)
      if (existing !== undefined) return { _tag: "Started", created: false, record: existing }
      const { at, runId, workflow, workflowId } = entry
      const record: RunRecord = { runId, workflowId, workflow, startedAt: at, blocked: undefined, closed: undefined }
      known.set(workflowId, record)
      created.set(runId, entry)
      return { _tag: "Started", created: true, record }
    })
    if (created.size > 0) {
      const inserted = yield* insertRows<{ readonly id: number; readonly run_id: string }>(
        connection,
        "holdfast_runs (run_id, workflow_id, workflow, started_at, last_seq, due_seq, owner, epoch)",
        [...created.values()].map((
          { at, runId, worker, workflow, workflowId }
        ) => [runId, workflowId, workflow, at, 1, 1, worker ?? null, worker === undefined ? 0 : 1]),
        "RETURNING id, run_id"
      )
      yield* insertEvents(
        connection,
        inserted.map(({ id, run_id }) => {
          const { at, payload } = created.get(run_id)!
          return [id, { _tag: "RunStarted", seq: 1, at, payload }]
        })
      )
    }
    return receipts
  })

  const append = Effect.fnUntraced(function*(
    connection: Connection,
    entries: ReadonlyArray<Exclude<Entry, { readonly _tag: "Start" }>>
  ) {
    const runs = new Map<string, Open>()
    const rows = yield* selectIn<OwnedRow>(
      connection,
      (marks) =>
        `SELECT id, run_id, last_seq, due_seq, owner, epoch, closed_seq FROM holdfast_runs WHERE run_id IN (${marks})`,
      [...new Set(entries.map((entry) => entry.runId))]
    )
    for (const row of rows) {
      runs.set(row.run_id, { row, position: { lastSeq: row.last_seq, dueSeq: row.due_seq }, closedSeq: row.closed_seq })
    }
    const changes = new Changes()
    const receipts = entries.map((entry): Receipt => {
      const open = runs.get(entry.runId)
      if (
        open === undefined || open.closedSeq !== null || open.row.owner !== entry.worker ||
        open.row.epoch !== entry.epoch
      ) return { _tag: "Stale" }
      if (entry._tag === "Block") changes.blocked.push([entry.reason ?? null, open.row.id])
      else {
        const placed = place(entry.events, open.position)
        open.position = placed
        if (placed.closed !== undefined) open.closedSeq = placed.closed.seq
        changes.moved.set(open.row.id, open)
        for (const event of placed.events) changes.index(open.row.id, event)
      }
      return { _tag: "Appended", lastSeq: open.position.lastSeq, due: open.position.dueSeq > 0 }
    })
    yield* changes.write(connection)
    return receipts
  })

  return {
    write: (entries) =>
      transaction(Effect.fnUntraced(function*(connection) {
        const starts = entries.filter((entry) => entry._tag === "Start")
        const appends = entries.filter((entry) => entry._tag !== "Start")
        const started = starts.length === 0 ? [] : yield* start(connection, starts)
        const appended = appends.length === 0 ? [] : yield* append(connection, appends)
        let s = 0
        let a = 0
        return entries.map((entry) => entry._tag === "Start" ? started[s++]! : appended[a++]!)
      })).pipe(failing("Write", "a group of turns"), Effect.withTracerEnabled(false)),

    history: (runId) =>
      withConnection((connection) =>
        Effect.flatMap(
          run<EventRow>(
            connection,
            "SELECT seq, kind, body, payload FROM holdfast_events WHERE run = (SELECT id FROM holdfast_runs WHERE run_id = ?) ORDER BY seq",
            [runId]
          ),
          (rows) => Effect.forEach(rows, eventOf)
        )
      ).pipe(failing("Read", `the history of run ${runId}`)),

    latest: (workflowId) =>
      withConnection((connection) =>
        Effect.flatMap(
          run<RecordRow>(
            connection,
            `SELECT ${recordColumns} FROM ${recordTables} WHERE r.workflow_id = ? ORDER BY r.id DESC LIMIT 1`,
            [workflowId]
          ),
          (rows) => rows[0] === undefined ? Effect.succeedNone : Effect.map(recordOf(rows[0]), Option.some)
        )
      ).pipe(failing("Read", `the run of workflow id ${JSON.stringify(workflowId)}`)),

    closed: (runIds) =>
      withConnection((connection) =>
        Effect.flatMap(
          selectIn<RecordRow>(
            connection,
            (marks) =>
              `SELECT ${recordColumns} FROM ${recordTables} WHERE r.run_id IN (${marks}) AND r.closed_seq IS NOT NULL`,
            runIds
          ),
          (rows) => Effect.forEach(rows, recordOf)
        )
      ).pipe(failing("Read", "which runs have closed")),

    claim: ({ leaseUntil, now, worker, workflows }) =>
      transaction(Effect.fnUntraced(function*(connection) {
        yield* run(connection, upsertLease, [worker, leaseUntil])
        const runs: Array<OwnedRow> = []
        for (const workflow of workflows) {
          runs.push(
            ...yield* run<OwnedRow>(
              connection,
              `UPDATE holdfast_runs SET owner = ?, epoch = epoch + 1
               WHERE closed_seq IS NULL AND workflow = ?
                 AND (owner IS NULL OR owner NOT IN (SELECT worker FROM holdfast_workers WHERE lease_until > ?))
               RETURNING id, run_id, workflow_id, workflow, started_at, due_seq, epoch, blocked`,
              [worker, workflow, now]
            )
          )
        }
        const ids = new Map(runs.map((row) => [row.id, row.run_id]))
        const activities = yield* selectIn<
          EventRow & { readonly run: number; readonly attempt: number; readonly not_before: number }
        >(
          connection,
          (marks) =>
            `SELECT a.run, a.attempt, a.not_before, e.seq, e.kind, e.body, e.payload
             FROM holdfast_activities a JOIN holdfast_events e ON e.run = a.run AND e.seq = a.seq
             WHERE a.run IN (${marks}) ORDER BY e.id`,
          [...ids.keys()]
        )
        const timers = yield* selectIn<{ readonly run: number; readonly command: number; readonly fire_at: number }>(
          connection,
          (marks) => `SELECT run, command, fire_at FROM holdfast_timers WHERE run IN (${marks}) ORDER BY fire_at`,
          [...ids.keys()]
        )
        return {
          runs: runs.map((row) => ({
            runId: row.run_id,
            workflowId: row.workflow_id,
            workflow: row.workflow,
            startedAt: row.started_at,
            epoch: row.epoch,
            due: row.due_seq > 0,
            blocked: row.blocked !== null
          })),
          activities: yield* Effect.forEach(activities, (row) =>
            Effect.flatMap(eventOf(row), (scheduled) =>
              scheduled._tag === "ActivityScheduled"
                ? Effect.succeed({
                  runId: ids.get(row.run)!,
                  scheduled,
                  attempt: row.attempt,
                  notBefore: row.not_before
                })
                : new JournalError({
                  reason: "Corrupt",
                  detail: `event ${row.seq} of run ${ids.get(row.run)} should schedule an activity`
                }))),
          timers: timers.map(({ command, fire_at, run }) => ({ runId: ids.get(run)!, command, fireAt: fire_at }))
        }
      })).pipe(failing("Write", "a claim of runs")),

    heartbeat: (worker, leaseUntil) =>
      transaction((connection) => run(connection, upsertLease, [worker, leaseUntil])).pipe(
        failing("Write", "a heartbeat"),
        Effect.asVoid
      ),

    release: (worker) =>
      transaction((connection) =>
        Effect.zipRight(
          run(connection, "UPDATE holdfast_runs SET owner = NULL WHERE owner = ? AND closed_seq IS NULL", [worker]),
          run(connection, "DELETE FROM holdfast_workers WHERE worker = ?", [worker])
        )
      ).pipe(failing("Write", "a worker's release"), Effect.asVoid),

    version: withConnection((connection) =>
      Effect.map(
        run<{ readonly data_version: number }>(connection, "PRAGMA data_version"),
        (rows) => rows[0]?.data_version
      )
    ).pipe(failing("Read", "its version"), Effect.withTracerEnabled(false))
  }
})

/** Everything that the appends of one transaction change, statement by statement. */
class Changes {
  readonly blocked: Array<readonly [reason: string | null, run: number]> = []
  readonly moved = new Map<number, Open>()
  private readonly events: Array<readonly [run: number, event: Event]> = []
  private readonly activities = new Map<string, ReadonlyArray<Value>>()
  private readonly attempts: Array<ReadonlyArray<Value>> = []
  private readonly endedActivities: Array<readonly [run: number, command: number]> = []
  private readonly timers = new Map<string, ReadonlyArray<Value>>()
  private readonly endedTimers: Array<readonly [run: number, command: number]> = []

  index(run: number, event: Event): void {
    this.events.push([run, event])
    switch (event._tag) {
      case "ActivityScheduled":
        this.activities.set(`${run}/${event.command}`, [run, event.command, event.seq, 1, 0])
        break
      case "AttemptFailed":
        this.attempts.push([event.attempt + 1, event.retryAt, run, event.target])
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        // What begins and ends in one transaction is never in the index.
        if (!this.activities.delete(`${run}/${event.target}`)) this.endedActivities.push([run, event.target])
        break
      case "TimerStarted":
        this.timers.set(`${run}/${event.command}`, [run, event.command, event.fireAt])
        break
      case "TimerCancelled":
      case "TimerFired":
        if (!this.timers.delete(`${run}/${event.target}`)) this.endedTimers.push([run, event.target])
        break
    }
  }

  readonly write = Effect.fnUntraced(function*(this: Changes, connection: Connection) {
    const moved = [...this.moved.values()]
    const closed = moved.filter((open) => open.closedSeq !== null).map((open) => open.row.id)
    yield* insertEvents(connection, this.events)
    yield* insertRows(
      connection,
      "holdfast_activities (run, command, seq, attempt, not_before)",
      [...this.activities.values()]
    )
    yield* insertRows(connection, "holdfast_timers (run, command, fire_at)", [...this.timers.values()])
    for (const attempt of this.attempts) {
      yield* run(
        connection,
        "UPDATE holdfast_activities SET attempt = ?, not_before = ? WHERE run = ? AND command = ?",
        attempt
      )
    }
    yield* deleteKeys(connection, "holdfast_activities", this.endedActivities)
    yield* deleteKeys(connection, "holdfast_timers", this.endedTimers)
    yield* selectIn(connection, (marks) => `DELETE FROM holdfast_activities WHERE run IN (${marks})`, closed)
    yield* selectIn(connection, (marks) => `DELETE FROM holdfast_timers WHERE run IN (${marks})`, closed)
    for (const { closedSeq, position, row } of moved) {
      yield* run(
        connection,
        "UPDATE holdfast_runs SET last_seq = ?, due_seq = ?, closed_seq = ? WHERE id = ?",
        [position.lastSeq, position.dueSeq, closedSeq, row.id]
      )
    }
    for (const row of this.blocked) {
      yield* run(connection, "UPDATE holdfast_runs SET blocked = ? WHERE id = ?", row)
    }
  })
}

const upsertLease =
  "INSERT INTO holdfast_workers (worker, lease_until) VALUES (?, ?) ON CONFLICT (worker) DO UPDATE SET lease_until = excluded.lease_until"

const run = <A = unknown>(connection: Connection, statement: string, values: ReadonlyArray<Value> = []) =>
  connection.execute(statement, values, undefined) as Effect.Effect<ReadonlyArray<A>, SqlError>

const insertEvents = (connection: Connection, events: ReadonlyArray<readonly [run: number, event: Event]>) =>
  insertRows(
    connection,
    "holdfast_events (run, seq, kind, body, payload)",
    events.map(([run, event]) => rowOf(run, event))
  )

const recordOf = (row: RecordRow): Effect.Effect<RunRecord, JournalError> => {
  const record = {
    runId: row.run_id,
    workflowId: row.workflow_id,
    workflow: row.workflow,
    startedAt: row.started_at,
    blocked: row.blocked ?? undefined
  }
  return row.kind === null
    ? Effect.succeed({ ...record, closed: undefined })
    : Effect.flatMap(eventOf(row), (closed) =>
      closed._tag === "RunClosed"
        ? Effect.succeed({ ...record, closed })
        : new JournalError({ reason: "Corrupt", detail: `the last event of run ${row.run_id} should close it` }))
}

const failing = (reason: "Read" | "Write", detail: string) =>
  Effect.mapError((error: SqlError | JournalError) =>
    error._tag === "JournalError" ? error : new JournalError({ reason, detail, cause: error })
  )
