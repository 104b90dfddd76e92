/**
 * A clock that is set, in every pattern that keeps times. Each runs a random history twice: once under a clock that only
 * goes on, once under one that is set in between. Both have to see the same.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, FastCheck as fc, Option, Queue, Random, type Scope } from "effect"
import { Cache, Deadline, Fallback, Hedge, LastGood, Latency } from "holdfast/Call"
import {
  Bulkhead,
  CircuitBreaker,
  ConcurrencyLimit,
  Gate,
  LoadShedder,
  OutlierEjection,
  RateLimiter,
  Throttle
} from "holdfast/Circuit"
import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
import { nowOf } from "../../src/internal/now.js"
import { SteppingClock } from "../support/steppingClock.js"

/** What a pattern is asked to do, and what is seen of it. */
interface Driver {
  readonly act: (what: number) => Effect.Effect<unknown>
  readonly look: Effect.Effect<unknown>
}

type Make = (clock: SteppingClock) => Effect.Effect<Driver, never, Scope.Scope>

const key = "clock"

/** A gate whose calls begin and end as the history says. */
const calls = (gate: Gate.Gate<unknown>, look: Effect.Effect<unknown>): Driver => {
  const permits: Array<Gate.Permit> = []
  const log: Array<string> = []
  const begin = Effect.forkDaemon(
    Effect.matchEffect(gate.reserve, {
      onSuccess: (permit) => Effect.sync(() => void (log.push("in"), permits.push(permit))),
      onFailure: (error) => Effect.sync(() => void log.push(JSON.stringify(error)))
    })
  )
  const end = (exit: Exit.Exit<unknown, unknown>) => Effect.suspend(() => permits.shift()?.commit(exit) ?? Effect.void)
  return {
    act: (what) => what < 3 ? begin : what < 6 ? end(Exit.fail("down")) : what < 7 ? end(Exit.void) : Effect.void,
    look: Effect.map(look, (seen) => [seen, log.join()])
  }
}

/** A value that is kept, and what is served of it. */
const kept = (call: (result: Effect.Effect<number, "down">) => Effect.Effect<unknown, unknown>): Driver => {
  let runs = 0
  const served = Effect.exit(call(Effect.fail("down")))
  return {
    act: (what) => what < 2 ? Effect.exit(call(Effect.sync(() => ++runs))) : Effect.void,
    look: served
  }
}

/** A state without the times at which it was entered, which are those of the calendar. */
const breakerLook = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(Effect.all([breaker.state, breaker.snapshot]), ([{ _tag }, snapshot]) => ({ _tag, snapshot }))

const breaker = (options: Partial<CircuitBreaker.Options>): Make => () =>
  Effect.map(
    CircuitBreaker.make({ key, openFor: 50, ...options }),
    (breaker) => calls(breaker, breakerLook(breaker))
  )

const limiter = (algorithm: RateLimiter.Algorithm): Make => () =>
  Effect.map(
    RateLimiter.make({ key, algorithm, limit: 3, interval: 100, maxWait: 80 }),
    (limiter) => calls(limiter, limiter.snapshot)
  )

const eachTime = (run: Effect.Effect<unknown, unknown>): Driver => {
  const log: Array<string> = []
  return {
    act: (what) =>
      what < 3
        ? Effect.forkDaemon(Effect.flatMap(Effect.exit(run), (exit) => Effect.sync(() => void log.push(String(exit)))))
        : Effect.void,
    look: Effect.sync(() => log.join())
  }
}

const patterns: { readonly [name: string]: Make } = {
  "circuit breaker": breaker({ failures: 2 }),
  "circuit breaker with a window of time": breaker({
    trip: CircuitBreaker.timeWindow({ span: 100, failureRate: 0.5, minimumCalls: 2 })
  }),
  "circuit breaker with a deadline": breaker({ failures: 1, halfOpen: { deadline: 30 } }),
  "circuit breaker with slow calls": breaker({
    trip: CircuitBreaker.countWindow({ size: 3, slowAfter: 20, slowRate: 0.5, minimumCalls: 1 })
  }),
  "token bucket": limiter("token-bucket"),
  "fixed window": limiter("fixed-window"),
  "sliding log": limiter("sliding-log"),
  "sliding counter": limiter("sliding-counter"),
  "bulkhead": () =>
    Effect.map(
      Bulkhead.make({ key, capacity: 1, queue: 3, queueTimeout: 60, priority: { aging: 20 } }),
      (bulkhead) => calls(bulkhead, Effect.all([bulkhead.inUse, bulkhead.waiting]))
    ),
  "throttle": () =>
    Effect.map(
      Throttle.make({ key, minimumRequests: 1, window: 100 }),
      (throttle) => calls(throttle, throttle.snapshot)
    ),
  "latency shedder": () =>
    Effect.map(
      LoadShedder.onLatency({ key, limit: 20, window: 100, minimumCalls: 1 }),
      (shedder) => calls(shedder, shedder.snapshot)
    ),
  "event loop shedder": () => {
    let reads = 0
    return Effect.map(
      Effect.provideService(
        LoadShedder.onEventLoopDelay({ key, limit: 10, window: 50 }),
        LoadShedder.StartEventLoopMonitor,
        () => ({ read: () => ++reads % 2 === 0 ? 0 : 100, stop: () => {} })
      ),
      (shedder) => calls(shedder, shedder.snapshot)
    )
  },
  "queue shedder, timeout": () =>
    Effect.map(
      LoadShedder.queue({ key, concurrency: 1, interval: 40, target: 10 }),
      (shedder) => calls(shedder, shedder.snapshot)
    ),
  "queue shedder, sojourn": () =>
    Effect.map(
      LoadShedder.queue({ key, concurrency: 1, interval: 40, target: 10, law: "sojourn" }),
      (shedder) => calls(shedder, shedder.snapshot)
    ),
  "priority shedder": () =>
    Effect.map(
      Effect.all([LoadShedder.byPriority({ key, every: 40 }), Bulkhead.make({ key, capacity: 1 })]),
      ([shedder, bulkhead]) => calls(Gate.all([shedder, bulkhead]), shedder.snapshot)
    ),
  "outlier ejection": () =>
    Effect.map(
      OutlierEjection.make({ key, hosts: ["a", "b"], failures: 1, ejectFor: 50, decayEvery: 40 }),
      (fleet) => calls(fleet.gate("a"), fleet.available)
    ),
  "concurrency limit": () =>
    Effect.map(
      ConcurrencyLimit.make({ key, algorithm: ConcurrencyLimit.vegas({ initial: 2 }), queue: true }),
      (limit) => calls(limit, limit.snapshot)
    ),
  "concurrency limit by windows": () =>
    Effect.map(
      ConcurrencyLimit.make({
        key,
        algorithm: ConcurrencyLimit.windowed({ initial: 2, windowMin: 20, windowMax: 40, windowCalls: 1 })
      }),
      (limit) => calls(limit, limit.snapshot)
    ),
  "retry budget": () =>
    Effect.map(RetryBudget.ratio({ key, ratio: 0.5, reservePerSecond: 1, ttl: "1 second" }), (budget) => ({
      act: (what) =>
        what < 4
          ? Effect.exit(
            Effect.fail("down").pipe(
              Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.constant(0) })], { budget })
            )
          )
          : Effect.void,
      look: budget.snapshot
    })),
  "retry with a longest time": () =>
    Effect.sync(() =>
      eachTime(
        Effect.fail("down").pipe(
          Retry.rules([Retry.onAny({ retries: "unlimited", backoff: Backoff.constant(30) })], { maxElapsed: 100 })
        )
      )
    ),
  "deadline": () =>
    Effect.sync(() => {
      const left: Array<unknown> = []
      const step = Effect.zipRight(
        Effect.flatMap(Deadline.remaining, (each) => Effect.sync(() => left.push(Option.map(each, Duration.toMillis)))),
        Effect.void.pipe(Deadline.within("1 hour"))
      )
      const work = Effect.zipRight(step, Effect.fail("again")).pipe(
        Retry.rules([Retry.onAny({ retries: "unlimited", backoff: Backoff.constant(30) })]),
        Deadline.within(100)
      )
      const driver = eachTime(work)
      return { act: driver.act, look: Effect.map(driver.look, (log) => [log, JSON.stringify(left)]) }
    }),
  "hedge by latency": () =>
    Effect.map(Latency.make({ quantile: 0.5, window: 200, slices: 4 }), (latency) => ({
      act: (what) =>
        what < 3
          ? Effect.forkDaemon(
            Effect.sleep(10 * (what + 1)).pipe(Hedge.after(latency, { minSamples: 1 }))
          )
          : Effect.void,
      look: Effect.all([latency.samples, latency.estimate])
    })),
  "latency": () =>
    Effect.map(Latency.make({ quantile: 0.5, window: 200, slices: 4 }), (latency) => ({
      act: (what) => what < 5 ? latency.record(what + 1) : Effect.void,
      look: Effect.all([latency.samples, latency.estimate])
    }))
}

/** Patterns whose values grow old while the machine sleeps, which no clock tells from one that was set forward. */
const ageing: { readonly [name: string]: Make } = {
  "cache": () =>
    Effect.map(
      Cache.make<number, "down">({ key, ttl: 60, staleWhileRevalidate: 0 }),
      (cache) => kept(Cache.by(cache, "k"))
    ),
  "last good value": () =>
    Effect.map(
      LastGood.make<number>({ key }),
      (store) => kept((call) => call.pipe(Fallback.lastGoodWithAge(store, { maxStale: 60, on: () => true })))
    )
}

interface Step {
  readonly act: number
  readonly pass: number
  readonly set: number
}

const seenUnder = (make: Make, clock: SteppingClock, steps: ReadonlyArray<Step>, sets: boolean) =>
  Effect.gen(function*() {
    const driver = yield* make(clock)
    const seen: Array<unknown> = []
    for (const { act, pass, set } of steps) {
      yield* driver.act(act)
      yield* clock.pass(pass)
      seen.push(yield* driver.look)
      // What has passed of a clock with one hand since it was last read is lost when it is set.
      yield* read
      if (sets) yield* clock.set(set)
      yield* read
      seen.push(yield* driver.look)
    }
    return JSON.parse(JSON.stringify(seen)) as unknown
  }).pipe(Effect.scoped, Effect.withClock(clock), Effect.withRandom(Random.make("steps")))

const read = Effect.withFiberRuntime<number>((fiber) => Effect.succeed(nowOf(fiber)))

const stepsOf = (set: fc.Arbitrary<number>) =>
  fc.array(fc.record({ act: fc.nat(8), pass: fc.nat(60), set }), { minLength: 1, maxLength: 25 })

const back = fc.oneof(fc.constant(0), fc.integer({ min: -4_000_000, max: 0 }))
const anywhere = fc.oneof(fc.constant(0), fc.integer({ min: -4_000_000, max: 4_000_000 }))

const startAt = Date.UTC(2030, 0, 1)

const same = (make: Make, steps: ReadonlyArray<Step>, oneHand: boolean) =>
  Effect.gen(function*() {
    const expected = yield* seenUnder(make, new SteppingClock(startAt, oneHand), steps, false)
    const actual = yield* seenUnder(make, new SteppingClock(startAt, oneHand), steps, true)
    assert.deepStrictEqual(actual, expected)
  })

describe("a clock that is set", () => {
  for (const [name, make] of Object.entries(patterns)) {
    it.effect.prop(
      `${name}: forward or back, nothing changes (R115)`,
      [stepsOf(anywhere)],
      ([steps]) => same(make, steps, false),
      { fastCheck: { numRuns: 40 } }
    )
  }
  for (const [name, make] of Object.entries({ ...patterns, ...ageing })) {
    it.effect.prop(
      `${name}: back, where the clock has only one hand, nothing changes (R115)`,
      [stepsOf(back)],
      ([steps]) => same(make, steps, true),
      { fastCheck: { numRuns: 40 } }
    )
  }
  for (const [name, make] of Object.entries(ageing)) {
    it.effect.prop(`${name}: back, nothing changes`, [stepsOf(back)], ([steps]) => same(make, steps, false), {
      fastCheck: { numRuns: 40 }
    })
  }

  // A machine that has slept: the hand that only goes forward stood still meanwhile.
  it.effect("forward, it may be that the machine has slept: no value is served that may be too old", () => {
    const clock = new SteppingClock(startAt)
    return Effect.gen(function*() {
      const cache = yield* Cache.make<number>({ key, ttl: "10 seconds" })
      const store = yield* LastGood.make<number>({ key })
      yield* Effect.succeed(1).pipe(Cache.by(cache, "k"), Fallback.lastGood(store))
      yield* clock.set(9_999)
      assert.deepStrictEqual(yield* cache.get("k"), Option.some(1))
      yield* clock.set(1)
      assert.deepStrictEqual(yield* cache.get("k"), Option.none())
      const age = Option.map(yield* store.get(""), (known) => Duration.toMillis(known.age))
      assert.deepStrictEqual(age, Option.some(10_000))
      // Set back after that, the time that may have been slept has been counted.
      yield* clock.set(-3_600_000)
      assert.deepStrictEqual(yield* cache.get("k"), Option.none())
    }).pipe(Effect.scoped, Effect.withClock(clock))
  })

  it.live("the clock of the machine has such a hand: setting the other does not move it", () =>
    Effect.gen(function*() {
      const before = yield* read
      const wall = Date.now()
      for (const step of [-3_600_000, 3_600_000]) {
        const set = vi.spyOn(Date, "now").mockReturnValue(wall + step)
        const [now, shown] = yield* Effect.all([read, Clock.currentTimeMillis])
        set.mockRestore()
        assert.strictEqual(shown, wall + step)
        assert.isTrue(now >= before && now < before + 1_800_000)
      }
    }))

  it.effect("times that are shown are those of the wall clock as it goes now", () => {
    const clock = new SteppingClock(startAt)
    return Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key, failures: 1, openFor: "5 seconds" })
      yield* Effect.exit(Effect.fail("down").pipe(breaker.protect))
      yield* clock.set(-3_600_000)
      yield* clock.pass(1_000)
      const now = clock.unsafeCurrentTimeMillis()
      const state = yield* breaker.state
      assert.deepInclude(state, { _tag: "Open", openedAt: now - 1_000, openUntil: now + 4_000 })
      const fleet = yield* OutlierEjection.make({ key, hosts: ["a", "b"], failures: 1, ejectFor: "5 seconds" })
      const ejections = yield* fleet.ejections
      yield* Effect.exit(Effect.fail("down").pipe(fleet.protect("a")))
      assert.deepInclude(yield* Queue.take(ejections), { at: now, until: now + 5_000 })
      assert.strictEqual((yield* fleet.snapshot)[0]!.ejectedUntil, now + 5_000)
      const shown = yield* Deadline.current.pipe(Deadline.within("5 seconds"))
      assert.deepStrictEqual(shown, Option.some(now + 5_000))
      const late = yield* Effect.flip(Effect.void.pipe(Deadline.at(now)))
      assert.strictEqual(late.deadline, now)
    }).pipe(Effect.scoped, Effect.withClock(clock))
  })
})
