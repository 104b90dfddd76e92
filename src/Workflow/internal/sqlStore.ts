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
import type { JournalStore } from "../Journal.js"
import { JournalError } from "../WorkflowError.js"
import { SharedClock } from "./sharedClock.js"
import { claimRuns, pendingIn, releaseAll, secretOf, takeAttempts, takenBy } from "./sqlClaims.js"
import { count, list } from "./sqlList.js"
import { migrate } from "./sqlMigrations.js"
import { eventOf, type EventRow } from "./sqlRow.js"
import { recordColumns, recordOf, type RecordRow, recordTables, selectClosed } from "./sqlRuns.js"
import { execute, type Value } from "./sqlStatement.js"
import { backlog, beat, ownerOf, workersAlive } from "./sqlWorkers.js"
import { writeEntries } from "./sqlWrite.js"

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
        execute(connection, "BEGIN IMMEDIATE").pipe(
          Effect.zipRight(body(connection)),
          Effect.zipLeft(execute(connection, "COMMIT")),
          Effect.onError(() => Effect.ignore(execute(connection, "ROLLBACK")))
        )
      )
    )

  const one = (where: string, value: Value) =>
    withConnection((connection) =>
      Effect.flatMap(
        execute<RecordRow>(connection, `SELECT ${recordColumns} FROM ${recordTables} WHERE ${where}`, [value]),
        (rows) => rows[0] === undefined ? Effect.succeedNone : Effect.map(recordOf(rows[0]), Option.some)
      )
    )

  return {
    write: (entries) =>
      transaction((connection) => writeEntries(connection, entries)).pipe(
        failing("Write", "a group of turns"),
        Effect.withTracerEnabled(false)
      ),

    history: (runId) =>
      withConnection((connection) =>
        Effect.flatMap(
          execute<EventRow>(
            connection,
            "SELECT seq, kind, body, payload FROM holdfast_events WHERE run = (SELECT id FROM holdfast_runs WHERE run_id = ?) ORDER BY seq",
            [runId]
          ),
          (rows) => Effect.forEach(rows, eventOf)
        )
      ).pipe(failing("Read", `the history of run ${runId}`)),

    run: (runId) => one("r.run_id = ?", runId).pipe(failing("Read", `run ${runId}`)),

    latest: (workflowId) =>
      one("r.workflow_id = ? ORDER BY r.id DESC LIMIT 1", workflowId).pipe(
        failing("Read", `the run of workflow id ${JSON.stringify(workflowId)}`)
      ),

    list: (options) =>
      withConnection((connection) =>
        Effect.flatMap(list(connection, options), (rows) => Effect.forEach(rows, recordOf))
      ).pipe(failing("Read", "a list of runs")),

    count: (filter) =>
      withConnection((connection) => Effect.map(count(connection, filter), (rows) => rows[0]?.count ?? 0)).pipe(
        failing("Read", "how many runs there are")
      ),

    pending: (runId) =>
      withConnection((connection) => pendingIn(connection, runId)).pipe(
        failing("Read", `what is pending in run ${runId}`)
      ),

    closed: (runIds) =>
      withConnection((connection) =>
        Effect.flatMap(selectClosed(connection, runIds), (rows) => Effect.forEach(rows, recordOf))
      ).pipe(failing("Read", "which runs have closed")),

    claim: (options) =>
      transaction((connection) => claimRuns(connection, options)).pipe(failing("Write", "a claim of runs")),

    takeAttempts: (options) =>
      transaction((connection) => takeAttempts(connection, options)).pipe(failing("Write", "a claim of activities")),

    taken: (worker) =>
      withConnection((connection) => takenBy(connection, worker)).pipe(failing("Read", "the attempts of a worker")),

    heartbeat: (worker, leaseUntil, services) =>
      transaction((connection) => beat(connection, worker, leaseUntil, services)).pipe(
        failing("Write", "a heartbeat"),
        Effect.asVoid
      ),

    workers: (now) =>
      withConnection((connection) => workersAlive(connection, now)).pipe(failing("Read", "which workers are alive")),

    backlog: (now) =>
      withConnection((connection) => backlog(connection, now)).pipe(failing("Read", "what waits for a worker")),

    secret: (id) => withConnection((connection) => secretOf(connection, id)).pipe(failing("Read", `run ${id.runId}`)),

    owner: (runId) =>
      withConnection((connection) => ownerOf(connection, runId)).pipe(failing("Read", `who owns run ${runId}`)),

    release: (worker) =>
      transaction((connection) => releaseAll(connection, worker)).pipe(failing("Write", "a worker's release")),

    version: withConnection((connection) =>
      Effect.map(
        execute<{ readonly data_version: number }>(connection, "PRAGMA data_version"),
        (rows) => rows[0]?.data_version
      )
    ).pipe(failing("Read", "its version"), Effect.withTracerEnabled(false))
  }
})

const failing = (reason: "Read" | "Write", detail: string) =>
  Effect.mapError((error: SqlError | JournalError) =>
    error._tag === "JournalError" ? error : new JournalError({ reason, detail, cause: error })
  )
