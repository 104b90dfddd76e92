import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { Bulkhead, Gate, Priority } from "holdfast/Circuit"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { endOf, type Held, held, outcome } from "./support/gates.js"

const key = "reports"
const call = Effect.succeed("ok")

const use = (bulkhead: Bulkhead.Bulkhead) =>
  Effect.all({
    capacity: bulkhead.capacity,
    inUse: bulkhead.inUse,
    available: bulkhead.available,
    waiting: bulkhead.waiting
  })

const several = (count: number, bulkhead: Bulkhead.Bulkhead): Effect.Effect<ReadonlyArray<Held>> =>
  Effect.replicateEffect(held(bulkhead.protect), count)

describe("Bulkhead", () => {
  it.effect("by default 10 calls run at a time, and the 11th is turned away at once (R122)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key })
      const inside = yield* several(10, bulkhead)
      assert.isTrue(inside.every(({ began }) => began))
      assert.strictEqual(yield* outcome(call.pipe(bulkhead.protect)), "BulkheadFull")
      yield* inside[3]!.succeed
      assert.strictEqual(yield* outcome(call.pipe(bulkhead.protect)), "ok")
      yield* Effect.forEach(inside, ({ interrupt }) => interrupt)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 10, inUse: 0, available: 10, waiting: 0 })
    }))

  it.effect("each call that is let in holds a place of its own until it ends, however it ends (R123, R133)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 5 })
      const inside = yield* several(5, bulkhead)
      assert.strictEqual(yield* bulkhead.inUse, 5)
      for (const [index, end] of (["succeed", "fail", "die", "interrupt", "succeed"] as const).entries()) {
        yield* inside[index]![end]
        assert.strictEqual(yield* bulkhead.inUse, 4 - index)
      }
    }))

  it.effect("a place that is handed back twice counts once, and what is available stays within bounds (R125)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 3 })
      const [first, second, third] = yield* Effect.all([bulkhead.reserve, bulkhead.reserve, bulkhead.reserve])
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 3, inUse: 3, available: 0, waiting: 0 })
      yield* bulkhead.resize(1)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 3, available: 0, waiting: 0 })
      assert.isTrue(yield* first.refund)
      assert.isFalse(yield* first.refund)
      assert.isFalse(yield* first.commit(Exit.void))
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 2, available: 0, waiting: 0 })
      assert.isTrue(yield* second.commit(Exit.fail("no")))
      assert.isTrue(yield* third.commit(Exit.void))
      assert.isFalse(yield* third.refund)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 0, available: 1, waiting: 0 })
    }))

  it.effect("those who wait are let in in the order in which they came, also past one that has left (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 4 })
      const calls = yield* several(5, bulkhead)
      assert.strictEqual(yield* outcome(call.pipe(bulkhead.protect)), "BulkheadFull")
      assert.strictEqual(yield* bulkhead.waiting, 4)
      yield* calls[2]!.interrupt
      const begun = () => calls.map(({ began }) => began)
      assert.deepStrictEqual(begun(), [true, false, false, false, false])
      yield* calls[0]!.succeed
      assert.deepStrictEqual(begun(), [true, true, false, false, false])
      yield* calls[1]!.fail
      assert.deepStrictEqual(begun(), [true, true, false, true, false])
      yield* calls[3]!.interrupt
      assert.deepStrictEqual(begun(), [true, true, false, true, true])
      yield* calls[4]!.succeed
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 0, available: 1, waiting: 0 })
    }))

  it.effect("a call waits in line for exactly as long as it may (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 3, queueTimeout: "5 seconds" })
      const inside = yield* held(bulkhead.protect)
      const early = yield* held(bulkhead.protect)
      yield* TestClock.adjust("3 seconds")
      const later = yield* held(bulkhead.protect)
      yield* TestClock.adjust(1_999)
      assert.isNull(early.exit)
      yield* TestClock.adjust(1)
      assert.strictEqual(endOf(early.exit!), "BulkheadFull")
      assert.isNull(later.exit)
      yield* TestClock.adjust(2_999)
      assert.isNull(later.exit)
      // Let in at the last moment, it stays in.
      yield* inside.succeed
      assert.isTrue(later.began)
      yield* TestClock.adjust("1 minute")
      assert.isNull(later.exit)
      yield* later.succeed
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 0, available: 1, waiting: 0 })
    }))

  it.effect("a place that comes free just when a call may wait no longer is taken or left, and never lost (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 1, queueTimeout: "1 second" })
      const inside = yield* Effect.fork(Effect.sleep("1 second").pipe(bulkhead.protect))
      const waiting = yield* Effect.fork(Effect.sleep("1 second").pipe(bulkhead.protect))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* outcome(Fiber.join(inside)), "undefined")
      const exit = endOf(yield* Fiber.await(waiting))
      // Whichever of the two timers is first decides.
      assert.include(["undefined", "BulkheadFull"], exit)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 0, available: 1, waiting: 0 })
    }))

  it.effect("a heavy call waits until all its places are free, and nobody behind it goes first (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 3, queue: 10 })
      const light = yield* several(3, bulkhead)
      const heavy = yield* held(bulkhead.withWeight(3).protect)
      const behind = yield* held(bulkhead.protect)
      yield* light[0]!.succeed
      yield* light[1]!.succeed
      assert.deepStrictEqual([heavy.began, behind.began, yield* bulkhead.available], [false, false, 2])
      yield* light[2]!.succeed
      assert.deepStrictEqual([heavy.began, behind.began, yield* bulkhead.inUse], [true, false, 3])
      yield* heavy.succeed
      assert.deepStrictEqual([behind.began, yield* bulkhead.inUse], [true, 1])
      yield* behind.succeed
    }))

  it.effect("when a heavy call leaves the line, by interruption or late, those that it held up go (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 2, queue: 10, queueTimeout: "1 second" })
      const inside = yield* held(bulkhead.protect)
      const heavy = yield* held(bulkhead.withWeight(2).protect)
      const behind = yield* held(bulkhead.protect)
      assert.isFalse(behind.began)
      yield* heavy.interrupt
      assert.isTrue(behind.began)
      yield* behind.succeed
      const late = yield* held(bulkhead.withWeight(2).protect)
      yield* TestClock.adjust(500)
      const next = yield* held(bulkhead.protect)
      yield* TestClock.adjust(500)
      assert.strictEqual(endOf(late.exit!), "BulkheadFull")
      assert.isTrue(next.began)
      yield* Effect.all([inside.succeed, next.succeed])
      assert.strictEqual(yield* bulkhead.inUse, 0)
    }))

  it.effect("a call heavier than the bulkhead fails at once, and says why (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 3, queue: 10 })
      const error = yield* Effect.flip(call.pipe(Bulkhead.protect(bulkhead, { weight: 4 })))
      assert.strictEqual(error._tag, "WeightTooHigh")
      assert.strictEqual(
        error.message,
        "a call of weight 4 can never pass bulkhead \"reports\", which has 3 places; split the call or raise the capacity"
      )
      assert.isTrue(Gate.isRejection(error))
      yield* bulkhead.resize(4)
      assert.strictEqual(yield* Bulkhead.protect(call, bulkhead, { weight: 4 }), "ok")
    }))

  it.effect("fewer places: who is inside ends in peace; more places: who waits is let in at once (R128)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 3, queue: 10 })
      const calls = yield* several(5, bulkhead)
      yield* bulkhead.resize(1)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 3, available: 0, waiting: 2 })
      assert.isTrue(calls.every(({ exit }) => exit === null))
      yield* calls[0]!.succeed
      yield* calls[1]!.succeed
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 1, available: 0, waiting: 2 })
      yield* bulkhead.resize(3)
      yield* Effect.yieldNow()
      assert.isTrue(calls[3]!.began && calls[4]!.began)
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 3, inUse: 3, available: 0, waiting: 0 })
      yield* Effect.forEach(calls, ({ interrupt }) => interrupt)
    }))

  it.effect("one that has become too heavy in line is let in when nobody else is inside (R128)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 3, queue: 10 })
      const inside = yield* held(bulkhead.protect)
      const heavy = yield* held(bulkhead.withWeight(3).protect)
      const behind = yield* held(bulkhead.protect)
      yield* bulkhead.resize(2)
      assert.isFalse(heavy.began)
      yield* inside.succeed
      assert.deepStrictEqual([heavy.began, behind.began], [true, false])
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 2, inUse: 3, available: 0, waiting: 1 })
      yield* heavy.succeed
      assert.isTrue(behind.began)
      yield* behind.succeed
    }))

  it.effect("more important calls go first, and a class counts as much as `aging` in line (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 10, priority: { aging: "1 second" } })
      const begun: Array<string> = []
      const start = (name: string, priority: Priority.Class) =>
        Effect.fork(
          Effect.sync(() => begun.push(name)).pipe(bulkhead.protect, Priority.withClass(priority))
        ).pipe(Effect.zipLeft(Effect.yieldNow()))
      const inside = yield* held(bulkhead.protect)
      const first = [yield* start("low at 0", "low"), yield* start("low at 0, second", "low")]
      yield* TestClock.adjust(1_500)
      // Two classes are worth two seconds, one is worth one.
      const then = [yield* start("high at 1.5", "high"), yield* start("normal at 1.5", "normal")]
      yield* TestClock.adjust(1_000)
      const last = yield* start("high at 2.5", "high")
      yield* inside.succeed
      yield* Fiber.joinAll([...first, ...then, last])
      assert.deepStrictEqual(begun, [
        "high at 1.5",
        "low at 0",
        "low at 0, second",
        "high at 2.5",
        "normal at 1.5"
      ])
    }))

  it.effect("a more important call passes a heavy one that waits, and takes the place that is free (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 2, queue: 10, priority: {} })
      const inside = yield* held(bulkhead.protect)
      const heavy = yield* held(bulkhead.withWeight(2).protect)
      assert.isFalse(heavy.began)
      assert.strictEqual(yield* call.pipe(bulkhead.protect, Priority.withClass("critical")), "ok")
      assert.isFalse(heavy.began)
      yield* inside.succeed
      assert.isTrue(heavy.began)
      yield* heavy.succeed
      assert.strictEqual(yield* bulkhead.inUse, 0)
    }))

  it.live("100,000 waiters drain in their order (R127)", () =>
    Effect.gen(function*() {
      const count = 100_000
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: "unlimited" })
      const start = yield* Deferred.make<void>()
      const first = yield* Effect.fork(Deferred.await(start).pipe(bulkhead.protect))
      yield* Effect.yieldNow()
      let done = 0
      let inOrder = true
      const fibers = yield* Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) =>
        Effect.forkDaemon(
          Effect.sync(() => {
            inOrder &&= done++ === index
          }).pipe(bulkhead.protect)
        ))
      yield* Deferred.succeed(start, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(fibers[count - 1]!)
      assert.deepStrictEqual([done, inOrder, yield* bulkhead.waiting], [count, true, 0])
    }))

  it.effect("a rejection says which bulkhead, how full it is, and when to try again; it records no stack (R132)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 1, queueTimeout: "2 seconds" })
      const inside = yield* held(bulkhead.protect)
      const waiting = yield* Effect.fork(Effect.flip(call.pipe(bulkhead.protect)))
      yield* Effect.yieldNow()
      const full = yield* Effect.flip(call.pipe(bulkhead.protect))
      assert.deepInclude(full, { bulkhead: key, reason: "full", capacity: 1, inUse: 1, waiting: 1 })
      assert.strictEqual(Duration.toMillis(full.retryAfter), 2_000)
      assert.strictEqual(
        full.message,
        "bulkhead \"reports\" is full: 1 of 1 places are in use and 1 call waits; try again in 2s"
      )
      assert.notInclude(full.stack, "at ")
      yield* TestClock.adjust("2 seconds")
      const late = yield* Fiber.join(waiting)
      assert.deepInclude(late, { reason: "timeout", waiting: 0 })
      assert.strictEqual(
        late.message,
        "bulkhead \"reports\" had no place in time: 1 of 1 places are in use and 0 calls wait; try again in 2s"
      )
      const told = yield* Bulkhead.make({ key, capacity: 1, retryAfter: "10 millis" })
      yield* held(told.protect)
      const other = yield* Effect.flip(call.pipe(told.protect))
      assert.strictEqual(Duration.toMillis(other.retryAfter), 10)
      assert.strictEqual(Duration.toMillis((yield* Effect.flip(rejecting)).retryAfter), 1_000)
      yield* inside.succeed
    }))

  const rejecting = Effect.gen(function*() {
    const bulkhead = yield* Bulkhead.make({ key, capacity: 1 })
    yield* bulkhead.reserve
    return yield* call.pipe(bulkhead.protect)
  })

  it.effect("a reserved place is waited for, and an interruption of the wait takes none, even uninterruptibly (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key, capacity: 1, queue: 2 })
      const permit = yield* bulkhead.reserve
      const waiting = yield* Effect.fork(
        Effect.acquireUseRelease(bulkhead.reserve, () => Effect.never, ({ refund }) => refund)
      )
      yield* Effect.yieldNow()
      assert.strictEqual(yield* bulkhead.waiting, 1)
      assert.strictEqual(endOf(yield* Fiber.interrupt(waiting)), "interrupted")
      assert.deepStrictEqual(yield* use(bulkhead), { capacity: 1, inUse: 1, available: 0, waiting: 0 })
      const next = yield* Effect.fork(bulkhead.reserve)
      yield* Effect.yieldNow()
      yield* permit.refund
      const second = yield* Fiber.join(next)
      assert.strictEqual(yield* bulkhead.inUse, 1)
      yield* second.commit(Exit.void)
      assert.strictEqual(yield* bulkhead.inUse, 0)
    }))

  it.effect("there is a bulkhead for each key, and those that nobody uses are forgotten (R73)", () =>
    Effect.gen(function*() {
      const tenants = yield* Bulkhead.keyed({ key: "tenants", capacity: 1, maxKeys: 2 })
      const acme = yield* held(tenants.protect("acme"))
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("acme"))), "BulkheadFull")
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("umbrella"))), "ok")
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("initech"))), "ok")
      assert.strictEqual(yield* tenants.size, 2)
      const error = yield* Effect.flip(call.pipe(tenants.protect("acme")))
      assert.strictEqual(error.bulkhead, "tenants/acme")
      assert.strictEqual((yield* tenants.get("acme")).key, "tenants/acme")
      assert.deepStrictEqual(tenants.protect("acme").descriptions, [{
        policy: "Bulkhead",
        key: "tenants",
        settings: {
          capacity: 1,
          queue: 0,
          queueTimeoutMillis: null,
          retryAfterMillis: 1_000,
          agingMillis: null,
          instance: "acme"
        }
      }])
      yield* acme.succeed
      assert.strictEqual(yield* outcome(call.pipe(tenants.protect("acme"))), "ok")
    }))

  it.effect("one in line counts as use: its bulkhead is not forgotten (R73)", () =>
    Effect.gen(function*() {
      const tenants = yield* Bulkhead.keyed({ key: "tenants", capacity: 1, queue: 1, maxKeys: 1 })
      const resized = yield* tenants.get("resized")
      yield* resized.resize(2)
      yield* tenants.get("other")
      assert.strictEqual(yield* (yield* tenants.get("resized")).capacity, 2)
    }))

  it.effect("a bulkhead as a service is one for all who share its layer (R4)", () => {
    class Reports extends Bulkhead.Tag("Reports")<Reports>() {}
    const program = Effect.gen(function*() {
      const inside = yield* held((yield* Reports).protect)
      const full = yield* Effect.flip(call.pipe(Reports.protect))
      assert.strictEqual(full.bulkhead, "Reports")
      yield* inside.succeed
      assert.strictEqual(yield* call.pipe(Reports.protect), "ok")
      assert.strictEqual(yield* (yield* Reports).inUse, 0)
    })
    return Effect.provide(program, Reports.layer({ capacity: 1 }))
  })

  it.effect("options that can never work are a defect (R125)", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<Partial<Bulkhead.Options>> = [
        { capacity: 0 },
        { capacity: 1.5 },
        { capacity: NaN },
        { queue: -1 },
        { queueTimeout: 0 },
        { queueTimeout: "-1 seconds" },
        { retryAfter: Infinity },
        { priority: { aging: 0 } }
      ]
      for (const wrong of bad) {
        const exit = yield* Effect.exit(Bulkhead.make({ key, ...wrong }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
      const bulkhead = yield* Bulkhead.make({ key })
      for (const exit of yield* Effect.all([Effect.exit(bulkhead.resize(0)), Effect.exit(bulkhead.resize(1.5))])) {
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
      assert.throws(() => bulkhead.withWeight(0), InvalidOptions)
      assert.strictEqual(yield* bulkhead.capacity, 10)
    }))

  it.effect("it describes itself and shows how full it is (R148)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({
        key,
        capacity: 2,
        queue: "unlimited",
        queueTimeout: "5 seconds",
        priority: {}
      })
      assert.deepStrictEqual(bulkhead.description, {
        policy: "Bulkhead",
        key,
        settings: { capacity: 2, queue: null, queueTimeoutMillis: 5_000, retryAfterMillis: 5_000, agingMillis: 1_000 }
      })
      assert.deepStrictEqual(bulkhead.protect.descriptions, [bulkhead.description])
      assert.deepInclude(bulkhead.withWeight(2).description.settings, { capacity: 2, weight: 2 })
      yield* bulkhead.reserve
      assert.strictEqual(
        String(bulkhead),
        "{\"_id\":\"Bulkhead\",\"key\":\"reports\",\"capacity\":2,\"inUse\":1,\"waiting\":0}"
      )
      assert.isTrue(Bulkhead.isBulkhead(bulkhead) && Gate.isGate(bulkhead))
      assert.isFalse(Bulkhead.isBulkhead(bulkhead.withWeight(2)))
    }))

  it("the types of error and requirement stay exact (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Circuit/Bulkhead.test/Dependency")<Dependency, number>() {}
    class Reports extends Bulkhead.Tag("Reports")<Reports>() {}
    const call: Effect.Effect<number, "down", Dependency> = Effect.zipRight(Dependency, Effect.fail("down" as const))
    type Protected = Effect.Effect<number, "down" | Bulkhead.BulkheadFull, Dependency>
    type Weighted = Effect.Effect<number, "down" | Bulkhead.BulkheadFull | Bulkhead.WeightTooHigh, Dependency>
    const uses = (bulkhead: Bulkhead.Bulkhead) => {
      expectTypeOf(call.pipe(Bulkhead.protect(bulkhead))).toEqualTypeOf<Protected>()
      expectTypeOf(Bulkhead.protect(call, bulkhead)).toEqualTypeOf<Protected>()
      expectTypeOf(call.pipe(bulkhead.protect)).toEqualTypeOf<Protected>()
      expectTypeOf(call.pipe(Bulkhead.protect(bulkhead, { weight: 2 }))).toEqualTypeOf<Weighted>()
      expectTypeOf(Bulkhead.protect(call, bulkhead, { weight: 2 })).toEqualTypeOf<Weighted>()
      expectTypeOf(call.pipe(bulkhead.withWeight(2).protect)).toEqualTypeOf<Weighted>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(call.pipe(Reports.protect)).toEqualTypeOf<
      Effect.Effect<number, "down" | Bulkhead.BulkheadFull, Dependency | Reports>
    >()
  })
})
