/**
 * A first durable workflow, on an SQLite file:
 *
 *   npx tsx examples/hello-workflow.ts
 *
 * Each step is in the journal before the next one begins. Had the process died in between, another one on the same file
 * would go on where this one stopped, and the sleep would still end at the same time. See examples/orders for that.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"

// A step that touches the world is an activity.
const Say = Activity.make("Say", { payload: Schema.String })
const SayLive = Say.toLayer((text) => Console.log(text))

// A workflow is an ordinary Effect that puts steps together; its sleeps are durable.
const Greet = Workflow.make("Greet", { payload: Schema.String, success: Schema.String })
const GreetLive = Greet.toLayer((name) =>
  Effect.gen(function*() {
    yield* Say.execute(`Hello, ${name}.`)
    yield* Effect.sleep("300 millis")
    yield* Say.execute(`Goodbye, ${name}.`)
    return `${name} was greeted`
  })
)

const JournalLive = Layer.unwrapScoped(Effect.gen(function*() {
  const folder = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())
  return Journal.layerSql().pipe(Layer.provide(SqliteClient.layer({ filename: `${folder}/hello.db` })))
}))

const Live = Layer.mergeAll(GreetLive, SayLive).pipe(
  Layer.provideMerge(Engine.layer()),
  Layer.provide(JournalLive),
  Layer.provide(NodeContext.layer)
)

const program = Effect.gen(function*() {
  // Starting again with the same id gives the same run.
  const run = yield* Client.start(Greet, { id: "greet-ada", payload: "Ada" })
  yield* Console.log(`The result: ${yield* run.result}`)
})

// @effect-diagnostics-next-line strictEffectProvide:off
NodeRuntime.runMain(Effect.provide(program, Live))
