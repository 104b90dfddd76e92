import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Data, Deferred, Duration, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Backoff, Retry } from "holdfast/Schedule"
import { A, B, doubling, ended, failing, second, soon } from "./support/calls.js"

describe("Retry, waiting", () => {
  describe("hints and markers", () => {
    const hinted = (errors: ReadonlyArray<A>, options: Partial<Retry.RuleOptions<A>>) => {
      const { action, times } = failing(errors)
      return Effect.as(
        ended(action.pipe(
          Retry.rules([Retry.on("A", { retries: 9, backoff: doubling, hint: (error) => error.wait, ...options })])
        )),
        times
      )
    }

    it.effect("a hint above zero is the wait; any other leaves it to the curve (R18)", () =>
      Effect.gen(function*() {
        const errors = [5_000, 0, -7, NaN, undefined].map((wait) => new A(wait === undefined ? {} : { wait }))
        assert.deepStrictEqual(yield* hinted(errors, {}), [0, 5_000, 6_000, 8_000, 12_000, 20_000])
      }))

    it.effect("a hint is told the time, which a date counts from, and a part of a millisecond is a whole one (R18)", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_000)
        const until = (at: number) => (_: A, now: number) => at - now
        const times = yield* hinted([new A({}), new A({})], { hint: until(5_000.25), retries: 1 })
        assert.deepStrictEqual(times, [1_000, 5_001])
      }))

    it.effect("a hint does not move the curve forward, nor draw a random number for it (R19)", () =>
      Effect.gen(function*() {
        const times = yield* hinted([new A({}), new A({ wait: 100 }), new A({ wait: 100 }), new A({})], {})
        assert.deepStrictEqual(times, [0, 1_000, 1_100, 1_200, 3_200])
        const run = (errors: ReadonlyArray<A>) =>
          Effect.zipRight(hinted(errors, { backoff: Backoff.exponential(1_000, { jitter: "full" }) }), Random.next)
            .pipe(
              Effect.withRandom(Random.make("seed"))
            )
        assert.strictEqual(yield* run([new A({ wait: 50 })]), yield* run([]))
      }))

    it.effect("a hint is capped, and jitter adds to it but never takes away (R18)", () =>
      Effect.gen(function*() {
        const errors = [new A({ wait: "10 minutes" })]
        assert.deepStrictEqual(yield* hinted(errors, { hintCap: "1 minute" }), [0, 60_000])
        const [from, to] = yield* Effect.withRandom(hinted(errors, { hintJitter: "1 minute" }), Random.make("seed"))
        const random = yield* Effect.withRandom(Random.next, Random.make("seed"))
        assert.strictEqual(to! - from!, Math.ceil(600_000 + 60_000 * random))
      }))

    it.effect("combine: \"max\" waits for the longer of curve and hint (R18)", () =>
      Effect.gen(function*() {
        const errors = [new A({ wait: 3_000 }), new A({ wait: 500 })]
        assert.deepStrictEqual(yield* hinted(errors, { combine: "max" }), [0, 3_000, 5_000])
      }))

    it.effect("a marked error is not retried, also when another error wraps it (R27)", () =>
      Effect.gen(function*() {
        class Wrapper extends Data.TaggedError("Wrapper")<{ readonly cause: unknown }> {}
        for (
          const error of [
            Retry.nonRetryable(new A({})),
            new Wrapper({ cause: new Wrapper({ cause: Retry.nonRetryable(Object.freeze({ frozen: true })) }) })
          ]
        ) {
          const { action, times } = failing<object>([error])
          yield* Effect.exit(action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })])))
          assert.lengthOf(times, 1)
          assert.isTrue(Retry.isNonRetryable(error))
        }
        assert.isFalse(Retry.isNonRetryable(new A({})))
      }))

    it.effect("a delay marked on an error wins over hint and curve (R27)", () =>
      Effect.gen(function*() {
        const wrapped = { cause: Retry.retryAfter("7 seconds", new B()) }
        const { action, times } = failing([wrapped])
        yield* ended(action.pipe(
          Retry.rules([Retry.onAny({ retries: 9, backoff: doubling, hint: () => "1 minute" })])
        ))
        assert.deepStrictEqual(times, [0, 7_000])
        assert.deepStrictEqual(Retry.retryAfterOf(wrapped).pipe((delay) => delay._tag), "Some")
        assert.strictEqual(Retry.retryAfterOf("text")._tag, "None")
      }))

    it.effect("an error that wraps itself is read once and for all (R27)", () =>
      Effect.gen(function*() {
        const knot: { cause?: unknown } = {}
        knot.cause = knot
        const { action, times } = failing([knot])
        yield* action.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: soon })]))
        assert.lengthOf(times, 2)
      }))
  })

  describe("time", () => {
    it.effect("no attempt starts later than maxElapsed, and no sleep is begun in vain (R25)", () =>
      Effect.gen(function*() {
        const run = (maxElapsed: number) =>
          Effect.gen(function*() {
            const { action, times } = failing(Array.from({ length: 9 }, () => "x"))
            let end = -1
            yield* ended(
              action.pipe(
                Retry.rules([Retry.onAny({ retries: 9, backoff: doubling })], { maxElapsed }),
                Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => end = now))
              )
            )
            const from = times[0]!
            return [...times, end].map((time) => time - from)
          })
        assert.deepStrictEqual(yield* run(7_000), [0, 1_000, 3_000, 7_000, 7_000])
        assert.deepStrictEqual(yield* run(6_999), [0, 1_000, 3_000, 3_000])
      }))

    it.effect("near a deadline no sleep is begun that ends at it or after it (R26)", () =>
      Effect.gen(function*() {
        const run = (remaining: number, options?: Retry.Options<string>) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const { action, times } = failing(Array.from({ length: 9 }, () => "x"))
            const policy = Retry.rules([Retry.onAny<string>({ retries: 9, backoff: doubling })], options)
            const exit = yield* ended(
              action.pipe(policy, Effect.provideService(Retry.CurrentDeadline, now + remaining))
            )
            assert.deepStrictEqual(exit, Exit.fail("x"))
            return times.map((time) => time - now)
          })
        assert.deepStrictEqual(yield* run(3_001), [0, 1_000, 3_000])
        assert.deepStrictEqual(yield* run(3_000), [0, 1_000])
        assert.deepStrictEqual(yield* run(0), [0])
        assert.deepStrictEqual(yield* run(-5), [0])
        assert.deepStrictEqual(yield* run(5_000, { clamp: { minAttempt: 500 } }), [0, 1_000, 3_000, 4_500])
      }))

    it.effect("clamping shortens no delay that was asked for (R26)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        yield* ended(action.pipe(Retry.rules(
          [Retry.onAny({ retries: 9, backoff: second, hint: () => "10 seconds" })],
          { maxElapsed: "5 seconds", clamp: { minAttempt: 1 } }
        )))
        assert.deepStrictEqual(times, [0])
      }))

    it.effect("a delay beyond the longest timer of the platform is slept in full, in steps that it can wait", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        const asked: Array<number> = []
        const clock = yield* Clock.clockWith(Effect.succeed)
        const watched: Clock.Clock = {
          [Clock.ClockTypeId]: Clock.ClockTypeId,
          unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
          unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
          currentTimeMillis: clock.currentTimeMillis,
          currentTimeNanos: clock.currentTimeNanos,
          sleep: (duration) => {
            asked.push(Duration.toMillis(duration))
            return clock.sleep(duration)
          }
        }
        const fiber = yield* Effect.fork(
          action.pipe(
            Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.constant("60 days") })]),
            Effect.withClock(watched)
          )
        )
        yield* TestClock.adjust(Duration.subtract(Duration.days(60), 1))
        assert.lengthOf(times, 1)
        yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        assert.strictEqual(times[1], 60 * 86_400_000)
        assert.isBelow(Math.max(...asked), 2 ** 31)
      }))
  })

  describe("interruption", () => {
    it.effect("in the sleep: no further call, and the failure comes out before the interruption (R20, R21)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x", "x"])
        const fiber = yield* Effect.fork(
          action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: second })]))
        )
        yield* TestClock.adjust("500 millis")
        const exit = yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(times, [0])
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right))
        assert.deepStrictEqual(cause._tag === "Sequential" && cause.left, Cause.fail("x"))
      }))

    it.effect("after a failing attempt that could not be interrupted: the failure is kept (R20, R21)", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        let calls = 0
        const action = Effect.uninterruptible(
          Effect.sync(() => calls++).pipe(
            Effect.zipRight(Deferred.succeed(started, undefined)),
            Effect.zipRight(Deferred.await(goOn)),
            Effect.zipRight(Effect.fail("x"))
          )
        )
        const fiber = yield* Effect.fork(action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })])))
        yield* Deferred.await(started)
        yield* Fiber.interruptFork(fiber)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(goOn, undefined)
        const exit = yield* Fiber.await(fiber)
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right))
        assert.deepStrictEqual(cause._tag === "Sequential" && cause.left, Cause.fail("x"))
        assert.strictEqual(calls, 1)
      }))

    it.effect("in an attempt: it is interrupted, and releases what it holds once (R9, R20)", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        let released = 0
        let calls = 0
        const action = Effect.acquireUseRelease(
          Effect.sync(() => calls++),
          () => Effect.zipRight(Deferred.succeed(started, undefined), Effect.never),
          () => Effect.sync(() => released++)
        )
        const fiber = yield* Effect.fork(
          action.pipe(Retry.rules([
            Retry.onCause(() => true, { retries: 9, backoff: soon }),
            Retry.onAny({ retries: 9, backoff: soon })
          ]))
        )
        yield* Deferred.await(started)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isInterrupted(exit))
        assert.deepStrictEqual([calls, released], [1, 1])
      }))

    it.effect("before the call: the effect does not run (R20)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        const retried = action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })]))
        const fiber = yield* Effect.fork(
          Effect.uninterruptibleMask((restore) =>
            Effect.withFiberRuntime<string, string>((self) => {
              self.unsafeInterruptAsFork(self.id())
              return Effect.zipRight(Effect.yieldNow(), restore(retried))
            })
          )
        )
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
        assert.lengthOf(times, 0)
      }))
  })
})
