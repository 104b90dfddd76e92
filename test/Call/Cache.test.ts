import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, FastCheck as fc, Fiber, Option, Random, Scope, TestClock } from "effect"
import { Cache } from "holdfast/Call"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"
import { freshness, replaces, timesOf } from "../../src/Call/internal/freshness.js"
import { InvalidOptions } from "../../src/InvalidOptions.js"

/** An effect that takes a second and gives the number of its run. */
const counting = () => {
  let runs = 0
  return { runs: () => runs, run: Effect.suspend(() => Effect.as(Effect.sleep("1 second"), ++runs)) }
}

/** Runs an effect, and lets a second pass. */
const inASecond = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust("1 second")
    return yield* Fiber.join(fiber)
  })

describe("Cache", () => {
  it.effect("what is fresh is served without a run; at the end of its time there is a new one (R4)", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<number>({ key: "a", ttl: "1 minute" })
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      assert.strictEqual(yield* inASecond(call), 1)
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(yield* call, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* inASecond(call), 2)
      assert.strictEqual(runs(), 2)
      assert.deepStrictEqual(yield* cache.snapshot, { size: 1, hits: 1, stale: 0, misses: 2 })
    }).pipe(Effect.scoped))

  it.effect("callers that find nothing share one run (R9)", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<number>({ key: "a", ttl: "1 minute" })
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      assert.deepStrictEqual(yield* inASecond(Effect.all([call, call, call], { concurrency: 3 })), [1, 1, 1])
      assert.strictEqual(runs(), 1)
      const fiber = yield* Effect.fork(run.pipe(Cache.by(cache, "other")))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Option.isNone(yield* cache.get("other")))
    }).pipe(Effect.scoped))

  it.effect("what is stale is served at once and renewed in the background, once (R139)", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<number>({ key: "a", ttl: "1 minute", staleWhileRevalidate: "1 minute" })
      const { run, runs } = counting()
      const call = run.pipe(Cache.by(cache, "k"))
      yield* inASecond(call)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Effect.all([call, call, call]), [1, 1, 1])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(runs(), 2)
      assert.strictEqual(yield* call, 2)
      assert.deepStrictEqual(yield* cache.snapshot, { size: 1, hits: 1, stale: 3, misses: 1 })
      // Too old to be served at all.
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* inASecond(call), 3)
    }).pipe(Effect.scoped))

  it.effect("a renewal that is over at once is not begun again by those who came with its caller", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<number>({ key: "a", ttl: "1 minute", staleWhileRevalidate: "1 minute" })
      let runs = 0
      const call = Effect.sync(() => ++runs).pipe(Cache.by(cache, "k"))
      yield* call
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Effect.all([call, call, call]), [1, 1, 1])
      yield* Effect.yieldNow()
      assert.deepStrictEqual([yield* call, runs], [2, 2])
    }).pipe(Effect.scoped))

  it.effect("a renewal that fails leaves the value as it is (R139)", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<string, string>({
        key: "a",
        ttl: () => "1 minute",
        staleWhileRevalidate: "1 minute"
      })
      const by = Cache.by(cache, "k")
      yield* Effect.succeed("good").pipe(by)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Effect.fail("bad").pipe(by), "good")
      yield* Effect.yieldNow()
      assert.strictEqual(yield* Effect.fail("bad").pipe(by), "good")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Effect.exit(Effect.fail("bad").pipe(by)), Exit.fail("bad"))
      // That failure is remembered, and never served when stale.
      assert.deepStrictEqual(yield* Effect.exit(Effect.succeed("good").pipe(by)), Exit.fail("bad"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Effect.succeed("good").pipe(by), "good")
    }).pipe(Effect.scoped))

  it.effect("each end may have its own time; without it errors are not remembered, and defects never", () =>
    Effect.gen(function*() {
      let runs = 0
      const end = (exit: Exit.Exit<string, string>) => Effect.suspend(() => (runs++, exit))
      const plain = yield* Cache.make<string, string>({ key: "a", ttl: "1 minute" })
      const twice = (exit: Exit.Exit<string, string>, cache: Cache.Cache<string, string>, key: string) =>
        Effect.gen(function*() {
          runs = 0
          const call = Effect.exit(end(exit).pipe(Cache.by(cache, key)))
          assert.deepStrictEqual([yield* call, yield* call], [exit, exit])
          return runs
        })
      assert.strictEqual(yield* twice(Exit.fail("x"), plain, "k"), 2)
      const own = yield* Cache.make<string, string>({
        key: "b",
        ttl: Exit.match({ onSuccess: (value) => value === "never" ? 0 : 1_000, onFailure: () => 1_000 })
      })
      assert.strictEqual(yield* twice(Exit.fail("x"), own, "1"), 1)
      assert.strictEqual(yield* twice(Exit.succeed("x"), own, "2"), 1)
      assert.strictEqual(yield* twice(Exit.succeed("never"), own, "3"), 2)
      assert.strictEqual(yield* twice(Exit.die("bug"), own, "4"), 2)
      assert.strictEqual(yield* twice(Exit.failCause(Cause.parallel(Cause.fail("x"), Cause.die("b"))), own, "5"), 2)
      assert.isTrue(Option.isNone(yield* own.get("1")))
    }).pipe(Effect.scoped))

  it.effect("it is bounded, and forgets on demand: then a run that is under way leaves no value", () =>
    Effect.gen(function*() {
      const cache = yield* Cache.make<string>({ key: "a", ttl: "1 hour", capacity: 2 })
      const put = (key: string) => Effect.succeed(`of ${key}`).pipe(Cache.by(cache, key))
      yield* Effect.forEach(["a", "b", "a", "c"], put)
      const known = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.map(cache.get(key), Option.isSome))
      assert.deepStrictEqual(known, [true, false, true])
      yield* cache.invalidate("a")
      assert.isTrue(Option.isNone(yield* cache.get("a")))
      const old = yield* Effect.fork(Effect.as(Effect.sleep("1 second"), "old").pipe(Cache.by(cache, "k")))
      yield* Effect.yieldNow()
      yield* cache.invalidate("k")
      assert.strictEqual(yield* Effect.succeed("new").pipe(Cache.by(cache, "k")), "new")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(old), "old")
      assert.deepStrictEqual(yield* cache.get("k"), Option.some("new"))
      yield* cache.invalidateAll
      assert.strictEqual((yield* cache.snapshot).size, 0)
    }).pipe(Effect.scoped))

  it.effect("what it renews ends with its scope (R9)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const cache = yield* Cache.make<number>({ key: "a", ttl: 1, staleWhileRevalidate: "1 hour" }).pipe(
        Scope.extend(scope)
      )
      let stopped = 0
      const by = Cache.by(cache, "k")
      yield* Effect.succeed(1).pipe(by)
      yield* TestClock.adjust(1)
      yield* Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => stopped++)), by)
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(stopped, 1)
    }))

  it.effect("options that can never work are refused; it describes itself; its types stay exact (R10, R31)", () =>
    Effect.gen(function*() {
      for (
        const make of [
          Cache.make({ key: "a", ttl: -1 }),
          Cache.make({ key: "a", ttl: 1, capacity: 0 }),
          Cache.make({ key: "a", ttl: 1, staleWhileRevalidate: -1 })
        ]
      ) {
        const exit = yield* Effect.exit(make)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
      class Dependency extends Context.Tag("holdfast/test/Call/Cache.test/Dependency")<Dependency, number>() {}
      const cache = yield* Cache.make<number, string>({ key: "users", ttl: "1 minute" })
      const call: Effect.Effect<number, string, Dependency> = Dependency
      expectTypeOf(Cache.by(cache, "k")).toEqualTypeOf<Combinator<string, never, never, number, string>>()
      expectTypeOf(call.pipe(Cache.by(cache, "k"))).toEqualTypeOf<typeof call>()
      expectTypeOf(Cache.by(call, cache, "k")).toEqualTypeOf<typeof call>()
      // @ts-expect-error its errors are strings
      assert.isTrue(Effect.isEffect(Effect.fail(5).pipe(Cache.by(cache, "k"))))
      assert.deepStrictEqual(Cache.by(cache, "k").descriptions, [{
        policy: "Cache",
        key: "users",
        settings: { capacity: 1_000, ttlMillis: 60_000, staleWhileRevalidateMillis: 0 }
      }])
      assert.isTrue(Cache.isCache(cache))
    }).pipe(Effect.scoped))

  describe("freshness", () => {
    it.prop(
      "what is stored is fresh for its time, then stale, then gone",
      [fc.nat(100), fc.nat(100), fc.nat(100), fc.nat(400)],
      ([at, ttl, stale, after]) => {
        const times = timesOf(at, ttl, stale)
        if (ttl === 0) assert.isUndefined(times)
        else {
          const expected = after < ttl ? "fresh" : after < ttl + stale ? "stale" : "gone"
          assert.strictEqual(freshness(times!, at + after), expected)
        }
      }
    )

    it("a failure never takes the place of a value that may still be served", () => {
      const value = { isValue: true, freshUntil: 10, staleUntil: 20 }
      const failure = { isValue: false, freshUntil: 10, staleUntil: 10 }
      assert.deepStrictEqual(
        [
          replaces({ isValue: false }, value, 19),
          replaces({ isValue: false }, value, 20),
          replaces({ isValue: true }, value, 5),
          replaces({ isValue: false }, failure, 5),
          replaces({ isValue: true }, failure, 5),
          replaces({ isValue: false }, undefined, 0)
        ],
        [false, true, true, true, true, true]
      )
    })
  })

  it.effect("simulated: one run per key at a time, values no older than promised and never going back (R139)", () =>
    Simulation.explore(
      Effect.scoped(Effect.gen(function*() {
        const cache = yield* Cache.make<readonly [run: number, at: number], string>({
          key: "a",
          ttl: 4,
          staleWhileRevalidate: 4
        })
        let live = 0
        let ticks = 0
        let runs = 0
        // From when to when runs were under way, and those whose value was served.
        const spans: Array<readonly [run: number, from: number, to: number]> = []
        const served = new Set<number>()
        const run = Effect.acquireUseRelease(
          Effect.sync(() => {
            live++
            return [++runs, ++ticks] as const
          }),
          ([number]) =>
            Effect.gen(function*() {
              yield* Effect.sleep(yield* Random.nextIntBetween(0, 3))
              if ((yield* Random.next) < 0.3) return yield* Effect.fail("x")
              return yield* Effect.clockWith((clock) =>
                Effect.sync(() => [number, clock.unsafeCurrentTimeMillis()] as const)
              )
            }),
          ([number, from]) =>
            Effect.sync(() => {
              live--
              spans.push([number, from, ++ticks])
            })
        )
        const caller = Effect.gen(function*() {
          let last = 0
          for (let call = 0; call < 3; call++) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 5))
            const asked = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            const fiber = yield* Effect.fork(run.pipe(Cache.by(cache, "k")))
            if ((yield* Random.next) < 0.2) yield* Fiber.interrupt(fiber)
            const exit = yield* Fiber.await(fiber)
            if (!Exit.isSuccess(exit)) continue
            const [number, at] = exit.value
            served.add(number)
            assert.isBelow(asked - at, 8)
            assert.isAtLeast(number, last)
            last = number
          }
        })
        yield* Effect.all(Array.from({ length: 3 }, () => caller), { concurrency: "unbounded" })
        yield* Effect.sleep(10)
        assert.strictEqual(live, 0)
        const shown = spans.filter(([number]) => served.has(number))
        for (const [, from, to] of shown) assert.isFalse(shown.some(([, other]) => other > from && other < to))
      })),
      { seeds: 1000 }
    ))
})
