/**
 * SQLite: one writer at a time for all processes.
 *
 * A transaction is run by hand on a reserved connection: it begins IMMEDIATE, so that two processes never meet at the upgrade
 * of a read lock, and whatever fails, the COMMIT too, is followed by a ROLLBACK, so that the connection is never handed back
 * inside a transaction. One that meets the lock of another process is made again as a whole (`sqliteLock.ts`), and holds no
 * connection in between.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import type { JournalError } from "../../WorkflowError.js"
import type { Database, OnConnection } from "./database.js"
import { failing } from "./failing.js"
import { busyTimeoutMillis, databaseLock, executeUnprepared } from "./sqliteLock.js"
import { isMigrated, migrate } from "./sqliteTables.js"
import { execute } from "./statement.js"

/** `lockTimeout`, in milliseconds, is how long a call waits for another process, where it does not say so itself. */
export const sqliteDatabase = (sql: SqlClient, lockTimeout: number): Effect.Effect<Database, JournalError> =>
  Effect.gen(function*() {
    const withConnection = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>) =>
      Effect.scoped(Effect.flatMap(sql.reserve, use))

    const database = yield* withConnection(prepareConnection).pipe(failing("Open", "its connection"))
    const lock = yield* databaseLock(database, lockTimeout)

    const read: OnConnection = (what, body) =>
      lock.acquire("read", what, (attempt) => withConnection((connection) => body(attempt(connection))))

    const write: OnConnection = (what, body) =>
      lock.acquire("write", what, (attempt) =>
        withConnection((reserved) => {
          const connection = attempt(reserved)
          const transaction = Effect.zipRight(execute(connection, "BEGIN IMMEDIATE"), body(connection)).pipe(
            Effect.zipLeft(execute(connection, "COMMIT"))
          )
          return Effect.uninterruptible(
            Effect.onError(transaction, () => Effect.ignore(execute(connection, "ROLLBACK")))
          )
        }))

    const opening = "the opening of the journal"
    yield* read(
      opening,
      (connection) =>
        Effect.zipLeft(isMigrated(connection, database), executeUnprepared(connection, "PRAGMA synchronous = FULL"))
    ).pipe(
      Effect.flatMap((migrated) =>
        migrated ? Effect.void : write(opening, (connection) =>
          // Another process may have done it meanwhile.
          Effect.flatMap(
            isMigrated(connection, database),
            (migrated) => migrated ? Effect.void : migrate(connection, sql)
          ))
      ),
      failing("Open", "its tables could not be created or migrated"),
      Effect.withTracerEnabled(false)
    )

    return {
      read,
      write,
      newRuns: (connection, count) =>
        Effect.map(
          execute<{ readonly id: number | null }>(connection, "SELECT max(id) AS id FROM holdfast_runs"),
          ([row]) => Array.from({ length: count }, (_, i) => (row?.id ?? 0) + 1 + i)
        ),
      // The lock of the one writer.
      lock: () => Effect.void,
      version: (connection) =>
        Effect.map(
          execute<{ readonly data_version: number }>(connection, "PRAGMA data_version"),
          (rows) => rows[0]?.data_version
        )
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
