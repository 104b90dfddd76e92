import { assert, describe, expectTypeOf, it, vi } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  FiberRefs,
  HashSet,
  Supervisor,
  TestClock
} from "effect"
import { Timeout } from "holdfast/Call"
import { Backoff, Retry } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const timedOut = <A, E>(exit: Exit.Exit<A, E> | null): boolean =>
  exit !== null && Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Timeout.TimedOut

describe("Timeout", () => {
  it.effect("it fails at exactly its time, and not a millisecond before (R9)", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.never.pipe(Timeout.after("2 seconds")))
      yield* TestClock.adjust(1_999)
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(Duration.toMillis(error.duration), 2_000)
      assert.strictEqual(error.message, "timed out after 2s; the work was interrupted")
      assert.notInclude(error.stack, "at ")
    }))

  it.effect("work that is done a millisecond before gives its result (R9)", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.as(Effect.sleep("1999 millis"), "done").pipe(Timeout.after("2 seconds")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    }))

  it.effect("values and causes come out as they are (R1)", () =>
    Effect.gen(function*() {
      const value = {}
      const cause = Cause.parallel(Cause.fail("a"), Cause.die("b"))
      for (const wait of [Effect.void, Effect.yieldNow()]) {
        assert.strictEqual(yield* Effect.as(wait, value).pipe(Timeout.after("1 second")), value)
        const exit = yield* Effect.exit(Effect.zipRight(wait, Effect.failCause(cause)).pipe(Timeout.after("1 second")))
        assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
      }
    }))

  it.effect("work that never suspends sets no timer, and can be run synchronously", () =>
    Effect.gen(function*() {
      const sleeps = () => TestClock.sleeps().pipe(Effect.map((all) => [...all].length))
      assert.strictEqual(yield* Effect.succeed(1).pipe(Timeout.after("1 second")), 1)
      assert.strictEqual(yield* sleeps(), 0)
      const fiber = yield* Effect.fork(Effect.never.pipe(Timeout.after("1 second")))
      yield* Effect.yieldNow()
      assert.strictEqual(yield* sleeps(), 1)
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("no fiber is left behind, however it ends (R9)", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const limited = Timeout.after("1 second")
      const fibers = yield* Effect.all([
        Effect.fork(limited(Effect.void)),
        Effect.fork(limited(Effect.yieldNow())),
        Effect.fork(limited(Effect.zipRight(Effect.yieldNow(), Effect.fail("x")))),
        Effect.fork(limited(Effect.never)),
        Effect.fork(limited(Effect.sleep("500 millis")))
      ]).pipe(Effect.supervised(supervisor))
      const interrupted = yield* Effect.supervised(Effect.fork(limited(Effect.never)), supervisor)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(interrupted)
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.await)
      yield* Effect.yieldNow()
      assert.lengthOf(yield* supervisor.value, 0)
    }))

  it.effect("the caller's interruption interrupts the work, waits for it, and releases once (R9)", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const released: Array<string> = []
      const fiber = yield* Effect.fork(
        Effect.acquireUseRelease(
          Deferred.succeed(started, undefined),
          () => Effect.never,
          () => Effect.zipRight(Effect.sleep("1 second"), Effect.sync(() => released.push("released")))
        ).pipe(Timeout.after("1 minute"))
      )
      yield* Deferred.await(started)
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 milli")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(released, ["released"])
    }))

  it.effect("wherever an interruption lands, what was acquired is released once (R9)", () =>
    Effect.gen(function*() {
      for (let ops = 24; ops <= 48; ops++) {
        for (let after = 0; after <= 12; after++) {
          const log: Array<string> = []
          const call = Effect.acquireUseRelease(
            Effect.sync(() => log.push("acquire")),
            () => Effect.zipRight(Effect.yieldNow(), Effect.never),
            () => Effect.sync(() => log.push("release"))
          ).pipe(Timeout.after("1 minute"), Effect.withMaxOpsBeforeYield(ops))
          const fiber = yield* Effect.fork(call)
          for (let i = 0; i < after; i++) yield* Effect.yieldNow()
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(log, log.length === 0 ? [] : ["acquire", "release"])
        }
      }
    }))

  it.effect("it waits for the finalizers of the work; with `detach` it does not", () =>
    Effect.gen(function*() {
      for (const detach of [false, true]) {
        let released = false
        const slow = Effect.never.pipe(
          Effect.onInterrupt(() => Effect.zipRight(Effect.sleep("3 seconds"), Effect.sync(() => released = true)))
        )
        const fiber = yield* Effect.fork(slow.pipe(Timeout.after("1 second", { detach })))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(timedOut(fiber.unsafePoll()), detach)
        yield* TestClock.adjust("3 seconds")
        assert.isTrue(timedOut(yield* Fiber.await(fiber)))
        assert.isTrue(released)
      }
    }))

  it.effect("a retry starts no attempt while the one before is giving back what it holds", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => log.push("acquire")),
        () => Effect.never,
        () => Effect.zipRight(Effect.sleep("5 seconds"), Effect.sync(() => log.push("release")))
      )
      const fiber = yield* Effect.fork(attempt.pipe(
        Timeout.after("1 second"),
        Retry.rules([Retry.on("TimedOut", { retries: 1, backoff: Backoff.constant("1 second") })])
      ))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(timedOut(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(log, ["acquire", "release", "acquire", "release"])
    }))

  it.effect("the other children of the caller live on when the time is over", () =>
    Effect.gen(function*() {
      const caller = yield* Effect.fork(Effect.gen(function*() {
        const sibling = yield* Effect.fork(Effect.as(Effect.sleep("10 seconds"), "alive"))
        const exit = yield* Effect.exit(Effect.never.pipe(Timeout.after("1 second")))
        return [timedOut(exit), yield* Fiber.join(sibling)]
      }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(caller), [true, "alive"])
    }))

  it.effect("changes of fiber refs are kept on success, and forks of them are respected", () =>
    Effect.gen(function*() {
      const ref = yield* FiberRef.make("before", { fork: (value) => `${value}, forked` })
      for (const wait of [Effect.void, Effect.yieldNow()]) {
        yield* FiberRef.set(ref, "before")
        const seen = yield* Effect.zipRight(wait, FiberRef.get(ref)).pipe(Timeout.after("1 second"))
        assert.strictEqual(seen, "before, forked")
        yield* Effect.zipRight(wait, FiberRef.set(ref, "after")).pipe(Timeout.after("1 second"))
        assert.strictEqual(yield* FiberRef.get(ref), "after")
      }
      const refs = yield* Effect.getFiberRefs
      assert.isTrue(HashSet.has(FiberRefs.fiberRefs(refs), ref))
    }).pipe(Effect.scoped))

  it.effect("time that the work spends before it first suspends counts", () =>
    Effect.gen(function*() {
      let now = 0
      const asked: Array<number> = []
      const clock = yield* Clock.clockWith(Effect.succeed)
      const busy: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => now,
        unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
        currentTimeMillis: Effect.sync(() => now),
        currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
        sleep: (duration) => {
          asked.push(Duration.toMillis(duration))
          return clock.sleep(duration)
        }
      }
      const work = Effect.zipRight(Effect.sync(() => now += 700), Effect.yieldNow())
      yield* work.pipe(Timeout.after("1 second"), Effect.withClock(busy))
      assert.deepStrictEqual(asked, [300])
    }))

  it.effect("in a region that cannot be interrupted it fails when the work has ended", () =>
    Effect.gen(function*() {
      let done = false
      const work = Effect.zipRight(Effect.sleep("5 seconds"), Effect.sync(() => done = true))
      const fiber = yield* Effect.fork(Effect.uninterruptible(work.pipe(Timeout.after("1 second"))))
      yield* TestClock.adjust("4999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.isTrue(timedOut(yield* Fiber.await(fiber)))
      assert.isTrue(done)
    }))

  it.effect("in a region that cannot be interrupted an interruption leaves the work its result (R9)", () =>
    Effect.gen(function*() {
      let seen: unknown
      const work = Effect.as(Effect.sleep("500 millis"), "done")
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(Effect.map(work.pipe(Timeout.after("1 second"), Effect.exit), (exit) => seen = exit))
      )
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, Exit.succeed("done"))
    }))

  it.effect("of nested limits the shorter one fires", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Effect.never.pipe(Timeout.after("1 second"), Timeout.after("2 seconds"), Effect.flip)
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(Duration.toMillis((yield* Fiber.join(fiber)).duration), 1_000)
    }))

  it.effect("a limit beyond the longest timer of the platform fires at its time", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.never.pipe(Timeout.after("30 days")))
      yield* TestClock.adjust(Duration.subtract(Duration.days(30), 1))
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.isTrue(timedOut(yield* Fiber.await(fiber)))
    }))

  it.live("under the live clock it fires too, and a timer that is not needed is cleared", () =>
    Effect.gen(function*() {
      const set = vi.spyOn(globalThis, "setTimeout")
      const clear = vi.spyOn(globalThis, "clearTimeout")
      assert.isTrue(timedOut(yield* Effect.exit(Effect.never.pipe(Timeout.after("1 milli")))))
      yield* Effect.yieldNow().pipe(Timeout.after("54321 millis"))
      const index = set.mock.calls.findIndex(([, millis]) => Number(millis) > 50_000)
      const handle = set.mock.results[index]?.value
      assert.isDefined(handle)
      assert.isTrue(clear.mock.calls.some(([cleared]) => cleared === handle))
    }).pipe(Effect.ensuring(Effect.sync(() => vi.restoreAllMocks()))))

  it.effect("an infinite duration is no limit; one that is not above zero is refused", () =>
    Effect.gen(function*() {
      const work = Effect.succeed(1)
      assert.strictEqual(work.pipe(Timeout.after(Duration.infinity)), work)
      for (const wrong of [0, -1, NaN, "-5 seconds"] as const) {
        assert.throws(() => work.pipe(Timeout.after(wrong)), InvalidOptions)
        assert.throws(() => Timeout.after(wrong), InvalidOptions)
      }
    }))

  it("the types of error and requirement stay exact (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Call/Timeout.test/Dependency")<Dependency, number>() {}
    class Failed extends Data.TaggedError("Failed") {}
    const call: Effect.Effect<number, Failed, Dependency> = Effect.zipRight(Dependency, new Failed())
    type Limited = Effect.Effect<number, Failed | Timeout.TimedOut, Dependency>
    expectTypeOf(call.pipe(Timeout.after("1 second"))).toEqualTypeOf<Limited>()
    expectTypeOf(Timeout.after(call, "1 second", { detach: true })).toEqualTypeOf<Limited>()
  })
})
