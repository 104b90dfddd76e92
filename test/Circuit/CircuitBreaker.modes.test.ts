import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Queue, Random, Schedule, TestClock } from "effect"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff } from "holdfast/Schedule"
import { Down, fail, held, opened, options, outcome, rejectionOf, tag, times } from "./support/calls.js"

const ok = Effect.succeed("ok")
const seen = (changes: Queue.Dequeue<CircuitBreaker.Transition>) =>
  Effect.map(Queue.takeAll(changes), (all) => [...all].map(({ at, from, to }) => `${from} -> ${to} at ${at}`))

describe("what opens a CircuitBreaker", () => {
  it.effect("a rate of failures among the last calls, reached or exceeded, after the minimum of calls (R100)", () =>
    Effect.gen(function*() {
      const trip = CircuitBreaker.countWindow({ size: 10, failureRate: 0.5, minimumCalls: 4 })
      const breaker = yield* CircuitBreaker.make({ ...options, trip })
      yield* times(3, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Closed")
      // The fourth call is the minimum; that it succeeds does not make the rate less than a half.
      yield* ok.pipe(breaker.protect)
      assert.strictEqual(yield* tag(breaker), "Open")

      const even = yield* CircuitBreaker.make({ ...options, trip })
      yield* times(5, ok.pipe(even.protect))
      yield* times(4, fail.pipe(even.protect))
      assert.deepInclude(yield* even.snapshot, { calls: 9, failures: 4, failureRate: 4 / 9 })
      assert.strictEqual(yield* tag(even), "Closed")
      yield* times(1, fail.pipe(even.protect))
      assert.strictEqual(yield* tag(even), "Open")
    }))

  it.effect("a minimum of calls above the size of the window is reached when the window is full (R100)", () =>
    Effect.gen(function*() {
      const trip = CircuitBreaker.countWindow({ size: 3, failureRate: 1, minimumCalls: 100 })
      const breaker = yield* CircuitBreaker.make({ ...options, trip })
      yield* times(2, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Closed")
      yield* times(1, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Open")
      assert.deepInclude(breaker.description.settings, { windowSize: 3, minimumCalls: 100 })
    }))

  it.effect("a rate of slow calls: slow is what takes slowAfter or longer, also when it succeeds (R100)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...options,
        trip: CircuitBreaker.countWindow({ size: 4, slowRate: 0.5, slowAfter: "2 seconds", minimumCalls: 2 })
      })
      const call = (millis: number) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.sleep(millis).pipe(breaker.protect))
          yield* TestClock.adjust(millis)
          yield* Fiber.await(fiber)
        })
      yield* call(0)
      yield* call(1_999)
      yield* call(0)
      assert.deepInclude(yield* breaker.snapshot, { calls: 3, slow: 0 })
      yield* call(2_000)
      assert.deepInclude(yield* breaker.snapshot, { state: "Closed", calls: 4, slow: 1, slowRate: 0.25 })
      yield* call(2_000)
      assert.strictEqual(yield* tag(breaker), "Open")
    }))

  it.effect("a slow probe does not close a breaker that looks at slow calls (R100)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...options,
        trip: CircuitBreaker.countWindow({ size: 1, failureRate: 1, slowRate: 1, slowAfter: "1 second" }),
        successes: 1
      })
      yield* times(1, fail.pipe(breaker.protect))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* held(breaker)
      yield* TestClock.adjust("1 second")
      yield* probe.succeed
      assert.strictEqual(yield* tag(breaker), "Open")
    }))

  it.effect("what is older than a time window does not count: 4 failures, 5 idle minutes, 1 failure (R101)", () =>
    Effect.gen(function*() {
      const trip = CircuitBreaker.timeWindow({ span: "5 seconds", failureRate: 1, minimumCalls: 5 })
      const breaker = yield* CircuitBreaker.make({ ...options, trip })
      yield* times(4, fail.pipe(breaker.protect))
      yield* TestClock.adjust("5 minutes")
      assert.deepInclude(yield* breaker.snapshot, { calls: 0, failures: 0, failureRate: 0 })
      yield* times(1, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Closed")
      // Within the window the fifth opens it.
      yield* TestClock.adjust("1 second")
      yield* times(4, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Open")
    }))

  it.effect("windows that can never work are refused (R98)", () =>
    Effect.sync(() => {
      const rates = { failureRate: 0.5 }
      const bad: ReadonlyArray<() => CircuitBreaker.Trip> = [
        () => CircuitBreaker.consecutive(0),
        () => CircuitBreaker.countWindow({ size: 0, ...rates }),
        () => CircuitBreaker.countWindow({ size: 10 }),
        () => CircuitBreaker.countWindow({ size: 10, failureRate: 0 }),
        () => CircuitBreaker.countWindow({ size: 10, failureRate: 50 }),
        () => CircuitBreaker.countWindow({ size: 10, slowRate: 0.5 }),
        () => CircuitBreaker.countWindow({ size: 10, ...rates, slowAfter: "1 second" }),
        () => CircuitBreaker.countWindow({ size: 10, ...rates, minimumCalls: 0 }),
        () => CircuitBreaker.timeWindow({ span: 0, ...rates }),
        () => CircuitBreaker.timeWindow({ span: "1 minute", buckets: 0, ...rates })
      ]
      for (const make of bad) assert.throws(make, /must be/)
    }))

  it.effect("a closed breaker without failures leaves the clock alone (R85)", () =>
    Effect.gen(function*() {
      let reads = 0
      const real = yield* Effect.clock
      const counting: Clock.Clock = {
        ...real,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        sleep: (duration) => real.sleep(duration),
        unsafeCurrentTimeMillis: () => {
          reads++
          return real.unsafeCurrentTimeMillis()
        },
        unsafeCurrentTimeNanos: () => {
          reads++
          return real.unsafeCurrentTimeNanos()
        }
      }
      const breaker = yield* CircuitBreaker.make(options)
      yield* Effect.withClock(times(5, ok.pipe(breaker.protect)), counting)
      assert.strictEqual(reads, 0)
      yield* Effect.withClock(times(1, fail.pipe(breaker.protect)), counting)
      assert.isAbove(reads, 0)
    }))
})

describe("for how long a CircuitBreaker is open", () => {
  /** The times that a breaker is open for, each time it opens. */
  const breaks = (openFor: CircuitBreaker.OpenFor, count: number, more?: Partial<CircuitBreaker.Options>) =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, successes: 1, openFor, ...more })
      const seen: Array<number> = []
      for (let i = 0; i < count; i++) {
        yield* times(1, fail.pipe(breaker.protect))
        const { retryAfter } = yield* rejectionOf(ok.pipe(breaker.protect))
        seen.push(Duration.toMillis(retryAfter))
        yield* TestClock.adjust(retryAfter)
      }
      return { breaker, seen }
    })

  it.effect("a backoff goes a step further each time it opens again, and starts anew once closed (R102)", () =>
    Effect.gen(function*() {
      const { breaker, seen } = yield* breaks(Backoff.exponential("1 second", { cap: "5 seconds" }), 5)
      assert.deepStrictEqual(seen, [1_000, 2_000, 4_000, 5_000, 5_000])
      assert.deepInclude(breaker.description.settings, { openForMillis: null })
      yield* ok.pipe(breaker.protect)
      assert.strictEqual(yield* tag(breaker), "Closed")
      yield* times(1, fail.pipe(breaker.protect))
      assert.strictEqual(Duration.toMillis((yield* rejectionOf(ok.pipe(breaker.protect))).retryAfter), 1_000)
    }))

  it.effect("a schedule of Effect does too, and keeps to its last delay when it has ended (R102)", () =>
    Effect.gen(function*() {
      const three = Schedule.intersect(Schedule.linear("2 seconds"), Schedule.recurs(3))
      const { seen } = yield* breaks(three, 5)
      assert.deepStrictEqual(seen, [2_000, 4_000, 6_000, 6_000, 6_000])
    }))

  it.effect("a function is told what was counted, how often it opened again, and how the last call ended (R102)", () =>
    Effect.gen(function*() {
      const told: Array<CircuitBreaker.Break> = []
      const { breaker } = yield* breaks(
        (broken) => {
          told.push(broken)
          return Duration.seconds(10 * (broken.reopens + 1))
        },
        2,
        { trip: CircuitBreaker.countWindow({ size: 1, failureRate: 1 }), failures: undefined }
      )
      assert.deepStrictEqual(told, [
        { failures: 1, rate: 1, reopens: 0, exit: Exit.fail(new Down()) },
        { failures: 1, rate: 1, reopens: 1, exit: Exit.fail(new Down()) }
      ])
      yield* ok.pipe(breaker.protect)
      yield* times(1, fail.pipe(breaker.protect))
      assert.strictEqual(told[2]?.reopens, 0)
    }))

  it.effect("a function that throws opens it for 30 seconds, and is a defect of the call (R102)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...options,
        failures: 1,
        openFor: () => {
          throw new Error("openFor")
        }
      })
      assert.strictEqual(yield* outcome(fail.pipe(breaker.protect)), "died")
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openUntil: 30_000 })
      const negative = yield* CircuitBreaker.make({ ...options, failures: 1, openFor: () => -1 })
      assert.strictEqual(yield* outcome(fail.pipe(negative.protect)), "died")
      assert.deepInclude(yield* negative.state, { _tag: "Open", openUntil: 30_000 })
    }))

  it.effect("jitter adds up to its part of the time, so that many do not probe together (R102)", () =>
    Effect.gen(function*() {
      const { seen } = yield* Effect.withRandom(
        breaks("10 seconds", 3, { openJitter: 0.5 }),
        Random.fixed([0, 0.5, 0.999])
      )
      assert.deepStrictEqual(seen, [10_000, 12_500, 14_995])
    }))

  it.effect("the failing call can ask for a time of its own, within a limit (R103)", () =>
    Effect.gen(function*() {
      let asked: Duration.DurationInput | undefined = "2 minutes"
      const hint = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? asked : "1 day"
      const until = Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, hint, hintCap: "3 minutes" })
        yield* times(1, fail.pipe(breaker.protect))
        const { retryAfter } = yield* rejectionOf(ok.pipe(breaker.protect))
        return Duration.toSeconds(retryAfter)
      })
      assert.strictEqual(yield* until, 120)
      asked = "4 minutes"
      assert.strictEqual(yield* until, 180)
      asked = "1 second"
      assert.strictEqual(yield* until, 1)
      for (const nothing of [undefined, 0, -5, NaN, "soon" as never]) {
        asked = nothing
        assert.strictEqual(yield* until, 30)
      }
      // A date counts from the time that it is told.
      yield* TestClock.setTime(60_000)
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, hint: (_, now) => 70_000.5 - now })
      yield* times(1, fail.pipe(breaker.protect))
      const { retryAfter } = yield* rejectionOf(ok.pipe(breaker.protect))
      assert.strictEqual(Duration.toMillis(retryAfter), 10_001)
    }))
})

describe("a half-open CircuitBreaker", () => {
  it.effect("closes when enough probes of the sample succeed, whatever order they end in (R88)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { successes: 3, halfOpen: { probes: 5, sample: 5 } })
      yield* times(2, fail.pipe(breaker.protect))
      yield* times(2, ok.pipe(breaker.protect))
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", successes: 2, failures: 2, probes: 0 })
      yield* ok.pipe(breaker.protect)
      assert.strictEqual(yield* tag(breaker), "Closed")
    }))

  it.effect("opens as soon as not enough of the sample can succeed any more (R88)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { successes: 3, halfOpen: { sample: 5 } })
      yield* times(2, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "HalfOpen")
      yield* times(1, fail.pipe(breaker.protect))
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openedAt: 30_000, reopens: 1 })
    }))

  it.effect("opens again when its time is over, at exactly that time (R105)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { halfOpen: { deadline: "10 seconds" } })
      const changes = yield* breaker.changes
      const probe = yield* held(breaker)
      yield* TestClock.adjust(9_999)
      assert.strictEqual(yield* tag(breaker), "HalfOpen")
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openedAt: 40_000, openUntil: 70_000 })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "CircuitOpen")
      // The probe that was out has expired.
      yield* probe.succeed
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openedAt: 40_000, openUntil: 70_000, reopens: 1 })
      assert.deepStrictEqual(yield* seen(changes), ["Open -> HalfOpen at 30000", "HalfOpen -> Open at 40000"])
    }).pipe(Effect.scoped))

  it.effect("or closes then, where that is what it shall do (R105)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { halfOpen: { deadline: "10 seconds", onDeadline: "close" } })
      const probe = yield* held(breaker)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* tag(breaker), "Closed")
      yield* probe.fail
      assert.deepInclude(yield* breaker.state, { _tag: "Closed", failures: 0 })
    }))
})
