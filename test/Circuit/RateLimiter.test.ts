import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { Bulkhead, Gate, RateLimiter } from "holdfast/Circuit"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { endOf, held, outcome } from "./support/gates.js"

const key = "github"
const call = Effect.succeed("ok")

/** How many of so many calls made now pass. */
const passed = <E>(gate: Gate.Gate<E>, calls: number) =>
  Effect.map(
    Effect.replicateEffect(outcome(call.pipe(gate.protect)), calls),
    (ends) => ends.filter((end) => end === "ok").length
  )

const retryAfter = (error: { readonly retryAfter: Duration.Duration }) => Duration.toMillis(error.retryAfter)

/** When calls that wait pass, in the order in which they do. */
const passTimes = <E>(limiter: Gate.Gate<E>, count: number, times: Array<number>) =>
  Effect.replicateEffect(
    Effect.fork(
      Effect.flatMap(TestClock.currentTimeMillis, (now) => Effect.sync(() => times.push(now))).pipe(limiter.protect)
    ),
    count
  )

describe("RateLimiter", () => {
  it.effect("by default 50 calls pass at once and 10 each second (R109)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key })
      assert.strictEqual((yield* limiter.snapshot).remaining, 50)
      assert.strictEqual(yield* passed(limiter, 60), 50)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* passed(limiter, 60), 10)
    }))

  it.effect("tokens come one by one, and are saved up to the burst (R110)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key })
      yield* passed(limiter, 50)
      assert.strictEqual(retryAfter(yield* Effect.flip(call.pipe(limiter.protect))), 100)
      yield* TestClock.adjust(99)
      assert.strictEqual(retryAfter(yield* Effect.flip(call.pipe(limiter.protect))), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* passed(limiter, 2), 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* passed(limiter, 60), 50)
    }))

  it.effect.each(
    [
      ["fixed-window", 3, 3],
      ["sliding-log", 3, 0],
      ["sliding-counter", 3, 1]
    ] as const
  )("%s: calls of one interval (R110)", ([algorithm, atOnce, soon]) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(900)
      const limiter = yield* RateLimiter.make({ key, limit: 3, algorithm })
      assert.strictEqual(yield* passed(limiter, 5), atOnce)
      // The second window is 40 % over; 600 ms have passed since the calls.
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* passed(limiter, 5), soon)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* limiter.snapshot).remaining, 3)
    }))

  it.effect("a block is looked at first: no token is taken in it, and tokens accrue meanwhile (R111)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key })
      yield* passed(limiter, 50)
      yield* limiter.blockFor("5 seconds")
      yield* TestClock.adjust("3 seconds")
      const error = yield* Effect.flip(call.pipe(limiter.protect))
      assert.deepInclude(error, { reason: "blocked" })
      assert.strictEqual(retryAfter(error), 2_000)
      assert.strictEqual((yield* limiter.snapshot).remaining, 30)
      assert.deepInclude(yield* limiter.allow(), { allowed: false, remaining: 0 })
      yield* TestClock.adjust(1_999)
      assert.strictEqual(yield* passed(limiter, 1), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* passed(limiter, 60), 50)
    }))

  it.effect("in a block the hint covers the wait for a token after it (R111)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, interval: "10 seconds" })
      yield* passed(limiter, 1)
      yield* limiter.blockFor("4 seconds")
      assert.strictEqual(retryAfter(yield* Effect.flip(call.pipe(limiter.protect))), 10_000)
    }))

  it.effect.each(
    [
      ["token-bucket", [0, 1, 1], 100],
      ["fixed-window", [0, 0, 10], 1_000],
      ["sliding-log", [0, 0, 10], 1_000],
      ["sliding-counter", [0, 0, 1], 1_000]
    ] as const
  )(
    "%s: resumed empty, nothing is there when a block ends (R111)",
    ([algorithm, counts, full]) =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ key, limit: 10, algorithm, resume: "empty" })
        yield* limiter.blockFor("5 seconds")
        assert.isAtLeast(retryAfter(yield* Effect.flip(call.pipe(limiter.protect))), 5_000)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* passed(limiter, 20), counts[0])
        yield* TestClock.adjust(100)
        assert.strictEqual(yield* passed(limiter, 20), counts[1])
        yield* TestClock.adjust(full === 100 ? 100 : 1_000)
        assert.strictEqual(yield* passed(limiter, 20), counts[2])
      })
  )

  it.effect("a block only ever extends (R112)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key })
      yield* limiter.blockFor("5 seconds")
      yield* limiter.blockFor("2 seconds")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot).blockedFor), 5_000)
      yield* TestClock.adjust("4 seconds")
      yield* limiter.blockFor("500 millis")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot).blockedFor), 1_000)
      yield* limiter.blockFor("3 seconds")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot).blockedFor), 3_000)
    }))

  it.effect("the answer of a call blocks it: 429 and 503, up to a cap (R113, R134)", () =>
    Effect.gen(function*() {
      const blockedBy = <A, E>(end: Effect.Effect<A, E>, options?: Partial<RateLimiter.Options>) =>
        Effect.gen(function*() {
          const limiter = yield* RateLimiter.make({ key, ...options })
          yield* Effect.exit(end.pipe(limiter.protect))
          return Duration.toSeconds((yield* limiter.snapshot).blockedFor)
        })
      const response = (status: number, retryAfter?: string) => ({
        status,
        headers: retryAfter === undefined ? {} : { "retry-after": retryAfter }
      })
      assert.strictEqual(yield* blockedBy(Effect.fail(response(429))), 60)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(429, "7"))), 7)
      assert.strictEqual(yield* blockedBy(Effect.succeed(response(429, "7"))), 7)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(503))), 0)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(503, "7"))), 7)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(500, "7"))), 0)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(429, "86400"))), 300)
      assert.strictEqual(yield* blockedBy(Effect.fail(response(429, "86400")), { maxRetryAfter: "1 hour" }), 3_600)
      yield* TestClock.setTime(Date.UTC(2030, 0, 1, 12, 0, 0))
      assert.strictEqual(yield* blockedBy(Effect.fail(response(503, "Tue, 01 Jan 2030 12:00:30 GMT"))), 30)
      assert.strictEqual(
        yield* blockedBy(Effect.fail("busy"), {
          retryAfterOf: (answer, now) => RateLimiter.retryAfterOf({ status: answer === "busy" ? 429 : 200 }, now)
        }),
        60
      )
    }))

  it.effect("an attempt can feed a limiter that stands outside of its retry (R134)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key })
      const attempt = Effect.fail({ status: 429, headers: { "retry-after": "5" } })
      const operation = attempt.pipe(limiter.heed, Effect.orElseSucceed(() => "hidden"), limiter.protect)
      assert.strictEqual(yield* operation, "hidden")
      assert.strictEqual(yield* outcome(operation), "RateLimited")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot).blockedFor), 5_000)
    }))

  it.effect("reset: everything can be spent, and no block is left; who waits goes (R114)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 2, maxWait: "1 minute" })
      yield* passed(limiter, 2)
      yield* limiter.blockFor("30 seconds")
      const waiting = yield* Effect.all([held(limiter.protect), held(limiter.protect), held(limiter.protect)])
      yield* limiter.reset
      yield* Effect.yieldNow()
      assert.deepStrictEqual(waiting.map(({ began }) => began), [true, true, false])
      yield* Effect.forEach(waiting, ({ interrupt }) => interrupt)
      yield* limiter.blockFor("30 seconds")
      yield* limiter.reset
      assert.deepInclude(yield* limiter.snapshot, { remaining: 2, blockedFor: Duration.zero, waiting: 0 })
    }))

  it.effect("what was taken before a reset is not given back after it (R114, R116)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 2 })
      const permit = yield* limiter.reserve
      yield* limiter.reset
      yield* passed(limiter, 2)
      assert.isTrue(yield* permit.refund)
      assert.strictEqual((yield* limiter.snapshot).remaining, 0)
    }))

  it.effect.each(["token-bucket", "fixed-window", "sliding-log", "sliding-counter"] as const)(
    "%s: a clock that is set back neither takes nor adds tokens (R115)",
    (algorithm) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(20_000)
        const limiter = yield* RateLimiter.make({ key, limit: 10, algorithm })
        yield* passed(limiter, 7)
        yield* TestClock.setTime(10_000)
        assert.strictEqual((yield* limiter.snapshot).remaining, 3)
        assert.strictEqual(yield* passed(limiter, 5), 3)
        // From there on time goes as ever.
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* passed(limiter, 20), algorithm === "sliding-counter" ? 0 : 10)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* passed(limiter, 20), 10)
      })
  )

  it.effect("a clock that is set back neither shortens nor lengthens a wait or a block (R115)", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(20_000)
      const limiter = yield* RateLimiter.make({ key, limit: 1, maxWait: "10 seconds" })
      yield* passed(limiter, 1)
      yield* limiter.blockFor("2 seconds")
      yield* TestClock.setTime(10_000)
      const waiting = yield* held(limiter.protect)
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot).blockedFor), 2_000)
      yield* TestClock.adjust(1_999)
      assert.isFalse(waiting.began)
      yield* TestClock.adjust(1)
      assert.isTrue(waiting.began)
      yield* waiting.succeed
    }))

  it.effect("a call that a later gate rejects gives its token back (R116)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 5 })
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1 })
      const both = Gate.all([limiter, bulkhead])
      const inside = yield* held(both.protect)
      assert.strictEqual((yield* limiter.snapshot).remaining, 4)
      assert.strictEqual(yield* outcome(call.pipe(both.protect)), "BulkheadFull")
      assert.strictEqual(yield* outcome(call.pipe(bulkhead.protect, limiter.protect)), "BulkheadFull")
      assert.strictEqual((yield* limiter.snapshot).remaining, 4)
      yield* inside.fail
      // One that ran is used, however it ended.
      assert.strictEqual((yield* limiter.snapshot).remaining, 4)
    }))

  it.effect("a token that comes back goes to the first in line (R116, R120)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, interval: "10 seconds", maxWait: "1 minute" })
      const permit = yield* limiter.reserve
      yield* TestClock.adjust("4 seconds")
      const waiting = yield* held(limiter.protect)
      yield* permit.refund
      yield* Effect.yieldNow()
      // Six seconds of it are still outstanding; the rest has come back by itself.
      assert.isTrue(waiting.began)
      yield* waiting.succeed
    }))

  it.effect("a call that costs more than can ever be spent fails at once, and says why (R117)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 2, maxWait: Infinity })
      const error = yield* Effect.flip(call.pipe(RateLimiter.protect(limiter, { cost: 3 })))
      assert.strictEqual(error._tag, "CostTooHigh")
      assert.strictEqual(
        error.message,
        "a call that costs 3 can never pass rate limiter \"github\", which lets at most 2 pass at once; " +
          "split the call or raise the limit"
      )
      assert.isTrue(Gate.isRejection(error))
      const allowance = yield* limiter.allow(3)
      assert.isFalse(allowance.allowed || Duration.isFinite(allowance.retryAfter))
      yield* limiter.setLimit({ burst: 3 })
      assert.strictEqual(yield* RateLimiter.protect(call, limiter, { cost: 3 }), "ok")
    }))

  it.effect("a cost can be computed for each call; one that makes no sense is a defect and takes nothing (R117)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10 })
      let cost = 4
      const costly = call.pipe(RateLimiter.protect(limiter, { cost: () => cost }))
      yield* costly
      cost = 5
      yield* costly
      assert.strictEqual((yield* limiter.snapshot).remaining, 1)
      assert.strictEqual(yield* outcome(costly), "RateLimited")
      cost = 0
      assert.strictEqual(yield* outcome(costly), "ok")
      cost = -1
      assert.strictEqual(yield* outcome(costly), "died")
      assert.strictEqual((yield* limiter.snapshot).remaining, 1)
    }))

  it.effect("who waits passes exactly when its turn comes, at no part of a millisecond too early (R118)", () =>
    Effect.gen(function*() {
      const impatient = yield* RateLimiter.make({ key, limit: 3, burst: 1 })
      yield* passed(impatient, 1)
      assert.strictEqual(retryAfter(yield* Effect.flip(call.pipe(impatient.protect))), 334)
      const limiter = yield* RateLimiter.make({ key, limit: 3, burst: 1, maxWait: "10 seconds" })
      const times: Array<number> = []
      const fibers = yield* passTimes(limiter, 7, times)
      yield* TestClock.adjust(2_000)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times, [0, 334, 667, 1_000, 1_334, 1_667, 2_000])
    }))

  it.effect("a wait that would be too long is not begun: the call is turned away at once (R119)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10, burst: 1, maxWait: "200 millis" })
      const calls = yield* Effect.replicateEffect(held(limiter.protect), 4)
      assert.deepStrictEqual(calls.map(({ began }) => began), [true, false, false, false])
      // The second and third wait 100 and 200 ms; the fourth would wait 300.
      assert.deepStrictEqual(calls.map(({ exit }) => exit === null), [true, true, true, false])
      const error = yield* Effect.flip(call.pipe(limiter.protect))
      assert.strictEqual(retryAfter(error), 300)
      assert.strictEqual(yield* outcome(call.pipe(limiter.with({ maxWait: 0 }).protect)), "RateLimited")
      const patient = yield* held(limiter.with({ maxWait: "300 millis" }).protect)
      yield* TestClock.adjust(300)
      assert.deepStrictEqual([...calls.slice(0, 3), patient].map(({ began }) => began), [true, true, true, true])
      yield* Effect.forEach([...calls, patient], ({ interrupt }) => interrupt)
    }))

  it.effect("a block that lasts longer than a call may wait turns it away at once; the others wait on (R119)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, maxWait: "5 seconds" })
      yield* passed(limiter, 1)
      const short = yield* held(limiter.protect)
      const long = yield* held(limiter.with({ maxWait: "1 minute" }).protect)
      yield* limiter.blockFor("10 seconds")
      yield* Effect.yieldNow()
      assert.strictEqual(endOf(short.exit!), "RateLimited")
      assert.isNull(long.exit)
      yield* TestClock.adjust(9_999)
      assert.isFalse(long.began)
      yield* TestClock.adjust(1)
      assert.isTrue(long.began)
      yield* long.succeed
    }))

  it.effect("those who wait for the end of a block go as what is there then allows, and are told so (R111, R119)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10, burst: 2, maxWait: 10_100 })
      yield* limiter.blockFor("10 seconds")
      const waiting = yield* Effect.replicateEffect(held(limiter.protect), 3)
      assert.strictEqual(retryAfter(yield* Effect.flip(call.pipe(limiter.protect))), 10_200)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(waiting.map(({ began }) => began), [true, true, false])
      yield* TestClock.adjust(100)
      assert.isTrue(waiting[2]!.began)
      yield* Effect.forEach(waiting, ({ succeed }) => succeed)
    }))

  it.effect("no wait is longer than it may be, also when the limit is lowered meanwhile (R119)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, maxWait: "3 seconds" })
      yield* passed(limiter, 1)
      const waiting = yield* held(limiter.protect)
      yield* limiter.setLimit({ interval: "1 minute" })
      yield* TestClock.adjust(2_999)
      assert.isNull(waiting.exit)
      yield* TestClock.adjust(1)
      assert.strictEqual(endOf(waiting.exit!), "RateLimited")
    }))

  it.effect("a call that is interrupted in line leaves its turn to those behind it (R120)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, maxWait: "1 minute" })
      const [first, second, third, fourth] = yield* Effect.all([
        held(limiter.protect),
        held(limiter.protect),
        held(limiter.protect),
        held(limiter.protect)
      ])
      assert.isTrue(first.began)
      yield* TestClock.adjust(500)
      yield* second.interrupt
      yield* TestClock.adjust(499)
      assert.isFalse(third.began)
      yield* TestClock.adjust(1)
      assert.isTrue(third.began)
      yield* TestClock.adjust(1_000)
      assert.isTrue(fourth.began)
      // Nothing of the one that left was spent.
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* passed(limiter.with({ maxWait: 0 }), 2), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* passed(limiter.with({ maxWait: 0 }), 2), 1)
      yield* Effect.forEach([first, third, fourth], ({ succeed }) => succeed)
    }))

  it.effect("a dear call holds those behind it up, and they go at once when it leaves (R120)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10, maxWait: "1 minute" })
      yield* passed(limiter, 10)
      const dear = yield* held(limiter.with({ cost: 10 }).protect)
      const cheap = yield* held(limiter.protect)
      yield* TestClock.adjust(500)
      assert.isFalse(cheap.began)
      assert.strictEqual(yield* passed(limiter.with({ maxWait: 0 }), 1), 0)
      yield* dear.interrupt
      assert.isTrue(cheap.began)
      assert.strictEqual((yield* limiter.snapshot).remaining, 4)
      yield* cheap.succeed
    }))

  it.effect("who goes because another left is counted from then on (R120)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10, algorithm: "sliding-log", maxWait: "1 minute" })
      yield* passed(limiter, 8)
      const dear = yield* held(limiter.with({ cost: 5 }).protect)
      const cheap = yield* held(limiter.protect)
      yield* TestClock.adjust(500)
      yield* dear.interrupt
      assert.isTrue(cheap.began)
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* limiter.snapshot).remaining, 9)
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* limiter.snapshot).remaining, 10)
      yield* cheap.succeed
    }))

  it.effect("the answer to `allow` says how things stand, and becomes headers (R121)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 2, burst: 3 })
      const allowed = yield* limiter.allow(2)
      assert.deepStrictEqual(allowed, {
        allowed: true,
        limit: 3,
        remaining: 1,
        resetAfter: Duration.millis(1_000),
        retryAfter: Duration.zero
      })
      assert.deepStrictEqual(RateLimiter.headers(allowed), {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "1"
      })
      const refused = yield* limiter.allow(2)
      assert.deepInclude(refused, { allowed: false, remaining: 1 })
      assert.strictEqual(Duration.toMillis(refused.retryAfter), 500)
      yield* TestClock.adjust(400)
      yield* limiter.blockFor(1_200)
      assert.deepStrictEqual(RateLimiter.headers(yield* limiter.allow()), {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "1",
        "Retry-After": "2"
      })
      assert.notProperty(RateLimiter.headers(yield* limiter.allow(4)), "Retry-After")
      assert.strictEqual(yield* outcome(limiter.allow(-1)), "died")
    }))

  it.effect("`allow` does not pass those who wait (R120)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 4, maxWait: "1 minute" })
      yield* limiter.allow(3)
      const dear = yield* held(limiter.with({ cost: 2 }).protect)
      assert.deepInclude(yield* limiter.allow(), { allowed: false, remaining: 0 })
      yield* dear.interrupt
      assert.deepInclude(yield* limiter.allow(), { allowed: true, remaining: 0 })
    }))

  it.effect("the limit can be changed, and those who wait keep to the new one (R114)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 1, maxWait: "1 minute" })
      yield* passed(limiter, 1)
      const waiting = yield* Effect.all([held(limiter.protect), held(limiter.protect), held(limiter.protect)])
      yield* TestClock.adjust(200)
      yield* limiter.setLimit({ limit: 10 })
      // 0.8 of a token is outstanding, and is back in 80 ms.
      yield* TestClock.adjust(79)
      assert.deepStrictEqual(waiting.map(({ began }) => began), [false, false, false])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(waiting.map(({ began }) => began), [true, false, false])
      yield* limiter.setLimit({ burst: 3 })
      yield* Effect.yieldNow()
      assert.deepStrictEqual(waiting.map(({ began }) => began), [true, true, true])
      yield* Effect.forEach(waiting, ({ succeed }) => succeed)
      assert.strictEqual(yield* outcome(limiter.setLimit({ limit: 0 })), "died")
      assert.strictEqual((yield* limiter.snapshot).limit, 3)
    }))

  it.effect("one that has become too dear in line takes all there is (R117)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 10, maxWait: "1 minute" })
      yield* passed(limiter, 10)
      const dear = yield* held(limiter.with({ cost: 8 }).protect)
      yield* limiter.setLimit({ burst: 4 })
      yield* TestClock.adjust(400)
      assert.isTrue(dear.began)
      assert.strictEqual((yield* limiter.snapshot).remaining, 0)
      yield* dear.succeed
    }))

  it.effect("a rejection says which limiter, and when to try again; it records no stack (R132)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 2 })
      yield* passed(limiter, 2)
      const error = yield* Effect.flip(call.pipe(RateLimiter.protect(limiter, { cost: 2 })))
      assert.deepInclude(error, { _tag: "RateLimited", limiter: key, reason: "limit", cost: 2 })
      assert.strictEqual(
        error.message,
        "rate limiter \"github\" has no token left for a call that costs 2; try again in 1s"
      )
      assert.notInclude(error.stack, "\n    at ")
      yield* limiter.blockFor("1 minute")
      const blocked = yield* Effect.flip(call.pipe(limiter.protect))
      assert.strictEqual(
        blocked.message,
        "rate limiter \"github\" takes no calls, as it was told to wait; try again in 1m"
      )
    }))

  it.effect("there is a limiter for each key, and those that nothing is spent of are forgotten (R73)", () =>
    Effect.gen(function*() {
      const tenants = yield* RateLimiter.keyed({ key: "tenants", limit: 1, maxKeys: 2 })
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("acme"))), "ok")
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("umbrella"))), "ok")
      yield* (yield* tenants.get("initech")).blockFor("1 second")
      // None of the three can be spared.
      assert.strictEqual(yield* tenants.size, 3)
      const error = yield* Effect.flip(call.pipe(tenants.protect("acme")))
      assert.strictEqual(error.limiter, "tenants/acme")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("hooli"))), "ok")
      assert.strictEqual(yield* tenants.size, 2)
      assert.deepInclude(tenants.protect("acme").descriptions[0], { policy: "RateLimiter", key: "tenants" })
      assert.deepInclude(tenants.protect("acme").descriptions[0]!.settings, { limit: 1, instance: "acme" })
    }))

  it.effect("a limiter as a service is one for all who share its layer (R4)", () => {
    class GitHub extends RateLimiter.Tag("GitHub")<GitHub>() {}
    const program = Effect.gen(function*() {
      assert.strictEqual(yield* call.pipe(GitHub.protect), "ok")
      assert.strictEqual((yield* Effect.flip(call.pipe(GitHub.protect))).limiter, "GitHub")
      assert.strictEqual((yield* (yield* GitHub).snapshot).remaining, 0)
    })
    return Effect.provide(program, GitHub.layer({ limit: 1 }))
  })

  it.effect("options that can never work are a defect (R109)", () =>
    Effect.gen(function*() {
      const bad = [
        { limit: 0 },
        { limit: 1.5 },
        { interval: 0 },
        { interval: Infinity },
        { burst: 0 },
        { algorithm: "fixed-window" as const, burst: 5 },
        { algorithm: "leaky" as never },
        { maxWait: -1 },
        { resume: "full" as never },
        { maxRetryAfter: "-1 seconds" as const }
      ]
      for (const wrong of bad) {
        const exit = yield* Effect.exit(RateLimiter.make({ key, ...wrong }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
      const limiter = yield* RateLimiter.make({ key })
      assert.throws(() => limiter.with({ cost: -1 }), InvalidOptions)
      assert.throws(() => limiter.with({ maxWait: "-1 seconds" }), InvalidOptions)
      assert.strictEqual(yield* outcome(limiter.blockFor(Infinity)), "died")
    }))

  it.effect("it describes itself and shows its limit (R148)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key, limit: 5, maxWait: Infinity })
      assert.deepStrictEqual(limiter.description, {
        policy: "RateLimiter",
        key,
        settings: {
          algorithm: "token-bucket",
          limit: 5,
          intervalMillis: 1_000,
          burst: 5,
          maxWaitMillis: null,
          resume: "accrued",
          maxRetryAfterMillis: 300_000
        }
      })
      assert.deepStrictEqual(limiter.protect.descriptions, [limiter.description])
      assert.deepInclude(limiter.with({ cost: 2, maxWait: 0 }).description.settings, { cost: 2, maxWaitMillis: 0 })
      assert.deepInclude(limiter.with({ cost: () => 2 }).description.settings, { cost: "computed" })
      assert.strictEqual(
        String(limiter),
        "{\"_id\":\"RateLimiter\",\"key\":\"github\",\"limit\":5,\"intervalMillis\":1000,\"capacity\":5,\"waiting\":0}"
      )
      assert.isTrue(RateLimiter.isRateLimiter(limiter) && Gate.isGate(limiter))
    }))

  it("the types of error and requirement stay exact (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Circuit/RateLimiter.test/Dependency")<Dependency, number>() {}
    class GitHub extends RateLimiter.Tag("GitHub")<GitHub>() {}
    const call: Effect.Effect<number, "down", Dependency> = Effect.zipRight(Dependency, Effect.fail("down" as const))
    type Protected = Effect.Effect<number, "down" | RateLimiter.RateLimited, Dependency>
    type Costly = Effect.Effect<number, "down" | RateLimiter.RateLimited | RateLimiter.CostTooHigh, Dependency>
    const uses = (limiter: RateLimiter.RateLimiter) => {
      expectTypeOf(call.pipe(RateLimiter.protect(limiter))).toEqualTypeOf<Protected>()
      expectTypeOf(RateLimiter.protect(call, limiter)).toEqualTypeOf<Protected>()
      expectTypeOf(call.pipe(limiter.protect)).toEqualTypeOf<Protected>()
      expectTypeOf(call.pipe(RateLimiter.protect(limiter, { cost: 2 }))).toEqualTypeOf<Costly>()
      expectTypeOf(RateLimiter.protect(call, limiter, { cost: 2 })).toEqualTypeOf<Costly>()
      expectTypeOf(call.pipe(limiter.heed)).toEqualTypeOf<Effect.Effect<number, "down", Dependency>>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(call.pipe(GitHub.protect)).toEqualTypeOf<
      Effect.Effect<number, "down" | RateLimiter.RateLimited, Dependency | GitHub>
    >()
  })
})
