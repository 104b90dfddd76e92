import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as machine from "../../src/Circuit/internal/breaker/breakerMachine.js"
import type { Trip } from "../../src/Circuit/internal/breaker/tally.js"

interface Result {
  readonly at: number
  readonly failed: boolean
  readonly slow: boolean
}

/**
 * What the state machine must do, told another way: the calls that are out are a list of names, every change of state
 * forgets them, and all that was counted is worked out again from the results since the last change.
 */
class Model {
  phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  results: ReadonlyArray<Result> = []
  out: ReadonlyArray<number> = []
  holders: ReadonlyArray<number> = []
  openUntil = 0
  openFor = 0
  startedAt = 0
  lastProbeAt = 0
  reopens = 0

  constructor(readonly settings: machine.Settings, readonly openForMillis: (broken: machine.Break) => number) {}

  /** Time alone ends being half-open. */
  tick(now: number): void {
    const { deadlineMillis, onDeadline } = this.settings
    if (this.holders.length > 0 || this.phase !== "HalfOpen" || now < this.startedAt + deadlineMillis) return
    if (onDeadline === "close") this.enter("Closed")
    else this.open(this.startedAt + deadlineMillis)
  }

  admit(call: number, now: number): boolean {
    this.tick(now)
    if (this.holders.length > 0) return false
    if (this.phase === "Open" && now >= this.openUntil) {
      this.enter("HalfOpen")
      this.startedAt = now
    }
    if (this.phase === "Open") return false
    if (this.phase === "HalfOpen" && this.out.length >= this.settings.probes) {
      if (now - this.lastProbeAt < (this.settings.staleProbeAfterMillis ?? 4 * this.openFor)) return false
      this.out = []
    }
    this.lastProbeAt = now
    this.out = [...this.out, call]
    return true
  }

  settle(call: number, outcome: machine.Outcome, slow: boolean, now: number): boolean {
    this.tick(now)
    if (!this.out.includes(call)) return false
    this.out = this.out.filter((other) => other !== call)
    if (outcome === "neutral") return true
    this.results = [...this.results, { at: now, failed: outcome === "failure", slow }]
    if (this.phase === "Closed") {
      if (this.trips(now)) this.open(now)
      return true
    }
    const good = this.results.filter(({ failed, slow }) => !failed && !slow).length
    const bad = this.results.length - good
    if (good === this.settings.successes) this.enter("Closed")
    else if (this.settings.sample - bad < this.settings.successes) this.open(now)
    return true
  }

  counted(now: number): ReadonlyArray<Result> {
    const { results, settings: { trip } } = this
    if (this.phase === "Open") return []
    if (this.phase === "HalfOpen") return results.map(({ at, failed, slow }) => ({ at, failed: failed || slow, slow }))
    switch (trip._tag) {
      case "Consecutive": {
        const last = results.findLastIndex(({ failed }) => !failed)
        return results.slice(last + 1)
      }
      case "CountWindow":
        return results.slice(-trip.size)
      case "TimeWindow": {
        const bucket = (at: number) => Math.floor(at / trip.shape.widthMillis)
        return results.filter(({ at }) => bucket(at) > bucket(now) - trip.shape.buckets)
      }
    }
  }

  trips(now: number): boolean {
    const { trip } = this.settings
    const counted = this.counted(now)
    const failures = counted.filter(({ failed }) => failed).length
    const slow = counted.filter(({ slow }) => slow).length
    if (trip._tag === "Consecutive") return failures >= trip.failures
    const enough = trip._tag === "CountWindow" && trip.minimumCalls > trip.size ? trip.size : trip.minimumCalls
    if (counted.length < enough) return false
    return failures / counted.length >= (trip.failureRate ?? 2) || slow / counted.length >= (trip.slowRate ?? 2)
  }

  open(at: number): void {
    const counted = this.counted(at)
    const failures = counted.filter(({ failed }) => failed).length
    const reopens = this.phase === "HalfOpen" ? this.reopens + 1 : 0
    this.openFor = this.openForMillis({
      failures,
      rate: counted.length === 0 ? 0 : failures / counted.length,
      reopens
    })
    this.enter("Open")
    this.reopens = reopens
    this.openUntil = at + this.openFor
  }

  enter(phase: Model["phase"]): void {
    this.phase = phase
    this.results = []
    this.out = []
  }

  reset(now: number): void {
    this.tick(now)
    this.enter("Closed")
  }

  health(healthy: boolean, now: number): void {
    this.tick(now)
    if (this.holders.length > 0 || this.phase !== "Open") return
    if (healthy) this.enter("Closed")
    else this.openUntil = Math.max(this.openUntil, now + this.openFor)
  }

  isolate(holder: number, now: number): void {
    this.tick(now)
    this.holders = [...this.holders, holder]
    this.out = []
  }

  release(holder: number): void {
    this.holders = this.holders.filter((other) => other !== holder)
    if (this.holders.length > 0 || this.phase !== "HalfOpen") return
    // Its probes are void, so the next call is the first probe of a new trial.
    this.enter("Open")
    this.openUntil = this.startedAt
  }
}

type Step =
  | { readonly _tag: "Admit" }
  | { readonly _tag: "Settle"; readonly which: number; readonly outcome: machine.Outcome; readonly slow: boolean }
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Isolate" }
  | { readonly _tag: "Release"; readonly which: number }
  | { readonly _tag: "Health"; readonly healthy: boolean; readonly late: boolean }

const rate = fc.constantFrom(0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 1)
const rates = fc.record({
  minimumCalls: fc.integer({ min: 1, max: 6 }),
  failureRate: fc.option(rate, { nil: null }),
  slowRate: fc.option(rate, { nil: null })
})
const trip: fc.Arbitrary<Trip> = fc.oneof(
  fc.record({ _tag: fc.constant("Consecutive" as const), failures: fc.integer({ min: 1, max: 4 }) }),
  fc.tuple(rates, fc.integer({ min: 1, max: 40 })).map(([rates, size]) => ({
    _tag: "CountWindow" as const,
    size,
    ...rates
  })),
  fc.tuple(rates, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 12 })).map((
    [rates, buckets, widthMillis]
  ) => ({ _tag: "TimeWindow" as const, shape: { buckets, widthMillis }, ...rates }))
)

const settings: fc.Arbitrary<machine.Settings> = fc.tuple(
  trip,
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 1, max: 3 }),
  fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 60 })),
  fc.constantFrom("reopen" as const, "close" as const),
  fc.option(fc.integer({ min: 1, max: 40 }), { nil: null })
).map(([trip, successes, more, probes, deadlineMillis, onDeadline, staleProbeAfterMillis]) => ({
  trip,
  successes,
  sample: successes + more,
  probes,
  deadlineMillis,
  onDeadline,
  staleProbeAfterMillis
}))

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: fc.constant({ _tag: "Admit" } as const) },
    {
      weight: 12,
      arbitrary: fc.record({
        _tag: fc.constant("Settle" as const),
        which: fc.nat(1_000),
        outcome: fc.constantFrom<machine.Outcome>("failure", "failure", "success", "success", "success", "neutral"),
        slow: fc.boolean()
      })
    },
    { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), millis: fc.nat(25) }) },
    { weight: 1, arbitrary: fc.constant({ _tag: "Reset" } as const) },
    { weight: 1, arbitrary: fc.constant({ _tag: "Isolate" } as const) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Release" as const), which: fc.nat(10) }) },
    {
      weight: 1,
      arbitrary: fc.record({ _tag: fc.constant("Health" as const), healthy: fc.boolean(), late: fc.boolean() })
    }
  ),
  { maxLength: 200 }
)

/** Depends on all that it is told, so that the test sees what that is. */
const openFor = ({ failures, rate, reopens }: machine.Break) => 5 + failures + Math.round(rate * 4) + 3 * reopens

describe("the breaker's state machine", () => {
  it.prop(
    "does what the naive model does in every mode, whatever order calls begin and end in (R85-R92, R94, R96, R97, R100, R102, R104, R105)",
    [settings, steps],
    ([settings, steps]) => {
      const model = new Model(settings, openFor)
      let state = machine.initial(settings)
      let now = 0
      let holder = 0
      const generations: Array<number> = []
      const calls: Array<number> = []
      const apply = (event: machine.Event): machine.Decision => {
        const before = state
        const [next, decision] = machine.transition(settings, state, event, now, openFor)
        state = next
        assert.isAtLeast(next.generation, before.generation)
        if (next._tag !== before._tag) assert.isAbove(next.generation, before.generation)
        // Plain data: it could have been stored in between.
        state = JSON.parse(JSON.stringify(state)) as machine.State
        assert.deepStrictEqual(state, next)
        return decision
      }
      for (const step of steps) {
        switch (step._tag) {
          case "Wait":
            now += step.millis
            break
          case "Reset":
            apply(step)
            model.reset(now)
            break
          case "Isolate":
            holder++
            apply({ _tag: "Isolate", id: holder, reason: `reason ${holder}` })
            model.isolate(holder, now)
            break
          case "Release": {
            const id = model.holders[step.which % Math.max(model.holders.length, 1)]
            if (id === undefined) break
            apply({ _tag: "Release", id })
            model.release(id)
            break
          }
          case "Health": {
            const before = state
            const generation = step.late ? state.generation - 1 : state.generation
            const decision = apply({ _tag: "Health", generation, healthy: step.healthy })
            if (step.late) {
              assert.strictEqual(decision._tag, "Expired")
              model.tick(now)
            } else if (before._tag === "Open") model.health(step.healthy, now)
            else model.tick(now)
            break
          }
          case "Admit": {
            const decision = apply(step)
            const call = generations.length
            const admitted = model.admit(call, now)
            assert.strictEqual(
              decision._tag,
              admitted ? "Admitted" : model.holders.length > 0 ? "Isolated" : "Rejected"
            )
            if (decision._tag === "Admitted") calls.push(generations.push(decision.generation) - 1)
            if (decision._tag === "Isolated") assert.strictEqual(decision.reason, `reason ${model.holders[0]!}`)
            if (decision._tag === "Rejected") {
              assert.isAbove(decision.retryAfterMillis, 0)
              if (model.phase === "Open") {
                assert.strictEqual(decision.retryAfterMillis, model.openUntil - now)
              } else assert.isAtMost(decision.retryAfterMillis, model.openFor)
            }
            break
          }
          case "Settle": {
            // Each call ends once; the shell sees to that.
            const [call] = calls.splice(step.which % Math.max(calls.length, 1), 1)
            if (call === undefined) break
            const { outcome, slow } = step
            const decision = apply({ _tag: "Settle", generation: generations[call]!, outcome, slow })
            const counted = model.settle(call, outcome, slow, now)
            assert.strictEqual(decision._tag, counted ? "Settled" : "Expired")
            break
          }
        }
        const seen = state._tag === "Isolated" ? state.before : state
        assert.strictEqual(state._tag === "Isolated", model.holders.length > 0)
        // Waiting alone changes nothing until somebody comes.
        if (step._tag === "Wait") continue
        assert.strictEqual(seen._tag, model.phase)
        if (seen._tag === "Open") {
          assert.strictEqual(seen.openUntil, model.openUntil)
          assert.strictEqual(seen.reopens, model.reopens)
        }
        if (seen._tag === "HalfOpen" && state._tag === "HalfOpen") {
          assert.strictEqual(seen.probes, model.out.length)
          assert.isAtMost(seen.probes, settings.probes)
        }
        const counts = machine.counted(settings, seen, now)
        const counted = model.counted(now)
        assert.strictEqual(counts.failures, counted.filter(({ failed }) => failed).length)
        assert.strictEqual(counts.total, counted.length)
        if (seen._tag === "Closed" && settings.trip._tag !== "Consecutive") {
          assert.strictEqual(counts.slow, counted.filter(({ slow }) => slow).length)
        }
      }
    },
    { fastCheck: { numRuns: 2_000 } }
  )
})
