/**
 * The tables of a journal in PostgreSQL, in a schema of their own.
 *
 * They are those of SQLite (`sqliteTables.ts`). Texts are compared by their bytes, as everywhere in a journal. Rows that are
 * updated leave room in their pages, so that an update that touches no index stays in its page.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import { JournalError } from "../../WorkflowError.js"
import type { Failure } from "./database.js"

const text = `TEXT COLLATE "C"`

/** Each migration as the statements that it takes; `schema` is quoted. */
const migrations: ReadonlyArray<(schema: string) => ReadonlyArray<string>> = [
  (schema) => [
    `CREATE SEQUENCE ${schema}.run_ids`,
    `CREATE TABLE ${schema}.runs (
      id BIGINT PRIMARY KEY,
      run_id ${text} NOT NULL UNIQUE,
      workflow_id ${text} NOT NULL,
      workflow ${text} NOT NULL,
      started_at BIGINT NOT NULL,
      deadline BIGINT,
      cancel_by BIGINT,
      due_seq BIGINT NOT NULL,
      local_activities BIGINT NOT NULL,
      owner ${text},
      epoch BIGINT NOT NULL,
      owner_crashes BIGINT NOT NULL,
      claim_not_before BIGINT NOT NULL DEFAULT 0,
      status ${text} NOT NULL,
      closed_seq BIGINT,
      blocked ${text}
    ) WITH (fillfactor = 80)`,
    `CREATE INDEX runs_workflow_id ON ${schema}.runs (workflow_id, id)`,
    `CREATE UNIQUE INDEX runs_open_id ON ${schema}.runs (workflow_id) WHERE closed_seq IS NULL`,
    `CREATE INDEX runs_open_owner ON ${schema}.runs (owner, workflow) WHERE closed_seq IS NULL`,
    `CREATE INDEX runs_due ON ${schema}.runs (owner) WHERE due_seq > 0 AND closed_seq IS NULL`,
    `CREATE INDEX runs_id ON ${schema}.runs (workflow_id, started_at, run_id)`,
    `CREATE INDEX runs_started ON ${schema}.runs (started_at, workflow_id, run_id)`,
    `CREATE INDEX runs_workflow ON ${schema}.runs (workflow, started_at, workflow_id, run_id)`,
    `CREATE INDEX runs_status ON ${schema}.runs (status, started_at, workflow_id, run_id)`,
    `CREATE TABLE ${schema}.batches (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      run BIGINT NOT NULL,
      last_seq BIGINT NOT NULL,
      format BIGINT NOT NULL,
      events TEXT NOT NULL
    )`,
    `CREATE UNIQUE INDEX batches_run ON ${schema}.batches (run, last_seq)`,
    `CREATE VIEW ${schema}.events AS
      SELECT r.run_id, r.workflow_id, r.workflow, b.id AS batch, (e ->> 'seq')::bigint AS seq, e ->> '_tag' AS kind,
        (e ->> 'at')::bigint AS at, e ->> 'payload' AS payload, e AS event
      FROM ${schema}.runs r JOIN ${schema}.batches b ON b.run = r.id, json_array_elements(b.events::json) e`,
    `CREATE TABLE ${schema}.activities (
      run BIGINT NOT NULL,
      command BIGINT NOT NULL,
      seq BIGINT NOT NULL,
      activity ${text} NOT NULL,
      queue ${text},
      scheduled_at BIGINT NOT NULL,
      attempt BIGINT NOT NULL DEFAULT 1,
      not_before BIGINT NOT NULL DEFAULT 0,
      worker ${text},
      started_at BIGINT,
      outside BIGINT NOT NULL DEFAULT 0,
      beat_at BIGINT,
      details TEXT,
      secret TEXT,
      PRIMARY KEY (run, command)
    ) WITH (fillfactor = 80)`,
    `CREATE INDEX activities_queue ON ${schema}.activities (queue, scheduled_at, run, command) WHERE queue IS NOT NULL`,
    `CREATE INDEX activities_worker ON ${schema}.activities (worker) WHERE worker IS NOT NULL`,
    `CREATE TABLE ${schema}.timers (
      run BIGINT NOT NULL,
      command BIGINT NOT NULL,
      fire_at BIGINT NOT NULL,
      PRIMARY KEY (run, command)
    )`,
    `CREATE TABLE ${schema}.children (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      child BIGINT NOT NULL,
      parent BIGINT NOT NULL,
      command BIGINT,
      parent_close ${text} NOT NULL
    )`,
    `CREATE INDEX children_child ON ${schema}.children (child)`,
    `CREATE INDEX children_parent ON ${schema}.children (parent, command)`,
    `CREATE TABLE ${schema}.signals (run BIGINT NOT NULL, id ${text} NOT NULL, PRIMARY KEY (run, id))`,
    // A lease may end at no time at all.
    `CREATE TABLE ${schema}.workers (
      worker ${text} NOT NULL PRIMARY KEY,
      lease_until DOUBLE PRECISION NOT NULL,
      services TEXT
    ) WITH (fillfactor = 50)`,
    `CREATE INDEX workers_lease ON ${schema}.workers (lease_until, worker)`
  ]
]

const newest = migrations.length

/** One of them at a time, of all processes of all databases of the server. */
const migrationLock = 0x686f6c64

/** The version of the tables, 0 where there are none. Those of a newer version are an error: they could be misunderstood. */
export const versionOf = (
  connection: Connection,
  schema: string
): Effect.Effect<number, Failure> =>
  Effect.gen(function*() {
    // Asked of the table of tables, since names are looked up in a cache that another process's commit may not have reached.
    const tables = yield* connection.execute(
      "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'migrations'",
      [schema],
      undefined
    )
    if (tables.length === 0) return 0
    const rows = yield* connection.execute(
      `SELECT coalesce(max(migration_id), 0)::integer AS version FROM "${schema}".migrations`,
      [],
      undefined
    )
    const { version } = rows[0] as { readonly version: number }
    if (version <= newest) return version
    return yield* new JournalError({
      reason: "Version",
      detail:
        `the tables in schema ${schema} have version ${version}, and this version of holdfast knows them up to ${newest}; nothing was changed: run the version that has migrated them, or a later one`
    })
  })

export const isMigrated = (version: number): boolean => version === newest

/** Brings the tables up to date, in a transaction. */
export const migrate = (connection: Connection, schema: string): Effect.Effect<void, Failure> =>
  Effect.gen(function*() {
    const run = (statement: string) => connection.execute(statement, [], undefined)
    yield* run(`SELECT pg_advisory_xact_lock(${migrationLock})`)
    // Another process may have done it meanwhile.
    const version = yield* versionOf(connection, schema)
    if (version === 0) {
      // Who may not create a schema may use one that is there.
      const rows = yield* connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema], undefined)
      if (rows.length === 0) yield* run(`CREATE SCHEMA "${schema}"`)
      yield* run(
        `CREATE TABLE IF NOT EXISTS "${schema}".migrations (
          migration_id INTEGER PRIMARY KEY,
          created_at TIMESTAMPTZ NOT NULL DEFAULT now()
        )`
      )
    }
    for (let next = version; next < newest; next++) {
      for (const statement of migrations[next]!(`"${schema}"`)) yield* run(statement)
      yield* run(`INSERT INTO "${schema}".migrations (migration_id) VALUES (${next + 1})`)
    }
  })
