/**
 * How fast durable workflows are: ten sequential no-op activities each, on a SQLite file with `synchronous = FULL`.
 *
 *   npm run bench -- workflow
 *
 * One row per number of workflows that run at once. Beside it, the same number of commits of one row each, by the same
 * driver in the same run: what the disk allows at one commit per step.
 */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const steps = 10

const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
const StepLive = Step.toLayer((n) => Effect.succeed(n + 1))

const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })
const ChainLive = Chain.toLayer((n) => Effect.iterate(n, { while: (i) => i < n + steps, body: (i) => Step.execute(i) }))

interface Row {
  readonly workflows: number
  readonly seconds: number
  readonly latencies: ReadonlyArray<number>
  readonly rows: number
  readonly commits: number
  readonly walBytes: number
}

const measure = (concurrency: number, workflows: number): Effect.Effect<Row> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const filename = join(folder, "journal.db")
  const Sql = SqliteClient.layer({ filename })
  const Live = Layer.mergeAll(ChainLive, StepLive).pipe(
    Layer.provideMerge(Engine.layer()),
    Layer.provideMerge(Journal.layerSql()),
    Layer.provideMerge(Sql)
  )
  const run = Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    // The log is measured whole, so nothing is moved out of it meanwhile.
    yield* sql`PRAGMA wal_autocheckpoint = 0`
    const { store } = yield* Journal.Journal
    void store
    const latencies: Array<number> = []
    const one = (id: number) =>
      Effect.gen(function*() {
        const start = performance.now()
        const handle = yield* Client.start(Chain, { id: `${concurrency}-${id}`, payload: 0 })
        yield* handle.result
        latencies.push(performance.now() - start)
      })
    yield* Effect.forEach(Array.from({ length: Math.min(200, workflows) }, (_, i) => -1 - i), one, { concurrency })
    latencies.length = 0
    yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
    const before = yield* counts
    const start = performance.now()
    yield* Effect.forEach(Array.from({ length: workflows }, (_, i) => i), one, { concurrency })
    const seconds = (performance.now() - start) / 1000
    const after = yield* counts
    return {
      workflows,
      seconds,
      latencies: latencies.sort((a, b) => a - b),
      rows: after.rows - before.rows,
      commits: 0,
      walBytes: statSync(`${filename}-wal`).size
    }
  })
  return run.pipe(
    Effect.provide(Live),
    Effect.orDie,
    Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true })))
  )
}

const counts = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly rows: number }>`SELECT count(*) AS rows FROM holdfast_events`
  return { rows: row!.rows }
})

const percentile = (sorted: ReadonlyArray<number>, p: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? NaN

await Effect.gen(function*() {
  for (const [concurrency, workflows] of [[1, 200], [10, 1500], [100, 4000]] as const) {
    const row = yield* measure(concurrency, workflows)
    yield* Console.log(
      [
        `${concurrency} at once`,
        `${Math.round(row.workflows / row.seconds)} workflows/s`,
        `${Math.round(row.workflows * steps / row.seconds)} activities/s`,
        `p50 ${percentile(row.latencies, 0.5).toFixed(1)} ms`,
        `p99 ${percentile(row.latencies, 0.99).toFixed(1)} ms`,
        `${(row.rows / row.workflows).toFixed(1)} events/workflow`,
        `${Math.round(row.walBytes / row.workflows)} WAL bytes/workflow`
      ].join("  ")
    )
  }
}).pipe(Effect.runPromise)
