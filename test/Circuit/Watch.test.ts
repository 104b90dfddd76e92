import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Readable, Scope, Stream, Subscribable, TestClock } from "effect"
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
import * as Watch from "holdfast/Circuit/Watch"
import { held } from "./support/gates.js"

interface Shown {
  readonly gate: Gate.Gate<unknown>
  readonly snapshot: Gate.Watched<unknown>
}

const shown = <G extends Gate.Gate<unknown> & { readonly snapshot: Gate.Watched<unknown> }>(gate: G): Shown => ({
  gate,
  snapshot: gate.snapshot
})

const fleet = Effect.map(
  OutlierEjection.make({ key: "fleet", hosts: ["a", "b"] }),
  (fleet): Shown => ({ gate: fleet.gate("a"), snapshot: fleet.snapshot })
)

const gates: ReadonlyArray<readonly [name: string, make: Effect.Effect<Shown, never, Scope.Scope>]> = [
  ["a breaker", Effect.map(CircuitBreaker.make({ key: "k" }), shown)],
  [
    "a breaker with a window",
    Effect.map(
      CircuitBreaker.make({ key: "k", trip: CircuitBreaker.countWindow({ size: 10, failureRate: 0.5 }) }),
      shown
    )
  ],
  ["a bulkhead", Effect.map(Bulkhead.make({ key: "k" }), shown)],
  ["a rate limiter", Effect.map(RateLimiter.make({ key: "k", limit: 100, interval: "1 second" }), shown)],
  ["a concurrency limit", Effect.map(ConcurrencyLimit.make({ key: "k" }), shown)],
  ["a throttle", Effect.map(Throttle.make({ key: "k" }), shown)],
  ["a queue of a load shedder", Effect.map(LoadShedder.queue({ key: "k", concurrency: 5 }), shown)],
  ["a fleet", fleet]
]

describe("what a gate shows of itself", () => {
  for (const [name, make] of gates) {
    it.scoped(`can be read as an effect and watched as a stream: ${name} `, () =>
      Effect.gen(function*() {
        const { gate, snapshot } = yield* make
        const seen: Array<unknown> = []
        const follower = yield* Effect.fork(
          Stream.runForEach(Watch.changes(snapshot), (each) => Effect.sync(() => seen.push(each)))
        )
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(seen, [yield* snapshot])
        for (const end of [Exit.fail("no"), Exit.succeed("yes"), Exit.fail("no")]) {
          yield* Effect.exit(Effect.zipRight(TestClock.adjust(0), end).pipe(gate.protect))
          yield* TestClock.adjust(0)
        }
        // Whatever was shown in between, the newest is there.
        assert.deepStrictEqual(seen.at(-1), yield* snapshot)
        assert.isAbove(new Set(seen.map((each) => JSON.stringify(each))).size, 1)
        yield* Fiber.interrupt(follower)
      }))
  }

  it.scoped("is told once for changes that nobody has taken yet, and not at all once the scope is closed", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "k", capacity: 2 })
      const scope = yield* Scope.make()
      const changed = yield* Scope.extend(bulkhead.snapshot.changed, scope)
      assert.isTrue(yield* changed.isEmpty)
      const calls = yield* Effect.all([held(bulkhead.protect), held(bulkhead.protect)])
      yield* Effect.yieldNow()
      yield* changed.take
      assert.isTrue(yield* changed.isEmpty)
      assert.deepStrictEqual(yield* bulkhead.snapshot, {
        bulkhead: "k",
        capacity: 2,
        inUse: 2,
        waiting: 0,
        rejected: 0
      })
      yield* Effect.exit(Effect.void.pipe(bulkhead.protect))
      yield* changed.take
      assert.strictEqual((yield* bulkhead.snapshot).rejected, 1)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(yield* changed.isShutdown)
      for (const call of calls) yield* call.succeed
      assert.strictEqual((yield* bulkhead.snapshot).inUse, 0)
    }))

  it.scoped("is kept with its key while somebody watches, whatever other keys come", () =>
    Effect.gen(function*() {
      const family = yield* Bulkhead.keyed({ key: "tenants", capacity: 2, maxKeys: 1 })
      const seen: Array<number> = []
      const watcher = yield* Effect.fork(
        Stream.runForEach(Watch.changes((yield* family.get("a")).snapshot), ({ inUse }) =>
          Effect.sync(() => seen.push(inUse)))
      )
      yield* TestClock.adjust(0)
      yield* Effect.void.pipe(family.protect("b"))
      const call = yield* held(family.protect("a"))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, [0, 1])
      yield* call.succeed
      yield* Fiber.interrupt(watcher)
    }))

  it.effect("misses no transition of a breaker, where its reader keeps up", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "k", trip: CircuitBreaker.consecutive(1), openFor: "1 second" })
      const states = yield* Watch.changes(breaker.snapshot).pipe(
        Stream.map(({ state }) => state),
        Stream.changes,
        Stream.take(4),
        Stream.runCollect,
        Effect.fork
      )
      yield* TestClock.adjust(0)
      yield* Effect.exit(Effect.fail("no").pipe(breaker.protect))
      yield* TestClock.adjust(0)
      yield* TestClock.adjust("1 second")
      yield* Effect.void.pipe(breaker.protect)
      yield* TestClock.adjust(0)
      yield* breaker.reset
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(states)), ["Closed", "Open", "HalfOpen", "Closed"])
    }))

  it.effect("is a `Subscribable` for code that takes one", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "k", capacity: 2 })
      const inUse = Subscribable.map(Watch.subscribable(bulkhead.snapshot), ({ inUse }) => inUse)
      assert.isTrue(Readable.isReadable(inUse))
      const seen = yield* Effect.fork(Stream.runCollect(Stream.take(inUse.changes, 2)))
      yield* TestClock.adjust(0)
      const call = yield* held(bulkhead.protect)
      yield* Effect.yieldNow()
      assert.strictEqual(yield* inUse.get, 1)
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(seen)), [0, 1])
      yield* call.succeed
    }))
})
