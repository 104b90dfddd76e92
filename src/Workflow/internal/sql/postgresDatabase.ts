/**
 * PostgreSQL: many writers on many machines.
 *
 * A transaction takes the locks of what it decides about before it looks: the rows of runs, and of each workflow id that is
 * started or sent to a lock of its name. It reads afterwards, so that what others have committed meanwhile is seen. A run that
 * began in between (another has gone on as it) is not locked; two that write to it meet at the number of the event. That one,
 * and one of two that block each other, the server ends, and it is made again.
 *
 * When the connection breaks at COMMIT nobody knows whether it was written, but the server does: it keeps what became of each
 * transaction by its number. So the same write is never made twice, nor taken for lost.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { hasProperty } from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../../../Schedule/Backoff.js"
import type { Wanted } from "../../JournalTransaction.js"
import type { JournalError } from "../../WorkflowError.js"
import { byBytes } from "../journal/byBytes.js"
import { SharedClock } from "../journal/sharedClock.js"
import type { Database, Failure, OnConnection } from "./database.js"
import { failing } from "./failing.js"
import { PostgresConnection, Translation } from "./postgresConnection.js"
import { isMigrated, migrate, versionOf } from "./postgresTables.js"
import { execute, overValues } from "./statement.js"

export const postgresDatabase = (sql: SqlClient, schema: string): Effect.Effect<Database, JournalError> =>
  Effect.gen(function*() {
    const dialect = new Translation(schema)
    const withConnection = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>) =>
      Effect.scoped(Effect.flatMap(sql.reserve, use))

    const read: OnConnection = (_, body) =>
      withConnection((reserved) => body(new PostgresConnection(reserved, dialect).statements))

    /** One attempt of a transaction. */
    const attempt = <A>(what: string, body: (connection: Connection) => Effect.Effect<A, Failure>) =>
      Effect.uninterruptible(Effect.flatMap(
        withConnection((reserved) => {
          const connection = new PostgresConnection(reserved, dialect)
          connection.begin()
          return Effect.matchCauseEffect(body(connection.statements), {
            onFailure: (cause) => Effect.zipRight(connection.rollback, Effect.failCause(cause)),
            onSuccess: (done) =>
              Effect.map(
                Effect.exit(Effect.onError(connection.commit, () => connection.rollback)),
                (exit) => ({ done, exit, id: connection.transactionId })
              )
          })
        }),
        ({ done, exit, id }): Effect.Effect<A, Failure> => {
          if (Exit.isSuccess(exit)) return Effect.succeed(done)
          const error = Cause.squash(exit.cause)
          if (!(error instanceof SqlError) || !isLost(error) || id === undefined) {
            return Effect.failCause(exit.cause)
          }
          return Effect.flatMap(fateOf(what, id), (committed) => committed ? Effect.succeed(done) : Effect.fail(error))
        }
      ))

    /** Whether a transaction was committed that has had no answer; asked until the server says so. */
    const fateOf = (what: string, id: string): Effect.Effect<boolean> =>
      withConnection((connection) => connection.execute("SELECT pg_xact_status($1::xid8) AS fate", [id], undefined))
        .pipe(
          Effect.map((rows) => (rows[0] as { readonly fate: string | null }).fate),
          // Of a server that has never had it: it was on one that is gone.
          Effect.catchIf((error) => codeOf(error) === "22023", () => Effect.succeed("aborted")),
          Effect.flatMap((fate) =>
            fate === "in progress" ? Effect.fail(undefined) : Effect.succeed(fate === "committed")
          ),
          Effect.tapErrorCause(() =>
            Effect.logDebug(`holdfast: ${what} has had no answer to its COMMIT, and asks what became of it`)
          ),
          Effect.retry(untilKnown),
          Effect.orDie
        )

    const clock = yield* SharedClock
    const write: OnConnection = (what, body) =>
      Effect.withClock(Effect.retry(attempt(what, body), { while: isToRepeat, times: 20, schedule: repeated }), clock)

    yield* Effect.gen(function*() {
      const version = yield* withConnection((connection) => versionOf(connection, schema))
      if (isMigrated(version)) return
      yield* withConnection((connection) =>
        Effect.uninterruptible(
          connection.execute("BEGIN", [], undefined).pipe(
            Effect.zipRight(migrate(connection, schema)),
            Effect.zipRight(connection.execute("COMMIT", [], undefined)),
            Effect.onError(() => Effect.ignore(connection.execute("ROLLBACK", [], undefined)))
          )
        )
      )
    }).pipe(
      failing("Open", "its tables could not be created or migrated"),
      Effect.withTracerEnabled(false)
    )

    return {
      read,
      write,
      newRuns: (connection, count) =>
        Effect.map(
          execute<{ readonly id: number }>(
            connection,
            `SELECT nextval('"${schema}".run_ids') AS id FROM generate_series(1, ?)`,
            [count]
          ),
          (rows) => rows.map(({ id }) => id)
        ),
      lock: (connection, { linked, runIds, workflowIds }: Wanted) =>
        Effect.gen(function*() {
          yield* lockWorkflowIds(connection, [...workflowIds].sort(byBytes))
          yield* lockRuns(connection, runIds)
          yield* lockOpen(connection, workflowIds)
          yield* lockLinked(connection, linked)
        }),
      version: (connection) =>
        Effect.map(
          execute<{ readonly version: string }>(connection, "SELECT pg_current_snapshot()::text AS version"),
          (rows) => rows[0]?.version
        )
    }
  })

// By the time that processes share, whatever clock the program runs under.
const repeated = Backoff.exponential("10 millis", { cap: "1 second", jitter: "full" })
const untilKnown = Schedule.union(
  Backoff.exponential("20 millis", { cap: "2 seconds", jitter: "equal" }),
  Schedule.forever
)

/** The code that PostgreSQL gives an error; none where no answer came at all. */
const codeOf = (error: unknown): string | undefined =>
  error instanceof SqlError && hasProperty(error.cause, "code") && typeof error.cause.code === "string" &&
    /^[0-9A-Z]{5}$/.test(error.cause.code)
    ? error.cause.code
    : undefined

/** Whether the connection has broken, so that it is not known what the server has done. */
const isLost = (error: SqlError): boolean => {
  const code = codeOf(error)
  return code === undefined || code.startsWith("08") || code.startsWith("57P")
}

/** Two that block each other, two that cannot both be first, and a lock that was waited for too long. */
const isToRepeat = (error: Failure): boolean => {
  const code = codeOf(error)
  return code === "40P01" || code === "40001" || code === "55P03" ||
    (code === "23505" && hasProperty(error.cause, "constraint") &&
      /^(?:batches_run|runs_open_id)$/.test(String(error.cause.constraint)))
}

// A statement behind a comment gives nothing back: it goes with the next one that does.
const lockWorkflowIds = overValues((ids) =>
  `/* lock */ SELECT pg_advisory_xact_lock(hashtextextended(id, 0)) FROM (VALUES ${ids}) AS wanted (id)`
)
const lockRuns = overValues((ids) =>
  `/* lock */ SELECT 1 FROM holdfast_runs WHERE run_id IN (VALUES ${ids}) ORDER BY id FOR UPDATE`
)
const lockOpen = overValues((ids) =>
  `/* lock */ SELECT 1 FROM holdfast_runs WHERE workflow_id IN (VALUES ${ids}) AND closed_seq IS NULL ORDER BY id FOR UPDATE`
)
const lockLinked = overValues((ids) =>
  `/* lock */ WITH wanted (id) AS (VALUES ${ids})
   SELECT 1 FROM holdfast_runs WHERE id IN (
     SELECT l.parent FROM holdfast_children l JOIN wanted ON l.child = wanted.id
     UNION SELECT l.child FROM holdfast_children l JOIN wanted ON l.parent = wanted.id
   ) ORDER BY id FOR UPDATE`
)
