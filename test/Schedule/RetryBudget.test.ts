import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Random } from "effect"
import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { A, B, ended, failing, second, soon } from "./support/calls.js"

class TimedOut extends Data.TaggedError("TimedOut") {}

const always = (budget: RetryBudget.RetryBudget, retries = 9) =>
  Retry.rules([Retry.onAny({ retries, backoff: soon })], { budget })

describe("RetryBudget", () => {
  it.effect("a retry that it refuses is not made: the original error, an event, and a count (R28)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.throttle({ key: "a", maxTokens: 4 })
      const seen: Array<string> = []
      const { action, times } = failing([new A({}), new B(), new A({})])
      const started = yield* ended(action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: second })], {
        budget,
        onRetry: (event) => Effect.sync(() => seen.push(event._tag === "Suppressed" ? event.reason : event._tag))
      })))
      // 4 tokens: 3 are left after the first failure, 2 after the second, which is no more than half.
      assert.lengthOf(times, 2)
      assert.isTrue(Exit.isFailure(started) && Cause.squash(started.cause) instanceof B)
      assert.deepStrictEqual(seen, ["Retrying", "budget"])
      assert.deepStrictEqual(yield* budget.snapshot, { balance: 2, granted: 1, refused: 1 })
    }))

  it.effect("it is asked before the sleep, so a refused retry does not wait (R28)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.inFlight({ key: "a", ratio: 0, floor: 1 })
      const policy = Retry.rules([Retry.onAny({ retries: 9, backoff: second })], { budget })
      const sleeping = yield* Effect.fork(failing(["x"]).action.pipe(policy))
      yield* Effect.yieldNow()
      // The first call sleeps, and holds the only retry there is.
      assert.strictEqual(yield* Effect.flip(failing(["y"]).action.pipe(policy)), "y")
      yield* Fiber.interrupt(sleeping)
      assert.strictEqual((yield* budget.snapshot).balance, 1)
    }))

  it.effect("first attempts are never refused (R28)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.throttle({ key: "a", maxTokens: 1 })
      for (let call = 0; call < 5; call++) {
        const { action, times } = failing(["x"])
        yield* Effect.exit(action.pipe(always(budget)))
        assert.lengthOf(times, 1)
      }
      assert.strictEqual(yield* failing([]).action.pipe(always(budget)), "done")
    }))

  it.effect("calls with the same budget share it (R28)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.quota({ key: "a", capacity: 10, cost: 5, timeoutCost: 10 })
      const first = failing(["x", "x", "x"])
      yield* Effect.exit(first.action.pipe(always(budget)))
      assert.lengthOf(first.times, 3)
      const second = failing(["x"])
      yield* Effect.exit(second.action.pipe(always(budget)))
      assert.lengthOf(second.times, 1)
    }))

  it.effect("quota: time-outs cost more, a success gives back what its last retry took (R28)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.quota({ key: "a", capacity: 100 })
      const balance = Effect.map(budget.snapshot, ({ balance }) => balance)
      yield* Effect.exit(failing([new B(), new B(), new B()]).action.pipe(always(budget, 2)))
      assert.strictEqual(yield* balance, 90)
      yield* Effect.exit(failing([new TimedOut(), new TimedOut(), new B()]).action.pipe(always(budget, 2)))
      assert.strictEqual(yield* balance, 70)
      const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" })
      yield* Effect.exit(failing([refused, refused]).action.pipe(always(budget, 1)))
      assert.strictEqual(yield* balance, 60)
      yield* failing([new B(), new TimedOut()]).action.pipe(always(budget))
      assert.strictEqual(yield* balance, 55)
      yield* failing([]).action.pipe(always(budget))
      assert.strictEqual(yield* balance, 56)
    }))

  it.effect("failures that no rule takes do not count against it", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.throttle({ key: "a" })
      const policy = Retry.rules([Retry.on("A", { retries: 1, backoff: soon })], { budget, never: [TimedOut] })
      yield* Effect.exit(failing([new B()]).action.pipe(policy))
      yield* Effect.exit(failing([new TimedOut()]).action.pipe(policy))
      yield* Effect.exit(failing([Retry.nonRetryable(new A({}))]).action.pipe(policy))
      assert.strictEqual((yield* budget.snapshot).balance, 10)
      yield* Effect.exit(failing([new A({}), new A({})]).action.pipe(policy))
      assert.strictEqual((yield* budget.snapshot).balance, 8)
    }))

  it.effect("of retries in each other that share a budget, a call counts once (R29)", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.ratio({ key: "a", ratio: 1, reservePerSecond: 0 })
      yield* failing([]).action.pipe(always(budget), always(budget))
      assert.strictEqual((yield* budget.snapshot).balance, 1)
      const throttle = yield* RetryBudget.throttle({ key: "b", maxTokens: 100 })
      yield* Effect.exit(failing(["x", "x", "x", "x", "x"]).action.pipe(always(throttle, 1), always(throttle, 1)))
      // Four attempts failed, and each failure counted once.
      assert.deepStrictEqual(yield* throttle.snapshot, { balance: 96, granted: 3, refused: 0 })
      const quota = yield* RetryBudget.quota({ key: "c", capacity: 100 })
      yield* Effect.exit(failing(["x", "x", "x", "x"]).action.pipe(always(quota, 3)))
      yield* failing(["x"]).action.pipe(always(quota, 1), always(quota, 1))
      // What the one retry took was given back, and no more: the call was retried.
      assert.strictEqual((yield* quota.snapshot).balance, 85)
      yield* failing(["x"]).action.pipe(always(quota, 1), always(quota, 1), always(quota, 1))
      assert.strictEqual((yield* quota.snapshot).balance, 85)
    }))

  it.effect("options that can never work are refused (R10)", () =>
    Effect.gen(function*() {
      const refused = [
        RetryBudget.throttle({ key: "a", maxTokens: 0 }),
        RetryBudget.throttle({ key: "a", maxTokens: 1001 }),
        RetryBudget.throttle({ key: "a", tokenRatio: 0 }),
        RetryBudget.ratio({ key: "a", ratio: 0 }),
        RetryBudget.ratio({ key: "a", reservePerSecond: NaN }),
        RetryBudget.ratio({ key: "a", ttl: 0 }),
        RetryBudget.quota({ key: "a", capacity: 4 }),
        RetryBudget.quota({ key: "a", cost: 0 }),
        RetryBudget.quota({ key: "a", refill: -1 }),
        RetryBudget.inFlight({ key: "a", ratio: 2 }),
        RetryBudget.inFlight({ key: "a", floor: 0 })
      ]
      for (const make of refused) {
        const exit = yield* Effect.exit(make)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
      }
    }))

  it.effect("it describes itself, and says its name", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.throttle({ key: "search" })
      assert.deepStrictEqual(budget.description, {
        policy: "RetryBudget",
        key: "search",
        settings: { kind: "throttle", maxTokens: 10, tokenRatio: 0.1 }
      })
      assert.isTrue(RetryBudget.isRetryBudget(budget))
      assert.strictEqual(String(budget), "{\"_id\":\"RetryBudget\",\"key\":\"search\",\"granted\":0,\"refused\":0}")
    }))

  it.effect("simulated: no more retries in flight than allowed, and all accounts closed at the end (R28, R29)", () =>
    Simulation.explore(
      Effect.gen(function*() {
        const budget = yield* RetryBudget.inFlight({ key: "a", ratio: 0.5, floor: 2 })
        let calls = 0
        let extras = 0
        const attempt = Effect.gen(function*() {
          const isExtra = (yield* Retry.CurrentAttempt) > 1
          if (isExtra) extras++
          // All calls together are 8, so that extras are never above half of them and one.
          assert.isAtMost(extras, 5)
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 4)).pipe(
            Effect.ensuring(Effect.sync(() => isExtra ? extras-- : undefined))
          )
          if ((yield* Random.next) < 0.6) return yield* Effect.fail("x")
        })
        const call = Effect.gen(function*() {
          calls++
          const fiber = yield* Effect.fork(attempt.pipe(
            Retry.rules([
              Retry.onAny({ retries: 3, backoff: Backoff.exponential(1, { jitter: "full" }) })
            ], { budget })
          ))
          if ((yield* Random.next) < 0.3) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 8))
            yield* Fiber.interrupt(fiber)
          }
          yield* Fiber.await(fiber)
        })
        yield* Effect.all(Array.from({ length: 8 }, () => call), { concurrency: "unbounded" })
        assert.deepStrictEqual([calls, extras], [8, 0])
        // Nothing is in flight: the floor alone is what there is.
        assert.strictEqual((yield* budget.snapshot).balance, 2)
      }),
      { seeds: 1000 }
    ))
})
