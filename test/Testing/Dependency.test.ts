import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, TestClock } from "effect"
import { Dependency } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"

describe("Dependency", () => {
  it.effect("a script gives its responses one by one, each after its time", () =>
    Effect.gen(function*() {
      const dependency = yield* Dependency.script([
        Dependency.succeed("a", { after: "2 seconds" }),
        Dependency.fail("b"),
        Dependency.die("c"),
        Dependency.hang
      ])
      const fiber = yield* Effect.fork(
        Effect.all([dependency.call, Effect.exit(dependency.call), Effect.exit(dependency.call)])
      )
      yield* TestClock.adjust("1999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a", Exit.fail("b"), Exit.die("c")])
      const hanging = yield* Effect.fork(dependency.call)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* dependency.inFlight, 1)
      yield* Fiber.interrupt(hanging)
      assert.deepStrictEqual(yield* dependency.calls, [
        { startedAt: 0, endedAt: 2_000, outcome: "succeeded" },
        { startedAt: 2_000, endedAt: 2_000, outcome: "failed" },
        { startedAt: 2_000, endedAt: 2_000, outcome: "failed" },
        { startedAt: 2_000, endedAt: 86_402_000, outcome: "interrupted" }
      ])
    }))

  it.effect("when the script is over, calls die, repeat the last response, or begin again", () =>
    Effect.gen(function*() {
      const responses = [Dependency.succeed(1), Dependency.succeed(2)]
      const five = (dependency: Dependency.Dependency<number, never>) =>
        Effect.all(Array.from({ length: 5 }, () => dependency.call))
      const last = yield* Dependency.script(responses, { afterwards: "last" })
      assert.deepStrictEqual(yield* five(last), [1, 2, 2, 2, 2])
      const cycle = yield* Dependency.script(responses, { afterwards: "cycle" })
      assert.deepStrictEqual(yield* five(cycle), [1, 2, 1, 2, 1])
      const exit = yield* Effect.exit(five(yield* Dependency.script(responses)))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Dependency.ScriptEnded)
      const empty = yield* Effect.exit(Dependency.script([], { afterwards: "last" }))
      assert.isTrue(Exit.isFailure(empty) && Cause.squash(empty.cause) instanceof InvalidOptions)
    }))

  it.effect("the most calls at a time are counted", () =>
    Effect.gen(function*() {
      const dependency = yield* Dependency.script([Dependency.succeed(1, { after: "1 second" })], {
        afterwards: "last"
      })
      const fiber = yield* Effect.fork(
        Effect.all(Array.from({ length: 7 }, () => dependency.call), { concurrency: 3 })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* dependency.maxInFlight, 3)
      assert.strictEqual(yield* dependency.inFlight, 0)
    }))

  it.effect("a seed draws the same latencies and outcomes again, within their bounds", () =>
    Effect.gen(function*() {
      const drawn = (seed: number) =>
        Effect.gen(function*() {
          const dependency = yield* Dependency.random({
            seed,
            latency: ["10 millis", "20 millis"],
            failureRate: 0.5,
            succeed: (call) => call,
            fail: (call) => `failure ${call}`
          })
          const exits = yield* Effect.fork(
            Effect.all(Array.from({ length: 40 }, () => Effect.exit(dependency.call)), { concurrency: "unbounded" })
          )
          yield* TestClock.adjust("20 millis")
          const calls = yield* dependency.calls
          return { exits: yield* Fiber.join(exits), lengths: calls.map((call) => call.endedAt! - call.startedAt) }
        })
      const [first, again, other] = yield* Effect.all([drawn(1), drawn(1), drawn(2)])
      assert.deepStrictEqual(first, again)
      assert.notDeepEqual(first.exits, other.exits)
      const failures = first.exits.filter(Exit.isFailure).length
      assert.isTrue(failures > 8 && failures < 32)
      assert.isTrue(first.lengths.every((length) => length >= 10 && length <= 20))
      assert.isAbove(new Set(first.lengths).size, 3)
    }))

  it.effect("rates that are none are refused", () =>
    Effect.gen(function*() {
      for (const rate of [-0.1, 1.1, NaN]) {
        const exit = yield* Effect.exit(Dependency.random({ seed: 1, hangRate: rate, succeed: () => 1 }))
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
    }))
})
