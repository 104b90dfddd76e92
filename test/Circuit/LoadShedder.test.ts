import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { Gate, LoadShedder } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { type Down, fail, opened, outcome, times } from "./support/calls.js"
import { held } from "./support/shedding.js"

const ok = Effect.succeed("ok")

/** How a call ends that takes so long. */
const taking = (millis: number, shedder: Gate.Gate<unknown>, work: Effect.Effect<unknown, unknown> = ok) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.zipRight(Effect.sleep(millis), work).pipe(shedder.protect, Effect.exit))
    yield* TestClock.adjust(millis)
    return yield* Fiber.join(fiber)
  })

describe("LoadShedder.onLatency", () => {
  const options = { key: "search", limit: "500 millis", window: "10 seconds", buckets: 10, minimumCalls: 4 } as const

  it.effect("rejects while the latency in the window is above the limit, and no longer (R132, R143)", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.onLatency({ ...options, percentile: 0.5 })
      for (const millis of [500, 100, 501]) yield* taking(millis, shedder)
      assert.deepInclude(yield* shedder.snapshot, { shedding: false })
      // Two of four within the limit: the half of them is.
      yield* taking(600, shedder)
      assert.deepInclude(yield* shedder.snapshot, { shedding: false })
      yield* taking(600, shedder)
      const rejection = yield* Effect.flip(ok.pipe(shedder.protect))
      assert.instanceOf(rejection, LoadShedder.Shed)
      assert.isTrue(Gate.isRejection(rejection))
      // It is 2,301 ms; the window moves on at 3,000.
      assert.deepInclude(rejection, { shedder: "search", reason: "latency", retryAfter: Duration.millis(699) })
      assert.strictEqual(
        rejection.message,
        "load shedder \"search\" gave the call up: calls take longer than they may; try again in 699ms"
      )
      assert.deepStrictEqual(yield* shedder.snapshot, {
        shedder: "search",
        shed: 1,
        shedding: true,
        inflight: 0,
        waiting: 0,
        threshold: 0
      })
      // The first two calls leave the window, and the others are too few.
      yield* TestClock.adjust(9_999 - 2_301)
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect)), "Shed")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect)), "ok")
    }))

  it.effect("an early error says nothing; who gives up late has waited too long, and so does one who is turned away late (R143)", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.onLatency({ ...options, minimumCalls: 2 })
      yield* times(5, fail.pipe(shedder.protect))
      yield* taking(400, shedder, Effect.die("bug"))
      const early = yield* held(shedder)
      yield* early.interrupt
      const late = yield* held(shedder)
      yield* TestClock.adjust("501 millis")
      yield* late.interrupt
      assert.deepInclude(yield* shedder.snapshot, { shedding: false })
      yield* taking(501, shedder, fail)
      assert.deepInclude(yield* shedder.snapshot, { shedding: true })
    }))

  it.effect("a call that another gate turns away says nothing (R143)", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.onLatency({ ...options, minimumCalls: 1 })
      const breaker = yield* opened(0)
      const late = Effect.zipRight(Effect.sleep("1 second"), ok.pipe(breaker.protect))
      const fiber = yield* Effect.fork(Effect.exit(late.pipe(shedder.protect)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepInclude(yield* shedder.snapshot, { shedding: false })
    }))
})

describe("LoadShedder.onEventLoopDelay", () => {
  const options = { key: "api", limit: "100 millis", percentile: 0.99, window: "1 second" } as const

  it.effect("sheds while the event loop was late in the last window (R132)", () => {
    let delay = 0
    const asked: Array<number> = []
    let stopped = 0
    const monitor: LoadShedder.EventLoopMonitor = {
      read: (percentile) => {
        asked.push(percentile)
        return delay
      },
      stop: () => stopped++
    }
    const program = Effect.gen(function*() {
      const shedder = yield* LoadShedder.onEventLoopDelay(options)
      delay = 101
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect)), "ok")
      assert.deepStrictEqual(asked, [])
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Effect.flip(ok.pipe(shedder.protect)), {
        reason: "eventLoop",
        retryAfter: Duration.seconds(1)
      })
      delay = 100
      yield* TestClock.adjust(400)
      assert.deepInclude(yield* Effect.flip(ok.pipe(shedder.protect)), { retryAfter: Duration.millis(600) })
      assert.deepInclude(yield* shedder.snapshot, { shedding: true, shed: 2 })
      yield* TestClock.adjust(600)
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect)), "ok")
      assert.strictEqual(yield* outcome(fail.pipe(shedder.protect)), "Down")
      const breaker = yield* opened(0)
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect, shedder.protect)), "CircuitOpen")
      assert.deepStrictEqual(asked, [99, 99])
      assert.strictEqual(stopped, 0)
    })
    return Effect.zipRight(
      Effect.scoped(program).pipe(Effect.provideService(LoadShedder.StartEventLoopMonitor, () => monitor)),
      Effect.sync(() => assert.strictEqual(stopped, 1))
    )
  })

  it.effect("Node measures the delay unless told otherwise", () =>
    Effect.gen(function*() {
      const start = yield* LoadShedder.StartEventLoopMonitor
      const monitor = start()
      assert.isDefined(monitor)
      assert.isAtLeast(monitor!.read(99), 0)
      monitor!.stop()
      const shedder = yield* LoadShedder.onEventLoopDelay(options)
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect)), "ok")
    }).pipe(Effect.scoped))

  it.effect("where it cannot be measured, that is a defect of making it", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(LoadShedder.onEventLoopDelay(options)))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(error, InvalidOptions)
      assert.include((error as InvalidOptions).message, "provide StartEventLoopMonitor")
    }).pipe(Effect.provideService(LoadShedder.StartEventLoopMonitor, () => undefined)))
})

describe("a LoadShedder", () => {
  it.effect("options that can never work are a defect", () =>
    Effect.gen(function*() {
      const latency = { key: "x", limit: "1 second" } as const
      const bad: ReadonlyArray<Effect.Effect<LoadShedder.LoadShedder>> = [
        LoadShedder.onLatency({ ...latency, limit: 0 }),
        LoadShedder.onLatency({ ...latency, percentile: 90 }),
        LoadShedder.onLatency({ ...latency, window: 0 }),
        LoadShedder.onLatency({ ...latency, buckets: 0 }),
        LoadShedder.onLatency({ ...latency, minimumCalls: 0 }),
        LoadShedder.queue({ key: "x", concurrency: 0 }),
        LoadShedder.queue({ key: "x", concurrency: 1, queue: 0 }),
        LoadShedder.queue({ key: "x", concurrency: 1, target: 0 }),
        LoadShedder.queue({ key: "x", concurrency: 1, interval: 4 }),
        LoadShedder.queue({ key: "x", concurrency: 1, law: "hope" as never }),
        Effect.scoped(LoadShedder.onEventLoopDelay({ ...latency, limit: "-1 seconds" })),
        Effect.scoped(LoadShedder.onEventLoopDelay({ ...latency, percentile: 0 })),
        Effect.scoped(LoadShedder.onEventLoopDelay({ ...latency, window: Infinity })),
        LoadShedder.byPriority({ key: "x", every: 0 }),
        LoadShedder.byPriority({ key: "x", usageWindow: 0 }),
        LoadShedder.byPriority({ key: "x", maxUsers: 0 })
      ]
      for (const make of bad) {
        const exit = yield* Effect.exit(make)
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
    }))

  it.effect("says how it is set, and can be a service (R148)", () => {
    class Api extends LoadShedder.Tag("Api")<Api>() {}
    const program = Effect.gen(function*() {
      assert.strictEqual(yield* ok.pipe(Api.protect), "ok")
      const shedder = yield* Api
      assert.isTrue(LoadShedder.isLoadShedder(shedder))
      assert.deepStrictEqual(LoadShedder.protect(shedder).descriptions, [{
        policy: "LoadShedder",
        key: "api",
        settings: {
          kind: "queue",
          law: "timeout",
          concurrency: 50,
          queue: 1_000,
          targetMillis: 5,
          intervalMillis: 100,
          newestFirst: true
        }
      }])
      const latency = yield* LoadShedder.onLatency({ key: "l", limit: "1 second" })
      assert.deepStrictEqual(latency.description.settings, {
        kind: "latency",
        limitMillis: 1_000,
        percentile: 0.9,
        minimumCalls: 10,
        windowMillis: 10_000
      })
      const late = yield* LoadShedder.onEventLoopDelay({ key: "l", limit: "1 second" })
      assert.deepStrictEqual(late.description.settings, {
        kind: "eventLoop",
        limitMillis: 1_000,
        percentile: 0.9,
        windowMillis: 1_000
      })
    }).pipe(Effect.scoped)
    // @effect-diagnostics-next-line strictEffectProvide:off
    return Effect.provide(program, Api.layer(LoadShedder.queue({ key: "api", concurrency: 50 })))
  })

  it("the types of error and requirement stay exact (R31)", () => {
    class Api extends LoadShedder.Tag("Api")<Api>() {}
    type Protected = Effect.Effect<never, Down | LoadShedder.Shed>
    const uses = (shedder: LoadShedder.LoadShedder) => {
      expectTypeOf(LoadShedder.protect(shedder)).toEqualTypeOf<Combinator<LoadShedder.Shed>>()
      expectTypeOf(fail.pipe(LoadShedder.protect(shedder))).toEqualTypeOf<Protected>()
      expectTypeOf(LoadShedder.protect(fail, shedder)).toEqualTypeOf<Protected>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(fail.pipe(Api.protect)).toEqualTypeOf<Effect.Effect<never, Down | LoadShedder.Shed, Api>>()
  })
})
