import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Random, TestClock } from "effect"
import { LoadShedder } from "holdfast/Circuit"
import { Simulation } from "holdfast/Testing"
import { opened, outcome } from "./support/calls.js"
import { held, reasonOf } from "./support/shedding.js"

const ok = Effect.succeed("ok")

describe("LoadShedder.queue", () => {
  it.effect("so many calls run at a time, and the others wait for an interval (R132)", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 2, queue: 2 })
      const inside = yield* Effect.all([held(shedder), held(shedder)])
      const first = yield* held(shedder)
      yield* TestClock.adjust(40)
      const second = yield* held(shedder)
      const full = yield* Effect.flip(ok.pipe(shedder.protect))
      assert.deepInclude(full, { shedder: "api", reason: "queueFull", retryAfter: Duration.millis(100) })
      assert.deepInclude(yield* shedder.snapshot, { inflight: 2, waiting: 2, shedding: false })
      yield* TestClock.adjust(59)
      assert.deepInclude(yield* shedder.snapshot, { waiting: 2 })
      yield* TestClock.adjust(1)
      assert.strictEqual(reasonOf(yield* first.exit), "waited")
      yield* inside[0].succeed
      yield* second.started
      assert.deepInclude(yield* shedder.snapshot, { inflight: 2, waiting: 0, shed: 2 })
      yield* Effect.all([inside[1].succeed, second.succeed])
      assert.deepInclude(yield* shedder.snapshot, { inflight: 0 })
    }))

  it.effect("when it has not been empty for an interval, calls wait for the target only, and the newest is served", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 1 })
      const inside = yield* held(shedder)
      const first = yield* held(shedder)
      yield* TestClock.adjust(60)
      const second = yield* held(shedder)
      yield* TestClock.adjust(40)
      assert.strictEqual(reasonOf(yield* first.exit), "waited")
      assert.deepInclude(yield* shedder.snapshot, { shedding: false })
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* shedder.snapshot, { shedding: true })
      const third = yield* held(shedder)
      yield* TestClock.adjust(3)
      const fourth = yield* held(shedder)
      yield* inside.succeed
      yield* fourth.started
      assert.isFalse(yield* second.hasStarted)
      // Five milliseconds after it came
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* shedder.snapshot, { waiting: 2 })
      yield* TestClock.adjust(1)
      assert.strictEqual(reasonOf(yield* third.exit), "waited")
      yield* fourth.succeed
      yield* second.started
      yield* second.succeed
      // It was empty, so the next call may wait for an interval again.
      const again = yield* held(shedder)
      const patient = yield* held(shedder)
      yield* TestClock.adjust(99)
      yield* again.succeed
      yield* patient.started
      yield* patient.succeed
    }))

  it.effect("the oldest first, where that is asked for", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({
        key: "api",
        concurrency: 1,
        interval: 20,
        target: 15,
        newestFirst: false
      })
      const inside = yield* held(shedder)
      const first = yield* held(shedder)
      yield* TestClock.adjust(19)
      const second = yield* held(shedder)
      yield* TestClock.adjust(2)
      const third = yield* held(shedder)
      assert.deepInclude(yield* shedder.snapshot, { shedding: true, waiting: 2 })
      yield* inside.succeed
      yield* second.started
      assert.strictEqual(reasonOf(yield* first.exit), "waited")
      yield* second.succeed
      yield* third.succeed
    }))

  it.effect("by sojourn, the oldest are given up more and more often as calls go on waiting too long", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({
        key: "api",
        concurrency: 1,
        law: "sojourn",
        target: 5,
        interval: 20
      })
      let inside = yield* held(shedder)
      const waiting = yield* Effect.all(Array.from({ length: 8 }, () => held(shedder)))
      /** Ends the call inside, and says which is in its place. */
      const serve = Effect.gen(function*() {
        yield* inside.succeed
        yield* Effect.yieldNow()
        for (const [index, call] of waiting.entries()) {
          if (call !== inside && (yield* call.hasStarted) && !served.has(index)) {
            served.add(index)
            inside = call
            return index
          }
        }
        return -1
      })
      const served = new Set<number>()
      // Too long for the first time: an interval begins.
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* serve, 0)
      yield* TestClock.adjust(19)
      assert.strictEqual(yield* serve, 1)
      // The interval is over: the oldest is given up, and the newest is served.
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* serve, 7)
      assert.strictEqual(reasonOf(yield* waiting[2]!.exit), "waited")
      assert.deepInclude(yield* shedder.snapshot, { shedding: true, shed: 1, waiting: 4 })
      // The next after 20 / √1 ms
      yield* TestClock.adjust(19)
      assert.strictEqual(yield* serve, 6)
      assert.deepInclude(yield* shedder.snapshot, { shed: 1 })
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* serve, 5)
      assert.strictEqual(reasonOf(yield* waiting[3]!.exit), "waited")
      assert.strictEqual(yield* serve, 4)
      yield* inside.succeed
      assert.deepInclude(yield* shedder.snapshot, { shedding: false, shed: 2, waiting: 0, inflight: 0 })
    }))

  it.effect("by sojourn, a queue that was empty begins a new interval", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 1, law: "sojourn", target: 5, interval: 20 })
      for (let round = 0; round < 3; round++) {
        const inside = yield* held(shedder)
        const waiting = yield* held(shedder)
        yield* TestClock.adjust(30)
        yield* inside.succeed
        yield* waiting.started
        yield* waiting.succeed
      }
      assert.deepInclude(yield* shedder.snapshot, { shed: 0 })
    }))

  it.effect("one whose time is over is given up rather than served, also when the alarm is late", () => {
    let now = 0
    const clock: Clock.Clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => now,
      unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
      currentTimeMillis: Effect.sync(() => now),
      currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
      sleep: () => Effect.never
    }
    const program = Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 1 })
      const inside = yield* held(shedder)
      const waiting = yield* held(shedder)
      now = 100
      yield* inside.succeed
      assert.strictEqual(reasonOf(yield* waiting.exit), "waited")
    })
    return Effect.withClock(program, clock)
  })

  it.effect("one that gives up in the queue makes way for those behind it, and holds nothing", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.queue({ key: "api", concurrency: 1 })
      const inside = yield* held(shedder)
      const first = yield* held(shedder)
      const second = yield* held(shedder)
      yield* first.interrupt
      assert.deepInclude(yield* shedder.snapshot, { waiting: 1 })
      yield* inside.interrupt
      yield* second.started
      const breaker = yield* opened(0)
      yield* second.succeed
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect, shedder.protect)), "CircuitOpen")
      assert.deepInclude(yield* shedder.snapshot, { inflight: 0, waiting: 0, shed: 0 })
    }))

  it.effect("whatever calls come to, no place is lost, and whoever waits is served or given up", () => {
    const program = (seed: number) =>
      Effect.gen(function*() {
        const shedder = yield* LoadShedder.queue({
          key: "api",
          concurrency: 2,
          queue: 5,
          law: seed % 2 === 0 ? "timeout" : "sojourn",
          target: 3,
          interval: 10,
          newestFirst: seed % 3 > 0
        })
        let inside = 0
        let shed = 0
        const work = Effect.acquireUseRelease(
          Effect.sync(() => assert.isAtMost(++inside, 2)),
          () =>
            Effect.gen(function*() {
              yield* Effect.sleep(yield* Random.nextIntBetween(0, 9))
              if (yield* Random.nextBoolean) return yield* Effect.dieMessage("bug")
            }),
          () => Effect.sync(() => inside--)
        )
        const call = Effect.gen(function*() {
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 15))
          const patience = 1 + (yield* Random.nextIntBetween(0, 25))
          const exit = yield* Effect.exit(work.pipe(shedder.protect, Effect.timeout(patience)))
          if (Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof LoadShedder.Shed) shed++
        })
        yield* Effect.all(Array.from({ length: 7 }, () => call), { concurrency: "unbounded", discard: true })
        const { inflight, shed: counted, shedding, waiting } = yield* shedder.snapshot
        assert.deepStrictEqual([inflight, waiting, inside, shedding], [0, 0, 0, false])
        // Who is given up and gives up in the same moment is told only one of it.
        assert.isAtMost(shed, counted)
      })
    return Simulation.explore(program, { seeds: 1_000 })
  }, 30_000)
})
