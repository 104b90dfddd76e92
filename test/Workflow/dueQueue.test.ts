import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, TestClock, TestContext } from "effect"
import * as fc from "effect/FastCheck"
import { DueQueue } from "../../src/Workflow/internal/journal/dueQueue.js"

/** Adds and cancellations, by a small number of keys, so that they meet. */
const operation = fc.record({ key: fc.nat(30), at: fc.nat(100), cancel: fc.boolean() })

describe("what is due when", () => {
  it.effect("comes in the order of its times, as in a sorted list, without what was cancelled or replaced (D2.11, D6.9, W-49)", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 300 }), (operations) =>
          Effect.gen(function*() {
            const fired: Array<string> = []
            const queue = yield* DueQueue.make<string>((item) => fired.push(item))
            const model = new Map<number, { readonly at: number; readonly order: number; readonly item: string }>()
            operations.forEach(({ at, cancel, key }, order) => {
              if (cancel) {
                queue.cancel(String(key))
                model.delete(key)
              } else {
                const item = `${key}@${at}#${order}`
                queue.add(String(key), at, item)
                model.set(key, { at, order, item })
              }
            })
            yield* TestClock.adjust(100)
            assert.deepStrictEqual(
              fired,
              [...model.values()].sort((a, b) => a.at - b.at || a.order - b.order).map(({ item }) => item)
            )
          }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext), Effect.runPromise)),
        { numRuns: 100 }
      )
    ))

  it.scoped("comes in that order too where who is told looks at the clock again (D6.9)", () =>
    Effect.gen(function*() {
      const fired: Array<string> = []
      const queue: DueQueue<string> = yield* DueQueue.make<string>((item) => {
        fired.push(item)
        // It takes a while, in which others become due.
        queue.catchUp(100)
      })
      for (let at = 0; at < 50; at++) queue.add(`${at}`, at, `${at}`)
      queue.catchUp(20)
      assert.deepStrictEqual(fired, Array.from({ length: 50 }, (_, at) => `${at}`))
    }))

  it.scoped("comes though it is less than a millisecond away", () =>
    Effect.gen(function*() {
      const fired: Array<string> = []
      const queue = yield* DueQueue.make<string>((item) => fired.push(item))
      yield* TestClock.setTime(1_128_299.66667)
      queue.add("key", 1_128_299.6666700002, "item")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fired, ["item"])
    }))

  it.effect("is waited for in steps that a timer of the platform can take (D3.2)", () =>
    Effect.gen(function*() {
      const slept: Array<number> = []
      const live = Clock.make()
      const clock: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => 0,
        unsafeCurrentTimeNanos: () => 0n,
        currentTimeMillis: Effect.succeed(0),
        currentTimeNanos: live.currentTimeNanos,
        sleep: (duration) => Effect.zipRight(Effect.sync(() => slept.push(Duration.toMillis(duration))), Effect.never)
      }
      yield* Effect.gen(function*() {
        const queue = yield* DueQueue.make<string>(() => {})
        queue.add("far", 60 * 86_400_000, "far")
        yield* Effect.yieldNow()
        yield* Effect.yieldNow()
      }).pipe(Effect.scoped, Effect.withClock(clock))
      assert.isAbove(slept.length, 0)
      for (const millis of slept) assert.isBelow(millis, 2 ** 31)
    }))
})
