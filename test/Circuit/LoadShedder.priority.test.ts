import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Bulkhead, Gate, LoadShedder, Priority } from "holdfast/Circuit"
import { Simulation } from "holdfast/Testing"
import { outcome } from "./support/calls.js"
import { reasonOf } from "./support/shedding.js"

const ok = Effect.succeed("ok")

describe("LoadShedder.byPriority", () => {
  /** A gate that turns away all calls, or none. */
  const switchable = Effect.gen(function*() {
    const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1 })
    let permit: Gate.Permit | undefined
    return {
      bulkhead,
      close: Effect.map(bulkhead.reserve, (taken) => {
        permit = taken
      }),
      open: Effect.suspend(() => permit!.refund)
    }
  })

  it.effect("gives up from below what gates further in turned away, and lets it in again bit by bit (R132)", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.byPriority({ key: "api" })
      const { bulkhead, close, open } = yield* switchable
      const call = (name: Priority.Class) =>
        outcome(ok.pipe(bulkhead.protect, shedder.protect, Priority.withClass(name)))
      for (const name of ["sheddable", "critical"] as const) for (let i = 0; i < 5; i++) yield* call(name)
      yield* close
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* call("sheddable"), "BulkheadFull")
      yield* open
      for (let i = 0; i < 5; i++) yield* call("critical")
      assert.deepInclude(yield* shedder.snapshot, { shedding: false, threshold: 0 })
      yield* TestClock.adjust("1 second")
      // A quarter of twenty did not run: a half of the sheddable ones.
      const drawn = <A, E, R>(random: number, effect: Effect.Effect<A, E, R>) =>
        Effect.withRandom(effect, Random.fixed([random]))
      assert.strictEqual(yield* drawn(0.4999, call("sheddable")), "Shed")
      assert.strictEqual(yield* drawn(0.5, call("sheddable")), "ok")
      assert.strictEqual(yield* call("critical"), "ok")
      assert.deepInclude(yield* shedder.snapshot, { shedding: true, threshold: 50, shed: 1 })
      const rejection = yield* Effect.flip(
        ok.pipe(shedder.protect, Priority.withLevel(49))
      )
      assert.deepInclude(rejection, { shedder: "api", reason: "priority", retryAfter: Duration.seconds(1) })
      assert.strictEqual(yield* outcome(ok.pipe(shedder.protect, Priority.withLevel(50))), "ok")
      // Of five calls two were shed; nine tenths of that is .36 of all calls of the two seconds.
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* call("critical"), "ok")
      const { threshold } = yield* shedder.snapshot
      assert.isAbove(threshold, 50)
      assert.isBelow(threshold, 100)
      // A period without calls: there is no load any more.
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* drawn(0, call("sheddable")), "ok")
      assert.deepInclude(yield* shedder.snapshot, { shedding: false, threshold: 0 })
    }))

  it.effect("within a class the calls of users who have used most go first, and unknown users last", () =>
    Effect.gen(function*() {
      const shedder = yield* LoadShedder.byPriority({ key: "api", usageWindow: "1 minute" })
      const { bulkhead, close } = yield* switchable
      const as = (user: string, work: Effect.Effect<unknown, unknown> = ok) =>
        Effect.exit(work.pipe(shedder.protect, Priority.withUser(user)))
      for (const [user, millis] of [["light", 10], ["middle", 50], ["heavy", 400]] as const) {
        const fiber = yield* Effect.fork(as(user, Effect.sleep(millis)))
        yield* TestClock.adjust(millis)
        yield* Fiber.join(fiber)
      }
      yield* TestClock.adjust("1 second")
      yield* close
      for (const user of ["light", "middle", "heavy", "new"]) {
        assert.strictEqual(reasonOf(yield* as(user, ok.pipe(bulkhead.protect))), "full")
      }
      for (const user of ["light", "middle", "heavy", "new"]) yield* as(user)
      yield* TestClock.adjust("1 second")
      // A half is given up: of the levels 200, 250, 299 and 299 the lower two.
      const ran: Array<string> = []
      for (const user of ["light", "middle", "heavy", "new"]) {
        if (Exit.isSuccess(yield* as(user))) ran.push(user)
      }
      assert.deepStrictEqual(ran, ["light", "new"])
    }))

  it.effect("says how it is set (R148)", () =>
    Effect.gen(function*() {
      const settings = { kind: "priority", everyMillis: 1_000, usageWindowMillis: null, maxUsers: null }
      assert.deepStrictEqual((yield* LoadShedder.byPriority({ key: "api" })).description.settings, settings)
      const byUsage = yield* LoadShedder.byPriority({ key: "api", usageWindow: "2 seconds", maxUsers: 1 })
      assert.deepStrictEqual(byUsage.description.settings, { ...settings, usageWindowMillis: 2_000, maxUsers: 1 })
    }))

  it.effect(
    "whatever becomes of the calls, the threshold stays within the levels, and none is shed below no load",
    () => {
      const program = Effect.gen(function*() {
        const shedder = yield* LoadShedder.byPriority({ key: "api", every: 10, usageWindow: 30 })
        const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1 })
        let shed = 0
        const call = Effect.gen(function*() {
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 60))
          const level = yield* Random.nextIntBetween(0, 500)
          const exit = yield* Effect.sleep(yield* Random.nextIntBetween(0, 8)).pipe(
            bulkhead.protect,
            shedder.protect,
            Priority.withLevel(level),
            Effect.timeout(1 + (yield* Random.nextIntBetween(0, 12))),
            Effect.exit
          )
          const { threshold } = yield* shedder.snapshot
          assert.isAtLeast(threshold, 0)
          assert.isAtMost(threshold, 500)
          if (Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof LoadShedder.Shed) shed++
        })
        yield* Effect.all(Array.from({ length: 8 }, () => call), { concurrency: "unbounded", discard: true })
        assert.isAtMost(shed, (yield* shedder.snapshot).shed)
        assert.strictEqual(yield* bulkhead.inUse, 0)
        yield* Effect.sleep(1_000)
        assert.strictEqual(yield* outcome(ok.pipe(shedder.protect, Priority.withLevel(0))), "ok")
      })
      return Simulation.explore(program, { seeds: 1_000 })
    },
    30_000
  )
})
