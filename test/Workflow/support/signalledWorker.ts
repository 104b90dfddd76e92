/**
 * A worker that ends in order when the operating system asks it to.
 *
 *   node --import tsx test/Workflow/support/signalledWorker.ts JOURNAL
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Fiber, Layer, Schema } from "effect"
import { Activity, Engine, Journal, Workflow } from "holdfast/Workflow"

export const Slow = Activity.make("Slow", { payload: Schema.Number, success: Schema.Number })
export const Long = Workflow.make("Long", { payload: Schema.Number, success: Schema.Number })

/** Two steps; the first takes as long as its payload says. */
export const LongLive = Long.toLayer((millis) =>
  Effect.flatMap(Slow.execute(millis), (first) => Effect.zipRight(Effect.sleep("1 hour"), Slow.execute(first)))
)

export const SlowLive = (said: (line: string) => void) =>
  Slow.toLayer((millis) =>
    Effect.gen(function*() {
      said("started")
      yield* Effect.sleep(millis)
      said("done")
      return millis
    })
  )

const [file] = process.argv.slice(2)

if (file !== undefined && process.argv[1]?.endsWith("signalledWorker.ts")) {
  const live = Layer.mergeAll(LongLive, SlowLive((line) => process.stdout.write(`${line}\n`))).pipe(
    Layer.provide(Engine.layer({ gracePeriod: "10 seconds" })),
    Layer.provide(Journal.layerSql({ pollInterval: "20 millis" })),
    Layer.provide(SqliteClient.layer({ filename: file }))
  )
  const fiber = Effect.runFork(Layer.launch(live))
  process.once("SIGTERM", () => Effect.runFork(Fiber.interrupt(fiber)))
  fiber.addObserver(() => process.stdout.write("ended\n"))
}
