/**
 * How fast durable workflows are: ten sequential activities that do nothing, on a SQLite file, `synchronous = FULL`.
 *
 *   npm run bench -- workflow
 *
 * One line per number of workflows at once, beside the peer of the same minute: transactions of one row each, one after
 * another, by the same driver on the same disk. `ratio` is activities for each of those. A workflow that runs alone needs a
 * commit per step, so it can at best be as fast as that; workflows that run together share commits.
 */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer, Schema } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const steps = 10
/** Workflows of the pass that counts what is written. */
const counted = 500

const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })

const Live = Layer.mergeAll(
  Chain.toLayer((n) => Effect.iterate(n, { while: (i) => i < n + steps, body: (i) => Step.execute(i) })),
  Step.toLayer((n) => Effect.succeed(n + 1))
).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerSql()))

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-bench-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Commits in a write-ahead log: the frames that carry the size of the database (https://sqlite.org/walformat.html). */
const commitsIn = (wal: Buffer): number => {
  const frame = 24 + wal.readUInt32BE(8)
  let commits = 0
  for (let at = 32; at + frame <= wal.length; at += frame) if (wal.readUInt32BE(at + 4) > 0) commits++
  return commits
}

const measure = (concurrency: number, workflows: number) =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const filename = join(folder, "journal.db")
    return yield* Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const changes = Effect.map(sql<{ readonly n: number }>`SELECT total_changes() AS n`, (rows) => rows[0]!.n)
      const milliseconds: Array<number> = []
      const runAll = (name: string, count: number, concurrency: number) =>
        Effect.forEach(Array.from({ length: count }, (_, i) => `${name}-${i}`), (id) =>
          Effect.gen(function*() {
            const started = performance.now()
            const run = yield* Client.start(Chain, { id, payload: 0 })
            yield* run.result
            milliseconds.push(performance.now() - started)
          }), { concurrency, discard: true })

      // The code is warm before it is measured.
      yield* runAll("warm", 500, 100)
      milliseconds.length = 0
      const started = performance.now()
      yield* runAll("run", workflows, concurrency)
      const seconds = (performance.now() - started) / 1_000
      const sorted = milliseconds.toSorted((a, b) => a - b)

      // The log is read in a second pass, in which nothing may be moved out of it.
      yield* sql`PRAGMA wal_autocheckpoint = 0`
      yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
      const before = yield* changes
      yield* runAll("counted", counted, concurrency)
      const rows = (yield* changes) - before
      const wal = readFileSync(`${filename}-wal`)
      const percentile = (p: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]!
      return {
        "at once": concurrency,
        "workflows/s": Math.round(workflows / seconds),
        "activities/s": Math.round(workflows * steps / seconds),
        "p50 ms": percentile(0.5).toFixed(1),
        "p99 ms": percentile(0.99).toFixed(1),
        "commits per workflow": (commitsIn(wal) / counted).toFixed(2),
        "rows per workflow": (rows / counted).toFixed(1),
        "WAL bytes per workflow": Math.round(wal.length / counted)
      }
    }).pipe(Effect.provide(Live.pipe(Layer.provideMerge(SqliteClient.layer({ filename })))))
  }).pipe(Effect.scoped)

/** Transactions of one row each. */
const peer = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  return yield* Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`PRAGMA synchronous = FULL`
    yield* sql`CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)`
    const connection = yield* sql.reserve
    const body = "a row of about the size of an event, with a payload and a digest in it"
    const count = 2_000
    const started = performance.now()
    yield* Effect.repeatN(connection.execute("INSERT INTO rows (body) VALUES (?)", [body], undefined), count - 1)
    return Math.round(count / ((performance.now() - started) / 1_000))
  }).pipe(Effect.provide(SqliteClient.layer({ filename: join(folder, "peer.db") })))
}).pipe(Effect.scoped)

await Effect.gen(function*() {
  const rows = yield* Effect.forEach(
    [[1, 600], [10, 4_000], [100, 10_000]] as const,
    ([concurrency, workflows]) =>
      Effect.gen(function*() {
        // A disk has its moods: the peer is measured before and after.
        const before = yield* peer
        const row = yield* measure(concurrency, workflows)
        const oneRow = (before + (yield* peer)) / 2
        return {
          ...row,
          "one-row transactions/s": Math.round(oneRow),
          "ratio": (row["activities/s"] / oneRow).toFixed(2)
        }
      })
  )
  yield* Effect.sync(() => console.table(rows))
}).pipe(Effect.runPromise)
