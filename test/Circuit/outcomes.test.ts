import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, FastCheck as fc } from "effect"
import { CircuitBreaker } from "holdfast/Circuit"
import { Down, fail, held, Http, opened, options, outcome, tag, times } from "./support/calls.js"

describe("what a call comes to for its CircuitBreaker", () => {
  it.effect("5xx and errors of unknown kind are failures; 4xx and 507 are not (R93)", () =>
    Effect.gen(function*() {
      const opens = <E>(error: E) =>
        Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make({ ...options, failures: 1 })
          yield* times(1, Effect.fail(error).pipe(breaker.protect))
          return (yield* tag(breaker)) === "Open"
        })
      for (
        const error of [new Down(), "refused", undefined, new Http({ status: 500 }), { response: { status: 503 } }]
      ) {
        assert.isTrue(yield* opens(error))
      }
      for (const status of [400, 404, 422, 429, 499, 507]) {
        assert.isFalse(yield* opens(new Http({ status })))
        assert.isFalse(yield* opens({ response: { status } }))
      }
    }))

  it.effect("a probe that ends neutral frees its place at once (R94)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000, {
        classify: (exit, phase) =>
          phase === "HalfOpen" && Exit.isFailure(exit) ? "neutral" : CircuitBreaker.classify(exit, phase)
      })
      yield* times(1, fail.pipe(breaker.protect))
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0, successes: 0 })
      assert.strictEqual(yield* outcome(Effect.succeed("ok").pipe(breaker.protect)), "ok")
    }))

  it.effect("an answer of the server is a success of a probe, and nothing in a closed breaker (R95)", () =>
    Effect.gen(function*() {
      const notFound = Effect.fail(new Http({ status: 404 }))
      const breaker = yield* opened(30_000)
      yield* times(2, notFound.pipe(breaker.protect))
      assert.strictEqual(yield* tag(breaker), "Closed")
      const closed = yield* CircuitBreaker.make({ ...options, failures: 2 })
      yield* times(1, fail.pipe(closed.protect))
      yield* times(1, notFound.pipe(closed.protect))
      assert.deepInclude(yield* closed.state, { _tag: "Closed", failures: 1 })
    }))

  it.effect("the end of a call can be classified in another way; a value too (R95)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...options,
        failures: 1,
        classify: (exit, phase) =>
          Exit.isSuccess(exit) && exit.value === "degraded" ? "failure" : CircuitBreaker.classify(exit, phase)
      })
      assert.strictEqual(yield* Effect.succeed("degraded").pipe(breaker.protect), "degraded")
      assert.strictEqual(yield* tag(breaker), "Open")
    }))

  it.effect("a classifier that throws is a defect of the call, and keeps no place (R96)", () =>
    Effect.gen(function*() {
      let broken = false
      const breaker = yield* opened(30_000, {
        classify: (exit, phase) => {
          if (broken) throw new Error("classifier")
          return CircuitBreaker.classify(exit, phase)
        }
      })
      broken = true
      assert.strictEqual(yield* outcome(Effect.void.pipe(breaker.protect)), "died")
      assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0 })
    }))

  it.effect("an interrupted probe, and one that dies, free their place and count for nothing (R9, R96)", () =>
    Effect.gen(function*() {
      const breaker = yield* opened(30_000)
      for (const end of ["interrupt", "die"] as const) {
        const probe = yield* held(breaker)
        assert.isTrue(Exit.isFailure(yield* probe[end]))
        assert.deepInclude(yield* breaker.state, { _tag: "HalfOpen", probes: 0, successes: 0 })
      }
      const closed = yield* CircuitBreaker.make({ ...options, failures: 1 })
      yield* Effect.flatMap(held(closed), (call) => call.interrupt)
      yield* Effect.flatMap(held(closed), (call) => call.die)
      assert.deepInclude(yield* closed.state, { _tag: "Closed", failures: 0 })
    }))

  it.effect.prop(
    "whatever calls come to, and whenever they are interrupted, no place is lost (R96, R97)",
    [
      fc.array(
        fc.oneof(
          fc.record({ _tag: fc.constant("Call" as const) }),
          fc.record({
            _tag: fc.constant("End" as const),
            which: fc.nat(),
            how: fc.constantFrom("succeed" as const, "fail" as const, "die" as const, "interrupt" as const)
          }),
          fc.record({ _tag: fc.constant("Wait" as const), millis: fc.nat(40) })
        ),
        { maxLength: 40 }
      ),
      fc.integer({ min: 1, max: 3 })
    ],
    ([steps, probes]) =>
      Effect.gen(function*() {
        let now = 0
        // A test clock takes milliseconds of real time for each step.
        const clock: Clock.Clock = {
          [Clock.ClockTypeId]: Clock.ClockTypeId,
          unsafeCurrentTimeMillis: () => now,
          unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
          currentTimeMillis: Effect.sync(() => now),
          currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
          sleep: () => Effect.never
        }
        const run = Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make({ ...options, failures: 2, openFor: 30, halfOpen: { probes } })
          const out: Array<Effect.Effect.Success<ReturnType<typeof held>>> = []
          const end = (call: typeof out[number], how: "succeed" | "fail" | "die" | "interrupt") => call[how]
          for (const step of steps) {
            if (step._tag === "Call") out.push(yield* held(breaker))
            else if (step._tag === "Wait") now += step.millis
            else {
              const [call] = out.splice(step.which % Math.max(out.length, 1), 1)
              if (call !== undefined) yield* end(call, step.how)
            }
            const state = yield* breaker.state
            if (state._tag === "HalfOpen") assert.isAtMost(state.probes, Math.min(probes, out.length))
          }
          for (const call of out) yield* call.interrupt
          const state = yield* breaker.state
          assert.isTrue(state._tag !== "HalfOpen" || state.probes === 0)
        })
        yield* Effect.withClock(run, clock)
      })
  )
})
