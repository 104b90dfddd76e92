import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Coalesce } from "holdfast/Call"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"

/** A run that takes a second, counts its starts and its ends, and gives the number of the run. */
const counted = () => {
  const seen = { started: 0, stopped: 0 }
  const run = Effect.suspend(() => Effect.as(Effect.sleep("1 second"), ++seen.started)).pipe(
    Effect.onInterrupt(() => Effect.sync(() => seen.stopped++))
  )
  return { seen, run }
}

describe("Coalesce", () => {
  it.effect("concurrent callers of a key share one run; when it has ended the next one starts anew (R4)", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<number>({ key: "a" })
      const { run, seen } = counted()
      const call = (key: string) => Effect.fork(run.pipe(Coalesce.by(shared, key)))
      const fibers = yield* Effect.all([call("x"), call("x"), call("y"), call("x")])
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* shared.snapshot, { inFlight: 2, runs: 2, joined: 2 })
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [1, 1, 2, 1])
      const later = yield* call("x")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(later), 3)
      assert.deepStrictEqual(yield* shared.snapshot, { inFlight: 0, runs: 3, joined: 2 })
      assert.strictEqual(seen.stopped, 0)
    }))

  it.effect("a failure, with its cause, is shared as well (R1)", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<never, string>({ key: "a" })
      const cause = Cause.parallel(Cause.fail("x"), Cause.die("bug"))
      const run = Effect.zipRight(Effect.sleep(1), Effect.failCause(cause)).pipe(Coalesce.by(shared, "k"))
      const fibers = yield* Effect.all([Effect.fork(run), Effect.fork(run)])
      yield* TestClock.adjust(1)
      for (const exit of yield* Effect.forEach(fibers, Fiber.await)) {
        assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
      }
    }))

  it.effect("the first caller may leave: the work goes on while others wait (R9)", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<number>({ key: "a" })
      const { run, seen } = counted()
      const call = run.pipe(Coalesce.by(shared, "k"))
      const first = yield* Effect.fork(call)
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(call)
      yield* TestClock.adjust("500 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(first)))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* Fiber.join(second), 1)
      assert.deepStrictEqual(seen, { started: 1, stopped: 0 })
    }))

  it.effect("when nobody waits any more it is interrupted, and the last caller waits for its end (R9)", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<never>({ key: "a" })
      let released = 0
      const run = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.zipRight(Effect.sleep("1 second"), Effect.sync(() => released++)))
      )
      const call = run.pipe(Coalesce.by(shared, "k"))
      const fibers = yield* Effect.all([Effect.fork(call), Effect.fork(call)])
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fibers[0])
      assert.strictEqual((yield* shared.snapshot).inFlight, 1)
      yield* Fiber.interruptFork(fibers[1])
      yield* TestClock.adjust("999 millis")
      // Whoever comes now does not join what is being given up.
      assert.deepStrictEqual([fibers[1].unsafePoll(), (yield* shared.snapshot).inFlight], [null, 0])
      const late = yield* Effect.fork(Effect.succeed(5).pipe(Coalesce.by(yield* Effect.succeed(shared), "k")))
      assert.strictEqual(yield* Fiber.join(late), 5)
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fibers[1])))
      assert.strictEqual(released, 1)
    }))

  it.effect("a caller that cannot be interrupted does not make the run so", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<void>({ key: "a" })
      const started = yield* Deferred.make<void>()
      const run = Effect.zipRight(Deferred.succeed(started, undefined), Effect.sleep("1 second"))
      const fiber = yield* Effect.fork(Effect.uninterruptible(run.pipe(Coalesce.by(shared, "k"))))
      yield* Deferred.await(started)
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.isNotNull(fiber.unsafePoll())
    }))

  it.effect("a run that never suspends is over at once, and shared with nobody", () =>
    Effect.gen(function*() {
      const shared = yield* Coalesce.make<number>({ key: "a" })
      let runs = 0
      const call = Effect.sync(() => ++runs).pipe(Coalesce.by(shared, "k"))
      assert.deepStrictEqual([yield* call, yield* call], [1, 2])
      assert.strictEqual(Effect.runSync(call), 3)
      assert.strictEqual((yield* shared.snapshot).inFlight, 0)
    }))

  it.effect("it describes itself, and its types stay exact (R31)", () =>
    Effect.gen(function*() {
      class Dependency extends Context.Tag("holdfast/test/Call/Coalesce.test/Dependency")<Dependency, number>() {}
      const shared = yield* Coalesce.make<number, string>({ key: "users" })
      const call: Effect.Effect<number, string, Dependency> = Dependency
      expectTypeOf(Coalesce.by(shared, "k")).toEqualTypeOf<Combinator<string, never, never, number, string>>()
      expectTypeOf(call.pipe(Coalesce.by(shared, "k"))).toEqualTypeOf<typeof call>()
      expectTypeOf(Coalesce.by(call, shared, "k")).toEqualTypeOf<typeof call>()
      // @ts-expect-error its errors are strings
      assert.isTrue(Effect.isEffect(Effect.fail(5).pipe(Coalesce.by(shared, "k"))))
      assert.deepStrictEqual(Coalesce.by(shared, "k").descriptions, [{
        policy: "Coalesce",
        key: "users",
        settings: {}
      }])
      assert.isTrue(Coalesce.isCoalesce(shared))
      assert.strictEqual(
        String(shared),
        "{\"_id\":\"Coalesce\",\"key\":\"users\",\"inFlight\":0,\"runs\":0,\"joined\":0}"
      )
    }))

  it.effect("simulated: one run at a time, each caller gets one it has waited for, nothing is left (R9)", () =>
    Simulation.explore(
      Effect.gen(function*() {
        const shared = yield* Coalesce.make<number, number>({ key: "a" })
        let clock = 0
        let live = 0
        // When the first caller was told of the end of each run.
        const told = new Map<number, number>()
        // From when to when runs were under way.
        const spans: Array<readonly [key: string, from: number, to: number]> = []
        const run = (key: "x" | "y") =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              live++
              return ++clock
            }),
            (began) =>
              Effect.gen(function*() {
                yield* Effect.sleep(yield* Random.nextIntBetween(0, 4))
                return (yield* Random.next) < 0.3 ? yield* Effect.fail(began) : began
              }),
            (began) =>
              Effect.sync(() => {
                live--
                spans.push([key, began, ++clock])
              })
          )
        const caller = Effect.gen(function*() {
          const key = (yield* Random.next) < 0.7 ? "x" : "y"
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 6))
          const arrived = ++clock
          const fiber = yield* Effect.fork(run(key).pipe(Coalesce.by(shared, key)))
          if ((yield* Random.next) < 0.3) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 3))
            yield* Fiber.interrupt(fiber)
          }
          const exit = yield* Fiber.await(fiber)
          if (Exit.isInterrupted(exit)) return
          const began = Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause) as number
          if (!told.has(began)) told.set(began, ++clock)
          assert.isAbove(told.get(began)!, arrived)
        })
        yield* Effect.all(Array.from({ length: 6 }, () => caller), { concurrency: "unbounded" })
        assert.strictEqual(live, 0)
        // A run may end well in the moment in which it is given up.
        const shown = spans.filter(([, from]) => told.has(from))
        for (const [key, from, to] of shown) {
          assert.isFalse(shown.some(([other, began]) => other === key && began > from && began < to))
        }
        assert.strictEqual((yield* shared.snapshot).inFlight, 0)
      }),
      { seeds: 1000 }
    ))
})
