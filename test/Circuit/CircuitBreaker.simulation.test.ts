import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Queue, Random } from "effect"
import { CircuitBreaker } from "holdfast/Circuit"
import { Simulation } from "holdfast/Testing"
import { Down } from "./support/calls.js"

const trips = [
  CircuitBreaker.consecutive(2),
  CircuitBreaker.countWindow({ size: 4, failureRate: 0.5, minimumCalls: 2 }),
  CircuitBreaker.timeWindow({ span: 20, buckets: 4, slowRate: 0.5, slowAfter: 8, failureRate: 0.5, minimumCalls: 3 })
]

/** Calls that begin, end, fail, die and are interrupted at times and in orders that the seed decides. */
const program = (seed: number) =>
  Effect.gen(function*() {
    const probes = 1 + seed % 3
    const breaker = yield* CircuitBreaker.make({
      key: "payments",
      trip: trips[seed % 3],
      openFor: 15,
      openJitter: 0.5,
      successes: 2,
      halfOpen: { probes, sample: 3, staleProbeAfter: "1 day" }
    })
    const changes = yield* breaker.changes
    const out = new Set<object>()
    const work = Effect.gen(function*() {
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 12))
      const end = yield* Random.nextIntBetween(0, 10)
      if (end < 4) return yield* new Down()
      if (end === 4) return yield* Effect.dieMessage("bug")
    })
    const look = Effect.gen(function*() {
      const { generation, ...state } = yield* breaker.state
      assert.isAtLeast(generation, 0)
      if (state._tag === "HalfOpen") {
        assert.isAtMost(state.probes, probes)
        assert.isAtMost(state.failures, 1)
        assert.isAtMost(state.successes, 1)
      }
    })
    const call = Effect.gen(function*() {
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 80))
      const patience = yield* Random.nextIntBetween(1, 14)
      const before = yield* breaker.state
      if (yield* Random.nextBoolean) {
        yield* Effect.exit(work.pipe(breaker.protect, Effect.timeout(patience)))
      } else {
        const permit = yield* Effect.exit(breaker.reserve)
        if (Exit.isSuccess(permit)) {
          out.add(permit.value)
          const exit = yield* Effect.exit(Effect.timeout(work, patience))
          out.delete(permit.value)
          assert.isBoolean(yield* Exit.isFailure(exit) ? permit.value.commit(exit) : permit.value.settle("success"))
          assert.isFalse(yield* permit.value.refund)
        }
      }
      assert.isAtMost(before.generation, (yield* breaker.state).generation)
      yield* look
    })
    yield* Effect.all(Array.from({ length: 9 }, () => call), { concurrency: "unbounded", discard: true })
    assert.strictEqual(out.size, 0)
    // Every place was given back.
    assert.strictEqual((yield* breaker.snapshot).probes, 0)
    // Each change once, and in order.
    let from: string = "Closed"
    let generation = 0
    let at = 0
    for (const change of yield* Queue.takeAll(changes)) {
      assert.strictEqual(change.from, from)
      assert.isAbove(change.generation, generation)
      assert.isAtLeast(change.at, at)
      ;({ at, generation, to: from } = change)
    }
  }).pipe(Effect.scoped)

describe("CircuitBreaker, in every order of its callers", () => {
  it.effect(
    "no place is lost, no more probes are out than may be, and changes are told in order (R87, R96, R107)",
    () => Simulation.explore(program, { seeds: 1_000 }),
    30_000
  )
})
