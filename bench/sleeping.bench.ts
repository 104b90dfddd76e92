/**
 * What runs cost that only sleep: many of them in one SQLite file.
 *
 *   npm run bench -- sleeping [runs]
 *
 * 100,000 runs are started, and sleep. Then their engine ends and another one starts: the table tells how long that takes
 * until every run has its owner and its timer, what memory it needs, and how much of a processor it takes while nothing is
 * due. When their time comes all of them wake within a minute, in the order of their times: the table tells how late
 * they are, and by how much at most one has woken before another that was due earlier. (Those that are in memory need not
 * be read first.)
 */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Clock, Console, Effect, Exit, Layer, Logger, LogLevel, Schema, Scope } from "effect"
import { Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { heapInUse } from "./heap.js"

const count = Number(process.argv[3] ?? 100_000)
/** All wake within this time. */
const window = 60_000
const idle = 20_000

const woken: Array<{ readonly due: number; readonly at: number }> = []

const Sleeper = Workflow.make("Sleeper", { payload: Schema.Number })
const SleeperLive = Sleeper.toLayer((due) =>
  Effect.gen(function*() {
    yield* Effect.sleep(due - (yield* Clock.currentTimeMillis))
    yield* Workflow.sideEffect("woken", Schema.Void, () => void woken.push({ due, at: Date.now() }))
  })
)

const engine = SleeperLive.pipe(Layer.provideMerge(Engine.layer()), Layer.provideMerge(Journal.layerSql()))

const seconds = (millis: number): string => (millis / 1_000).toFixed(1)

const owned = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly n: number }>`SELECT count(*) AS n FROM holdfast_runs WHERE owner IS NOT NULL AND closed_seq IS NULL`,
    ([row]) => row?.n ?? 0
  ))

const main = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-bench-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const file = join(folder, "journal.db")
  const heapBefore = heapInUse()
  // Time to start them all, to start again, and to look while they sleep.
  const first = Date.now() + 45_000 + count * 0.4
  const startedAt = Date.now()
  const [started, startUp, heap, cpu] = yield* Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(engine, scope)
    yield* Effect.forEach(
      Array.from({ length: count }, (_, i) => i),
      // In no particular order.
      (i) => Client.start(Sleeper, { id: `${i}`, payload: first + ((i * 7_919) % count) * window / count }),
      { concurrency: 500, discard: true }
    ).pipe(Effect.provide(context))
    const started = Date.now() - startedAt
    yield* Scope.close(scope, Exit.void)

    const begin = Date.now()
    yield* Layer.build(engine)
    yield* Effect.repeat(Effect.delay(owned, 20), { until: (n) => n === count })
    const startUp = Date.now() - begin
    // What the start has left is cleared away first.
    yield* Effect.sleep(10_000)
    const heap = heapInUse() - heapBefore
    const before = process.cpuUsage()
    yield* Effect.sleep(idle)
    const { system, user } = process.cpuUsage(before)
    const cpu = (system + user) / 1_000 / idle

    yield* Effect.repeat(Effect.sleep(500), { until: () => woken.length === count || Date.now() > first + 10 * window })
    return [started, startUp, heap, cpu] as const
  }).pipe(Effect.scoped, Effect.provide(SqliteClient.layer({ filename: file })))

  const late = woken.map(({ at, due }) => at - due).sort((a, b) => a - b)
  let latest = 0
  let inversion = 0
  for (const { due } of woken) {
    inversion = Math.max(inversion, latest - due)
    latest = Math.max(latest, due)
  }
  yield* Console.table([{
    "runs": count,
    "started in, s": seconds(started),
    "engine starts in, s": seconds(startUp),
    "heap, bytes per run": Math.round(heap / count),
    "idle, % of a processor": (100 * cpu).toFixed(2),
    "file, MB": Math.round(statSync(file).size / 1e6),
    "woken": woken.length,
    "out of order by, ms": inversion.toFixed(0),
    "late, median ms": late[late.length >> 1]!.toFixed(0),
    "late, 99% ms": late[Math.floor(late.length * 0.99)]!.toFixed(0)
  }])
})

await Effect.runPromise(main.pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.Warning)))
