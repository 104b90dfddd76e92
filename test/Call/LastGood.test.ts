import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Duration, Effect, Exit, Fiber, Option, Random, TestClock } from "effect"
import { Fallback, LastGood, Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"

class Down extends Data.TaggedError("Down") {}
class Refused extends Data.TaggedError("Refused") {}

const memory = LastGood.make<string>({ key: "quotes" })

describe("Fallback.lastGood", () => {
  it.effect("an open circuit is answered with the last good value; other errors pass (R138)", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1 })
      let end: Effect.Effect<string, Down> = Effect.succeed("good")
      const call = Effect.suspend(() => end).pipe(CircuitBreaker.protect(breaker), Fallback.lastGood(store))
      assert.strictEqual(yield* call, "good")
      end = new Down()
      assert.instanceOf(yield* Effect.flip(call), Down)
      assert.strictEqual(yield* call, "good")
    }))

  it.effect("so is a time-out (R138)", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const limited = (self: Effect.Effect<string>) =>
        self.pipe(Timeout.after("1 second"), Fallback.lastGood(store), Effect.fork)
      yield* Fiber.join(yield* limited(Effect.succeed("good")))
      const late = yield* limited(Effect.never)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(late), "good")
    }))

  it.effect("without a value, the error comes out as it is (R138)", () =>
    Effect.gen(function*() {
      const error = new Down()
      const exit = yield* Effect.exit(Fallback.lastGood(Effect.fail(error), yield* memory, { on: "Down" }))
      assert.deepStrictEqual(exit, Exit.fail(error))
    }))

  it.effect("the matcher can be widened: a tag, a class, a predicate, or several (R138)", () =>
    Effect.gen(function*() {
      const isRefused = (error: unknown) => error instanceof Refused
      for (const on of ["Down", Down, ["Down", isRefused], (error: unknown) => error instanceof Down] as const) {
        const store = yield* memory
        yield* Effect.succeed("good").pipe(Fallback.lastGood(store, { on }))
        assert.strictEqual(yield* Fallback.lastGood(new Down(), store, { on }), "good")
        const refused = yield* Effect.exit(Fallback.lastGood(new Refused(), store, { on }))
        assert.strictEqual(Exit.isSuccess(refused), Array.isArray(on))
      }
      const store = yield* memory
      // @ts-expect-error a number matches nothing
      assert.throws(() => Fallback.lastGood(store, { on: 5 }), InvalidOptions)
      assert.throws(() => Fallback.lastGood(store, { maxStale: -1 }), InvalidOptions)
    }))

  it.effect("a value has an age, and none older than maxStale is served (R139)", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const served: Array<readonly [key: string, millis: number, error: unknown]> = []
      const options: Fallback.LastGoodOptions = {
        on: Down,
        key: "ACME",
        maxStale: "1 minute",
        onStale: ({ age, error, key }) => Effect.sync(() => served.push([key, Duration.toMillis(age), error]))
      }
      assert.deepStrictEqual(yield* Fallback.lastGoodWithAge(Effect.succeed("good"), store, options), {
        value: "good",
        age: Duration.zero
      })
      yield* TestClock.adjust("1 minute")
      const error = new Down()
      const aged = yield* Effect.fail(error).pipe(Fallback.lastGoodWithAge(store, options))
      assert.deepStrictEqual([aged.value, Duration.toMillis(aged.age)], ["good", 60_000])
      assert.deepStrictEqual(yield* store.get("ACME"), Option.some({ value: "good", age: Duration.minutes(1) }))
      yield* TestClock.adjust(1)
      // Serving it has not made it younger.
      assert.strictEqual(yield* Effect.flip(Fallback.lastGood(Effect.fail(error), store, options)), error)
      assert.deepStrictEqual(served, [["ACME", 60_000, error]])
    }))

  it.effect("a slow call never puts an older value in the place of a newer one (R139)", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const goOn = yield* Deferred.make<void>()
      const remembered = Fallback.lastGood(store)
      const slow = yield* Effect.fork(Effect.as(Deferred.await(goOn), "old").pipe(remembered))
      yield* Effect.yieldNow()
      yield* Effect.succeed("new").pipe(remembered)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Fiber.join(slow), "old")
      assert.deepStrictEqual(Option.map(yield* store.get(""), ({ value }) => value), Option.some("new"))
    }))

  it.effect("keys have values of their own, and are bounded (R139)", () =>
    Effect.gen(function*() {
      const store = yield* LastGood.make<string>({ key: "a", capacity: 2 })
      const keep = (key: string) => Effect.succeed(`of ${key}`).pipe(Fallback.lastGood(store, { key }))
      yield* keep("a")
      yield* keep("b")
      yield* keep("a")
      yield* keep("c")
      assert.strictEqual(yield* store.size, 2)
      const known = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.map(store.get(key), Option.isSome))
      assert.deepStrictEqual(known, [true, false, true])
      yield* store.forget("a")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      const exit = yield* Effect.exit(LastGood.make({ key: "a", capacity: 0 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
    }))

  it.effect("defects and interruptions are not answered (R9, R30)", () =>
    Effect.gen(function*() {
      const store = yield* memory
      const on = () => true
      yield* Effect.succeed("good").pipe(Fallback.lastGood(store, { on }))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.die("bug").pipe(Fallback.lastGood(store, { on })))))
      const both = Effect.failCause(Cause.parallel(Cause.fail("x"), Cause.die("bug")))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(both.pipe(Fallback.lastGood(store, { on })))))
      assert.isTrue(Exit.isInterrupted(yield* Effect.exit(Effect.interrupt.pipe(Fallback.lastGood(store, { on })))))
    }))

  it.effect("it describes itself, and its types stay exact (R31)", () =>
    Effect.gen(function*() {
      class Logs extends Context.Tag("holdfast/test/Call/LastGood.test/Logs")<Logs, number>() {}
      const store = yield* memory
      const { settings, ...rest } = Fallback.lastGood(store, { on: "Down", maxStale: "1 minute" }).descriptions[0]!
      assert.deepStrictEqual(rest, { policy: "Fallback", key: "quotes" })
      assert.deepStrictEqual(settings, {
        kind: "lastGood",
        on: [{ kind: "tag", label: "Down", tags: ["Down"] }],
        key: "",
        maxStaleMillis: 60_000
      })
      expectTypeOf(Fallback.lastGood(store)).toEqualTypeOf<Combinator<never, never, never, string>>()
      expectTypeOf(Fallback.lastGood(store, { onStale: () => Logs })).toEqualTypeOf<
        Combinator<never, Logs, never, string>
      >()
      const call: Effect.Effect<string, Down> = new Down()
      expectTypeOf(call.pipe(Fallback.lastGoodWithAge(store))).toEqualTypeOf<
        Effect.Effect<LastGood.Aged<string>, Down>
      >()
      expectTypeOf(Fallback.lastGoodWithAge(call, store, { onStale: () => Logs })).toEqualTypeOf<
        Effect.Effect<LastGood.Aged<string>, Down, Logs>
      >()
      assert.isTrue(LastGood.isLastGood(store))
    }))

  it.effect("simulated: what is served is never older than what a call that started later has given (R139)", () =>
    Simulation.explore(
      Effect.gen(function*() {
        const store = yield* LastGood.make<number>({ key: "a" })
        let ticks = 0
        // For each value: a time before its call began, and one at which it had begun.
        const given = new Map<number, number>()
        const call = Effect.gen(function*() {
          const before = ++ticks
          let began = 0
          const fiber = yield* Effect.fork(
            Effect.gen(function*() {
              began = ++ticks
              yield* Effect.sleep(yield* Random.nextIntBetween(0, 5))
              return (yield* Random.next) < 0.4 ? yield* new Down() : began
            }).pipe(Fallback.lastGood(store, { on: Down }))
          )
          if ((yield* Random.next) < 0.2) yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          if (Exit.isSuccess(exit) && exit.value === began) given.set(began, before)
          const earlier = [...given.values()]
          const known = Option.map(yield* store.get(""), ({ value }) => value)
          for (const before of earlier) assert.isTrue(Option.exists(known, (value) => value >= before))
        })
        for (let round = 0; round < 3; round++) {
          yield* Effect.all([call, call, call], { concurrency: "unbounded" })
        }
      }),
      { seeds: 1000 }
    ))
})
