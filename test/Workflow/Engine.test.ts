import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, TestClock } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"

const Double = Activity.make("Double", { payload: Schema.Number, success: Schema.Number })
const DoubleLive = Double.toLayer((n) => Effect.succeed(n * 2))

const Sum = Workflow.make("Sum", { payload: Schema.Number, success: Schema.Number })
const SumLive = Sum.toLayer((n) =>
  Effect.gen(function*() {
    const a = yield* Double.execute(n)
    yield* Effect.sleep("60 days")
    const b = yield* Double.execute(a)
    return a + b
  })
)

const Live = Layer.mergeAll(SumLive, DoubleLive).pipe(
  Layer.provideMerge(Engine.layer()),
  Layer.provide(Journal.layerMemory)
)

describe("Engine", () => {
  it.effect("runs a workflow of activities and a long sleep", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Sum, { id: "one", payload: 3 })
      const fiber = yield* Effect.fork(run.result)
      yield* TestClock.adjust("59 days")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 days")
      assert.strictEqual(yield* Fiber.join(fiber), 18)
    }).pipe(Effect.provide(Live)))
})
