import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, Scope, TestClock } from "effect"
import { CircuitBreaker, Gate } from "holdfast/Circuit"
import { Backoff } from "holdfast/Schedule"
import { fail, held, Http, opened, options, outcome, rejectionOf, tag, times } from "./support/calls.js"

const ok = Effect.succeed("ok")
const seen = (changes: Queue.Dequeue<CircuitBreaker.Transition>) =>
  Effect.map(Queue.takeAll(changes), (all) => [...all].map(({ at, from, to }) => `${from} -> ${to} at ${at}`))

describe("an isolated CircuitBreaker", () => {
  it.effect("lets no call through until the last of those who hold it lets go (R104)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 2 })
      yield* times(1, fail.pipe(breaker.protect))
      const changes = yield* breaker.changes
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      yield* Scope.extend(breaker.isolate("maintenance"), first)
      yield* Scope.extend(breaker.isolate("a second look"), second)
      assert.deepInclude(yield* breaker.state, { _tag: "Isolated", reasons: ["maintenance", "a second look"] })
      const rejection = yield* Effect.flip(ok.pipe(breaker.protect))
      assert.deepInclude(rejection, { _tag: "Isolated", breaker: "payments", reason: "maintenance" })
      assert.isTrue(Gate.isRejection(rejection))
      assert.strictEqual(
        rejection.message,
        "circuit breaker \"payments\" is isolated: maintenance; it takes calls again when the isolation ends"
      )
      yield* Scope.close(first, Exit.void)
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "Isolated")
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "ok")
      assert.deepStrictEqual(yield* seen(changes), ["Closed -> Isolated at 0", "Isolated -> Closed at 0"])
    }).pipe(Effect.scoped))

  it.effect("does not care for results meanwhile, and is then what it was (R104)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 2 })
      yield* times(1, fail.pipe(breaker.protect))
      const out = yield* held(breaker)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* breaker.isolate("maintenance")
        yield* out.fail
        assert.strictEqual(yield* tag(breaker), "Isolated")
      }))
      assert.deepInclude(yield* breaker.state, { _tag: "Closed", failures: 1 })

      const open = yield* opened(10_000)
      yield* Effect.scoped(open.isolate("maintenance"))
      assert.deepInclude(yield* open.state, { _tag: "Open", openUntil: 30_000 })
      yield* TestClock.adjust("20 seconds")
      const probe = yield* held(open)
      yield* Effect.scoped(open.isolate("maintenance"))
      // The probe that was out is void; the next call is the first of a new trial.
      yield* probe.succeed
      assert.deepInclude(yield* open.state, { _tag: "HalfOpen", successes: 0, probes: 0 })
      yield* times(2, ok.pipe(open.protect))
      assert.strictEqual(yield* tag(open), "Closed")
    }))

  it.effect("is let go when its holder is interrupted (R104)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options)
      const held = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Effect.scoped(
        Effect.zipRight(
          breaker.isolate("maintenance"),
          Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)
        )
      ))
      yield* Deferred.await(held)
      assert.strictEqual(yield* tag(breaker), "Isolated")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* tag(breaker), "Closed")
    }))
})

describe("a CircuitBreaker in shadow mode", () => {
  it.effect("never rejects, counts what it would have rejected, and goes through its states as ever (R106)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 2, successes: 1, shadow: true })
      yield* times(2, fail.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Open")
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "ok")
      // What a call comes to that would not have run does not count.
      assert.strictEqual(yield* outcome(fail.pipe(breaker.protect)), "Down")
      assert.deepInclude(yield* breaker.snapshot, { state: "Open", wouldReject: 2, rejected: 0 })
      yield* TestClock.adjust("30 seconds")
      const probe = yield* held(breaker)
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "ok")
      assert.deepInclude(yield* breaker.snapshot, { state: "HalfOpen", probes: 1, wouldReject: 3 })
      yield* probe.succeed
      assert.strictEqual(yield* tag(breaker), "Closed")
      yield* breaker.isolate("maintenance")
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "ok")
      assert.deepInclude(yield* breaker.snapshot, { wouldReject: 4, rejected: 0 })
    }).pipe(Effect.scoped))

  it.effect("one that is not counts what it rejects (R106)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(0)
      yield* times(3, ok.pipe(breaker.protect))
      assert.deepInclude(yield* breaker.snapshot, { wouldReject: 0, rejected: 3 })
    }))
})

describe("the health check of a CircuitBreaker", () => {
  it.effect("closes an open breaker early, after enough healthy answers in a row", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1 })
      const answers = [false, true, false, true, true]
      let checks = 0
      const check = Effect.suspend(() => answers[checks++] === true ? Effect.void : fail)
      yield* CircuitBreaker.healthCheck(breaker, { check, every: "4 seconds", successes: 2 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(checks, 0)
      yield* times(1, fail.pipe(breaker.protect))
      yield* TestClock.adjust("16 seconds")
      assert.deepInclude(yield* breaker.state, { _tag: "Open", openUntil: 60_000 + 12_000 + 30_000 })
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* tag(breaker), "Closed")
      assert.strictEqual(checks, 5)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(checks, 5)
    }).pipe(Effect.scoped))

  it.effect("while the answers are not healthy no real call is a probe; a check that hangs is not healthy", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(0, { openFor: "10 seconds" })
      let healthy: Effect.Effect<unknown> = Effect.never
      yield* CircuitBreaker.healthCheck(breaker, {
        check: Effect.suspend(() => healthy),
        every: "4 seconds"
      })
      yield* TestClock.adjust("58 seconds")
      assert.strictEqual(yield* outcome(ok.pipe(breaker.protect)), "CircuitOpen")
      healthy = Effect.void
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(yield* tag(breaker), "Closed")
    }).pipe(Effect.scoped))

  it.effect("what it finds out about a state that is gone changes nothing (R97)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(0)
      const { generation } = yield* breaker.state
      assert.isFalse(yield* breaker.reportHealth(true, generation - 1))
      assert.strictEqual(yield* tag(breaker), "Open")
      assert.isTrue(yield* breaker.reportHealth(true, generation))
      assert.strictEqual(yield* tag(breaker), "Closed")
      assert.isFalse(yield* breaker.reportHealth(true))
    }))
})

describe("CircuitBreaker.keyed", () => {
  it.effect("has a breaker for each key, and forgets those that are closed first", () =>
    Effect.gen(function*() {
      const family = yield* CircuitBreaker.keyed({ key: "tenants", failures: 1, maxKeys: 2 })
      const changes = yield* family.changes
      yield* times(1, fail.pipe(family.protect("a")))
      const rejection = yield* rejectionOf(ok.pipe(family.protect("a")))
      assert.strictEqual(rejection.breaker, "tenants/a")
      assert.strictEqual(yield* outcome(ok.pipe(family.protect("b"))), "ok")
      for (const key of ["c", "d", "e"]) yield* ok.pipe(family.protect(key))
      // Used longest ago, but open: it stays.
      assert.strictEqual(yield* family.size, 2)
      assert.strictEqual(yield* outcome(ok.pipe(family.protect("a"))), "CircuitOpen")
      assert.strictEqual(yield* family.get("a"), yield* family.get("a"))
      for (const key of ["f", "g", "h"]) yield* times(1, fail.pipe(family.protect(key)))
      assert.strictEqual(yield* family.size, 4)
      assert.deepStrictEqual(
        [...yield* Queue.takeAll(changes)].map(({ breaker, to }) => [breaker, to]),
        ["a", "f", "g", "h"].map((key) => [`tenants/${key}`, "Open"])
      )
    }).pipe(Effect.scoped))

  it.effect("describes itself as the family, with the key as a setting (R148)", () =>
    Effect.gen(function*() {
      const family = yield* CircuitBreaker.keyed({ key: "tenants" })
      assert.deepInclude(family.protect("a").descriptions[0], { policy: "CircuitBreaker", key: "tenants" })
      assert.strictEqual(family.protect("a").descriptions[0]?.settings["instance"], "a")
    }))
})

describe("a CircuitBreaker as a gate", () => {
  it.effect("says how it is set (R148)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...options,
        trip: CircuitBreaker.timeWindow({
          span: "1 minute",
          buckets: 7,
          failureRate: 0.5,
          slowRate: 0.9,
          slowAfter: "2 seconds",
          minimumCalls: 20
        }),
        openFor: Backoff.constant("5 seconds"),
        successes: 8,
        halfOpen: { probes: 3, sample: 10, deadline: "20 seconds", onDeadline: "close" },
        hint: () => undefined,
        shadow: true
      })
      assert.isTrue(Gate.isGate(breaker))
      assert.isTrue(CircuitBreaker.isCircuitBreaker(breaker))
      assert.deepStrictEqual(breaker.protect.descriptions, [breaker.description])
      assert.deepStrictEqual(CircuitBreaker.protect(breaker).descriptions, [breaker.description])
      assert.deepStrictEqual(breaker.description, {
        policy: "CircuitBreaker",
        key: "payments",
        settings: {
          mode: "timeWindow",
          failures: null,
          windowSize: null,
          windowMillis: 60_000,
          minimumCalls: 20,
          failureRate: 0.5,
          slowRate: 0.9,
          slowAfterMillis: 2_000,
          recordsSlowCalls: true,
          openForMillis: null,
          openFor: { ...Backoff.constant("5 seconds").description },
          openJitter: 0,
          hint: true,
          halfOpenProbes: 3,
          halfOpenSuccesses: 8,
          halfOpenSample: 10,
          halfOpenDeadlineMillis: 20_000,
          onHalfOpenDeadline: "close",
          staleProbeAfterMillis: null,
          shadow: true
        }
      })
      const simple = yield* CircuitBreaker.make(options)
      assert.deepInclude(simple.description.settings, {
        mode: "consecutive",
        failures: 5,
        minimumCalls: null,
        openForMillis: 30_000,
        halfOpenSample: 2,
        halfOpenSuccesses: 2,
        recordsSlowCalls: false,
        shadow: false
      })
    }))

  it.effect("a probe that another gate turns away frees its place (R94)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000)
      const inner = yield* opened(10_000)
      assert.strictEqual(yield* outcome(ok.pipe(inner.protect, breaker.protect)), "CircuitOpen")
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0, successes: 0, failures: 0 })
    }))

  it.effect("a permit can be committed with an exit, or refunded, once (R96)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, successes: 1 })
      const first = yield* breaker.reserve
      assert.isTrue(yield* first.commit(Exit.fail(new Http({ status: 503 }))))
      assert.isFalse(yield* first.commit(Exit.void))
      assert.isFalse(yield* first.refund)
      assert.strictEqual(yield* tag(breaker), "Open")
      yield* TestClock.adjust("30 seconds")
      const probe = yield* breaker.reserve
      assert.isTrue(yield* probe.refund)
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0 })
      // The rejection of another gate is no end of a call that has run.
      const turnedAway = yield* Effect.flatMap(opened(0), ({ protect }) => Effect.exit(ok.pipe(protect)))
      const another = yield* breaker.reserve
      assert.isTrue(yield* another.commit(turnedAway))
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0, successes: 0, failures: 0 })
    }))
})
