/**
 * Makes a sample journal with this version, as the statements that restore it:
 *
 *   npx tsx test/Workflow/support/makeSample.ts test/Workflow/samples/tables-1.sql
 *
 * Samples that are there stay as they are: each is what a version has left to all later ones.
 */
import { SqlClient } from "@effect/sql"
import { Console, Effect, Layer, Ref, TestClock, TestContext } from "effect"
import { Activity, Client, Engine, Journal } from "holdfast/Workflow"
import { writeFileSync } from "node:fs"
import { database, temporaryFile } from "./journals.js"
import * as sample from "./sampleWorkflows.js"

/** 2026-01-01, so that all that a sample waits for has long been due when it is read. */
const begin = Date.UTC(2026, 0, 1)

const unready = (token: Ref.Ref<string>) =>
  Layer.mergeAll(
    sample.live,
    sample.Slow.toLayer(() => Effect.never),
    sample.Flaky.toLayer((item) => Effect.fail(new sample.Refused({ item }))),
    sample.Approval.toLayer(() =>
      Effect.gen(function*() {
        yield* Ref.set(token, yield* Activity.token)
        return yield* Activity.outside
      })
    )
  )

const engine = Engine.layer({ gracePeriod: 0 })

const pass = TestClock.adjust("1 second").pipe(Effect.repeatN(10))

const fill = (token: Ref.Ref<string>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(begin)
    yield* Client.start(sample.Packing, { id: "packed", payload: "lamp" })
    yield* Client.start(sample.Packing, { id: "refused", payload: "bad" })
    yield* Client.start(sample.WaitsForSignal, { id: "waits for a signal", payload: "cup" })
    yield* Client.start(sample.WaitsForSignal, { id: "cancelled", payload: "jug" })
    yield* Client.start(sample.WaitsForSignal, { id: "terminated", payload: "pot" })
    yield* Client.start(sample.WaitsForSignal, { id: "timed out", payload: "pan", runTimeout: "5 seconds" })
    yield* Client.start(sample.Sleeps, { id: "sleeps", payload: "bed" })
    yield* Client.start(sample.WaitsForSlow, { id: "waits for an activity", payload: "dish" })
    yield* Client.start(sample.WaitsForFlaky, { id: "waits for a retry", payload: "mug" })
    yield* Client.start(sample.WaitsForQueued, { id: "waits in a queue", payload: "bowl" })
    yield* Client.start(sample.WaitsForApproval, { id: "waits for a token", payload: "vase" })
    yield* Client.start(sample.Mixed, { id: "mixed", payload: "tray" })
    yield* Client.start(sample.Parent, { id: "parent", payload: "tea" })
    yield* Client.start(sample.Rounds, { id: "rounds", payload: 0 })
    yield* Client.start(sample.Changed, { id: "blocked", payload: "box" })
    yield* pass
    yield* Client.signal("waits for a signal", sample.Go, "one", { id: "first" })
    yield* Client.signal("rounds", sample.Go, "again")
    yield* Client.cancel("cancelled", { reason: "nobody wants it" })
    yield* Client.terminate("terminated", { reason: "it was in the way" })
    yield* pass
    return yield* Ref.get(token)
  }).pipe(Effect.provide(Layer.mergeAll(unready(token), sample.changedLive).pipe(Layer.provideMerge(engine))))

/** What arrives while no engine runs. */
const arrive = Effect.gen(function*() {
  yield* Client.start(sample.Packing, { id: "not begun", payload: "jar" })
  yield* Client.signal("rounds", sample.Go, "enough")
  // So that it is looked at by the code that blocks it.
  yield* Client.signal("blocked", sample.Go, "look")
}).pipe(Effect.provide(Client.layer))

const block = pass.pipe(Effect.provide(sample.changedOtherwiseLive.pipe(Layer.provide(engine))))

/** All tables with their rows, one statement a line. */
const dump = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const objects = yield* sql<{ readonly type: string; readonly name: string; readonly sql: string }>`
    SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
    ORDER BY type = 'table' DESC, rowid`
  const lines: Array<string> = []
  for (const object of objects) {
    lines.push(object.sql.replaceAll(/\s+/g, " "))
    if (object.type !== "table") continue
    const columns = yield* sql<{ readonly name: string }>`SELECT name FROM pragma_table_info(${object.name})`
    const names = columns.map(({ name }) => name)
    const rows = yield* sql.unsafe<{ readonly line: string }>(
      `SELECT ${names.map((name) => `quote(${name})`).join(" || ', ' || ")} AS line FROM ${object.name}`
    )
    for (const { line } of rows) lines.push(`INSERT INTO ${object.name} (${names.join(", ")}) VALUES (${line})`)
  }
  return lines
})

const make = (file: string) =>
  Effect.gen(function*() {
    const token = yield* Ref.make("")
    const given = yield* fill(token)
    yield* arrive
    yield* block
    const lines = yield* dump
    writeFileSync(file, `-- token: ${given}\n${lines.map((line) => `${line};\n`).join("")}`)
    yield* Console.log(`${lines.length} statements in ${file}`)
  }).pipe(
    Effect.provide(
      Journal.layerSql().pipe(
        Layer.provideMerge(Layer.unwrapScoped(Effect.map(temporaryFile, database))),
        Layer.provideMerge(TestContext.TestContext)
      )
    )
  )

await Effect.runPromise(make(process.argv[2]!))
