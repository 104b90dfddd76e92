/**
 * A store on `@effect/sql`. Each group of entries is one transaction of a few multi-row statements; the kinds of databases
 * differ in `Database`.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { JournalStore } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { type BatchRow, eventsOf } from "./batchRow.js"
import { claimRuns, pendingIn, releaseAll, secretOf, takeAttempts, takenBy } from "./claims.js"
import type { Failure } from "./database.js"
import { failing } from "./failing.js"
import { count, list } from "./list.js"
import { postgresDatabase } from "./postgresDatabase.js"
import { recordColumns, recordOf, type RecordRow, recordTables, selectClosed } from "./runRow.js"
import { sqliteDatabase } from "./sqliteDatabase.js"
import { execute, type Value } from "./statement.js"
import { backlog, beat, ownerOf, workersAlive } from "./workers.js"
import { writeEntries } from "./write.js"

export interface SqlStoreOptions {
  /** How long a call waits for a lock of another process, where it does not say so itself; in milliseconds. */
  readonly lockTimeout: number
  /** Where the tables are, on databases with schemas. */
  readonly schema: string
}

export const sqlStore = (
  { lockTimeout, schema }: SqlStoreOptions
): Effect.Effect<JournalStore, JournalError, SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const database = yield* sql.onDialectOrElse({
      sqlite: () => sqliteDatabase(sql, lockTimeout),
      pg: () => postgresDatabase(sql, schema),
      orElse: () =>
        Effect.fail(
          new JournalError({
            reason: "Open",
            detail: "Journal.layerSql works on SQLite and PostgreSQL; this client speaks another dialect"
          })
        )
    })

    const read = <A>(what: string, body: (connection: Connection) => Effect.Effect<A, Failure>) =>
      failing("Read", what)(database.read(what, body))

    const write = <A>(what: string, body: (connection: Connection) => Effect.Effect<A, Failure>) =>
      failing("Write", what)(database.write(what, body))

    const one = (what: string, where: string, value: Value) =>
      read(what, (connection) =>
        Effect.flatMap(
          execute<RecordRow>(connection, `SELECT ${recordColumns} FROM ${recordTables} WHERE ${where}`, [value]),
          (rows) => rows[0] === undefined ? Effect.succeedNone : Effect.map(recordOf(rows[0]), Option.some)
        ))

    return {
      write: (entries) =>
        write("a group of turns", (connection) => writeEntries(database, connection, entries)).pipe(
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

      version: read("the version of the journal", database.version).pipe(Effect.withTracerEnabled(false))
    }
  })
