import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Queue, Random, TestClock } from "effect"
import { Gate, OutlierEjection } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { Down, fail, Http, outcome, times } from "./support/calls.js"

const ok = Effect.succeed("ok")
const hosts = ["a", "b", "c", "d"]
const options = { key: "search", hosts }

describe("OutlierEjection", () => {
  it.effect("so many failures in a row take a host out of service, for longer each time (R132)", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, ejectForAtMost: "70 seconds" })
      const ejections = yield* fleet.ejections
      yield* times(4, fail.pipe(fleet.protect("a")))
      yield* ok.pipe(fleet.protect("a"))
      yield* times(4, fail.pipe(fleet.protect("a")))
      assert.deepStrictEqual(yield* fleet.available, hosts)
      yield* times(1, fail.pipe(fleet.protect("a")))
      assert.deepStrictEqual(yield* fleet.available, ["b", "c", "d"])
      yield* TestClock.adjust("20 seconds")
      const rejection = yield* Effect.flip(ok.pipe(fleet.protect("a")))
      assert.instanceOf(rejection, OutlierEjection.HostEjected)
      assert.isTrue(Gate.isRejection(rejection))
      assert.deepInclude(rejection, { fleet: "search", host: "a", retryAfter: Duration.seconds(10) })
      assert.strictEqual(
        rejection.message,
        "host \"a\" of \"search\" is out of service as an outlier; choose another, or try again in 10s"
      )
      assert.strictEqual(yield* outcome(ok.pipe(fleet.protect("b"))), "ok")
      yield* TestClock.adjust(9_999)
      assert.strictEqual(yield* outcome(ok.pipe(fleet.protect("a"))), "HostEjected")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* fleet.available, hosts)
      yield* times(5, fail.pipe(fleet.protect("a")))
      yield* TestClock.adjust("60 seconds")
      yield* times(5, fail.pipe(fleet.protect("a")))
      assert.deepStrictEqual(
        [...yield* Queue.takeAll(ejections)].map(({ at, host, reason, timesEjected, until }) => [
          host,
          reason,
          at,
          until,
          timesEjected
        ]),
        [
          ["a", "failures", 0, 30_000, 1],
          ["a", "failures", 30_000, 90_000, 2],
          ["a", "failures", 90_000, 160_000, 3]
        ]
      )
    }).pipe(Effect.scoped))

  it.effect("success makes good, at most one ejection in a while", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 1, ejectFor: "10 seconds" })
      const timesEjected = Effect.map(fleet.snapshot, ([first]) => first!.timesEjected)
      for (const seconds of [10, 20]) {
        yield* times(1, fail.pipe(fleet.protect("a")))
        yield* TestClock.adjust(Duration.seconds(seconds))
      }
      assert.strictEqual(yield* timesEjected, 2)
      yield* TestClock.adjust(9_999)
      yield* times(10, ok.pipe(fleet.protect("a")))
      assert.strictEqual(yield* timesEjected, 2)
      yield* TestClock.adjust(1)
      yield* times(10, ok.pipe(fleet.protect("a")))
      assert.strictEqual(yield* timesEjected, 1)
      yield* TestClock.adjust("10 seconds")
      yield* times(10, ok.pipe(fleet.protect("a")))
      assert.strictEqual(yield* timesEjected, 0)
    }))

  it.effect("no more than a part of the fleet is out of service, and never all of it", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 1 })
      for (const host of hosts) yield* times(1, fail.pipe(fleet.protect(host)))
      assert.deepStrictEqual(yield* fleet.available, ["c", "d"])
      const most = yield* OutlierEjection.make({ ...options, failures: 1, maxEjection: 1 })
      for (const host of hosts) yield* times(1, fail.pipe(most.protect(host)))
      assert.deepStrictEqual(yield* most.available, ["d"])
      const one = yield* OutlierEjection.make({ key: "search", hosts: ["a"], failures: 1, maxEjection: 1 })
      yield* times(3, fail.pipe(one.protect("a")))
      assert.strictEqual(yield* one.pick, "a")
    }))

  it.effect("picks those in service in turn", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 1 })
      assert.deepStrictEqual(yield* Effect.all(Array.from({ length: 5 }, () => fleet.pick)), [...hosts, "a"])
      yield* times(1, fail.pipe(fleet.protect("b")))
      const picked = yield* Effect.all(Array.from({ length: 6 }, () => fleet.pick))
      assert.deepStrictEqual([...picked].sort(), ["a", "a", "c", "c", "d", "d"])
    }))

  it.effect("a success rate far below the others' takes a host out of service when the interval is over", () =>
    Effect.gen(function*() {
      const five = ["a", "b", "c", "d", "e"]
      const fleet = yield* OutlierEjection.make({
        key: "search",
        hosts: five,
        failures: "unlimited",
        successRate: { minimumRequests: 10 }
      })
      const traffic = Effect.forEach(five, (host) => times(10, (host === "c" ? fail : ok).pipe(fleet.protect(host))))
      yield* traffic
      yield* TestClock.adjust(9_999)
      assert.deepStrictEqual(yield* fleet.available, five)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* fleet.available, ["a", "b", "d", "e"])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* fleet.available, five)
      // What is counted is of the last interval, and not of one before that.
      yield* traffic
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* fleet.available, five)
    }))

  it.effect("an answer of a host that works is a success; interruptions and defects count for nothing", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 2 })
      const failures = Effect.map(fleet.snapshot, ([first]) => first!.failures)
      yield* times(1, fail.pipe(fleet.protect("a")))
      yield* times(1, Effect.dieMessage("bug").pipe(fleet.protect("a")))
      yield* times(1, Effect.interrupt.pipe(fleet.protect("a")))
      assert.strictEqual(yield* failures, 1)
      yield* times(1, Effect.fail(new Http({ status: 404 })).pipe(fleet.protect("a")))
      assert.strictEqual(yield* failures, 0)
      const own = yield* OutlierEjection.make({ ...options, failures: 1, classify: () => "failure" })
      yield* ok.pipe(own.protect("a"))
      assert.notInclude(yield* own.available, "a")
    }))

  it.effect("a call from before an ejection counts for nothing after it", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 1, ejectFor: "10 seconds" })
      const late = yield* fleet.gate("a").reserve
      const never = yield* fleet.gate("a").reserve
      yield* times(1, fail.pipe(fleet.protect("a")))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* late.commit(Exit.fail(new Down())))
      assert.isTrue(yield* never.refund)
      assert.deepStrictEqual(yield* fleet.available, hosts)
    }))

  it.effect("hosts come and go", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, failures: 1 })
      const gone = fleet.protect("d")
      yield* times(1, fail.pipe(fleet.protect("a")))
      yield* fleet.setHosts(["x", "a", "b"])
      assert.deepStrictEqual(yield* fleet.available, ["x", "b"])
      assert.strictEqual(yield* outcome(fail.pipe(gone)), "Down")
      assert.throws(() => fleet.protect("d"), InvalidOptions)
      assert.deepStrictEqual((yield* fleet.snapshot).map(({ ejectedUntil, host }) => [host, ejectedUntil]), [
        ["x", null],
        ["a", 30_000],
        ["b", null]
      ])
      const none = yield* Effect.exit(fleet.setHosts([]))
      assert.instanceOf(Exit.isFailure(none) ? Cause.squash(none.cause) : undefined, InvalidOptions)
    }))

  it.effect("options that can never work are a defect", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<Partial<OutlierEjection.Options>> = [
        { hosts: [] },
        { hosts: ["a", "a"] },
        { failures: 0 },
        { failures: "unlimited" },
        { maxEjection: 0 },
        { maxEjection: 50 },
        { ejectFor: 0 },
        { ejectFor: "2 minutes", ejectForAtMost: "1 minute" },
        { decayEvery: "-1 seconds" },
        { successRate: { deviations: 0 } },
        { successRate: { minimumHosts: 1 } },
        { successRate: { minimumRequests: 0 } },
        { successRate: { interval: 0 } }
      ]
      for (const wrong of bad) {
        const exit = yield* Effect.exit(OutlierEjection.make({ ...options, ...wrong }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
    }))

  it.effect("the gate of a host says how it is set (R148)", () =>
    Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({ ...options, successRate: {} })
      assert.isTrue(OutlierEjection.isOutlierEjection(fleet))
      assert.strictEqual(fleet.gate("a"), fleet.gate("a"))
      assert.strictEqual(fleet.gate("a").key, "search/a")
      assert.deepStrictEqual(fleet.protect("a").descriptions, [{
        policy: "OutlierEjection",
        key: "search",
        settings: {
          failures: 5,
          successRate: { intervalMillis: 10_000, minimumHosts: 5, minimumRequests: 100, factor: 1.9 },
          ejectForMillis: 30_000,
          ejectForAtMostMillis: 300_000,
          maxEjection: 0.5,
          decayEveryMillis: 10_000,
          host: "a"
        }
      }])
      expectTypeOf(fleet.protect).returns.toEqualTypeOf<Combinator<OutlierEjection.HostEjected>>()
      const call = fail.pipe(fleet.protect("a"))
      expectTypeOf(call).toEqualTypeOf<Effect.Effect<never, Down | OutlierEjection.HostEjected>>()
    }))

  it.effect("whatever calls come to, enough hosts stay in service, and each ejection is told once", () => {
    const program = Effect.gen(function*() {
      const fleet = yield* OutlierEjection.make({
        ...options,
        failures: 2,
        ejectFor: 10,
        decayEvery: 5,
        successRate: { interval: 20, minimumHosts: 3, minimumRequests: 2, deviations: 1 }
      })
      const ejections = yield* fleet.ejections
      const until = new Map<string, number>()
      const call = Effect.gen(function*() {
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 60))
        const host = yield* fleet.pick
        const good = yield* Random.nextBoolean
        const work = Effect.sleep(yield* Random.nextIntBetween(0, 12)).pipe(Effect.zipRight(good ? ok : fail))
        yield* Effect.exit(work.pipe(fleet.protect(host), Effect.timeout(1 + (yield* Random.nextIntBetween(0, 20)))))
        assert.isAtLeast((yield* fleet.available).length, 2)
      })
      yield* Effect.all(Array.from({ length: 9 }, () => call), { concurrency: "unbounded", discard: true })
      for (const ejection of yield* Queue.takeAll(ejections)) {
        // Out of service a host is not ejected again.
        assert.isAtLeast(ejection.at, until.get(ejection.host) ?? 0)
        assert.isAbove(ejection.until, ejection.at)
        until.set(ejection.host, ejection.until)
      }
    }).pipe(Effect.scoped)
    return Simulation.explore(program, { seeds: 1_000 })
  }, 30_000)
})
