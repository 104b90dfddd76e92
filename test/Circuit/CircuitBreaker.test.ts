import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Metric, Queue, TestClock } from "effect"
import { Fallback } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { Down, fail, held, opened, options, outcome, rejectionOf, tag, times } from "./support/calls.js"

describe("CircuitBreaker", () => {
  it.effect("by default 5 failures in a row open it for 30 s, and 2 successful probes, one at a time, close it (R84)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options)
      yield* times(4, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Closed")
      yield* times(1, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Open")
      yield* TestClock.adjust("30 seconds")
      const first = yield* held(breaker)
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "CircuitOpen")
      yield* first.succeed
      assert.strictEqual(yield* tag(breaker), "HalfOpen")
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
      assert.strictEqual(yield* tag(breaker), "Closed")
    }))

  it.effect("a success starts the count of failures again (R85)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options)
      for (let i = 0; i < 3; i++) {
        yield* times(4, fail.pipe(breaker.protect))
        yield* Effect.void.pipe(breaker.protect)
      }
      assert.deepStrictEqual(yield* breaker.state, { _tag: "Closed", generation: 0, failures: 0 })
    }))

  it.effect("it opens at the time of the failure that opened it (R85)", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_234)
      const breaker = yield* opened(0)
      assert.deepStrictEqual(yield* breaker.state, {
        _tag: "Open",
        generation: 1,
        openedAt: 1_234,
        openUntil: 31_234,
        reopens: 0
      })
    }))

  it.effect("open it rejects until 29,999 ms, and at exactly 30,000 ms the next call is the probe (R86)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(29_999)
      let calls = 0
      const call = Effect.sync(() => ++calls).pipe(breaker.protect)
      const rejection = yield* rejectionOf(call)
      assert.strictEqual(Duration.toMillis(rejection.retryAfter), 1)
      assert.strictEqual(calls, 0)
      yield* TestClock.adjust(1)
      const probe = yield* held(breaker)
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", successes: 0, probes: 1 })
      yield* probe.succeed
    }))

  it.effect("half-open it lets in as many probes as it may, and no more (R87)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { halfOpen: { probes: 3 } })
      const probes = yield* Effect.all([held(breaker), held(breaker), held(breaker)])
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "CircuitOpen")
      yield* probes[1].succeed
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
      yield* Effect.all([probes[0].interrupt, probes[2].interrupt])
    }))

  it.effect("a failed probe opens it again, for the full time from now (R88)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000)
      yield* Effect.void.pipe(breaker.protect)
      yield* TestClock.adjust("10 seconds")
      yield* times(1, fail.pipe(breaker.protect))
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openedAt: 40_000 })
      yield* TestClock.adjust(29_999)
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "CircuitOpen")
    }))

  it.effect("what ends while it is open does not keep it open for longer (R89)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1 })
      const slow = yield* Effect.all([held(breaker), held(breaker)])
      yield* times(1, fail.pipe(breaker.protect))
      yield* TestClock.adjust("20 seconds")
      yield* slow[0].fail
      yield* slow[1].succeed
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
    }))

  it.effect("probes that never end are given up 4 × openFor after the last one began (R90)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000)
      const stuck = yield* held(breaker)
      yield* TestClock.adjust(119_999)
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "CircuitOpen")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", successes: 1, probes: 0 })
      // The permit of the stuck probe has expired.
      yield* stuck.fail
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", successes: 1, probes: 0 })
    }))

  it.effect("the time after which probes are given up can be set (R90)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { halfOpen: { staleProbeAfter: "5 seconds" } })
      const stuck = yield* held(breaker)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
      yield* stuck.interrupt
    }))

  it.effect("reading the state of an open breaker whose time is over says half-open and changes nothing (R91)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000)
      const changes = yield* breaker.changes
      // The generation is still that of the open breaker: the next begins with the next call.
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", generation: 1 })
      assert.isTrue(yield* Queue.isEmpty(changes))
      assert.include(String(breaker), "\"_tag\":\"Open\"")
    }).pipe(Effect.scoped))

  it.effect("reset closes it with nothing counted, and calls that are out count no more (R92)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 2 })
      const out = yield* held(breaker)
      yield* times(1, fail.pipe(breaker.protect))
      yield* breaker.reset
      yield* times(1, fail.pipe(breaker.protect))
      yield* out.fail
      assert.deepInclude(yield* breaker.state, { _tag: "Closed", failures: 1 })
      const open = yield* opened(0)
      yield* open.reset
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(open.protect)), "ok")
    }))

  it.effect("a late result of an older generation changes nothing (R97)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, successes: 1 })
      const old = yield* Effect.all([held(breaker), held(breaker)])
      yield* times(1, fail.pipe(breaker.protect))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* held(breaker)
      const halfOpen = yield* breaker.state
      // Not a probe's success, and not a probe's failure
      yield* old[0].succeed
      yield* old[1].fail
      assert.deepStrictEqual(yield* breaker.state, halfOpen)
      yield* probe.succeed
      assert.strictEqual(yield* tag(breaker), "Closed")
    }))

  it.effect("a permit is settled once (R96)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, { halfOpen: { probes: 2 }, successes: 2 })
      const permit = yield* breaker.reserve
      assert.strictEqual(permit.phase, "HalfOpen")
      assert.isTrue(yield* permit.settle("success"))
      assert.isFalse(yield* permit.settle("success"))
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", successes: 1, probes: 0 })
      const expired = yield* breaker.reserve
      yield* breaker.reset
      assert.isFalse(yield* expired.settle("failure"))
      assert.deepInclude(yield* breaker.state, { _tag: "Closed", failures: 0 })
    }))

  it.effect("options that can never work are a defect; no probe at all is one of them (R98)", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<Partial<CircuitBreaker.Options>> = [
        { halfOpen: { probes: 0 } },
        { failures: 0 },
        { failures: 1.5 },
        { successes: NaN },
        { openFor: 0 },
        { openFor: "-1 seconds" },
        { openFor: "forever" as never },
        { openJitter: 1.5 },
        { hintCap: 0 },
        { failures: 3, trip: CircuitBreaker.consecutive(3) },
        { successes: 3, halfOpen: { sample: 2 } },
        { halfOpen: { deadline: 0 } },
        { halfOpen: { onDeadline: "wait" as never } },
        { halfOpen: { staleProbeAfter: Infinity } }
      ]
      for (const wrong of bad) {
        const exit = yield* Effect.exit(CircuitBreaker.make({ ...options, ...wrong }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
    }))

  it.effect("transitions are told in order and once, also with 1,000 callers at the same time (R107)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, successes: 1 })
      const changes = yield* breaker.changes
      const call = Effect.zipRight(Effect.yieldNow(), fail).pipe(breaker.protect, Effect.exit)
      for (let round = 0; round < 3; round++) {
        yield* Effect.all(Array.from({ length: 1_000 }, () => call), { concurrency: "unbounded", discard: true })
        yield* TestClock.adjust("30 seconds")
        yield* Effect.void.pipe(breaker.protect)
      }
      const seen = yield* Queue.takeAll(changes)
      assert.deepStrictEqual(
        [...seen].map(({ at, from, to }) => [from, to, at]),
        [0, 30_000, 60_000].flatMap((at) => [
          ["Closed", "Open", at],
          ["Open", "HalfOpen", at + 30_000],
          ["HalfOpen", "Closed", at + 30_000]
        ])
      )
    }).pipe(Effect.scoped))

  it.effect("a rejection says which breaker, in what state, and when to try again; it records no stack (R132)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(10_000)
      const open = yield* rejectionOf(Effect.void.pipe(breaker.protect))
      assert.deepStrictEqual([open.breaker, open.state, Duration.toSeconds(open.retryAfter)], ["payments", "Open", 20])
      assert.strictEqual(
        open.message,
        "circuit breaker \"payments\" is open after repeated failures; it takes a probe in 20s"
      )
      assert.notInclude(open.stack, "at ")
      assert.include(new Error("others keep theirs").stack, "at ")
      yield* TestClock.adjust("20 seconds")
      const probe = yield* held(breaker)
      const full = yield* rejectionOf(Effect.void.pipe(breaker.protect))
      assert.strictEqual(full.state, "HalfOpen")
      yield* probe.interrupt
    }))

  it.effect("a fallback can take the place of the open breaker by its tag, and transitions can be counted by their ends (R99)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, successes: 1 })
      const changes = yield* breaker.changes
      const call = fail.pipe(breaker.protect, Fallback.toOn("CircuitOpen", "from the cache"))
      assert.strictEqual(yield* outcome(call), "Down")
      assert.strictEqual(yield* outcome(call), "from the cache")
      yield* TestClock.adjust("30 seconds")
      yield* Effect.void.pipe(breaker.protect)
      const counter = Metric.counter("transitions")
      const labelled = (from: string, to: string) =>
        counter.pipe(Metric.tagged("from", from), Metric.tagged("to", to), Metric.tagged("test", "R99"))
      for (const { from, to } of yield* Queue.takeAll(changes)) yield* Metric.increment(labelled(from, to))
      for (const [from, to] of [["Closed", "Open"], ["Open", "HalfOpen"], ["HalfOpen", "Closed"]] as const) {
        assert.strictEqual((yield* Metric.value(labelled(from, to))).count, 1)
      }
    }).pipe(Effect.scoped))

  it.effect("a retry can wait for as long as the breaker says (R18)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(0)
      const fiber = yield* Effect.fork(
        Effect.succeed("ok").pipe(
          breaker.protect,
          Retry.rules([
            Retry.on("CircuitOpen", { retries: 1, backoff: Backoff.standard, hint: (open) => open.retryAfter })
          ])
        )
      )
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
    }))

  it.effect("the cause of a failing call comes out as it is (R1)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options)
      const cause = Cause.parallel(Cause.fail("a"), Cause.fail("b"))
      const exit = yield* Effect.exit(Effect.failCause(cause).pipe(breaker.protect))
      assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
    }))

  it.effect("a breaker as a service is one for all who share its layer (R4)", () => {
    class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
    const program = Effect.gen(function*() {
      yield* times(1, fail.pipe(Payments.protect))
      const open = yield* rejectionOf(Effect.void.pipe(Payments.protect))
      assert.strictEqual(open.breaker, "Payments")
      assert.strictEqual(yield* tag(yield* Payments), "Open")
    })
    // @effect-diagnostics-next-line strictEffectProvide:off
    return Effect.provide(program, Payments.layer({ failures: 1 }))
  })

  it("the types of error and requirement stay exact (R31)", () => {
    class Dependency
      extends Context.Tag("holdfast/test/Circuit/CircuitBreaker.test/Dependency")<Dependency, number>()
    {}
    class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
    const call: Effect.Effect<number, Down, Dependency> = Effect.zipRight(Dependency, fail)
    type Protected = Effect.Effect<number, Down | CircuitBreaker.CircuitOpen | CircuitBreaker.Isolated, Dependency>
    const uses = (breaker: CircuitBreaker.CircuitBreaker) => {
      expectTypeOf(call.pipe(CircuitBreaker.protect(breaker))).toEqualTypeOf<Protected>()
      expectTypeOf(CircuitBreaker.protect(call, breaker)).toEqualTypeOf<Protected>()
      expectTypeOf(call.pipe(breaker.protect)).toEqualTypeOf<Protected>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(call.pipe(Payments.protect)).toEqualTypeOf<
      Effect.Effect<number, Down | CircuitBreaker.CircuitOpen | CircuitBreaker.Isolated, Dependency | Payments>
    >()
  })
})
