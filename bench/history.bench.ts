/**
 * Whether a long history slows a run down, and how fast histories are replayed.
 *
 *   npm run bench -- history [steps]
 *
 * One run takes 100,000 activities one after another, on an engine, in memory and on a SQLite file
 * (`synchronous = FULL`). Each line tells what a step costs at its begin and at its end: the median over slices of 100
 * steps among the first and the last 1,000. Before that another run takes some steps, so that the code is warm. Then the
 * history is read from the journal and replayed, and so is one of 10,000 activities at once. In the latter each activity
 * has a fiber of its own, so it stands beside its peer: as many fibers of Effect that wait and are resumed, and nothing
 * else, counted as so many events.
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Fiber, Layer, Schema } from "effect"
import { Activity, Client, Engine, History, Journal, Replay, Workflow } from "holdfast/Workflow"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const steps = Number(process.argv[3] ?? 100_000)
const atOnce = 10_000
const warm = 20_000
const ends = 1_000
const slice = 100

/** When each activity of the run under measurement ran. */
let times: Array<number> = []

const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
const StepLive = Step.toLayer((n) =>
  Effect.sync(() => {
    times.push(performance.now())
    return n + 1
  })
)

const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })
const Fan = Workflow.make("Fan", { payload: Schema.Number, success: Schema.Number })
const WorkflowsLive = Layer.merge(
  Chain.toLayer((n) => Effect.iterate(0, { while: (i) => i < n, body: (i) => Step.execute(i) })),
  Fan.toLayer((n) =>
    Effect.map(
      Effect.forEach(Array.from({ length: n }, (_, i) => i), (i) => Step.execute(i), { concurrency: "unbounded" }),
      (results) => results.length
    )
  )
)

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Microseconds per step, slice by slice. */
const costs = (from: number, to: number): ReadonlyArray<number> => {
  const costs: Array<number> = []
  for (let i = from; i + slice < to; i += slice) costs.push((times[i + slice]! - times[i]!) * 1_000 / slice)
  return costs
}

const lived = (name: string) =>
  Effect.gen(function*() {
    times = []
    yield* Client.result(Chain, (yield* Client.start(Chain, { id: "warm", payload: warm })).workflowId)
    times = []
    const started = performance.now()
    const run = yield* Client.start(Chain, { id: "long", payload: steps })
    yield* run.result
    const seconds = (performance.now() - started) / 1_000
    const [first, last] = [median(costs(0, ends)), median(costs(times.length - ends, times.length))]
    yield* Effect.sync(() =>
      console.table([{
        "journal": name,
        "steps": times.length,
        "seconds": seconds.toFixed(1),
        "µs per step, first 1,000": first.toFixed(0),
        "last 1,000": last.toFixed(0),
        "ratio": (last / first).toFixed(2)
      }])
    )
    return yield* History.read("long")
  })

const fan = Effect.gen(function*() {
  const run = yield* Client.start(Fan, { id: "fan", payload: atOnce })
  yield* run.result
  return yield* History.read("fan")
})

const replays = (name: string, history: History.History) =>
  Effect.gen(function*() {
    const micros: Array<number> = []
    for (let i = 0; i < 3; i++) {
      const started = performance.now()
      yield* Effect.flatMap(Replay.registered(history), Replay.orFail)
      micros.push((performance.now() - started) * 1_000 / history.events.length)
    }
    return {
      "history": name,
      "events": history.events.length,
      "replay, µs per event": micros.map((each) => each.toFixed(2)).join(", ")
    }
  }).pipe(Effect.provide(Layer.provideMerge(WorkflowsLive, Replay.layer)))

/** Fibers that wait for a callback, with no workflow around them. */
const bareFibers = (events: number) =>
  Effect.gen(function*() {
    const micros: Array<number> = []
    for (let i = 0; i < 3; i++) {
      const started = performance.now()
      const resumes: Array<() => void> = []
      const fiber = yield* Effect.fork(
        Effect.forEach(Array.from({ length: atOnce }, (_, i) => i), (i) =>
          Effect.async<number>((resume) => {
            resumes.push(() => resume(Effect.succeed(i)))
            return Effect.void
          }), { concurrency: "unbounded" })
      )
      while (resumes.length < atOnce) yield* Effect.yieldNow()
      for (const resume of resumes) resume()
      yield* Fiber.join(fiber)
      micros.push((performance.now() - started) * 1_000 / events)
    }
    return {
      "history": "bare fibers at once",
      events,
      "replay, µs per event": micros.map((each) => each.toFixed(2)).join(", ")
    }
  })

const engine = Layer.merge(WorkflowsLive, StepLive).pipe(Layer.provideMerge(Engine.layer()))

const sqlite = Layer.unwrapScoped(Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-bench-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  return Journal.layerSql().pipe(Layer.provide(SqliteClient.layer({ filename: join(folder, "journal.db") })))
}))

await Effect.gen(function*() {
  const [long, wide] = yield* Effect.all([lived("memory"), fan]).pipe(
    Effect.provide(Layer.provideMerge(engine, Journal.layerMemory))
  )
  const rows = [
    yield* replays("one after another", long),
    yield* replays("all at once", wide),
    yield* bareFibers(wide.events.length)
  ]
  yield* Effect.sync(() => console.table(rows))
  yield* lived("SQLite").pipe(Effect.provide(Layer.provideMerge(engine, sqlite)))
  yield* Console.log("")
}).pipe(Effect.runPromise)
