/**
 * A worker on a journal, as a process that a test can kill.
 *
 *   node --import tsx test/Workflow/support/crashWorker.ts JOURNAL LEDGER [SCHEMA]
 *
 * JOURNAL is a file, or the address of a PostgreSQL database with the tables in SCHEMA.
 *
 * The ledger is a database of its own: an entry is made once per idempotency key; every attempt is noted, and whether it
 * ended.
 */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Context, Effect, Layer, Random, Redacted } from "effect"
import { Activity, Engine, Journal } from "holdfast/Workflow"
import { Busy, Enter, TransferLive } from "./crashWorkflow.js"

const [journal, ledgerFile, schema] = process.argv.slice(2)

class Ledger extends Context.Tag("test/Ledger")<Ledger, SqlClient.SqlClient>() {}

const LedgerLive = Layer.effect(Ledger, SqlClient.SqlClient).pipe(
  Layer.provide(SqliteClient.layer({ filename: ledgerFile! }))
)

const EnterLive = Enter.toLayer(({ account, step }) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const key = yield* Activity.idempotencyKey
    const [attempt] = yield* ledger<{ readonly id: number }>`
      INSERT INTO attempts (key, pid) VALUES (${key}, ${process.pid}) RETURNING id`
    const end = ledger`UPDATE attempts SET ended = 1 WHERE id = ${attempt!.id}`
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 20))
    if ((yield* Random.next) < 0.1) return yield* Effect.zipRight(end, new Busy())
    yield* ledger`INSERT INTO entries (key, account, step) VALUES (${key}, ${account}, ${step}) ON CONFLICT DO NOTHING`
    const [entry] = yield* ledger<{ readonly id: number }>`SELECT id FROM entries WHERE key = ${key}`
    yield* Effect.sleep(yield* Random.nextIntBetween(0, 20))
    yield* end
    return entry!.id
  }).pipe(Effect.catchTag("SqlError", Effect.die))
)

const database: Layer.Layer<SqlClient.SqlClient> = schema === undefined
  ? Layer.orDie(SqliteClient.layer({ filename: journal! }))
  : Layer.orDie(PgClient.layer({ url: Redacted.make(journal!), maxConnections: 4 }))

const Live = Layer.mergeAll(TransferLive, EnterLive).pipe(
  Layer.provide(Engine.layer({ lease: "300 millis" })),
  Layer.provide(Journal.layerSql({ pollInterval: "20 millis", schema })),
  Layer.provide(database),
  Layer.provide(LedgerLive)
)

process.stdout.write("starting\n")
Layer.launch(Live).pipe(
  Effect.zipLeft(Effect.never),
  Effect.provideService(Random.Random, Random.make(process.pid)),
  Effect.runFork
)
