import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, TestClock } from "effect"
import { CircuitBreaker } from "holdfast/Circuit"
import { Leaks, Recorder } from "holdfast/Testing"

describe("Leaks", () => {
  it.effect("a daemon that runs on is a leak, one that ends is none", () =>
    Effect.gen(function*() {
      const leak = yield* Effect.flip(Leaks.check(Effect.forkDaemon(Effect.never)))
      assert.instanceOf(leak, Leaks.FibersLeaked)
      assert.match(leak.message, /^1 fiber has not ended: #\d+$/)
      yield* Leaks.check(Effect.forkDaemon(Effect.yieldNow()))
    }))

  it.effect("children end with the effect that started them", () =>
    Leaks.check(Effect.zipRight(Effect.fork(Effect.never), Effect.succeed(1))))

  it.effect("a failure comes out as it is", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.exit(Leaks.check(Effect.fail("x"))), Exit.fail("x"))
    }))
})

describe("Recorder", () => {
  it.scoped("it keeps what a queue gives out, in order", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1 })
      const transitions = yield* Recorder.fromDequeue(yield* breaker.changes)
      yield* Effect.exit(Effect.fail("x").pipe(CircuitBreaker.protect(breaker)))
      yield* breaker.reset
      yield* TestClock.adjust(0)
      assert.deepStrictEqual((yield* transitions.takeAll).map(({ from, to }) => [from, to]), [
        ["Closed", "Open"],
        ["Open", "Closed"]
      ])
      assert.deepStrictEqual(yield* transitions.values, [])
    }))
})
