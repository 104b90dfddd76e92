import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Context, Data, Effect, ExecutionPlan, Exit, Fiber, Layer, Schedule, TestClock } from "effect"
import { Plan } from "holdfast/Call"
import { Backoff } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

class Model extends Context.Tag("holdfast/test/Call/Plan.test/Model")<Model, string>() {}
class Other extends Context.Tag("holdfast/test/Call/Plan.test/Other")<Other, string>() {}
class Busy extends Data.TaggedError("Busy")<{ readonly final?: boolean }> {}
class Broken extends Data.TaggedError("Broken") {}

const large = Layer.succeed(Model, "large")
const small = Layer.succeed(Model, "small")
const doubling = Backoff.exponential("1 second")

/** A call that fails so often, with a log of the models and the times. */
const failing = (failures: number, error = new Busy({})) => {
  const log: Array<readonly [model: string, at: number]> = []
  const call: Effect.Effect<string, Busy, Model> = Effect.gen(function*() {
    const model = yield* Model
    log.push([model, yield* Clock.currentTimeMillis])
    return log.length > failures ? model : yield* error
  })
  return { call, log }
}

const ended = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.await(fiber)
  })

describe("Plan", () => {
  const plan = Plan.make([
    { provide: large, retries: 2, backoff: doubling },
    { provide: small, retries: 1, backoff: doubling }
  ])

  it.effect("each step makes its first attempt at once, and its backoff comes before its retries (R14)", () =>
    Effect.gen(function*() {
      const { call, log } = failing(9)
      assert.deepStrictEqual(yield* ended(call.pipe(Plan.use(plan))), Exit.fail(new Busy({})))
      assert.deepStrictEqual(log, [["large", 0], ["large", 1_000], ["large", 3_000], ["small", 3_000], [
        "small",
        4_000
      ]])
    }))

  it.effect("the first step that succeeds ends it (R136)", () =>
    Effect.gen(function*() {
      const { call, log } = failing(3)
      assert.deepStrictEqual(yield* ended(Plan.use(call, plan)), Exit.succeed("small"))
      assert.lengthOf(log, 4)
      const once = failing(1)
      assert.deepStrictEqual(
        yield* ended(once.call.pipe(Plan.use(Plan.make([{ provide: large }, { provide: small }])))),
        Exit.succeed("small")
      )
      assert.deepStrictEqual(once.log.map(([model]) => model), ["large", "small"])
      assert.strictEqual(once.log[0]![1], once.log[1]![1])
    }))

  it.effect("an error that is not worth a retry goes to the next step, which is entered all the same (R12)", () =>
    Effect.gen(function*() {
      const step = { retries: 5, backoff: doubling, while: (error: Busy) => error.final !== true }
      const { call, log } = failing(9, new Busy({ final: true }))
      yield* ended(call.pipe(Plan.use(Plan.make([{ provide: large, ...step }, { provide: small, ...step }]))))
      assert.deepStrictEqual(log, [["large", 0], ["small", 0]])
    }))

  it.effect("any plan of Effect can be used (R31)", () =>
    Effect.gen(function*() {
      const made = ExecutionPlan.make({ provide: large, attempts: 2, schedule: Schedule.spaced("1 second") })
      const { call, log } = failing(1)
      assert.deepStrictEqual(yield* ended(call.pipe(Plan.use(made))), Exit.succeed("large"))
      assert.deepStrictEqual(log, [["large", 0], ["large", 1_000]])
      assert.deepStrictEqual(Plan.use(made).descriptions, [{
        policy: "Plan",
        settings: { steps: [{ attempts: 2, hasSchedule: true, hasWhile: false }] }
      }])
      // And a plan of ours by Effect.
      assert.deepStrictEqual(yield* ended(Effect.withExecutionPlan(failing(3).call, plan)), Exit.succeed("small"))
    }))

  it("options that can never work are refused (R10, R11)", () => {
    assert.throws(() => Plan.make([{ provide: large, retries: -1 }]), InvalidOptions)
    assert.throws(() => Plan.make([{ provide: large, retries: 1 }]), InvalidOptions)
    // @ts-expect-error this is no plan
    assert.throws(() => Plan.use({}), InvalidOptions)
  })

  it("its types: the requirement that is provided is gone, those of the layers are added (R31)", () => {
    const needy: Layer.Layer<Model, Broken, Other> = Layer.effect(Model, Effect.zipRight(Other, new Broken()))
    const made = Plan.make([{ provide: needy, retries: 1, backoff: doubling }, { provide: small }])
    const { call } = failing(0)
    expectTypeOf(call.pipe(Plan.use(made))).toEqualTypeOf<Effect.Effect<string, Busy | Broken, Other>>()
    expectTypeOf(Plan.use(call, made)).toEqualTypeOf<Effect.Effect<string, Busy | Broken, Other>>()
    const picky = Plan.make([{
      provide: small,
      retries: 1,
      backoff: doubling,
      while: (error: Busy) => error.final === true
    }])
    expectTypeOf(call.pipe(Plan.use(picky))).toEqualTypeOf<Effect.Effect<string, Busy>>()
    // @ts-expect-error its predicate takes other errors
    assert.isTrue(Effect.isEffect(Effect.fail("x").pipe(Plan.use(picky))))
  })
})
