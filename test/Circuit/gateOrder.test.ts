import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber } from "effect"
import { Bulkhead, CircuitBreaker, Gate, RateLimiter } from "holdfast/Circuit"
import { Simulation } from "holdfast/Testing"
import { endOf } from "./support/gates.js"

class Closed extends Data.TaggedError("Closed") {}

const names = ["limiter", "bulkhead", "breaker", "own"] as const
type Name = typeof names[number]

const permutations = <A>(list: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  list.length === 0
    ? [[]]
    : list.flatMap((first, index) => permutations(list.filter((_, at) => at !== index)).map((rest) => [first, ...rest]))

const orders = permutations(names)

/** A call waits at a gate for ever: what an interruption ends. */
const forever = Effect.interruptible(Effect.async<never>(() => {}))

/** Four gates, of which one may turn calls away, or keep them waiting. The breaker takes one probe at a time. */
const makeWorld = ({ rejects, waits }: { readonly rejects?: Name; readonly waits?: Name }) =>
  Effect.gen(function*() {
    let out = 0
    const limiter = yield* RateLimiter.make({
      key: "api",
      limit: 5,
      interval: "1 hour",
      maxWait: waits === "limiter" ? "2 hours" : 0
    })
    if (rejects === "limiter" || waits === "limiter") yield* limiter.allow(5)
    const bulkhead = yield* Bulkhead.make({ key: "api", capacity: 1, queue: waits === "bulkhead" ? 1 : 0 })
    if (rejects === "bulkhead" || waits === "bulkhead") yield* bulkhead.reserve
    const breaker = yield* CircuitBreaker.make({ key: "api", failures: 1, successes: 5, openFor: 1 })
    yield* Effect.exit(Effect.fail("down").pipe(breaker.protect))
    if (rejects !== "breaker") yield* Effect.sleep(1)
    const own = yield* Gate.make({
      key: "own",
      reserve: Effect.suspend(() => {
        if (rejects === "own") return Effect.fail(new Closed())
        if (waits === "own") return forever
        out++
        const back = Effect.sync(() => out-- > 0)
        return Effect.succeed({ commit: () => back, refund: back })
      })
    })
    const gates = { limiter, bulkhead, breaker, own }
    const counters = Effect.gen(function*() {
      const status = yield* limiter.snapshot
      const state = yield* breaker.state
      return {
        tokens: status.remaining,
        inLine: status.waiting + (yield* bulkhead.waiting),
        inUse: yield* bulkhead.inUse,
        out,
        breaker: state._tag,
        probes: state._tag === "HalfOpen" ? state.probes : 0,
        successes: state._tag === "HalfOpen" ? state.successes : 0
      }
    })
    return { gates, counters }
  })

type World = Effect.Effect.Success<ReturnType<typeof makeWorld>>

type Rejection =
  | RateLimiter.RateLimited
  | Bulkhead.BulkheadFull
  | CircuitBreaker.CircuitOpen
  | CircuitBreaker.Isolated
  | Closed

/** The gates in an order, the first outermost: as one, and one in the other. */
const forms = (gates: World["gates"], order: ReadonlyArray<Name>) => {
  const ordered: ReadonlyArray<Gate.Gate<Rejection>> = order.map((name) => gates[name])
  return {
    all: <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E | Rejection> => Gate.protect(call, Gate.all(ordered)),
    pipe: <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E | Rejection> =>
      ordered.reduceRight<Effect.Effect<A, E | Rejection>>((inner, gate) => Gate.protect(inner, gate), call)
  }
}

const check = <E>(program: Effect.Effect<void, E>) => {
  const { alive, exit, status } = Simulation.run(program, { seed: 1 })
  assert.deepStrictEqual([status, alive], ["Ended", 0])
  if (exit !== undefined && Exit.isFailure(exit)) throw new Error(endOf(exit), { cause: exit.cause })
}

describe.each(["all", "pipe"] as const)("four gates in every order (%s)", (form) => {
  it("a call that runs uses one token, records its outcome, and leaves the rest as it was (R131)", () => {
    const ends: Record<string, readonly [Effect.Effect<string, string>, { breaker: string; successes: number }]> = {
      ok: [Effect.succeed("ok"), { breaker: "HalfOpen", successes: 1 }],
      failed: [Effect.fail("failed"), { breaker: "Open", successes: 0 }],
      died: [Effect.die("bug"), { breaker: "HalfOpen", successes: 0 }],
      interrupted: [Effect.interrupt, { breaker: "HalfOpen", successes: 0 }]
    }
    for (const order of orders) {
      for (const [end, [call, recorded]] of Object.entries(ends)) {
        check(Effect.gen(function*() {
          const { counters, gates } = yield* makeWorld({})
          const before = yield* counters
          assert.strictEqual(endOf(yield* Effect.exit(forms(gates, order)[form](call))), end)
          assert.deepStrictEqual(yield* counters, { ...before, tokens: 4, ...recorded })
        }))
      }
    }
  })

  it("a call that any of them rejects, or a gate further in, leaves all as they were (R116, R130, R131)", () => {
    const errors = { limiter: "RateLimited", bulkhead: "BulkheadFull", breaker: "CircuitOpen", own: "Closed" }
    for (const order of orders) {
      for (const rejects of names) {
        check(Effect.gen(function*() {
          const { counters, gates } = yield* makeWorld({ rejects })
          const before = yield* counters
          const call = Effect.dieMessage("it must not run")
          assert.strictEqual(endOf(yield* Effect.exit(forms(gates, order)[form](call))), errors[rejects])
          assert.deepStrictEqual(yield* counters, before)
        }))
      }
      check(Effect.gen(function*() {
        const { counters, gates } = yield* makeWorld({})
        const before = yield* counters
        const further = yield* Bulkhead.make({ key: "further", capacity: 1 })
        yield* further.reserve
        const call = Effect.succeed("ok").pipe(further.protect)
        assert.strictEqual(endOf(yield* Effect.exit(forms(gates, order)[form](call))), "BulkheadFull")
        assert.deepStrictEqual(yield* counters, before)
      }))
    }
  })

  it("a call that is interrupted in the line of any of them leaves all as they were (R120, R131)", () => {
    for (const order of orders) {
      for (const waits of ["limiter", "bulkhead", "own"] as const) {
        check(Effect.gen(function*() {
          const { counters, gates } = yield* makeWorld({ waits })
          const before = yield* counters
          const fiber = yield* Effect.fork(forms(gates, order)[form](Effect.dieMessage("it must not run")))
          yield* Effect.sleep(10)
          const during = yield* counters
          assert.strictEqual(during.inLine, waits === "own" ? 0 : 1)
          assert.strictEqual(endOf(yield* Fiber.interrupt(fiber)), "interrupted")
          // One in the other, a gate cannot tell a call that waits further in from one that runs: its token is used.
          const isUsed = form === "pipe" && order.indexOf("limiter") < order.indexOf(waits)
          assert.deepStrictEqual(yield* counters, { ...before, tokens: before.tokens - (isUsed ? 1 : 0) })
        }))
      }
    }
  })

  it("a call that is interrupted while it runs uses its token, and says nothing else (R9, R131)", () => {
    for (const order of orders) {
      check(Effect.gen(function*() {
        const { counters, gates } = yield* makeWorld({})
        const before = yield* counters
        const fiber = yield* Effect.fork(forms(gates, order)[form](forever))
        yield* Effect.sleep(10)
        const during = { ...before, tokens: 4, inUse: 1, out: 1, probes: 1 }
        assert.deepStrictEqual(yield* counters, during)
        assert.strictEqual(endOf(yield* Fiber.interrupt(fiber)), "interrupted")
        assert.deepStrictEqual(yield* counters, { ...before, tokens: 4 })
      }))
    }
  })
})

describe("four gates that are reserved", () => {
  it("hand back once, in every order, committed or refunded (R131)", () => {
    for (const order of orders) {
      check(Effect.gen(function*() {
        const { counters, gates } = yield* makeWorld({})
        const before = yield* counters
        const gate = Gate.all(order.map((name) => gates[name]))
        const first = yield* gate.reserve
        assert.isTrue(yield* first.refund)
        assert.isFalse(yield* first.commit(Exit.void))
        assert.deepStrictEqual(yield* counters, before)
        const second = yield* gate.reserve
        assert.isTrue(yield* second.commit(Exit.succeed("ok")))
        assert.isFalse(yield* second.refund)
        assert.deepStrictEqual(yield* counters, { ...before, tokens: 4, successes: 1 })
        // An end that is the rejection of another gate is no outcome.
        const third = yield* gate.reserve
        assert.isTrue(yield* third.commit(Exit.fail(yield* rejection)))
        assert.deepStrictEqual(yield* counters, { ...before, tokens: 4, successes: 1 })
      }))
    }
  })
})

const rejection = Effect.gen(function*() {
  const full = yield* Bulkhead.make({ key: "full", capacity: 1 })
  yield* full.reserve
  return yield* Effect.flip(full.reserve)
})
