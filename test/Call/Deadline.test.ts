import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import {
  Clock,
  Context,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Option,
  TestClock
} from "effect"
import { Deadline } from "holdfast/Call"
import { CircuitBreaker, Gate } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { Backoff, Retry } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const left = Effect.map(Deadline.remaining, (left) => Option.getOrUndefined(Option.map(left, Duration.toMillis)))

describe("Deadline", () => {
  it.effect("at exactly its time the work is interrupted, and releases what it holds (R9, R26)", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2030, 0, 1))
      let released = 0
      const work = Effect.never.pipe(Effect.ensuring(Effect.sync(() => released++)))
      const fiber = yield* Effect.fork(work.pipe(Deadline.within("2 seconds")))
      yield* TestClock.adjust(1_999)
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual([error.deadline, error.started, released], [Date.UTC(2030, 0, 1) + 2_000, true, 1])
      assert.strictEqual(
        error.message,
        "the deadline 2030-01-01T00:00:02.000Z has passed; the work was interrupted"
      )
      assert.isFalse(Gate.isRejection(error))
    }))

  it.effect("one that has passed fails at once: the work does not run, and no gate counts it (R26)", () =>
    Effect.gen(function*() {
      let runs = 0
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1 })
      const work = Effect.sync(() => runs++).pipe(CircuitBreaker.protect(breaker))
      for (
        const late of [
          work.pipe(Deadline.within(0)),
          work.pipe(Deadline.at(-5)),
          work.pipe(Deadline.within("1 hour"), Effect.provideService(Retry.CurrentDeadline, 0))
        ]
      ) {
        const error = yield* Effect.flip(late)
        assert.isFalse(error._tag === "DeadlineExceeded" && error.started)
        assert.include(error.message, "it did not run")
        assert.isTrue(Gate.isRejection(error))
      }
      const outside = Effect.void.pipe(Deadline.within(0), CircuitBreaker.protect(breaker))
      yield* Effect.exit(outside)
      assert.strictEqual((yield* Effect.flip(outside))._tag, "DeadlineExceeded")
      assert.strictEqual(runs, 0)
    }))

  it.effect("of nested deadlines the earliest counts, and everything inside sees it (R26)", () =>
    Effect.gen(function*() {
      const seen = Effect.all([left, left.pipe(Deadline.within("10 seconds")), left.pipe(Deadline.within("1 second"))])
      assert.deepStrictEqual(yield* seen, [undefined, 10_000, 1_000])
      assert.deepStrictEqual(yield* seen.pipe(Deadline.within("3 seconds")), [3_000, 3_000, 1_000])
      assert.deepStrictEqual(yield* Deadline.current.pipe(Deadline.at(5_000)), Option.some(5_000))
      assert.deepStrictEqual(yield* Deadline.current, Option.none())
      // An inner deadline also ends at one that nobody enforces outside.
      const fiber = yield* Effect.fork(Effect.never.pipe(
        Deadline.within("1 hour"),
        Effect.provideService(Retry.CurrentDeadline, 2_000)
      ))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).deadline, 2_000)
      assert.strictEqual(yield* Effect.provideService(left, Retry.CurrentDeadline, 500), 0)
    }))

  it.effect("a retry inside begins no sleep that would end after it, so its own error comes out (R26)", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        times.push(now)
        return Effect.fail("busy")
      })
      const fiber = yield* Effect.fork(call.pipe(
        Retry.rules([Retry.onAny({ retries: 9, backoff: Backoff.exponential("1 second") })]),
        Deadline.within("5 seconds")
      ))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("busy"))
      assert.deepStrictEqual(times, [0, 1_000, 3_000])
    }))

  it.effect("the caller's interruption interrupts the work, and releases once (R9)", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      let released = 0
      const fiber = yield* Effect.fork(
        Effect.acquireUseRelease(
          Deferred.succeed(started, undefined),
          () => Effect.never,
          () => Effect.sync(() => released++)
        ).pipe(Deadline.within("1 minute"))
      )
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(released, 1)
    }))

  it.effect("an infinite one is none; a negative one is refused", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* left.pipe(Deadline.within(Duration.infinity)))
      assert.isUndefined(yield* left.pipe(Deadline.at(Infinity)))
      assert.throws(() => Deadline.within(-1), InvalidOptions)
      assert.throws(() => Deadline.at(NaN), InvalidOptions)
    }))

  it.effect("it is told to another process, and taken over from one (R26)", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Deadline.header, Option.none())
      assert.deepStrictEqual(yield* Deadline.header.pipe(Deadline.within("90 seconds")), Option.some("90000m"))
      assert.strictEqual(yield* left.pipe(Deadline.fromHeader("2S")), 2_000)
      assert.strictEqual(yield* left.pipe(Deadline.fromHeader("2S"), Deadline.within("1 second")), 1_000)
      for (const absent of [undefined, "", "soon", "-1S", "123456789m", "1.5S", "1s"]) {
        assert.isUndefined(yield* left.pipe(Deadline.fromHeader(absent)))
      }
      assert.strictEqual((yield* Effect.flip(Effect.never.pipe(Deadline.fromHeader("0m")))).started, false)
    }))

  it("a header has at most eight digits and says no more time than there is (R26)", () => {
    const values = [
      "0 millis",
      "250 micros",
      "1 millis",
      "99999999 millis",
      "100000000 millis",
      "30 days",
      "5000 weeks"
    ]
    assert.deepStrictEqual(values.map((value) => Deadline.encode(value as "1 millis")), [
      "0u",
      "250u",
      "1m",
      "99999999m",
      "100000S",
      "2592000S",
      "50400000M"
    ])
    assert.strictEqual(Deadline.encode(Duration.infinity), "99999999H")
    assert.deepStrictEqual(Deadline.decode("1500000n"), Option.some(Duration.millis(1.5)))
    fc.assert(fc.property(fc.double({ min: 0, max: 3.5e14, noNaN: true }), (millis) => {
      const header = Deadline.encode(millis)
      const again = Option.getOrThrow(Deadline.decode(header)).pipe(Duration.toMillis)
      assert.isAtMost(again, millis + 1e-6)
      assert.isAtLeast(again, millis - Math.max(1, millis * 1e-5))
    }))
  })

  it("it describes itself, and its types stay exact (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Call/Deadline.test/Dependency")<Dependency, number>() {}
    class Failed extends Data.TaggedError("Failed") {}
    const call: Effect.Effect<number, Failed, Dependency> = Effect.zipRight(Dependency, new Failed())
    type Limited = Effect.Effect<number, Failed | Deadline.DeadlineExceeded, Dependency>
    expectTypeOf(call.pipe(Deadline.within("1 second"))).toEqualTypeOf<Limited>()
    expectTypeOf(Deadline.within(call, "1 second")).toEqualTypeOf<Limited>()
    expectTypeOf(Deadline.at(call, 5)).toEqualTypeOf<Limited>()
    expectTypeOf(Deadline.at(5)).toEqualTypeOf<Combinator<Deadline.DeadlineExceeded>>()
    assert.deepStrictEqual(Deadline.within("1 second").descriptions, [
      { policy: "Deadline", settings: { withinMillis: 1_000 } }
    ])
    assert.deepStrictEqual(Deadline.at(5).descriptions, [{ policy: "Deadline", settings: { atMillis: 5 } }])
  })
})
