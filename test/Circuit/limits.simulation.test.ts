import { assert, describe, it } from "@effect/vitest"
import { Clock, Data, Effect, Fiber, Random } from "effect"
import { Bulkhead, CircuitBreaker, Gate, RateLimiter } from "holdfast/Circuit"
import { Simulation } from "holdfast/Testing"
import { GateView } from "../../src/Circuit/internal/gate/gate.js"
import { endOf, outcome } from "./support/gates.js"

const seeds = 1_000

class Failed extends Data.TaggedError("Failed") {}

type Rejection =
  | RateLimiter.RateLimited
  | Bulkhead.BulkheadFull
  | CircuitBreaker.CircuitOpen
  | CircuitBreaker.Isolated
  | Failed

const between = (min: number, max: number) => Random.nextIntBetween(min, max + 1)

const chance = (probability: number) => Effect.map(Random.next, (drawn) => drawn < probability)

/** Sleeps a little, and ends in one of all ways. */
const work = Effect.gen(function*() {
  yield* Effect.sleep(yield* between(0, 20))
  switch (yield* between(0, 5)) {
    case 0:
      return yield* new Failed()
    case 1:
      return yield* Effect.die("bug")
    default:
      return "ok"
  }
})

/** Runs calls that start, and are sometimes interrupted, at random. */
const crowd = <A, E>(count: number, call: (index: number) => Effect.Effect<A, E>) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) =>
    Effect.gen(function*() {
      yield* Effect.sleep(yield* between(0, 40))
      const fiber = yield* Effect.fork(call(index))
      if (yield* chance(0.3)) {
        yield* Effect.sleep(yield* between(0, 20))
        yield* Fiber.interruptFork(fiber)
      }
      return endOf(yield* Fiber.await(fiber))
    }), { concurrency: "unbounded" })

/** Notes the order in which calls come to the gate behind it, in the same step. */
const arriving = (order: Array<number>, index: number) =>
  new GateView<never>("order", { policy: "Gate", settings: {} }, () => {
    order.push(index)
    return { _tag: "Ticket", settle: () => {}, refund: () => {} }
  })

describe("bulkheads under a drawn schedule", () => {
  it.effect(`hold no more than they have places, lose none, and keep their time, with ${seeds} seeds (R125, R126)`, () =>
    Simulation.explore(
      Effect.gen(function*() {
        const capacity = yield* between(1, 4)
        const bulkhead = yield* Bulkhead.make({
          key: "db",
          capacity,
          queue: yield* between(0, 6),
          queueTimeout: yield* between(1, 30)
        })
        let inside = 0
        const ends = yield* crowd(12, () =>
          Effect.gen(function*() {
            const weight = yield* between(1, capacity)
            const came = yield* Clock.currentTimeMillis
            const body = Effect.gen(function*() {
              assert.isAtMost((yield* Clock.currentTimeMillis) - came, 30)
              return yield* work
            })
            const counted = Effect.acquireUseRelease(
              Effect.sync(() => {
                inside += weight
                assert.isAtMost(inside, capacity)
              }),
              () => body,
              () =>
                Effect.sync(() => {
                  inside -= weight
                })
            )
            // A place is held from before the call begins until after it has ended.
            assert.isAtMost(inside, yield* bulkhead.inUse)
            return yield* counted.pipe(Bulkhead.protect(bulkhead, { weight }))
          }))
        assert.notInclude(ends, "WeightTooHigh")
        assert.deepStrictEqual([yield* bulkhead.inUse, yield* bulkhead.waiting, inside], [0, 0, 0])
        assert.strictEqual(yield* bulkhead.available, capacity)
      }),
      { seeds }
    ))

  it.effect(`let calls in in the order in which they came, with ${seeds} seeds (R126)`, () =>
    Simulation.explore(
      Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1, queue: "unlimited" })
        const came: Array<number> = []
        const began: Array<number> = []
        yield* crowd(10, (index) =>
          Effect.zipRight(Effect.sync(() => began.push(index)), work).pipe(
            Gate.protect(Gate.all([arriving(came, index), bulkhead]))
          ))
        assert.deepStrictEqual(began, came.filter((index) => began.includes(index)))
        assert.deepStrictEqual([yield* bulkhead.inUse, yield* bulkhead.waiting], [0, 0])
      }),
      { seeds }
    ))

  it.effect(`with priorities, a semaphore and changes of size nothing is lost, with ${seeds} seeds (R125, R128)`, () =>
    Simulation.explore(
      Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 2, queue: "unlimited", priority: { aging: 5 } })
        const { semaphore } = bulkhead
        yield* Effect.all([
          crowd(4, () => work.pipe(bulkhead.protect)),
          crowd(2, () => work.pipe(bulkhead.withWeight(2).protect)),
          crowd(2, () => work.pipe(semaphore.withPermits(1))),
          crowd(2, () => work.pipe(semaphore.withPermitsIfAvailable(1))),
          crowd(2, () => Effect.acquireUseRelease(bulkhead.reserve, () => work, ({ refund }) => refund)),
          Effect.forEach([1, 4, 2], (capacity) => Effect.zipRight(bulkhead.resize(capacity), Effect.sleep(15)))
        ], { concurrency: "unbounded" })
        assert.deepStrictEqual([yield* bulkhead.inUse, yield* bulkhead.waiting], [0, 0])
        assert.strictEqual(yield* bulkhead.available, 2)
      }),
      { seeds }
    ))
})

describe("what sleeps for those who wait", () => {
  it("sleeps no longer than anybody waits (R126, R119)", () => {
    const waiting = Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 1, queue: 2, queueTimeout: "1 hour" })
      yield* Effect.replicateEffect(Effect.sleep(10).pipe(bulkhead.protect), 3, { concurrency: 3, discard: true })
      const limiter = yield* RateLimiter.make({ key: "api", limit: 1, interval: "1 hour", maxWait: Infinity })
      yield* limiter.allow()
      const fiber = yield* Effect.fork(Effect.void.pipe(limiter.protect))
      yield* Effect.sleep(10)
      yield* Fiber.interrupt(fiber)
    })
    const { elapsedMillis, status } = Simulation.run(waiting, { seed: 1 })
    assert.deepStrictEqual([status, elapsedMillis], ["Ended", 40])
  })
})

describe("limiters under a drawn schedule", () => {
  /** Whether calls that ran at these times keep within the limit, and within what of the burst is allowed. */
  const within: Record<RateLimiter.Algorithm, (times: ReadonlyArray<number>) => boolean> = {
    // 4 at once and one in 10 ms
    "token-bucket": (times) =>
      times.every((first, index) =>
        times.slice(index).every((last, more) => more + 1 <= 4 + Math.floor((last - first) / 10))
      ),
    "fixed-window": (times) => times.every((at) => times.filter((t) => t >= at - at % 40 && t <= at).length <= 4),
    "sliding-log": (times) => times.every((at) => times.filter((t) => t > at - 40 && t <= at).length <= 4),
    // A turn within a millisecond is taken at its end, which may be in the next window.
    "sliding-counter": (times) => times.every((at) => times.filter((t) => t > at - at % 40 && t <= at).length <= 4)
  }

  it.effect.each(Object.keys(within) as ReadonlyArray<RateLimiter.Algorithm>)(
    `%s: no more pass than may, nobody waits for longer than it may, and all comes back, with ${seeds} seeds (R110, R119, R120)`,
    (algorithm) =>
      Simulation.explore(
        Effect.gen(function*() {
          const limiter = yield* RateLimiter.make({
            key: "api",
            limit: 4,
            interval: 40,
            algorithm,
            resume: (yield* chance(0.5)) ? "empty" : "accrued"
          })
          const times: Array<number> = []
          const calls = crowd(12, () =>
            Effect.gen(function*() {
              const maxWait = yield* between(0, 60)
              const came = yield* Clock.currentTimeMillis
              const body = Effect.gen(function*() {
                const now = yield* Clock.currentTimeMillis
                times.push(now)
                assert.isAtMost(now - came, maxWait)
                return yield* work
              })
              return yield* body.pipe(RateLimiter.protect(limiter, { maxWait }))
            }))
          const block = Effect.gen(function*() {
            yield* Effect.sleep(yield* between(0, 80))
            yield* limiter.blockFor(yield* between(1, 30))
          })
          yield* Effect.all([calls, block], { concurrency: "unbounded" })
          assert.isTrue(within[algorithm](times))
          assert.strictEqual((yield* limiter.snapshot).waiting, 0)
          yield* Effect.sleep(200)
          assert.strictEqual((yield* limiter.snapshot).remaining, 4)
        }),
        { seeds }
      )
  )

  it.effect(`let calls pass in the order in which they came, with ${seeds} seeds (R120)`, () =>
    Simulation.explore(
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ key: "api", limit: 1, interval: 7, maxWait: Infinity })
        const came: Array<number> = []
        const began: Array<number> = []
        const times: Array<number> = []
        yield* crowd(10, (index) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.sync(() => {
              began.push(index)
              times.push(now)
            })).pipe(Gate.protect(Gate.all([arriving(came, index), limiter]))))
        assert.deepStrictEqual(began, came.filter((index) => began.includes(index)))
        assert.isTrue(times.every((at, index) => index === 0 || at - times[index - 1]! >= 7))
      }),
      { seeds }
    ))

  it("10,000 waiters at 5,000 per second pass in their order, 5 in each millisecond (R118)", () => {
    const count = 10_000
    const passed: Array<number> = []
    const perMilli = new Map<number, number>()
    const program = Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ key: "api", limit: 5_000, burst: 1, maxWait: Infinity })
      const came: Array<number> = []
      const fibers = yield* Effect.forEach(Array.from({ length: count }, (_, index) => index), (index) =>
        Effect.fork(
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.sync(() => {
              passed.push(came.indexOf(index, Math.max(0, passed.length - 20)))
              perMilli.set(now, (perMilli.get(now) ?? 0) + 1)
            })).pipe(Gate.protect(Gate.all([arriving(came, index), limiter])))
        ))
      yield* Fiber.joinAll(fibers)
    })
    const { elapsedMillis, status } = Simulation.run(program, { seed: 1, maxOperations: 100_000_000 })
    assert.deepStrictEqual([status, elapsedMillis, passed.length], ["Ended", 2_000, count])
    // Those of one millisecond run in any order; the others in theirs.
    assert.isTrue(passed.every((place, index) => Math.abs(place - index) <= 5))
    assert.strictEqual(perMilli.get(0), 1)
    for (let at = 1; at < 2_000; at++) assert.strictEqual(perMilli.get(at), 5)
  })
})

describe("gates one behind another under a drawn schedule", () => {
  it.effect(`leave nothing behind but what ran, with ${seeds} seeds (R116, R131)`, () =>
    Simulation.explore(
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ key: "api", limit: 20, interval: "1 day", maxWait: 1 })
        const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 2, queue: 2, queueTimeout: 10 })
        let out = 0
        let committed = 0
        const own = yield* Gate.make({
          key: "own",
          reserve: Effect.gen(function*() {
            yield* Effect.interruptible(Effect.sleep(yield* between(0, 5)))
            if (yield* chance(0.3)) return yield* new Failed()
            out++
            return {
              commit: () => Effect.sync(() => --out >= 0 && ++committed > 0),
              refund: Effect.sync(() => --out >= 0)
            }
          })
        })
        const breaker = yield* CircuitBreaker.make({ key: "api", failures: 2, openFor: 15 })
        const gates: ReadonlyArray<Gate.Gate<Rejection>> = [limiter, bulkhead, breaker, own]
        const gate = Gate.all([...yield* Random.shuffle(gates)])
        const protectedWork = crowd(10, () => work.pipe(gate.protect))
        const reservedWork = crowd(5, () =>
          Effect.acquireUseRelease(gate.reserve, () => outcome(work), ({ commit }, exit) => commit(exit)))
        yield* Effect.all([protectedWork, reservedWork], { concurrency: "unbounded" })
        assert.deepStrictEqual([out, (yield* breaker.snapshot).probes], [0, 0])
        assert.deepStrictEqual([yield* bulkhead.inUse, yield* bulkhead.waiting], [0, 0])
        assert.deepInclude(yield* limiter.snapshot, { remaining: 20 - committed, waiting: 0 })
      }),
      { seeds }
    ))
})
