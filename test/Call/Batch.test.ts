import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Batch } from "holdfast/Call"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"

/** A batch of numbers that are doubled, with a log of the items and times of its runs. */
const doubling = (size: number, options?: { readonly takes?: number; readonly stopped?: () => void }) =>
  Effect.gen(function*() {
    const runs: Array<readonly [at: number, items: ReadonlyArray<number>]> = []
    const batch = yield* Batch.make({
      key: "numbers",
      size,
      window: "1 second",
      run: (items: ReadonlyArray<number>) =>
        Effect.gen(function*() {
          runs.push([yield* Effect.clockWith((clock) => clock.currentTimeMillis), items])
          yield* Effect.sleep(options?.takes ?? 0)
          return items.map((item) => item * 2)
        }).pipe(Effect.onInterrupt(() => Effect.sync(() => options?.stopped?.())))
    })
    return { batch, runs }
  })

describe("Batch", () => {
  it.effect("it is run when it is full, or when its window is over, whichever comes first (R144)", () =>
    Effect.gen(function*() {
      const { batch, runs } = yield* doubling(3)
      const submit = (item: number) => Effect.fork(batch.submit(item))
      const full = yield* Effect.forEach([1, 2, 3], submit)
      yield* Effect.yieldNow()
      assert.deepStrictEqual(runs, [[0, [1, 2, 3]]])
      yield* TestClock.adjust("500 millis")
      const first = yield* submit(4)
      yield* TestClock.adjust("999 millis")
      const second = yield* submit(5)
      assert.lengthOf(runs, 1)
      assert.strictEqual((yield* batch.snapshot).waiting, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(runs[1], [1_500, [4, 5]])
      // Each caller gets its own result.
      assert.deepStrictEqual(yield* Effect.forEach([...full, first, second], Fiber.join), [2, 4, 6, 8, 10])
      assert.deepStrictEqual(yield* batch.snapshot, { waiting: 0, batches: 2 })
    }))

  it.effect("a window begins with the first item, and the window of a full batch is over (R144)", () =>
    Effect.gen(function*() {
      const { batch, runs } = yield* doubling(2)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.forEach([1, 2, 3], (item) => Effect.fork(batch.submit(item)))
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(runs, [[5_000, [1, 2]]])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(runs[1], [6_000, [3]])
    }))

  it.effect("a batch that fails fails only its members (R144)", () =>
    Effect.gen(function*() {
      const cause = Cause.parallel(Cause.fail("x"), Cause.die("bug"))
      const batch = yield* Batch.make({
        key: "a",
        size: 2,
        window: 1,
        run: (items: ReadonlyArray<number>) =>
          items.includes(0) ? Effect.failCause(cause) : Effect.succeed(items.map((item) => item * 2))
      })
      const exits = yield* Effect.forEach([1, 0, 3, 4], (item) => Effect.exit(batch.submit(item)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits, [Exit.failCause(cause), Exit.failCause(cause), Exit.succeed(6), Exit.succeed(8)])
    }))

  it.effect("with makeEach each item has an end of its own (R144)", () =>
    Effect.gen(function*() {
      const batch = yield* Batch.makeEach({
        key: "a",
        size: 2,
        window: 1,
        run: (items: ReadonlyArray<number>) =>
          Effect.succeed(items.map((item) => item === 0 ? Exit.fail("zero") : Exit.succeed(item * 2)))
      })
      const exits = yield* Effect.forEach([0, 2], (item) => Effect.exit(batch.submit(item)), { concurrency: 2 })
      assert.deepStrictEqual(exits, [Exit.fail("zero"), Exit.succeed(4)])
    }))

  it.effect("a caller that is interrupted takes its item out; a batch that all have left is not run (R9, R144)", () =>
    Effect.gen(function*() {
      const { batch, runs } = yield* doubling(3)
      const submit = (item: number) => Effect.fork(batch.submit(item))
      const [one, two] = yield* Effect.all([submit(1), submit(2)])
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(one)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* Fiber.join(two), runs], [4, [[1_000, [2]]]])
      yield* Fiber.interrupt(yield* Effect.tap(submit(3), () => Effect.yieldNow()))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(runs, 1)
      // The window of that batch does not count for the next one.
      const four = yield* submit(4)
      yield* TestClock.adjust("999 millis")
      assert.isNull(four.unsafePoll())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(four), 8)
    }))

  it.effect("a run goes on while anybody waits, and is interrupted when nobody does (R144)", () =>
    Effect.gen(function*() {
      let stopped = 0
      const { batch } = yield* doubling(2, { takes: 1_000, stopped: () => stopped++ })
      const [one, two] = yield* Effect.all([Effect.fork(batch.submit(1)), Effect.fork(batch.submit(2))])
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(one)
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual([yield* Fiber.join(two), stopped], [4, 0])
      const both = yield* Effect.all([Effect.fork(batch.submit(1)), Effect.fork(batch.submit(2))])
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interruptAll(both)
      assert.strictEqual(stopped, 1)
    }))

  it.effect("another number of results than of items is a defect that says so", () =>
    Effect.gen(function*() {
      const batch = yield* Batch.make({ key: "a", size: 1, window: 1, run: () => Effect.succeed([1, 2]) })
      const exit = yield* Effect.exit(batch.submit(1))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.include(String(exit), "batch \\\"a\\\" gave 2 results for 1 items")
    }))

  it.effect("options that can never work are refused, and its types stay exact (R10, R31)", () =>
    Effect.gen(function*() {
      const run = (items: ReadonlyArray<number>) => Effect.succeed(items)
      for (const options of [{ size: 0, window: 1 }, { size: 1, window: -1 }, { size: 1, window: Infinity }]) {
        const exit = yield* Effect.exit(Batch.make({ key: "a", ...options, run }))
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
      class Dependency extends Context.Tag("holdfast/test/Call/Batch.test/Dependency")<Dependency, number>() {}
      const made = Batch.make({
        key: "a",
        size: 1,
        window: 1,
        run: (items: ReadonlyArray<string>) => Effect.map(Dependency, (number) => items.map(() => number))
      })
      expectTypeOf(made).toEqualTypeOf<Effect.Effect<Batch.Batch<string, number>, never, Dependency>>()
      const batch = yield* Effect.provideService(made, Dependency, 7)
      expectTypeOf(batch.submit("x")).toEqualTypeOf<Effect.Effect<number>>()
      assert.strictEqual(yield* batch.submit("x"), 7)
      assert.isTrue(Batch.isBatch(batch))
      assert.strictEqual(String(batch), "{\"_id\":\"Batch\",\"key\":\"a\",\"waiting\":0,\"batches\":1}")
    }))

  it.effect("simulated: batches of at most their size, own results, failures of members only, none left (R144)", () =>
    Simulation.explore(
      Effect.gen(function*() {
        let live = 0
        const failed = new Set<number>()
        const ran = new Set<number>()
        const batch = yield* Batch.make({
          key: "a",
          size: 3,
          window: 4,
          run: (items: ReadonlyArray<number>) =>
            Effect.acquireUseRelease(
              Effect.sync(() => {
                live++
                assert.isAtMost(items.length, 3)
                for (const item of items) {
                  // No item is run twice.
                  assert.isFalse(ran.has(item))
                  ran.add(item)
                }
              }),
              () =>
                Effect.gen(function*() {
                  yield* Effect.sleep(yield* Random.nextIntBetween(0, 4))
                  if ((yield* Random.next) < 0.3) {
                    for (const item of items) failed.add(item)
                    return yield* Effect.fail("x")
                  }
                  return items.map((item) => item * 2)
                }),
              () => Effect.sync(() => live--)
            )
        })
        const caller = (item: number) =>
          Effect.gen(function*() {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 8))
            const fiber = yield* Effect.fork(batch.submit(item))
            if ((yield* Random.next) < 0.3) {
              yield* Effect.sleep(yield* Random.nextIntBetween(0, 6))
              yield* Fiber.interrupt(fiber)
            }
            const exit = yield* Fiber.await(fiber)
            if (Exit.isInterrupted(exit)) return
            assert.deepStrictEqual(exit, failed.has(item) ? Exit.fail("x") : Exit.succeed(item * 2))
            assert.isTrue(ran.has(item))
          })
        yield* Effect.forEach(Array.from({ length: 6 }, (_, item) => item), caller, { concurrency: "unbounded" })
        assert.strictEqual(live, 0)
        assert.strictEqual((yield* batch.snapshot).waiting, 0)
      }),
      { seeds: 1000 }
    ))
})
