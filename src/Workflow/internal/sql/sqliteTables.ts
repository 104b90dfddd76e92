/**
 * The tables of a SQL journal.
 *
 * Events are appended in the order of their commits, in batches of what was written to a run at once, with the run as an
 * integer, so that the turns of many runs share pages; the unique index on (run, last_seq) is what makes a history. The other
 * tables are indexes of it. Whoever looks at the database sees single events in the view `holdfast_events`.
 */
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { JournalError } from "../../WorkflowError.js"
import { executeUnprepared } from "./sqliteLock.js"

const createTables = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    CREATE TABLE holdfast_runs (
      id INTEGER PRIMARY KEY,
      run_id TEXT NOT NULL UNIQUE,
      workflow_id TEXT NOT NULL,
      workflow TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      deadline INTEGER,
      cancel_by INTEGER,
      due_seq INTEGER NOT NULL,
      local_activities INTEGER NOT NULL,
      owner TEXT,
      epoch INTEGER NOT NULL,
      owner_crashes INTEGER NOT NULL,
      claim_not_before INTEGER NOT NULL DEFAULT 0,
      status TEXT NOT NULL,
      closed_seq INTEGER,
      blocked TEXT
    )`
  yield* sql`CREATE INDEX holdfast_runs_workflow_id ON holdfast_runs (workflow_id, id)`
  yield* sql`CREATE UNIQUE INDEX holdfast_runs_open_id ON holdfast_runs (workflow_id) WHERE closed_seq IS NULL`
  yield* sql`CREATE INDEX holdfast_runs_open_owner ON holdfast_runs (owner, workflow) WHERE closed_seq IS NULL`
  yield* sql`CREATE INDEX holdfast_runs_due ON holdfast_runs (owner) WHERE due_seq > 0 AND closed_seq IS NULL`
  // One for each way to list, all in the order of a list.
  yield* sql`CREATE INDEX holdfast_runs_id ON holdfast_runs (workflow_id, started_at, run_id)`
  yield* sql`CREATE INDEX holdfast_runs_started ON holdfast_runs (started_at, workflow_id, run_id)`
  yield* sql`CREATE INDEX holdfast_runs_workflow ON holdfast_runs (workflow, started_at, workflow_id, run_id)`
  yield* sql`CREATE INDEX holdfast_runs_status ON holdfast_runs (status, started_at, workflow_id, run_id)`
  yield* sql`
    CREATE TABLE holdfast_batches (
      id INTEGER PRIMARY KEY,
      run INTEGER NOT NULL,
      last_seq INTEGER NOT NULL,
      format INTEGER NOT NULL,
      events TEXT NOT NULL
    )`
  yield* sql`CREATE UNIQUE INDEX holdfast_batches_run ON holdfast_batches (run, last_seq)`
  yield* sql`
    CREATE VIEW holdfast_events AS
    SELECT r.run_id, r.workflow_id, r.workflow, b.id AS batch, json_extract(e.value, '$.seq') AS seq,
      json_extract(e.value, '$._tag') AS kind, json_extract(e.value, '$.at') AS at, json_extract(e.value, '$.payload') AS payload, e.value AS event
    FROM holdfast_runs r JOIN holdfast_batches b ON b.run = r.id, json_each(b.events) e`
  yield* sql`
    CREATE TABLE holdfast_activities (
      run INTEGER NOT NULL,
      command INTEGER NOT NULL,
      seq INTEGER NOT NULL,
      activity TEXT NOT NULL,
      queue TEXT,
      scheduled_at INTEGER NOT NULL,
      attempt INTEGER NOT NULL DEFAULT 1,
      not_before INTEGER NOT NULL DEFAULT 0,
      worker TEXT,
      started_at INTEGER,
      outside INTEGER NOT NULL DEFAULT 0,
      beat_at INTEGER,
      details TEXT,
      secret TEXT,
      PRIMARY KEY (run, command)
    ) WITHOUT ROWID`
  yield* sql`
    CREATE INDEX holdfast_activities_queue ON holdfast_activities (queue, scheduled_at, run, command)
    WHERE queue IS NOT NULL`
  yield* sql`CREATE INDEX holdfast_activities_worker ON holdfast_activities (worker) WHERE worker IS NOT NULL`
  yield* sql`
    CREATE TABLE holdfast_timers (
      run INTEGER NOT NULL,
      command INTEGER NOT NULL,
      fire_at INTEGER NOT NULL,
      PRIMARY KEY (run, command)
    ) WITHOUT ROWID`
  yield* sql`
    CREATE TABLE holdfast_children (
      id INTEGER PRIMARY KEY,
      child INTEGER NOT NULL,
      parent INTEGER NOT NULL,
      command INTEGER,
      parent_close TEXT NOT NULL
    )`
  yield* sql`CREATE INDEX holdfast_children_child ON holdfast_children (child)`
  yield* sql`CREATE INDEX holdfast_children_parent ON holdfast_children (parent, command)`
  yield* sql`
    CREATE TABLE holdfast_signals (
      run INTEGER NOT NULL,
      id TEXT NOT NULL,
      PRIMARY KEY (run, id)
    ) WITHOUT ROWID`
  yield* sql`
    CREATE TABLE holdfast_workers (
      worker TEXT NOT NULL PRIMARY KEY,
      lease_until INTEGER NOT NULL,
      services TEXT
    )`
  yield* sql`CREATE INDEX holdfast_workers_lease ON holdfast_workers (lease_until, worker)`
})

const migrations = { "0001_create_tables": createTables }

const newest = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/** Brings the tables up to date, in the transaction of a connection. */
export const migrate = (connection: Connection, sql: SqlClient): Effect.Effect<void, JournalError> =>
  Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "holdfast_migrations" }).pipe(
    Effect.provideService(TransactionConnection, [connection, 0]),
    Effect.provideService(SqlClient, sql),
    Effect.sandbox,
    Effect.mapError((cause) =>
      new JournalError({ reason: "Open", detail: "its tables could not be created or migrated", cause })
    ),
    Effect.asVoid
  )

/** Whether the tables are up to date. Those of a newer version are an error: what they hold could be misunderstood. */
export const isMigrated = Effect.fnUntraced(function*(connection: Connection, database: string) {
  const tables = yield* executeUnprepared(
    connection,
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'holdfast_migrations'"
  )
  if (tables.length === 0) return false
  const [row] = yield* executeUnprepared(connection, "SELECT max(migration_id) AS version FROM holdfast_migrations")
  const version = hasProperty(row, "version") ? Number(row.version) : 0
  if (version <= newest) return version === newest
  return yield* new JournalError({
    reason: "Version",
    detail:
      `the tables of ${database} have version ${version}, and this version of holdfast knows them up to ${newest}; nothing was changed: run the version that has migrated them, or a later one`
  })
})
