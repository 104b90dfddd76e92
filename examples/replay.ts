/**
 * Does today's code still fit yesterday's runs?
 *
 *   npx tsx examples/replay.ts
 *
 * examples/histories holds what runs of a greeting lived. In continuous integration the code is replayed over them: as it
 * is, it fits; with a step that somebody has put in between, the replay names the first difference. The exit code is 0
 * when both come out so.
 *
 *   npx tsx examples/replay.ts --export
 *
 * lives the runs anew and writes their histories, as it would be done where the journal is.
 */
import { Path } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import {
  Activity,
  Client,
  Engine,
  History,
  Journal,
  Replay,
  type Run,
  Workflow,
  type WorkflowError
} from "holdfast/Workflow"

const Say = Activity.make("Say", { payload: Schema.String })
const SayLive = Say.toLayer((text) => Console.log(text))

const Greet = Workflow.make("Greet", { payload: Schema.String, success: Schema.String })

type Body = (name: string) => Effect.Effect<string, WorkflowError.ActivityError, Run.Run>

const greet: Body = (name) =>
  Effect.gen(function*() {
    yield* Say.execute(`Hello, ${name}.`)
    yield* Effect.sleep("300 millis")
    yield* Say.execute(`Goodbye, ${name}.`)
    return `${name} was greeted`
  })

/** The same with one more step. Runs that are under way would be blocked by it. */
const changed: Body = (name) =>
  Effect.gen(function*() {
    yield* Say.execute(`Hello, ${name}.`)
    yield* Say.execute("How are you?")
    yield* Effect.sleep("300 millis")
    yield* Say.execute(`Goodbye, ${name}.`)
    return `${name} was greeted`
  })

const histories = Effect.flatMap(Path.Path, (path) => path.fromFileUrl(new URL("histories", import.meta.url)))

// The layers that an engine would run, on Replay.layer instead of Engine.layer.
const verified = (body: Body) =>
  Effect.flatMap(histories, (folder) => Replay.verifyFolder(folder)).pipe(
    // @effect-diagnostics-next-line strictEffectProvide:off
    Effect.provide(Layer.provideMerge(Layer.merge(Greet.toLayer(body), SayLive), Replay.layer))
  )

const check = Effect.gen(function*() {
  const results = yield* verified(greet)
  yield* Console.log(`The code fits ${results.length} histories.\n`)
  const error = yield* Effect.flip(verified(changed))
  yield* Console.log(`With a change, ${error.message}`)
})

const exported = Effect.gen(function*() {
  const ids = ["greet-ada", "greet-grace"]
  for (const id of ids) yield* (yield* Client.start(Greet, { id, payload: id.slice(6) })).result
  const folder = yield* histories
  for (const file of yield* History.write(ids, folder)) yield* Console.log(`wrote ${file}`)
}).pipe(
  // @effect-diagnostics-next-line strictEffectProvide:off
  Effect.provide(
    Layer.merge(Greet.toLayer(greet), SayLive).pipe(
      Layer.provideMerge(Engine.layer()),
      Layer.provideMerge(Journal.layerMemory)
    )
  )
)

const program = Effect.if(process.argv.includes("--export"), { onTrue: () => exported, onFalse: () => check })

// @effect-diagnostics-next-line strictEffectProvide:off
NodeRuntime.runMain(Effect.provide(program, NodeContext.layer))
