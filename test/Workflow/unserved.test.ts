/** The layer that was forgotten, and the queue that nobody serves. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import { SharedClock } from "../../src/Workflow/internal/journal/sharedClock.js"
import * as journals from "./support/journals.js"
import { adjust } from "./support/settling.js"

const Ship = Activity.make("Ship")
const Render = Activity.make("Render", { queue: "gpu" })
const Order = Workflow.make("Order")
const Film = Workflow.make("Film")

const OrderLive = Order.toLayer(() => Effect.orDie(Ship.execute()))
const FilmLive = Film.toLayer(() => Effect.orDie(Render.execute()))

/** Engines log to `lines`, and leases go by the clock of the test. */
const observed = <A, E, R>(
  journal: Layer.Layer<Journal.Journal>,
  test: (world: {
    readonly lines: ReadonlyArray<string>
    readonly engine: <R>(
      live: Layer.Layer<never, never, Engine.Engine | R>,
      options?: Engine.Options
    ) => Layer.Layer<Engine.Engine, never, Journal.Journal | Exclude<R, Engine.Engine | Client.Client>>
  }) => Effect.Effect<A, E, R>
) => {
  const lines: Array<string> = []
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))
  )
  const engine = <R>(live: Layer.Layer<never, never, Engine.Engine | R>, options?: Engine.Options) =>
    Layer.fresh(Layer.provideMerge(live, Engine.layer({ lease: "3 seconds", ...options }))).pipe(
      Layer.provide(logger),
      Layer.orDie
    )
  return Effect.flatMap(Effect.clock, (clock) =>
    test({ lines, engine }).pipe(
      Effect.provide(Layer.provideMerge(Client.layer, journal)),
      Effect.provideService(SharedClock, clock)
    ))
}

const unservedOf = (id: string) => Effect.map(Client.describe(id), ({ unserved }) => unserved)

/** Long enough for what waits to be found twice. */
const aWhile = Effect.repeatN(Effect.zipRight(adjust("1 second"), Effect.yieldNow()), 20)

for (const [name, journal] of journals.all) {
  describe(`what nobody has the code of, on ${name}`, () => {
    it.scoped("an activity without a handler is told of once, and once more when it has one", () =>
      observed(journal, ({ engine, lines }) =>
        Effect.gen(function*() {
          const context = yield* Layer.build(engine(OrderLive))
          const runs = yield* Effect.forEach(["a", "b"], (id) => Client.start(Order, { id }))
          yield* adjust(0)
          assert.deepStrictEqual(lines, [])
          yield* aWhile
          assert.deepStrictEqual(lines, [
            "WARN holdfast: 2 calls of activity Ship wait, and the worker has no handler for it: " +
            "provide the layer of Ship.toLayer(…) to the engine of the workflow"
          ])
          assert.deepStrictEqual(yield* unservedOf("a"), [{ _tag: "Activity", activity: "Ship" }])
          yield* Layer.build(Layer.provide(Ship.toLayer(() => Effect.void), Layer.succeedContext(context)))
          yield* Effect.forEach(runs, (run) => run.result)
          yield* aWhile
          assert.deepStrictEqual(lines.slice(1), ["INFO holdfast: nothing waits in vain for activity Ship any more"])
          assert.deepStrictEqual(yield* unservedOf("a"), [])
        })))

    it.scoped("a workflow without code is told of, and its queue by another engine", () =>
      observed(journal, ({ engine, lines }) =>
        Effect.gen(function*() {
          yield* Layer.build(engine(OrderLive))
          const run = yield* Client.start(Film, { id: "film" })
          yield* aWhile
          assert.deepStrictEqual(lines, [
            "WARN holdfast: 1 run of workflow Film waits, and no live worker has its code: " +
            "provide the layer of Film.toLayer(…) to an engine"
          ])
          assert.deepStrictEqual(yield* unservedOf("film"), [{ _tag: "Workflow", workflow: "Film" }])

          yield* Layer.build(engine(FilmLive))
          yield* aWhile
          assert.include(lines, "INFO holdfast: nothing waits in vain for workflow Film any more")
          const inVain = lines.filter((line) => line.includes("in queue"))
          assert.deepStrictEqual([...new Set(inVain)], [
            "WARN holdfast: 1 call of activity Render waits in queue \"gpu\", and no live worker serves this queue: " +
            "name it in the `queues` of an engine with the layer of Render.toLayer(…)"
          ])
          assert.lengthOf(inVain, 2)
          const waits = { _tag: "Queue", queue: "gpu", activity: "Render" } as const
          assert.deepStrictEqual(yield* unservedOf("film"), [{ ...waits, served: false }])

          const gpu = yield* Layer.build(engine(Layer.empty, { queues: { gpu: {} } }))
          yield* aWhile
          assert.isTrue(lines.some((line) => line.includes("no live worker that serves it has a handler")))
          assert.deepStrictEqual(yield* unservedOf("film"), [{ ...waits, served: true }])

          yield* Layer.build(Layer.provide(Render.toLayer(() => Effect.void), Layer.succeedContext(gpu)))
          yield* run.result
          yield* aWhile
          assert.include(lines, "INFO holdfast: nothing waits in vain for activity Render in queue \"gpu\" any more")
        })))

    it.scoped("what is served in a moment is no notifications", () =>
      observed(journal, ({ engine, lines }) =>
        Effect.gen(function*() {
          const context = yield* Layer.build(engine(OrderLive))
          const run = yield* Client.start(Order, { id: "order" })
          yield* adjust("1 second")
          yield* Layer.build(Layer.provide(Ship.toLayer(() => Effect.void), Layer.succeedContext(context)))
          yield* run.result
          yield* aWhile
          assert.deepStrictEqual(lines, [])
        })))
  })
}
