import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Data, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Chaos, Fallback } from "holdfast/Call"
import type { Combinator } from "holdfast/Combinator"
import { InvalidOptions } from "../../src/InvalidOptions.js"

class Trouble extends Data.TaggedError("Trouble") {}

const on = Effect.provideService(Chaos.Enabled, true)

/** How many of 1,000 calls do what a predicate tells. */
const count = <A, E>(call: Effect.Effect<A, E>, is: (exit: Exit.Exit<A, E>) => boolean) =>
  Effect.map(Effect.all(Array.from({ length: 1_000 }, () => Effect.exit(call))), (exits) => exits.filter(is).length)

describe("Chaos", () => {
  it.effect("it is off unless it is enabled, by the reference or the layer (R1)", () =>
    Effect.gen(function*() {
      const always = { probability: 1 }
      let ran = false
      const call = Effect.succeed("own").pipe(
        Chaos.fault({ ...always, error: () => new Trouble() }),
        Chaos.outcome({ ...always, value: () => "other" }),
        Chaos.behaviour({ ...always, run: Effect.sync(() => ran = true) }),
        Chaos.latency({ ...always, delay: "1 hour" })
      )
      assert.deepStrictEqual([yield* call, ran], ["own", false])
      const fault = Effect.succeed("own").pipe(Chaos.fault({ ...always, error: () => new Trouble() }))
      assert.instanceOf(yield* Effect.flip(on(fault)), Trouble)
      assert.instanceOf(yield* Effect.flip(Effect.provide(fault, Chaos.layer)), Trouble)
    }))

  it.effect("the share of calls is the probability, and a seed repeats it (R24)", () =>
    Effect.gen(function*() {
      const call = Effect.succeed("own").pipe(Chaos.fault({ probability: 0.3, error: () => new Trouble() }), on)
      const seeded = () => Effect.withRandom(count(call, Exit.isFailure), Random.make("seed"))
      const failures = yield* seeded()
      assert.closeTo(failures, 300, 60)
      assert.strictEqual(yield* seeded(), failures)
      const never = Effect.succeed("own").pipe(Chaos.fault({ probability: 0, error: () => new Trouble() }), on)
      assert.strictEqual(yield* count(never, Exit.isFailure), 0)
    }))

  it.effect("latency: the call runs later, by a fixed time or one drawn from a span", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Effect.succeed("own").pipe(Chaos.latency({ probability: 1, delay: "1 second" }), on)
      )
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "own")
      const spread = Effect.succeed("own").pipe(Chaos.latency({ probability: 1, delay: 1_000, from: 500 }), on)
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () => Effect.fork(spread))
      const done = () => fibers.filter((fiber) => fiber.unsafePoll() !== null).length
      yield* TestClock.adjust("499 millis")
      assert.strictEqual(done(), 0)
      yield* TestClock.adjust("501 millis")
      assert.strictEqual(done(), 8)
    }))

  it.effect("fault and outcome come in place of the call, behaviour before it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const call = Effect.sync(() => log.push("call"))
      const always = { probability: 1 }
      yield* Effect.exit(on(call.pipe(Chaos.fault({ ...always, error: () => new Trouble() }))))
      assert.strictEqual(yield* on(call.pipe(Chaos.outcome({ ...always, value: () => "other" }))), "other")
      assert.deepStrictEqual(log, [])
      yield* on(call.pipe(Chaos.behaviour({ ...always, run: Effect.sync(() => log.push("behaviour")) })))
      assert.deepStrictEqual(log, ["behaviour", "call"])
      assert.instanceOf(yield* Effect.flip(on(call.pipe(Chaos.behaviour({ ...always, run: new Trouble() })))), Trouble)
      assert.lengthOf(log, 2)
    }))

  it("impossible options are refused; it describes itself; its types stay exact (R10, R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Call/Chaos.test/Dependency")<Dependency, number>() {}
    for (const probability of [-0.1, 1.1, NaN]) {
      assert.throws(() => Chaos.outcome({ probability, value: () => 1 }), InvalidOptions)
    }
    assert.throws(() => Chaos.latency({ probability: 1, delay: -1 }), InvalidOptions)
    assert.throws(() => Chaos.latency({ probability: 1, delay: 1, from: 2 }), InvalidOptions)
    assert.deepStrictEqual(Chaos.latency({ probability: 0.5, delay: "1 second" }).descriptions, [
      { policy: "Chaos", settings: { kind: "latency", probability: 0.5, fromMillis: 1_000, delayMillis: 1_000 } }
    ])
    expectTypeOf(Chaos.latency({ probability: 1, delay: 1 })).toEqualTypeOf<Combinator>()
    expectTypeOf(Chaos.fault({ probability: 1, error: () => new Trouble() })).toEqualTypeOf<Combinator<Trouble>>()
    expectTypeOf(Chaos.outcome({ probability: 1, value: () => 5 })).toEqualTypeOf<
      Combinator<never, never, never, number>
    >()
    expectTypeOf(Chaos.behaviour({ probability: 1, run: Dependency })).toEqualTypeOf<Combinator<never, Dependency>>()
    const call = Effect.succeed("").pipe(Chaos.fault({ probability: 1, error: () => new Trouble() }), Fallback.to(5))
    expectTypeOf(call).toEqualTypeOf<Effect.Effect<string | number>>()
  })
})
