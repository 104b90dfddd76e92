/**
 * The process dies in the middle of a transaction on a SQLite file, at each statement of each of its writes in turn.
 */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import type { Connection } from "@effect/sql/SqlConnection"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope, TestClock } from "effect"
import { Client, Engine, Journal } from "holdfast/Workflow"
import * as journals from "./support/journals.js"
import { problemsIn } from "./support/soundHistory.js"
import * as steady from "./support/steadyPrograms.js"

const program: steady.Steady = {
  _tag: "Sequence",
  parts: [
    { _tag: "Step", input: 1, failures: 1 },
    { _tag: "Child", body: { _tag: "Told", note: 3 } },
    { _tag: "All", parts: [{ _tag: "Step", input: 2, failures: 0 }, { _tag: "Sleep", millis: 20 }] },
    { _tag: "Drawn" }
  ]
}

/** Never comes. */
const never: Effect.Effect<never> = Effect.async(() => {})

/** A database whose process dies at its nth statement that writes: nothing is heard of it from then on. */
const dyingDatabase = (filename: string, dieAt: number, count: (statement: string) => void) => {
  let statements = 0
  const mortal = (connection: Connection): Connection =>
    new Proxy(connection, {
      get: (target, key, receiver) =>
        key !== "execute" ? Reflect.get(target, key, receiver) : ((sql, params, transform) => {
          if (statements < dieAt && /^\s*(BEGIN|INSERT|UPDATE|DELETE|WITH|COMMIT)/.test(sql)) {
            statements++
            count(sql)
          }
          return statements >= dieAt ? never : target.execute(sql, params, transform)
        }) satisfies Connection["execute"]
    })
  return Layer.effect(
    SqlClient.SqlClient,
    Effect.map(SqlClient.SqlClient, (sql) =>
      new Proxy(sql, {
        get: (target, key, receiver) =>
          key === "reserve" ? Effect.map(target.reserve, mortal) : Reflect.get(target, key, receiver)
      }))
  ).pipe(Layer.provide(Layer.orDie(SqliteClient.layer({ filename }))))
}

const engine = steady.live.pipe(
  Layer.provideMerge(Engine.layer()),
  Layer.provide(Logger.remove(Logger.defaultLogger))
)

/** Starts a run on an engine that dies, and lets another one end it. Gives the result, and how many statements there were. */
const play = (dieAt: number) =>
  Effect.gen(function*() {
    const filename = yield* journals.temporaryFile
    let statements = 0
    const first = yield* Scope.make()
    const database = yield* Layer.buildWithScope(dyingDatabase(filename, dieAt, () => statements++), first)
    const start = Client.start(steady.Subject, { id: "s", payload: program })
    // What hangs in the middle of its transaction can never be interrupted.
    yield* Effect.forkDaemon(
      Effect.zipRight(start, Effect.never).pipe(
        Effect.provide(engine.pipe(Layer.provideMerge(Layer.orDie(Journal.layerSql())))),
        Effect.provide(database)
      )
    )
    yield* TestClock.adjust("1 second")
    // The connection is closed in the middle of what it was about, as when a process ends.
    yield* Scope.close(first, Exit.void)
    const result = yield* Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      // Its lease would be over in a while.
      yield* sql`UPDATE holdfast_workers SET lease_until = 0`
      const second = yield* Effect.fork(
        Effect.flatMap(start, (run) => run.result).pipe(
          Effect.provide(engine.pipe(Layer.provideMerge(Layer.orDie(Journal.layerSql({ pollInterval: "5 millis" })))))
        )
      )
      yield* TestClock.adjust("1 second")
      const result = yield* second
      const { store } = yield* Journal.Journal
      const runs = yield* store.list({ filter: {}, after: undefined, limit: 100 })
      const histories = yield* Effect.forEach(runs, ({ runId }) => store.history(runId))
      assert.deepStrictEqual(histories.flatMap(problemsIn), [])
      assert.isTrue(runs.every(({ closed }) => closed !== undefined))
      return result
    }).pipe(
      Effect.provide(Layer.provideMerge(Layer.orDie(Journal.layerSql()), journals.database(filename)))
    )
    return { result, statements }
  })

describe("a process that dies within a transaction on a SQLite file", () => {
  it.scoped(
    "has written all of it or nothing, at each of its statements (B-2, B-19, W-5)",
    () =>
      Effect.gen(function*() {
        const alone = yield* play(Infinity)
        assert.isAbove(alone.statements, 20)
        for (let dieAt = 1; dieAt <= alone.statements; dieAt++) {
          const { result } = yield* play(dieAt)
          assert.strictEqual(result, alone.result, `statement ${dieAt}`)
        }
      }),
    120_000
  )
})
