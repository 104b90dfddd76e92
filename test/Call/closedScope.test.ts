/**
 * What belongs to a scope, asked when that has closed; and what waits while it closes. Nobody waits for ever.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"
import { Batch, Cache, Coalesce, Observer, Policy } from "holdfast/Call"

const counting = () => {
  let runs = 0
  return { runs: () => runs, run: Effect.suspend(() => Effect.delay(Effect.succeed(++runs), "1 second")) }
}

/** Runs an effect, and lets a second pass. */
const inASecond = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust("1 second")
    return yield* Fiber.join(fiber)
  })

describe("when the scope of a Cache has closed", () => {
  const make = (scope: Scope.Scope) =>
    Scope.extend(
      Cache.make<number>({ key: "a", ttl: "1 minute", staleWhileRevalidate: Infinity }),
      scope
    )

  it.effect("what is fresh is served; what is stale nobody renews, so it is run by who asks (R139)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const cache = yield* make(scope)
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      yield* inASecond(call)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([yield* call, runs()], [1, 1])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([yield* inASecond(call), runs()], [2, 2])
      assert.deepStrictEqual([yield* call, runs()], [2, 2])
      assert.deepStrictEqual(yield* inASecond(run.pipe(Cache.by(cache, "new"))), 3)
    }))

  it.effect("a renewal that is under way ends, and who has joined it gets its end (R139)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const cache = yield* Scope.extend(
        Cache.make<number>({ key: "a", ttl: "1 minute", staleWhileRevalidate: 500 }),
        scope
      )
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      yield* inASecond(call)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* call, 1)
      yield* TestClock.adjust(500)
      const joined = yield* Effect.fork(call)
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual([yield* Fiber.join(joined), runs()], [2, 2])
    }))

  it.effect("one that is made in a closed scope only serves what is fresh (R139)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const cache = yield* make(scope)
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      yield* inASecond(call)
      yield* TestClock.adjust("1 minute")
      yield* inASecond(call)
      assert.deepStrictEqual([yield* cache.get("k"), runs()], [Option.some(2), 2])
    }))
})

describe("when the scope of an Observer has closed", () => {
  it.effect("calls go on, and what it was not told is counted as dropped (R8)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const seen: Array<string> = []
      const observer = yield* Scope.extend(
        Observer.make((event) => Effect.zipRight(Effect.sync(() => seen.push(event._tag)), Effect.never)),
        scope
      )
      const policy = Policy.make({ policies: [], observers: [observer] })
      const call = Effect.succeed("answer").pipe(policy)
      yield* call
      yield* Effect.yieldNow()
      // Four events, one of which is being handled.
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([seen, yield* observer.dropped], [["CallStarted"], 3])
      assert.strictEqual(yield* call, "answer")
      assert.deepStrictEqual([seen.length, yield* observer.dropped], [1, 7])
    }))
})

describe("what needs no scope", () => {
  it.effect("a Batch runs for its members, though the scope of the first of them closes (R144)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const batch = yield* Scope.extend(
        Batch.make({
          key: "b",
          size: 10,
          window: "1 second",
          run: (items: ReadonlyArray<number>) => Effect.succeed(items)
        }),
        scope
      )
      const first = yield* Effect.forkIn(batch.submit(1), scope)
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(batch.submit(2))
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(first)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), 2)
    }))

  it.effect("a run of a Coalesce goes on for those who wait, though the scope of the first of them closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const coalesce = yield* Coalesce.make<number>({ key: "c" })
      const { run } = counting()
      const call = run.pipe(Coalesce.by(coalesce, "k"))
      const first = yield* Effect.forkIn(call, scope)
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(call)
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(first)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), 1)
    }))
})
