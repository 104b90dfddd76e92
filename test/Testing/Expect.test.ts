import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { Bulkhead, CircuitBreaker } from "holdfast/Circuit"
import { Expect } from "holdfast/Testing"

describe("Expect", () => {
  it.effect("the state of a breaker, as it would answer now", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1, openFor: "1 second" })
      yield* Expect.breaker(breaker, "Closed")
      yield* Effect.ignore(Effect.fail("down").pipe(CircuitBreaker.protect(breaker)))
      yield* Expect.breaker(breaker, "Open")
      const error = yield* Effect.flip(Expect.breaker(breaker, "Closed"))
      assert.strictEqual(error.message, "circuit breaker \"b\": expected Closed, found Open")
      yield* TestClock.adjust("1 second")
      yield* Expect.breaker(breaker, "HalfOpen")
    }))

  it.effect("a bulkhead with nobody in it", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "b", capacity: 1, queue: 1 })
      yield* Expect.idle(bulkhead)
      const calls = yield* Effect.fork(
        Effect.all([Effect.never, Effect.never].map(Bulkhead.protect(bulkhead)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(Expect.idle(bulkhead))
      assert.strictEqual(error.message, "bulkhead \"b\": expected nobody in it, found 1 in use, 1 waiting")
      yield* Fiber.interrupt(calls)
      yield* Expect.idle(bulkhead)
    }))

  it.effect("what a call gives back, and what it keeps", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "b" })
      const call = Effect.fail("down").pipe(Bulkhead.protect(bulkhead))
      assert.deepStrictEqual(yield* Effect.exit(Expect.unchanged(call, [bulkhead])), Exit.fail("down"))
      const kept = yield* Effect.flip(Expect.unchanged(Effect.asVoid(bulkhead.reserve), [Deferred, bulkhead]))
      assert.instanceOf(kept, Expect.UnexpectedState)
      assert.include(kept.message, "value 1")
    }))
})
