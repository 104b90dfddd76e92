import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { ConcurrencyLimit, Gate } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { type Down, fail, Http, opened, outcome, times } from "./support/calls.js"

const ok = Effect.succeed("ok")

/** Always the same limit, and a list of what was measured. */
const fixed = (limit: number, seen: Array<ConcurrencyLimit.Sample> = []) =>
  ConcurrencyLimit.custom({
    algorithm: "fixed",
    initial: limit,
    limit: (state) => state,
    onSample: (state, sample) => {
      seen.push(sample)
      return state
    }
  })

/** A call that is under way until it is ended. */
const held = (limit: ConcurrencyLimit.ConcurrencyLimit) =>
  Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const end = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(end)).pipe(limit.protect)
    )
    return {
      fiber,
      started: Deferred.await(started),
      hasStarted: Deferred.isDone(started),
      succeed: Effect.zipRight(Deferred.succeed(end, undefined), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

describe("ConcurrencyLimit", () => {
  it.effect("takes as many calls at a time as its limit, and turns the others away with a hint (R132)", () =>
    Effect.gen(function*() {
      const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: fixed(2) })
      const first = yield* held(limit)
      const second = yield* held(limit)
      yield* Effect.all([first.started, second.started])
      const unknown = yield* Effect.flip(ok.pipe(limit.protect))
      assert.deepInclude(unknown, { retryAfter: Duration.seconds(1) })
      yield* TestClock.adjust("250 millis")
      yield* first.succeed
      const third = yield* held(limit)
      yield* third.started
      const rejection = yield* Effect.flip(ok.pipe(limit.protect))
      assert.instanceOf(rejection, ConcurrencyLimit.LimitExceeded)
      assert.isTrue(Gate.isRejection(rejection))
      assert.deepInclude(rejection, {
        limiter: "db",
        limit: 2,
        inflight: 2,
        waiting: 0,
        retryAfter: Duration.millis(250)
      })
      assert.strictEqual(
        rejection.message,
        "concurrency limit \"db\" takes 2 calls at a time, and 2 are under way; try again in 250ms"
      )
      assert.deepStrictEqual(yield* limit.snapshot, { limiter: "db", limit: 2, inflight: 2, waiting: 0, rejected: 2 })
      yield* Effect.all([second.succeed, third.interrupt])
      assert.deepInclude(yield* limit.snapshot, { inflight: 0 })
    }))

  it.effect("measures how long a call takes, how many are under way, and whether it was dropped", () =>
    Effect.gen(function*() {
      const seen: Array<ConcurrencyLimit.Sample> = []
      const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: fixed(9, seen) })
      const first = yield* held(limit)
      yield* first.started
      yield* TestClock.adjust("20 millis")
      const second = yield* held(limit)
      yield* second.started
      yield* TestClock.adjust("30 millis")
      yield* first.succeed
      yield* second.succeed
      assert.deepStrictEqual(seen.splice(0), [
        { rttMillis: 50, inflight: 1, dropped: false },
        { rttMillis: 30, inflight: 2, dropped: false }
      ])
      const timeout = Effect.timeout(Effect.never, "5 seconds")
      const late = yield* Effect.fork(Effect.exit(timeout.pipe(limit.protect)))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(late)
      assert.deepStrictEqual(seen.splice(0), [{ rttMillis: 5_000, inflight: 1, dropped: true }])
      for (const status of [429, 503]) {
        yield* Effect.exit(Effect.fail(new Http({ status })).pipe(limit.protect))
        yield* Effect.exit(Effect.fail({ response: { status } }).pipe(limit.protect))
      }
      assert.deepStrictEqual(seen.splice(0).map(({ dropped }) => dropped), [true, true, true, true])
      // What comes sooner than an answer would, and what says nothing, is not measured.
      yield* times(1, fail.pipe(limit.protect))
      yield* times(1, Effect.fail(new Http({ status: 404 })).pipe(limit.protect))
      yield* times(1, Effect.dieMessage("bug").pipe(limit.protect))
      yield* Effect.flatMap(held(limit), ({ interrupt, started }) => Effect.zipRight(started, interrupt))
      assert.deepStrictEqual(seen, [])
      assert.deepInclude(yield* limit.snapshot, { inflight: 0 })
    }))

  it.effect("a call that another gate turns away, and a refunded permit, are not measured", () =>
    Effect.gen(function*() {
      const seen: Array<ConcurrencyLimit.Sample> = []
      const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: fixed(1, seen), queue: true })
      const breaker = yield* opened(0)
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect, limit.protect)), "CircuitOpen")
      const permit = yield* limit.reserve
      const waiting = yield* held(limit)
      yield* Effect.yieldNow()
      assert.deepInclude(yield* limit.snapshot, { inflight: 1, waiting: 1 })
      assert.isTrue(yield* permit.refund)
      assert.isFalse(yield* permit.refund)
      yield* waiting.started
      assert.deepStrictEqual(seen, [])
      yield* waiting.succeed
      assert.strictEqual(seen.length, 1)
    }))

  it.effect("grows while calls take as long as usual, and shrinks when they take longer", () =>
    Effect.gen(function*() {
      const limit = yield* ConcurrencyLimit.make({
        key: "db",
        algorithm: ConcurrencyLimit.gradient({ initial: 4, room: 4, smoothing: 0.5 })
      })
      const round = (count: number, millis: number) =>
        Effect.gen(function*() {
          const calls = yield* Effect.all(Array.from({ length: count }, () => held(limit)))
          yield* Effect.all(calls.map(({ started }) => started))
          yield* TestClock.adjust(millis)
          yield* Effect.all(calls.map(({ succeed }) => succeed))
          return yield* limit.limit
        })
      // 2, 3 and 4 calls under way are no idle dependency: each adds a half of 4.
      assert.strictEqual(yield* round(4, 10), 10)
      assert.isBelow(yield* round(10, 1_000), 10)
    }))

  it.effect("with a line, calls wait in order for a place; from twice the limit on a part is turned away", () =>
    Effect.gen(function*() {
      const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: fixed(2), queue: true })
      const inside = yield* Effect.all([held(limit), held(limit)])
      yield* Effect.all(inside.map(({ started }) => started))
      const waiting: Array<Effect.Effect.Success<ReturnType<typeof held>>> = []
      for (let i = 0; i < 5; i++) waiting.push(yield* held(limit))
      yield* Effect.yieldNow()
      assert.deepInclude(yield* limit.snapshot, { inflight: 2, waiting: 5 })
      // Five of two wait: a half is turned away.
      assert.strictEqual(
        yield* outcome(ok.pipe(limit.protect, Effect.withRandom(Random.fixed([0.4999])))),
        "LimitExceeded"
      )
      const lucky = yield* Effect.fork(Effect.withRandom(ok.pipe(limit.protect), Random.fixed([0.5])))
      yield* Effect.yieldNow()
      const rejection = yield* Effect.flip(ok.pipe(limit.protect, Effect.withRandom(Random.fixed([0.9999]))))
      assert.strictEqual(
        (rejection as ConcurrencyLimit.LimitExceeded).message,
        "concurrency limit \"db\" takes 2 calls at a time, and 2 are under way and 6 wait; try again in 1s"
      )
      yield* inside[0]!.succeed
      yield* waiting[0]!.started
      assert.isFalse(yield* waiting[1]!.hasStarted)
      // One that gives up makes way for those behind it.
      yield* waiting[1]!.interrupt
      yield* inside[1]!.succeed
      yield* waiting[2]!.started
      yield* Effect.all([waiting[0]!.succeed, waiting[2]!.succeed])
      yield* Effect.all([waiting[3]!.succeed, waiting[4]!.succeed])
      assert.strictEqual(yield* Fiber.join(lucky), "ok")
      assert.deepInclude(yield* limit.snapshot, { inflight: 0, waiting: 0, rejected: 2 })
    }))

  it.effect("a call that waited is measured from when it was let in", () =>
    Effect.gen(function*() {
      const seen: Array<ConcurrencyLimit.Sample> = []
      const limit = yield* ConcurrencyLimit.make({ key: "db", algorithm: fixed(1, seen), queue: true })
      const first = yield* held(limit)
      yield* first.started
      const second = yield* held(limit)
      yield* TestClock.adjust("30 millis")
      yield* first.succeed
      yield* second.started
      yield* TestClock.adjust("5 millis")
      yield* second.succeed
      assert.deepStrictEqual(seen.map(({ rttMillis }) => rttMillis), [30, 5])
    }))

  it.effect("a classifier that throws is a defect of the call, and keeps no place", () =>
    Effect.gen(function*() {
      const limit = yield* ConcurrencyLimit.make({
        key: "db",
        algorithm: fixed(1),
        classify: () => {
          throw new Error("classifier")
        }
      })
      assert.strictEqual(yield* outcome(ok.pipe(limit.protect)), "died")
      assert.deepInclude(yield* limit.snapshot, { inflight: 0 })
    }))

  it.effect("says how it is set, whatever the algorithm (R148)", () =>
    Effect.gen(function*() {
      const settings = (algorithm?: ConcurrencyLimit.Algorithm) =>
        Effect.map(ConcurrencyLimit.make({ key: "db", algorithm }), ({ description }) => description.settings)
      assert.deepStrictEqual(yield* settings(), {
        algorithm: "gradient",
        initial: 20,
        min: 1,
        max: 200,
        room: 4,
        tolerance: 1.5,
        longWindow: 600,
        smoothing: 0.2,
        queue: false
      })
      assert.deepStrictEqual(yield* settings(ConcurrencyLimit.vegas({ max: 10 })), {
        algorithm: "vegas",
        initial: 10,
        min: 1,
        max: 10,
        smoothing: 1,
        probeAfter: 30,
        queue: false
      })
      assert.deepStrictEqual(yield* settings(ConcurrencyLimit.aimd({ initial: 5 })), {
        algorithm: "aimd",
        initial: 5,
        min: 5,
        max: 200,
        backoff: 0.9,
        timeoutMillis: 5_000,
        queue: false
      })
      assert.deepInclude(yield* settings(ConcurrencyLimit.windowed({ min: 300 })), {
        algorithm: "windowed",
        initial: 300,
        min: 300,
        max: 300,
        windowMinMillis: 1_000,
        windowMaxMillis: 30_000,
        windowMinCalls: 50
      })
      assert.deepStrictEqual(yield* settings(fixed(1)), { algorithm: "fixed", queue: false })
    }))

  it("options that can never work are refused", () => {
    const bad: ReadonlyArray<() => ConcurrencyLimit.Algorithm> = [
      () => ConcurrencyLimit.gradient({ min: 0 }),
      () => ConcurrencyLimit.gradient({ min: 5, max: 4 }),
      () => ConcurrencyLimit.gradient({ initial: 3, min: 5 }),
      () => ConcurrencyLimit.gradient({ initial: 300, max: 200 }),
      () => ConcurrencyLimit.gradient({ room: 0 }),
      () => ConcurrencyLimit.gradient({ tolerance: 0.9 }),
      () => ConcurrencyLimit.gradient({ longWindow: 0 }),
      () => ConcurrencyLimit.gradient({ smoothing: 0 }),
      () => ConcurrencyLimit.vegas({ smoothing: 1.1 }),
      () => ConcurrencyLimit.vegas({ probeAfter: 0 }),
      () => ConcurrencyLimit.aimd({ backoff: 1 }),
      () => ConcurrencyLimit.aimd({ timeout: 0 }),
      () => ConcurrencyLimit.windowed({ windowMin: "1 minute" }),
      () => ConcurrencyLimit.windowed({ windowCalls: 0 }),
      () => ConcurrencyLimit.windowed({ recentAge: 0.5 }),
      () => ConcurrencyLimit.windowed({ baselineAge: NaN }),
      () => ConcurrencyLimit.windowed({ headroom: 0 })
    ]
    for (const make of bad) assert.throws(make, InvalidOptions)
  })

  it.effect("there is one for each key, or one as a service", () => {
    class Database extends ConcurrencyLimit.Tag("Database")<Database>() {}
    const program = Effect.gen(function*() {
      const hosts = yield* ConcurrencyLimit.keyed({ key: "hosts", algorithm: fixed(1), maxKeys: 1 })
      const busy = yield* held(yield* hosts.get("a"))
      yield* busy.started
      assert.strictEqual(yield* outcome(ok.pipe(hosts.protect("a"))), "LimitExceeded")
      assert.strictEqual(yield* outcome(ok.pipe(hosts.protect("b"))), "ok")
      assert.strictEqual(yield* hosts.size, 2)
      yield* busy.succeed
      yield* ok.pipe(hosts.protect("c"))
      assert.strictEqual(yield* hosts.size, 1)
      assert.strictEqual((yield* (yield* hosts.get("c")).snapshot).limiter, "hosts/c")
      assert.strictEqual(yield* ok.pipe(Database.protect), "ok")
      assert.isTrue(ConcurrencyLimit.isConcurrencyLimit(yield* Database))
      const wrong = yield* Effect.exit(ConcurrencyLimit.keyed({ key: "hosts", maxKeys: 0 }))
      assert.instanceOf(Exit.isFailure(wrong) ? Cause.squash(wrong.cause) : undefined, InvalidOptions)
    })
    // @effect-diagnostics-next-line strictEffectProvide:off
    return Effect.provide(program, Database.layer())
  })

  it("the types of error and requirement stay exact (R31)", () => {
    class Database extends ConcurrencyLimit.Tag("Database")<Database>() {}
    type Limited = Effect.Effect<never, Down | ConcurrencyLimit.LimitExceeded>
    const uses = (limit: ConcurrencyLimit.ConcurrencyLimit) => {
      expectTypeOf(ConcurrencyLimit.protect(limit)).toEqualTypeOf<Combinator<ConcurrencyLimit.LimitExceeded>>()
      expectTypeOf(fail.pipe(ConcurrencyLimit.protect(limit))).toEqualTypeOf<Limited>()
      expectTypeOf(ConcurrencyLimit.protect(fail, limit)).toEqualTypeOf<Limited>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(fail.pipe(Database.protect)).toEqualTypeOf<
      Effect.Effect<never, Down | ConcurrencyLimit.LimitExceeded, Database>
    >()
  })

  it.effect(
    "whatever calls come to, no place is lost, and never are more inside than may be",
    () => {
      const algorithms = [
        ConcurrencyLimit.gradient({ initial: 2, max: 6 }),
        ConcurrencyLimit.vegas({ initial: 2, max: 6 }),
        ConcurrencyLimit.aimd({ initial: 3, min: 1, max: 6, timeout: 5 }),
        fixed(2)
      ]
      const program = (seed: number) =>
        Effect.gen(function*() {
          const limit = yield* ConcurrencyLimit.make({
            key: "db",
            algorithm: algorithms[seed % algorithms.length],
            queue: seed % 3 > 0
          })
          let inside = 0
          const most = seed % algorithms.length === 3 ? 2 : 6
          const use = Effect.gen(function*() {
            assert.isAtMost(inside, most)
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 12))
            const end = yield* Random.nextIntBetween(0, 8)
            if (end < 2) return yield* new Http({ status: 503 })
            if (end === 2) return yield* Effect.dieMessage("bug")
          })
          const work = Effect.acquireUseRelease(
            Effect.sync(() => inside++),
            () => use,
            () => Effect.sync(() => inside--)
          )
          const call = Effect.gen(function*() {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 25))
            yield* Effect.exit(work.pipe(limit.protect, Effect.timeout(1 + (yield* Random.nextIntBetween(0, 20)))))
            const { inflight, waiting } = yield* limit.snapshot
            assert.isAtLeast(inflight, inside)
            assert.isAtLeast(waiting, 0)
          })
          yield* Effect.all(Array.from({ length: 9 }, () => call), { concurrency: "unbounded", discard: true })
          assert.deepInclude(yield* limit.snapshot, { inflight: 0, waiting: 0 })
          assert.strictEqual(inside, 0)
          assert.strictEqual(yield* outcome(ok.pipe(limit.protect)), "ok")
        })
      return Simulation.explore(program, { seeds: 1_000 })
    },
    30_000
  )
})
