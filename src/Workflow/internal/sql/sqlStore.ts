/**
 * A store on `@effect/sql`.
 *
 * Each group of entries is one transaction of a few multi-row statements. The transaction is run by hand on a reserved
 * connection: it begins IMMEDIATE, so that two processes never meet at the upgrade of a read lock, and whatever fails,
 * the COMMIT too, is followed by a ROLLBACK, so that the connection is never handed back inside a transaction. One that
 * meets the lock of another process is made again as a whole (`lock.ts`), and holds no connection in between.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import type { JournalStore } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { type BatchRow, eventsOf } from "./batchRow.js"
import { claimRuns, pendingIn, releaseAll, secretOf, takeAttempts, takenBy } from "./claims.js"
import { count, list } from "./list.js"
import { busyTimeoutMillis, databaseLock, executeUnprepared } from "./lock.js"
import { isMigrated, migrate } from "./migrations.js"
import { recordColumns, recordOf, type RecordRow, recordTables, selectClosed } from "./runRow.js"
import { execute, type Value } from "./statement.js"
import { backlog, beat, ownerOf, workersAlive } from "./workers.js"
import { writeEntries } from "./write.js"

type Failure = SqlError | JournalError

/** `lockTimeout`, in milliseconds, is how long a call waits for another process, where it does not say so itself. */
export const sqlStore = (lockTimeout: number): Effect.Effect<JournalStore, JournalError, SqlClient> =>
  Effect.gen(function*() {
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

    const withConnection = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>) =>
      Effect.scoped(Effect.flatMap(sql.reserve, use))

    const database = yield* withConnection(prepareConnection).pipe(failing("Open", "its connection"))
    const lock = yield* databaseLock(database, lockTimeout)

    const reading = <A>(what: string, read: (connection: Connection) => Effect.Effect<A, Failure>) =>
      lock.acquire("read", what, (attempt) => withConnection((connection) => read(attempt(connection))))

    const writing = <A>(what: string, body: (connection: Connection) => Effect.Effect<A, Failure>) =>
      lock.acquire("write", what, (attempt) =>
        withConnection((reserved) => {
          const connection = attempt(reserved)
          return Effect.uninterruptible(
            execute(connection, "BEGIN IMMEDIATE").pipe(
              Effect.zipRight(body(connection)),
              Effect.zipLeft(execute(connection, "COMMIT")),
              Effect.onError(() => Effect.ignore(execute(connection, "ROLLBACK")))
            )
          )
        }))

    const read = <A>(what: string, read: (connection: Connection) => Effect.Effect<A, Failure>) =>
      failing("Read", what)(reading(what, read))

    const write = <A>(what: string, body: (connection: Connection) => Effect.Effect<A, Failure>) =>
      failing("Write", what)(writing(what, body))

    const opening = "the opening of the journal"
    yield* reading(
      opening,
      (connection) =>
        Effect.zipLeft(isMigrated(connection, database), executeUnprepared(connection, "PRAGMA synchronous = FULL"))
    ).pipe(
      Effect.flatMap((migrated) =>
        migrated ? Effect.void : writing(opening, (connection) =>
          // Another process may have done it meanwhile.
          Effect.flatMap(
            isMigrated(connection, database),
            (migrated) => migrated ? Effect.void : migrate(connection, sql)
          ))
      ),
      failing("Open", "its tables could not be created or migrated"),
      Effect.withTracerEnabled(false)
    )

    const one = (what: string, where: string, value: Value) =>
      read(what, (connection) =>
        Effect.flatMap(
          execute<RecordRow>(connection, `SELECT ${recordColumns} FROM ${recordTables} WHERE ${where}`, [value]),
          (rows) => rows[0] === undefined ? Effect.succeedNone : Effect.map(recordOf(rows[0]), Option.some)
        ))

    return {
      write: (entries) =>
        write("a group of turns", (connection) => writeEntries(connection, entries)).pipe(
          Effect.withTracerEnabled(false)
        ),

      history: (runId) =>
        read(`the history of run ${runId}`, (connection) =>
          Effect.flatMap(
            execute<BatchRow>(
              connection,
              `SELECT last_seq, format, events FROM holdfast_batches
               WHERE run = (SELECT id FROM holdfast_runs WHERE run_id = ?) ORDER BY last_seq`,
              [runId]
            ),
            eventsOf
          )),

      run: (runId) => one(`run ${runId}`, "r.run_id = ?", runId),

      latest: (workflowId) =>
        one(
          `the run of workflow id ${JSON.stringify(workflowId)}`,
          "r.workflow_id = ? ORDER BY r.id DESC LIMIT 1",
          workflowId
        ),

      list: (options) =>
        read(
          "a list of runs",
          (connection) => Effect.flatMap(list(connection, options), (rows) => Effect.forEach(rows, recordOf))
        ),

      count: (filter) =>
        read(
          "how many runs there are",
          (connection) => Effect.map(count(connection, filter), (rows) => rows[0]?.count ?? 0)
        ),

      pending: (runId) => read(`what is pending in run ${runId}`, (connection) => pendingIn(connection, runId)),

      closed: (runIds) =>
        read(
          "which runs have closed",
          (connection) => Effect.flatMap(selectClosed(connection, runIds), (rows) => Effect.forEach(rows, recordOf))
        ),

      claim: (options) => write("a claim of runs", (connection) => claimRuns(connection, options)),

      takeAttempts: (options) => write("a claim of activities", (connection) => takeAttempts(connection, options)),

      taken: (worker) => read("the attempts of a worker", (connection) => takenBy(connection, worker)),

      heartbeat: (worker, leaseUntil, services) =>
        Effect.asVoid(write("a heartbeat", (connection) => beat(connection, worker, leaseUntil, services))),

      workers: (now) => read("which workers are alive", (connection) => workersAlive(connection, now)),

      backlog: (now) => read("what waits for a worker", (connection) => backlog(connection, now)),

      secret: (id) => read(`an attempt of run ${id.runId}`, (connection) => secretOf(connection, id)),

      owner: (runId) => read(`who owns run ${runId}`, (connection) => ownerOf(connection, runId)),

      release: (worker) => write("a worker's release", (connection) => releaseAll(connection, worker)),

      version: read("the version of the journal", (connection) =>
        Effect.map(
          execute<{ readonly data_version: number }>(connection, "PRAGMA data_version"),
          (rows) => rows[0]?.data_version
        )).pipe(Effect.withTracerEnabled(false))
    }
  })

/** Makes the driver wait no longer than a moment; gives the database, as a phrase. Neither needs a lock. */
const prepareConnection = (connection: Connection): Effect.Effect<string, SqlError> =>
  Effect.gen(function*() {
    yield* executeUnprepared(connection, `PRAGMA busy_timeout = ${busyTimeoutMillis}`)
    const [main] = yield* executeUnprepared(connection, "PRAGMA database_list")
    return hasProperty(main, "file") && typeof main.file === "string" && main.file !== ""
      ? `the database ${JSON.stringify(main.file)}`
      : "the database"
  })

const failing = (reason: "Open" | "Read" | "Write", detail: string) =>
  Effect.mapError((error: Failure) =>
    error._tag === "JournalError" ? error : new JournalError({ reason, detail, cause: error })
  )
