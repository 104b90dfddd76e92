/**
 * What a workflow costs, in what does not depend on the machine: statements, commits, rows, bytes, and operations of fibers.
 * The bounds are what it costs today, so that nothing creeps up; who makes it cheaper lowers them.
 */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FiberRef, Layer, Schema } from "effect"
import type { Scheduler } from "effect/Scheduler"
import { MixedScheduler } from "effect/Scheduler"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { readFileSync } from "node:fs"
import { database, temporaryFile, watched } from "./support/journals.js"

const steps = 10

const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })

const Live = Layer.mergeAll(
  Chain.toLayer((n) => Effect.iterate(n, { while: (i) => i < n + steps, body: (i) => Step.execute(i) })),
  Step.toLayer((n) => Effect.succeed(n + 1))
).pipe(Layer.provideMerge(Engine.layer()))

const runAll = (name: string, count: number, concurrency: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => `${name}-${i}`),
    (id) => Effect.flatMap(Client.start(Chain, { id, payload: 0 }), (run) => run.result),
    { concurrency, discard: true }
  )

interface Cost {
  readonly atOnce: number
  /** For each workflow of ten steps. */
  readonly statements: number
  readonly commits: number
  readonly rows: number
  readonly logBytes: number
}

const onSqlite = ({ atOnce, ...bounds }: Cost) =>
  Effect.gen(function*() {
    const file = yield* temporaryFile
    const counts = { statements: 0, commits: 0 }
    const count = 200
    const cost = yield* Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const changes = Effect.map(sql<{ readonly n: number }>`SELECT total_changes() AS n`, ([row]) => row?.n ?? 0)
      yield* sql`PRAGMA wal_autocheckpoint = 0`
      yield* runAll("warm", 100, atOnce)
      yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
      const before = { ...counts, rows: yield* changes }
      yield* runAll("counted", count, atOnce)
      const of = (now: number, then: number) => (now - then) / count
      return {
        statements: of(counts.statements, before.statements),
        commits: of(counts.commits, before.commits),
        rows: of(yield* changes, before.rows),
        logBytes: readFileSync(`${file}-wal`).length / count
      }
    }).pipe(Effect.provide(
      Live.pipe(
        Layer.provideMerge(Journal.layerSql()),
        Layer.provideMerge(watched(database(file), (text) => {
          counts.statements++
          if (text === "COMMIT") counts.commits++
        }))
      )
    ))
    for (const [what, bound] of Object.entries(bounds)) {
      assert.isAtMost(cost[what as keyof typeof cost], bound, `${what}, of ${JSON.stringify(cost)}`)
    }
  })

describe("a workflow of ten steps", () => {
  it.scopedLive("costs no more than it did, alone", () =>
    onSqlite({ atOnce: 1, statements: 60, commits: 12.1, rows: 16.1, logBytes: 192_000 }))
  it.scopedLive("costs no more than it did, among ten", () =>
    onSqlite({ atOnce: 10, statements: 11, commits: 1.3, rows: 16.1, logBytes: 37_000 }))
  it.scopedLive("costs no more than it did, among a hundred", () =>
    onSqlite({ atOnce: 100, statements: 2.6, commits: 0.14, rows: 16.1, logBytes: 10_500 }))

  it.scopedLive("takes no more operations of fibers than it did", () =>
    Effect.gen(function*() {
      const base = new MixedScheduler(2_048)
      let operations = 0
      const scheduler: Scheduler = {
        shouldYield: (fiber) => {
          operations++
          return base.shouldYield(fiber)
        },
        scheduleTask: (task, priority, fiber) => base.scheduleTask(task, priority, fiber)
      }
      yield* Effect.gen(function*() {
        yield* runAll("warm", 100, 100)
        const before = operations
        yield* runAll("counted", 200, 100)
        assert.isAtMost((operations - before) / (200 * steps), 27)
      }).pipe(
        Effect.provide(Layer.provideMerge(Live, Journal.layerMemory)),
        Effect.locally(FiberRef.currentScheduler, scheduler)
      )
    }))
})
