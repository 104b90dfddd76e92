import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Data, Duration, Effect, Exit, Fiber, FiberRef, Option, Random, TestClock } from "effect"
import { Hedge, Latency } from "holdfast/Call"
import type { Combinator } from "holdfast/Combinator"
import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"

/** A call whose attempts do each of the given things in turn, with a log of when they start and how they end. */
const attempts = <A, E>(...ends: ReadonlyArray<Effect.Effect<A, E>>) => {
  const log: Array<string> = []
  let count = 0
  const call: Effect.Effect<A, E> = Effect.gen(function*() {
    const number = count++
    const note = (what: string) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => log.push(`${number} ${what} at ${clock.unsafeCurrentTimeMillis()}`))
      )
    yield* note("starts")
    return yield* (ends[number] ?? Effect.never).pipe(
      Effect.onExit((exit) => note(Exit.isSuccess(exit) ? "wins" : Exit.isInterrupted(exit) ? "is stopped" : "fails"))
    )
  })
  return { log, call, count: () => count }
}

const sleepThen = <A>(millis: number, value: A) => Effect.as(Effect.sleep(millis), value)
const sleepThenFail = <E>(millis: number, error: E) => Effect.zipRight(Effect.sleep(millis), Effect.fail(error))

describe("Hedge", () => {
  it.effect("a second attempt starts after the delay; the first value wins, losers are interrupted (R140)", () =>
    Effect.gen(function*() {
      const { call, log } = attempts(sleepThen(5_000, "slow"), sleepThen(500, "fast"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second")))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "fast")
      assert.deepStrictEqual(log, [
        "0 starts at 0",
        "1 starts at 1000",
        "1 wins at 1500",
        "0 is stopped at 1500"
      ])
    }))

  it.effect("an attempt that ends in time is not hedged (R140)", () =>
    Effect.gen(function*() {
      const { call, log } = attempts(sleepThen(999, "own"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second")))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "own")
      assert.deepStrictEqual(log, ["0 starts at 0", "0 wins at 999"])
      // One that never suspends sets no timer, and can be run synchronously.
      assert.strictEqual(Effect.runSync(Effect.succeed(1).pipe(Hedge.after("1 second"))), 1)
    }))

  it.effect("several hedges, each a delay after the one before; the delay may be computed (R140)", () =>
    Effect.gen(function*() {
      for (
        const [delay, expected] of [
          ["1 second", [0, 1_000, 2_000, 3_000]],
          [(hedge: number) => hedge * 1_000, [0, 1_000, 3_000, 6_000]]
        ] as const
      ) {
        const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const { call, log } = attempts<string, never>()
        const fiber = yield* Effect.fork(call.pipe(Hedge.after(delay, { hedges: 3 })))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(log, expected.map((at, index) => `${index} starts at ${started + at}`))
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("hedges may run other targets, in turn (R140)", () =>
    Effect.gen(function*() {
      const target = attempts(sleepThenFail(1, "replica down"), sleepThen(1, "replica"))
      const fiber = yield* Effect.fork(
        Effect.never.pipe(Hedge.after("1 second", { hedges: 2, targets: [target.call] }))
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "replica")
      assert.deepStrictEqual(target.log, ["0 starts at 1000", "0 fails at 1001", "1 starts at 1001", "1 wins at 1002"])
    }))

  it.effect("the value comes out without waiting for the losers' finalizers (R140)", () =>
    Effect.gen(function*() {
      let released = false
      const slow = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.zipRight(Effect.sleep("1 minute"), Effect.sync(() => released = true)))
      )
      const { call } = attempts(slow, Effect.succeed("fast"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second")))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("fast"))
      assert.isFalse(released)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(released)
    }))

  it.effect("a failing attempt starts the next hedge at once (R141)", () =>
    Effect.gen(function*() {
      const { call, log } = attempts(sleepThenFail(10, "first"), sleepThenFail(10, "second"), Effect.succeed("third"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 5 })))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), "third")
      assert.deepStrictEqual(log, [
        "0 starts at 0",
        "0 fails at 10",
        "1 starts at 10",
        "1 fails at 20",
        "2 starts at 20",
        "2 wins at 20"
      ])
    }))

  it.effect("after a failure the next delay counts from the hedge that it has started (R141)", () =>
    Effect.gen(function*() {
      const { call, log } = attempts(sleepThenFail(600, "first"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 2 })))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, ["0 starts at 0", "0 fails at 600", "1 starts at 600", "2 starts at 1600"])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("an attempt that fails at once leaves the timing to the hedge that it has started (R141)", () =>
    Effect.gen(function*() {
      const { call, log } = attempts(Effect.fail("first"))
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 3 })))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, [
        "0 starts at 0",
        "0 fails at 0",
        "1 starts at 0",
        "2 starts at 1000",
        "3 starts at 2000"
      ])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("when all fail the primary's failure comes out, or all of them (R141)", () =>
    Effect.gen(function*() {
      const run = (failure: "primary" | "all") =>
        Effect.gen(function*() {
          const { call } = attempts(sleepThenFail(1_500, "first"), sleepThenFail(100, "second"), Effect.die("third"))
          const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 2, failure })))
          yield* TestClock.adjust("1 minute")
          const exit = yield* Fiber.await(fiber)
          return Exit.isFailure(exit) ? exit.cause : Cause.empty
        })
      assert.deepStrictEqual(yield* run("primary"), Cause.fail("first"))
      assert.deepStrictEqual(
        yield* run("all"),
        Cause.parallel(Cause.parallel(Cause.fail("first"), Cause.fail("second")), Cause.die("third"))
      )
    }))

  it.effect("the caller's interruption interrupts all attempts and waits for them; each releases once (R9)", () =>
    Effect.gen(function*() {
      let [acquired, released] = [0, 0]
      const call = Effect.acquireUseRelease(
        Effect.sync(() => acquired++),
        () => Effect.never,
        () => Effect.zipRight(Effect.sleep("1 second"), Effect.sync(() => released++))
      )
      const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 2 })))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual([acquired, released, fiber.unsafePoll()], [3, 0, null])
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.strictEqual(released, 3)
    }))

  it.effect("what the winner changes in fiber refs is kept", () =>
    Effect.gen(function*() {
      const ref = yield* FiberRef.make("before")
      for (const wait of [Effect.void, Effect.yieldNow()]) {
        yield* FiberRef.set(ref, "before")
        yield* Effect.zipRight(wait, FiberRef.set(ref, "after")).pipe(Hedge.after("1 second"))
        assert.strictEqual(yield* FiberRef.get(ref), "after")
      }
    }).pipe(Effect.scoped))

  describe("with a quantile as the delay", () => {
    const fed = (count: number, millis: number) =>
      Effect.gen(function*() {
        const latency = yield* Latency.make({ quantile: 0.9 })
        for (let index = 0; index < count; index++) yield* latency.record(millis)
        return latency
      })

    const startOfHedge = (latency: Latency.Latency, options?: Hedge.Options) =>
      Effect.gen(function*() {
        const from = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const { call, log } = attempts<string, never>()
        const fiber = yield* Effect.fork(call.pipe(Hedge.after(latency, options)))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.interrupt(fiber)
        const start = log.find((line) => line.startsWith("1 starts"))
        return start === undefined ? undefined : Number(start.slice("1 starts at ".length)) - from
      })

    it.effect("there is no hedge by time before minSamples (R142)", () =>
      Effect.gen(function*() {
        assert.isUndefined(yield* startOfHedge(yield* fed(19, 100)))
        assert.closeTo((yield* startOfHedge(yield* fed(20, 100)))!, 100, 1)
        assert.isDefined(yield* startOfHedge(yield* fed(3, 100), { minSamples: 3 }))
      }))

    it.effect("the delay is within floor and ceiling (R142)", () =>
      Effect.gen(function*() {
        const latency = yield* fed(20, 100)
        assert.strictEqual(yield* startOfHedge(latency, { floor: "1 second" }), 1_000)
        assert.strictEqual(yield* startOfHedge(latency, { ceiling: 10 }), 10)
      }))

    it.effect("only successes of primaries feed the estimate (R142)", () =>
      Effect.gen(function*() {
        const latency = yield* Latency.make({ quantile: 0.9 })
        // To the nearest ten, as an estimate has an error of one in a hundred.
        const samples = Effect.map(
          Effect.all([latency.samples, latency.estimate]),
          ([count, estimate]) => [count, Math.round(Option.getOrThrow(estimate).pipe(Duration.toMillis) / 10) * 10]
        )
        const run = (...ends: ReadonlyArray<Effect.Effect<string, string>>) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(
              attempts(...ends).call.pipe(Hedge.after(latency, { minSamples: 1, floor: 500 }))
            )
            yield* TestClock.adjust("10 seconds")
            return yield* Fiber.await(fiber)
          })
        yield* run(sleepThen(200, "own"))
        assert.deepStrictEqual(yield* samples, [1, 200])
        // A hedge that wins, and a primary that fails, tell nothing.
        yield* run(Effect.never, sleepThen(1, "hedge"))
        yield* run(sleepThenFail(5, "x"), sleepThen(300, "hedge"))
        assert.deepStrictEqual(yield* samples, [1, 200])
        yield* run(sleepThen(700, "own"))
        assert.strictEqual((yield* samples)[0], 2)
      }))

    it.effect("every estimator will do (R142)", () =>
      Effect.gen(function*() {
        for (const make of [Latency.p2({ quantile: 0.9, every: 10 }), Latency.moving({ quantile: 0.9 })]) {
          const latency = yield* make
          assert.isTrue(Option.isNone(yield* latency.estimate))
          for (let index = 0; index < 25; index++) yield* latency.record(100)
          assert.strictEqual(Duration.toMillis(Option.getOrThrow(yield* latency.estimate)), 100)
          assert.isAtLeast(yield* latency.samples, 10)
          assert.strictEqual(yield* startOfHedge(latency, { minSamples: 10 }), 100)
        }
      }))
  })

  describe("with a budget", () => {
    it.effect("a hedge that it refuses is not started, and attempts in flight go on (R29)", () =>
      Effect.gen(function*() {
        const budget = yield* RetryBudget.inFlight({ key: "a", ratio: 0, floor: 1 })
        const events: Array<Hedge.HedgeEvent> = []
        const hedge = Hedge.after("1 second", {
          hedges: 3,
          budget,
          onEvent: (event) => Effect.sync(() => events.push(event))
        })
        const { call, log } = attempts(sleepThen(5_000, "own"))
        const fiber = yield* Effect.fork(call.pipe(hedge))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Fiber.join(fiber), "own")
        assert.deepStrictEqual(log, ["0 starts at 0", "1 starts at 1000", "0 wins at 5000", "1 is stopped at 5000"])
        assert.deepStrictEqual(events, [
          { _tag: "Started", attempt: 1, because: "delay" },
          { _tag: "Refused", attempt: 2 },
          { _tag: "Won", attempt: 0 }
        ])
        assert.deepStrictEqual(yield* budget.snapshot, { balance: 1, granted: 1, refused: 1 })
      }))

    it.effect("after a refusal the call asks for no more, also when an attempt fails (R29)", () =>
      Effect.gen(function*() {
        const budget = yield* RetryBudget.inFlight({ key: "a", ratio: 0, floor: 1 })
        const holder = yield* Effect.fork(Effect.never.pipe(Hedge.after(1, { budget })))
        yield* TestClock.adjust(1)
        const { call, count } = attempts(sleepThenFail(2_000, "first"))
        const fiber = yield* Effect.fork(call.pipe(Hedge.after("1 second", { hedges: 3, budget })))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("first"))
        assert.deepStrictEqual([count(), (yield* budget.snapshot).refused], [1, 1])
        yield* Fiber.interrupt(holder)
        assert.strictEqual((yield* budget.snapshot).balance, 1)
      }))

    it.effect("it is shared with retries: one call, its failures each counted once (R29)", () =>
      Effect.gen(function*() {
        const budget = yield* RetryBudget.throttle({ key: "a", maxTokens: 100, tokenRatio: 1 })
        const retry = Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.constant(0) })], { budget })
        const inside = attempts<string, string>(...Array.from({ length: 9 }, () => Effect.fail("x")))
        yield* Effect.exit(inside.call.pipe(Hedge.after("1 second", { budget }), retry))
        assert.strictEqual(inside.count(), 4)
        assert.strictEqual((yield* budget.snapshot).balance, 96)
        const outside = attempts<string, string>(...Array.from({ length: 9 }, () => Effect.fail("x")))
        yield* Effect.exit(outside.call.pipe(retry, Hedge.after("1 second", { budget })))
        assert.strictEqual(outside.count(), 4)
        assert.strictEqual((yield* budget.snapshot).balance, 92)
        yield* Effect.succeed(1).pipe(Hedge.after("1 second", { budget }), retry)
        assert.strictEqual((yield* budget.snapshot).balance, 93)
      }))
  })

  it.effect("what computes the delay may fail: the call dies of it", () =>
    Effect.gen(function*() {
      for (const delay of [() => -1, () => NaN]) {
        const exit = yield* Effect.exit(Effect.never.pipe(Hedge.after(delay)))
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
    }))

  it.effect("options that can never work are refused (R10)", () =>
    Effect.gen(function*() {
      const latency = yield* Latency.make({ quantile: 0.9 })
      const refused: ReadonlyArray<() => unknown> = [
        () => Hedge.after(-1),
        () => Hedge.after(1, { hedges: 0 }),
        () => Hedge.after(1, { floor: 5 }),
        () => Hedge.after(latency, { floor: 5, ceiling: 4 }),
        () => Hedge.after(latency, { minSamples: 0 }),
        // @ts-expect-error there is no such choice
        () => Hedge.after(1, { failure: "last" }),
        // @ts-expect-error these are no effects
        () => Hedge.after(1, { targets: [5] })
      ]
      for (const build of refused) assert.throws(build, InvalidOptions)
      for (
        const make of [
          Latency.make({ quantile: 0 }),
          Latency.make({ quantile: 0.9, slices: 0 }),
          Latency.p2({ quantile: 1 }),
          Latency.moving({ quantile: 0.5, age: 0 })
        ]
      ) {
        const exit = yield* Effect.exit(make)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
      assert.isTrue(Latency.isLatency(latency))
    }))

  it.effect("it describes itself, and its types stay exact (R31)", () =>
    Effect.gen(function*() {
      class Dependency extends Context.Tag("holdfast/test/Call/Hedge.test/Dependency")<Dependency, number>() {}
      class Logs extends Context.Tag("holdfast/test/Call/Hedge.test/Logs")<Logs, number>() {}
      class Failed extends Data.TaggedError("Failed") {}
      class Other extends Data.TaggedError("Other") {}
      const call: Effect.Effect<number, Failed, Dependency> = Effect.zipRight(Dependency, new Failed())
      const other: Effect.Effect<string, Other, Logs> = Effect.zipRight(Effect.as(Logs, ""), new Other())
      expectTypeOf(Hedge.after(1)).toEqualTypeOf<Combinator>()
      expectTypeOf(call.pipe(Hedge.after(1))).toEqualTypeOf<typeof call>()
      // The failure of the primary comes out, so that of a target does not.
      expectTypeOf(call.pipe(Hedge.after(1, { targets: [other] }))).toEqualTypeOf<
        Effect.Effect<number | string, Failed, Dependency | Logs>
      >()
      expectTypeOf(call.pipe(Hedge.after(1, { targets: [other], failure: "all" }))).toEqualTypeOf<
        Effect.Effect<number | string, Failed | Other, Dependency | Logs>
      >()
      expectTypeOf(Hedge.after(call, 1, { targets: [other], failure: "all" })).toEqualTypeOf<
        Effect.Effect<number | string, Failed | Other, Dependency | Logs>
      >()
      const latency = yield* Latency.make({ quantile: 0.9 })
      const common = { hedges: 1, targets: 0, failure: "primary", budget: null }
      assert.deepStrictEqual(Hedge.after("1 second").descriptions, [
        { policy: "Hedge", settings: { ...common, kind: "fixed", delayMillis: 1_000 } }
      ])
      assert.deepStrictEqual(Hedge.after(latency, { floor: 5 }).descriptions, [{
        policy: "Hedge",
        settings: {
          ...common,
          kind: "percentile",
          delayMillis: null,
          estimate: { kind: "histogram", quantile: 0.9, windowMillis: 60_000, slices: 6, error: 0.01 },
          minSamples: 20,
          floorMillis: 5,
          ceilingMillis: null
        }
      }])
    }))

  it.effect("simulated: at most so many attempts, one winner, none left, all accounts closed (R29, R140, R141)", () =>
    Simulation.explore(
      Effect.gen(function*() {
        const budget = yield* RetryBudget.inFlight({ key: "a", ratio: 0.5, floor: 1 })
        let live = 0
        const call = Effect.gen(function*() {
          let started = 0
          const values: Array<number> = []
          const attempt = Effect.acquireUseRelease(
            Effect.sync(() => {
              live++
              return started++
            }),
            (number) =>
              Effect.gen(function*() {
                yield* Effect.sleep(yield* Random.nextIntBetween(0, 6))
                if ((yield* Random.next) < 0.5) return yield* Effect.fail(number)
                values.push(number)
                return number
              }),
            () => Effect.zipRight(Effect.yieldNow(), Effect.sync(() => live--))
          )
          const fiber = yield* Effect.fork(attempt.pipe(Hedge.after(2, { hedges: 2, budget })))
          if ((yield* Random.next) < 0.3) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 6))
            yield* Fiber.interrupt(fiber)
          }
          const exit = yield* Fiber.await(fiber)
          assert.isAtMost(started, 3)
          if (Exit.isSuccess(exit)) assert.include(values, exit.value)
          else if (!Exit.isInterrupted(exit)) assert.deepStrictEqual(exit.cause, Cause.fail(0))
        })
        yield* Effect.all(Array.from({ length: 5 }, () => call), { concurrency: "unbounded" })
        yield* Effect.sleep(100)
        assert.strictEqual(live, 0)
        assert.strictEqual((yield* budget.snapshot).balance, 1)
      }),
      { seeds: 1000 }
    ))
})
