import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { Bulkhead, CircuitBreaker, Gate, RateLimiter } from "holdfast/Circuit"
import * as Combinator from "holdfast/Combinator"
import { Backoff, Retry } from "holdfast/Schedule"
import { endOf, held, outcome } from "./support/gates.js"

class Closed extends Data.TaggedError("Closed") {}

const call = Effect.succeed("ok")

/** A gate that notes what happens to its permits. */
const noting = (key: string, notes: Array<string>, reserve: Effect.Effect<unknown, Closed> = Effect.void) =>
  Gate.make({
    key,
    reserve: Effect.map(reserve, () => {
      notes.push(`${key} reserved`)
      return {
        commit: (exit) =>
          Effect.sync(() => {
            notes.push(`${key} ${endOf(exit)}`)
            return true
          }),
        refund: Effect.sync(() => {
          notes.push(`${key} refunded`)
          return true
        })
      }
    })
  })

const shut = Effect.suspend(() => Effect.fail(new Closed()))

describe("Gate.make", () => {
  it.effect("a permit is committed with the end of its call, once, before the call goes on (R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gate = yield* noting("own", notes)
      for (const effect of [call, Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
        yield* Effect.exit(Effect.ensuring(effect.pipe(gate.protect), Effect.sync(() => notes.push("after"))))
      }
      assert.deepStrictEqual(notes, [
        "own reserved",
        "own ok",
        "after",
        "own reserved",
        "own no",
        "after",
        "own reserved",
        "own died",
        "after",
        "own reserved",
        "own interrupted",
        "after"
      ])
    }))

  it.effect("when a gate further in rejects the call, it is refunded, in one list or in a pipe (R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const outer = yield* noting("outer", notes)
      const inner = yield* noting("inner", [], shut)
      for (
        const effect of [call.pipe(Gate.protect(Gate.all([outer, inner]))), call.pipe(inner.protect, outer.protect)]
      ) {
        assert.strictEqual(yield* outcome(effect), "Closed")
        assert.deepStrictEqual(notes.splice(0), ["outer reserved", "outer refunded"])
      }
    }))

  it.effect("its wait can be interrupted where it says so, and takes nothing then (R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const opens = yield* Deferred.make<void>()
      const gate = yield* noting("own", notes, Effect.interruptible(Deferred.await(opens)))
      const waiting = yield* held(gate.protect)
      assert.strictEqual(endOf(yield* waiting.interrupt), "interrupted")
      assert.deepStrictEqual(notes, [])
      yield* Deferred.succeed(opens, undefined)
      assert.strictEqual(yield* outcome(call.pipe(gate.protect)), "ok")
    }))

  it.effect("a place that is taken as the call is interrupted is refunded (R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const started = yield* Deferred.make<void>()
      const goes = yield* Deferred.make<void>()
      // Not interruptible: the interruption comes while it takes its place.
      const gate = yield* noting(
        "own",
        notes,
        Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(goes))
      )
      const waiting = yield* held(gate.protect)
      yield* Deferred.await(started)
      const interrupted = yield* Effect.fork(Fiber.interrupt(waiting.fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(goes, undefined)
      assert.strictEqual(endOf(yield* Fiber.join(interrupted)), "interrupted")
      assert.isFalse(waiting.began)
      assert.deepStrictEqual(notes, ["own reserved", "own refunded"])
    }))

  it.effect("the gate of another is made of its reserve, and waits in its line (R131)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1, queue: 1 })
      const gate = yield* Gate.make({ key: "own", reserve: bulkhead.reserve })
      const inside = yield* held(gate.protect)
      const waiting = yield* held(gate.protect)
      assert.deepStrictEqual([yield* bulkhead.inUse, yield* bulkhead.waiting], [1, 1])
      assert.strictEqual(yield* outcome(call.pipe(gate.protect)), "BulkheadFull")
      yield* waiting.interrupt
      assert.strictEqual(yield* bulkhead.waiting, 0)
      yield* inside.succeed
      assert.strictEqual(yield* bulkhead.inUse, 0)
    }))

  it.effect("what it needs is that of where it was made; what belongs to a call is that of the call (R31)", () =>
    Effect.gen(function*() {
      class Limit extends Context.Tag("holdfast/test/Circuit/Gate.test/Limit")<Limit, number>() {}
      class Caller extends Context.Reference<Caller>()("holdfast/test/Circuit/Gate.test/Caller", {
        defaultValue: () => "nobody"
      }) {}
      const seen: Array<unknown> = []
      const gate = yield* Gate.make({
        key: "own",
        reserve: Effect.map(Effect.all([Limit, Caller]), (both) => {
          seen.push(both)
          return { commit: () => Effect.succeed(true), refund: Effect.succeed(true) }
        })
      }).pipe(Effect.provideService(Limit, 3))
      yield* call.pipe(gate.protect, Effect.provideService(Caller, "somebody"))
      assert.deepStrictEqual(seen, [[3, "somebody"]])
    }))

  it.effect("a commit that dies comes after the end of the call, and keeps no other gate from its own (R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const outer = yield* noting("outer", notes)
      const broken = yield* Gate.make({
        key: "broken",
        reserve: Effect.succeed({ commit: () => Effect.die("commit"), refund: Effect.die("refund") })
      })
      const exit = yield* Effect.exit(Effect.fail("no").pipe(Gate.protect(Gate.all([outer, broken]))))
      assert.deepStrictEqual(
        Exit.isFailure(exit) ? exit.cause : undefined,
        Cause.sequential(Cause.fail("no"), Cause.die("commit"))
      )
      assert.strictEqual(yield* outcome(call.pipe(broken.protect)), "died")
      assert.deepStrictEqual(notes, ["outer reserved", "outer died"])
    }))

  it.effect("it describes itself (R148)", () =>
    Effect.gen(function*() {
      const permit = { commit: () => Effect.succeed(true), refund: Effect.succeed(true) }
      const gate = yield* Gate.make({ key: "own", reserve: Effect.succeed(permit), settings: { hours: 8 } })
      assert.deepStrictEqual(gate.description, { policy: "Gate", key: "own", settings: { hours: 8 } })
      assert.strictEqual(String(gate), "{\"_id\":\"Gate\",\"key\":\"own\"}")
    }))
})

describe("Gate.all", () => {
  it.effect("passes the gates in order, and hands them back in reverse (R129, R130)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gates = yield* Effect.all([noting("a", notes), noting("b", notes), noting("c", notes)])
      const all = Gate.all(gates)
      assert.strictEqual(yield* outcome(call.pipe(all.protect)), "ok")
      const passed = ["a reserved", "b reserved", "c reserved", "c ok", "b ok", "a ok"]
      assert.deepStrictEqual(notes.splice(0), passed)
      const permit = yield* all.reserve
      assert.isTrue(yield* permit.commit(Exit.succeed("ok")))
      assert.isFalse(yield* permit.refund)
      assert.deepStrictEqual(notes.splice(0), passed)
    }))

  it.effect("when one rejects, those before it are refunded, the last first (R130)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gates = yield* Effect.all([noting("a", notes), noting("b", notes), noting("c", notes, shut)])
      const all = Gate.all(gates)
      const undone = ["a reserved", "b reserved", "b refunded", "a refunded"]
      assert.strictEqual(yield* outcome(call.pipe(all.protect)), "Closed")
      assert.deepStrictEqual(notes.splice(0), undone)
      assert.strictEqual(yield* outcome(all.reserve), "Closed")
      assert.deepStrictEqual(notes.splice(0), undone)
    }))

  it.effect("an interruption in the line of one refunds those before it, reserved or protecting (R130, R131)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1, queue: 1 })
      yield* bulkhead.reserve
      const all = Gate.all([yield* noting("a", notes), bulkhead])
      for (
        const effect of [
          call.pipe(all.protect),
          Effect.acquireUseRelease(all.reserve, () => call, (_) => _.refund)
        ]
      ) {
        const waiting = yield* Effect.fork(effect)
        yield* Effect.yieldNow()
        assert.strictEqual(yield* bulkhead.waiting, 1)
        assert.strictEqual(endOf(yield* Fiber.interrupt(waiting)), "interrupted")
        assert.strictEqual(yield* bulkhead.waiting, 0)
        assert.deepStrictEqual(notes.splice(0), ["a reserved", "a refunded"])
      }
    }))

  it.effect("is described by its gates, and can be one of others (R148)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "db" })
      const limiter = yield* RateLimiter.make({ key: "api" })
      const all = Gate.all([limiter, bulkhead])
      assert.deepStrictEqual(all.protect.descriptions, [limiter.description, bulkhead.description])
      assert.strictEqual(all.key, "api + db")
      const described: unknown = all.description.settings["gates"]
      assert.deepStrictEqual(described, [limiter.description, bulkhead.description])
      assert.strictEqual(Gate.all([all, limiter]).protect.descriptions.length, 3)
      assert.strictEqual(yield* call.pipe(Gate.protect(Gate.all([]))), "ok")
      assert.isTrue(Gate.isGate(all))
    }))

  it("the errors are those of all gates (R31)", () => {
    const uses = (
      limiter: RateLimiter.RateLimiter,
      bulkhead: Bulkhead.Bulkhead,
      breaker: Gate.Gate<CircuitBreaker.CircuitOpen>
    ) => {
      type All = Bulkhead.BulkheadFull | RateLimiter.RateLimited
      expectTypeOf(Gate.all([limiter, bulkhead])).toEqualTypeOf<Gate.Gate<All>>()
      expectTypeOf(Gate.all([])).toEqualTypeOf<Gate.Gate<never>>()
      expectTypeOf(Gate.standard({ breaker, limiter, bulkhead })).toEqualTypeOf<
        Gate.Gate<All | CircuitBreaker.CircuitOpen>
      >()
      expectTypeOf(Gate.standard({ bulkhead })).toEqualTypeOf<Gate.Gate<Bulkhead.BulkheadFull>>()
      expectTypeOf(call.pipe(Gate.protect(bulkhead))).toEqualTypeOf<Effect.Effect<string, Bulkhead.BulkheadFull>>()
      expectTypeOf(Gate.protect(call, bulkhead)).toEqualTypeOf<Effect.Effect<string, Bulkhead.BulkheadFull>>()
    }
    expectTypeOf(uses).returns.toBeVoid()
    const permit = { commit: () => Effect.succeed(true), refund: Effect.succeed(true) }
    class Limit extends Context.Tag("holdfast/test/Circuit/Gate.test/OtherLimit")<Limit, number>() {}
    const reserve: Effect.Effect<Gate.Permit, Closed, Limit> = Effect.as(Limit, permit)
    expectTypeOf(Gate.make({ key: "own", reserve })).toEqualTypeOf<Effect.Effect<Gate.Gate<Closed>, never, Limit>>()
  })
})

describe("Gate.standard", () => {
  it.effect("limiter, then bulkhead, then breaker, however they are given (R129, R130)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key: "api" })
      const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 1 })
      const notes: Array<string> = []
      const breaker = yield* noting("breaker", notes)
      const gate = Gate.standard({ breaker, bulkhead, limiter })
      assert.deepStrictEqual(gate.protect.descriptions.map(({ policy }) => policy), ["RateLimiter", "Bulkhead", "Gate"])
      const inside = yield* held(gate.protect)
      assert.deepStrictEqual(notes, ["breaker reserved"])
      // Full: neither a probe is taken, nor is a token gone.
      assert.strictEqual(yield* outcome(call.pipe(gate.protect)), "BulkheadFull")
      assert.deepStrictEqual(notes, ["breaker reserved"])
      assert.strictEqual((yield* limiter.snapshot).remaining, 49)
      yield* inside.succeed
      assert.deepStrictEqual(Gate.standard({ bulkhead }).protect.descriptions.map(({ policy }) => policy), ["Bulkhead"])
    }))

  it.effect("a breaker that rejects frees the place and gives the token back (R130)", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key: "api" })
      const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 1 })
      const breaker = yield* noting("breaker", [], shut)
      const gate = Gate.standard({ limiter, bulkhead, breaker })
      assert.strictEqual(yield* outcome(call.pipe(gate.protect)), "Closed")
      assert.strictEqual(yield* bulkhead.inUse, 0)
      assert.strictEqual((yield* limiter.snapshot).remaining, 50)
    }))
})

describe("a gate and a retry", () => {
  const failing = (attempts: { count: number }) =>
    Effect.suspend(() => attempts.count++ < 2 ? Effect.fail("down" as const) : Effect.succeed("ok"))
  const retry = Retry.rules([Retry.onAny({ retries: 5, backoff: Backoff.constant("1 second") })])

  it.effect("inside the retry each attempt passes it and is recorded (R133)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gate = yield* noting("gate", notes)
      const fiber = yield* Effect.fork(failing({ count: 0 }).pipe(gate.protect, retry))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      assert.deepStrictEqual(notes, [
        "gate reserved",
        "gate down",
        "gate reserved",
        "gate down",
        "gate reserved",
        "gate ok"
      ])
    }))

  it.effect("outside of the retry the operation passes it once and is recorded once (R133)", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const gate = yield* noting("gate", notes)
      const fiber = yield* Effect.fork(failing({ count: 0 }).pipe(retry, gate.protect))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      assert.deepStrictEqual(notes, ["gate reserved", "gate ok"])
    }))
})

describe("rejections", () => {
  it.effect("each gate has its own error, with a hint when to try again; a program's own counts too (R132)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 1 })
      yield* bulkhead.reserve
      const limiter = yield* RateLimiter.make({ key: "api", limit: 1 })
      yield* limiter.reserve
      const own = yield* noting("own", [], shut)
      const errors = yield* Effect.all([
        Effect.flip(call.pipe(limiter.protect)),
        Effect.flip(call.pipe(bulkhead.protect)),
        Effect.flip(call.pipe(own.protect))
      ])
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), ["RateLimited", "BulkheadFull", "Closed"])
      assert.isTrue(errors.every(Gate.isRejection))
      assert.property(errors[0], "retryAfter")
      assert.property(errors[1], "retryAfter")
      assert.isFalse(Gate.isRejection(new Closed()))
    }))

  it.effect("a gate put around an effect is a combinator in both forms (R148)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 1 })
      for (const combinator of [Gate.protect(bulkhead), Bulkhead.protect(bulkhead), bulkhead.protect]) {
        assert.isTrue(Combinator.isCombinator(combinator))
        assert.deepStrictEqual(combinator.descriptions, [bulkhead.description])
      }
      assert.strictEqual(yield* Gate.protect(call, bulkhead), "ok")
    }))
})
