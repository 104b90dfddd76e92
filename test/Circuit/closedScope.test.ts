/**
 * Gates whose layer has closed, and what belongs to a scope. A gate has no fiber and no end of its own: who waits at one
 * is served by those who leave it, and by its clock. So nobody waits for ever.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Queue, Scope, TestClock } from "effect"
import {
  Bulkhead,
  CircuitBreaker,
  ConcurrencyLimit,
  type Gate,
  LoadShedder,
  OutlierEjection,
  RateLimiter,
  Throttle
} from "holdfast/Circuit"
import { endOf, held, outcome } from "./support/gates.js"

class Slots extends Bulkhead.Tag("Slots")<Slots>() {}
class Pace extends RateLimiter.Tag("Pace")<Pace>() {}
class Line extends LoadShedder.Tag("Line")<Line>() {}
class Limit extends ConcurrencyLimit.Tag("Limit")<Limit>() {}
class Breaker extends CircuitBreaker.Tag("Breaker")<Breaker>() {}
class Refusals extends Throttle.Tag("Refusals")<Refusals>() {}

const gates = Layer.mergeAll(
  Slots.layer({ capacity: 1, queue: 10, queueTimeout: "1 minute" }),
  Pace.layer({ limit: 1, interval: "10 seconds", maxWait: "1 minute" }),
  Line.layer(LoadShedder.queue({ key: "line", concurrency: 1, interval: "1 minute" })),
  Limit.layer({
    algorithm: ConcurrencyLimit.vegas({ initial: 1, max: 1 }),
    queue: true
  }),
  Breaker.layer({ failures: 1, openFor: "10 seconds" }),
  Refusals.layer()
)

/** The gates of a layer, and what closes it. */
const built = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const services = yield* Layer.buildWithScope(gates, scope)
  return { close: Scope.close(scope, Exit.void), scope, services }
})

const queues: { readonly [name: string]: Effect.Effect<Gate.Gate<unknown>, never, Slots | Pace | Line | Limit> } = {
  Bulkhead: Slots,
  RateLimiter: Pace,
  LoadShedder: Line,
  ConcurrencyLimit: Limit
}

describe("when the layer of a gate has closed", () => {
  for (const [name, tag] of Object.entries(queues)) {
    it.effect(`${name}: who waits in its line is served (R131)`, () =>
      Effect.gen(function*() {
        const { close, services } = yield* built
        const gate = yield* Effect.provide(tag, services)
        const inside = yield* held(gate.protect)
        const waiting = yield* held(gate.protect)
        assert.deepStrictEqual([inside.began, waiting.began], [true, false])
        yield* close
        const later = yield* held(gate.protect)
        assert.isFalse(later.began)
        for (const call of [inside, waiting, later]) {
          yield* TestClock.adjust("10 seconds")
          assert.isTrue(call.began)
          yield* call.succeed
        }
        assert.deepStrictEqual([inside, waiting, later].map(({ exit }) => endOf(exit!)), ["ended", "ended", "ended"])
      }))

    it.effect(`${name}: one that waits beside one whose scope closes is served (R131)`, () =>
      Effect.gen(function*() {
        const { close, scope, services } = yield* built
        const gate = yield* Effect.provide(tag, services)
        const inside = yield* held(gate.protect)
        const first = yield* Effect.forkIn(Effect.void.pipe(gate.protect), scope)
        yield* Effect.yieldNow()
        const second = yield* held(gate.protect)
        yield* close
        assert.strictEqual(endOf(yield* Fiber.await(first)), "interrupted")
        yield* inside.succeed
        yield* TestClock.adjust("20 seconds")
        assert.isTrue(second.began)
        yield* second.succeed
      }))
  }

  it.effect("a queue timeout is kept, whoever has set its alarm (R126)", () =>
    Effect.gen(function*() {
      const { close, scope, services } = yield* built
      const bulkhead = Context.get(services, Slots)
      yield* held(bulkhead.protect)
      yield* Effect.forkIn(Effect.void.pipe(bulkhead.protect), scope)
      yield* Effect.yieldNow()
      const waiting = yield* Effect.fork(outcome(Effect.void.pipe(bulkhead.protect)))
      yield* Effect.yieldNow()
      yield* close
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(waiting), "BulkheadFull")
    }))

  it.effect("a breaker and a throttle answer at once, as ever (R86)", () =>
    Effect.gen(function*() {
      const { close, services } = yield* built
      const breaker = Context.get(services, Breaker)
      yield* Effect.exit(Effect.fail("down").pipe(breaker.protect))
      yield* close
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "CircuitOpen")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* outcome(Effect.succeed("up").pipe(breaker.protect)), "up")
      assert.strictEqual(yield* outcome(Effect.succeed("up").pipe(Context.get(services, Refusals).protect)), "up")
    }))
})

describe("a clock that cannot sleep any more", () => {
  it.effect("one whose alarm has failed does not keep those who come later waiting for ever", () =>
    Effect.gen(function*() {
      const real = yield* Clock.clockWith(Effect.succeed)
      const broken: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => real.unsafeCurrentTimeMillis(),
        unsafeCurrentTimeNanos: () => real.unsafeCurrentTimeNanos(),
        currentTimeMillis: real.currentTimeMillis,
        currentTimeNanos: real.currentTimeNanos,
        sleep: () => Effect.dieMessage("this clock has ended")
      }
      const bulkhead = yield* Bulkhead.make({ key: "b", capacity: 1, queue: 10, queueTimeout: "1 second" })
      yield* held(bulkhead.protect)
      const waits = Effect.fork(outcome(Effect.void.pipe(bulkhead.protect)))
      const early = yield* Effect.withClock(waits, broken)
      yield* Effect.yieldNow()
      const late = yield* waits
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(Fiber.zip(early, late)), ["BulkheadFull", "BulkheadFull"])
    }))
})

describe("what belongs to a scope, when that has closed", () => {
  it.effect("a shedder by the event loop lets all calls pass, and asks its monitor no more (R143)", () =>
    Effect.gen(function*() {
      let running = false
      let readsOfStopped = 0
      const scope = yield* Scope.make()
      const make = LoadShedder.onEventLoopDelay({ key: "api", limit: 10, window: 100 }).pipe(
        Effect.provideService(LoadShedder.StartEventLoopMonitor, () => {
          running = true
          return {
            read: () => {
              if (!running) readsOfStopped++
              return 100
            },
            stop: () => void (running = false)
          }
        })
      )
      const shedder = yield* Scope.extend(make, scope)
      const call = outcome(Effect.succeed("ran").pipe(shedder.protect))
      yield* TestClock.adjust(100)
      assert.strictEqual(yield* call, "Shed")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* call, "ran")
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual([yield* call, readsOfStopped], ["ran", 0])
      assert.deepInclude(yield* shedder.snapshot, { shedding: false, shed: 1 })
      // One that is made in it has never been on.
      const late = yield* Scope.extend(make, scope)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* outcome(Effect.succeed("ran").pipe(late.protect)), "ran")
      assert.strictEqual(readsOfStopped, 0)
    }))

  it.effect("a breaker without its health check goes by its own time (R86)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1, openFor: "10 seconds" })
      let checks = 0
      yield* Scope.extend(
        CircuitBreaker.healthCheck(breaker, { check: Effect.fail(checks++), every: "1 second" }),
        scope
      )
      yield* Effect.exit(Effect.fail("down").pipe(breaker.protect))
      yield* TestClock.adjust("5 seconds")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* outcome(Effect.succeed("up").pipe(breaker.protect)), "up")
    }))

  it.effect("who waits for events is interrupted then, and who asks later at once (R107)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "b" })
      const breakers = yield* CircuitBreaker.keyed({ key: "b" })
      const fleet = yield* OutlierEjection.make({ key: "f", hosts: ["a", "b"] })
      const endOfTake = (events: Queue.Dequeue<unknown>) =>
        Queue.take(events).pipe(Effect.fork, Effect.flatMap(Fiber.await), Effect.map(endOf))
      const feeds: ReadonlyArray<Effect.Effect<Queue.Dequeue<unknown>, never, Scope.Scope>> = [
        breaker.changes,
        breakers.changes,
        fleet.ejections
      ]
      for (const subscribe of feeds) {
        const scope = yield* Scope.make()
        const events = yield* Scope.extend(subscribe, scope)
        const waiting = yield* Effect.fork(Queue.take(events))
        yield* Effect.yieldNow()
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(endOf(yield* Fiber.await(waiting)), "interrupted")
        assert.strictEqual(yield* endOfTake(events), "interrupted")
        assert.strictEqual(yield* endOfTake(yield* Scope.extend(subscribe, scope)), "interrupted")
      }
    }))

  it.effect("to isolate for a scope that has closed isolates nothing (R104)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const breaker = yield* CircuitBreaker.make({ key: "b" })
      yield* Scope.extend(breaker.isolate("maintenance"), scope)
      assert.strictEqual(yield* outcome(Effect.succeed("up").pipe(breaker.protect)), "up")
    }))
})
