/**
 * Whether an engine holds on to what has ended: many short runs through one engine, on a SQLite file.
 *
 *   npm run bench -- runs [runs]
 *
 * A million runs of one activity each. A line for every tenth of them tells the heap in use, after collection: it must stay
 * flat.
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Logger, LogLevel, Schema } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { heapInUse } from "./heap.js"

const count = Number(process.argv[3] ?? 1_000_000)
const batch = count / 10

const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
const Short = Workflow.make("Short", { payload: Schema.Number, success: Schema.Number })

const engine = Layer.mergeAll(
  Short.toLayer((n) => Step.execute(n)),
  Step.toLayer((n) => Effect.succeed(n + 1))
).pipe(Layer.provideMerge(Engine.layer()), Layer.provideMerge(Journal.layerSql()))

const one = (i: number) => Effect.flatMap(Client.start(Short, { id: `${i}`, payload: i }), (run) => run.result)

const main = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-bench-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  yield* Effect.gen(function*() {
    // So that the code is warm, and every cache as large as it gets.
    yield* Effect.forEach(Array.from({ length: 5_000 }, (_, i) => -1 - i), one, { concurrency: 500, discard: true })
    const before = heapInUse()
    for (let done = 0; done < count; done += batch) {
      const started = Date.now()
      yield* Effect.forEach(Array.from({ length: batch }, (_, i) => done + i), one, { concurrency: 500, discard: true })
      const seconds = (Date.now() - started) / 1_000
      const heap = heapInUse()
      yield* Console.log(
        `${done + batch} runs: heap ${(heap / 1e6).toFixed(1)} MB (${
          ((heap - before) / 1e6).toFixed(1)
        } MB more than at first), ${Math.round(batch / seconds)} runs/s`
      )
    }
  }).pipe(
    Effect.provide(Layer.provide(engine, SqliteClient.layer({ filename: join(folder, "journal.db") })))
  )
})

await Effect.runPromise(main.pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.Warning)))
