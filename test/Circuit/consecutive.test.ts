import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as machine from "../../src/Circuit/internal/consecutive.js"

/**
 * What the state machine must do, told another way: the calls that are out are a list of names, and every change of
 * state forgets them.
 */
class Model {
  phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  failures = 0
  successes = 0
  openedAt = 0
  lastProbeAt = 0
  out: ReadonlyArray<number> = []

  constructor(readonly settings: machine.Settings) {}

  admit(call: number, now: number): boolean {
    if (this.phase === "Open" && now - this.openedAt >= this.settings.openForMillis) this.enter("HalfOpen", now)
    if (this.phase === "Open") return false
    if (this.phase === "HalfOpen" && this.out.length >= this.settings.halfOpenMax) {
      if (now - this.lastProbeAt < this.settings.staleProbeAfterMillis) return false
      this.out = []
    }
    this.lastProbeAt = now
    this.out = [...this.out, call]
    return true
  }

  settle(call: number, outcome: machine.Outcome, now: number): boolean {
    if (!this.out.includes(call)) return false
    this.out = this.out.filter((other) => other !== call)
    if (outcome === "failure") {
      this.failures++
      if (this.phase === "HalfOpen" || this.failures === this.settings.failures) this.enter("Open", now)
    } else if (outcome === "success") {
      this.failures = 0
      this.successes++
      if (this.phase === "HalfOpen" && this.successes === this.settings.successes) this.enter("Closed", now)
    }
    return true
  }

  enter(phase: Model["phase"], now: number): void {
    this.phase = phase
    this.failures = 0
    this.successes = 0
    this.out = []
    if (phase === "Open") this.openedAt = now
  }
}

type Step =
  | { readonly _tag: "Admit" }
  | { readonly _tag: "Settle"; readonly which: number; readonly outcome: machine.Outcome }
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Reset" }

const settings: fc.Arbitrary<machine.Settings> = fc.record({
  failures: fc.integer({ min: 1, max: 4 }),
  successes: fc.integer({ min: 1, max: 3 }),
  openForMillis: fc.integer({ min: 1, max: 20 }),
  halfOpenMax: fc.integer({ min: 1, max: 3 }),
  staleProbeAfterMillis: fc.integer({ min: 1, max: 40 })
})

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant({ _tag: "Admit" } as const) },
    {
      weight: 6,
      arbitrary: fc.record({
        _tag: fc.constant("Settle" as const),
        which: fc.nat(1_000),
        outcome: fc.constantFrom<machine.Outcome>("failure", "failure", "success", "success", "neutral")
      })
    },
    { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), millis: fc.nat(25) }) },
    { weight: 1, arbitrary: fc.constant({ _tag: "Reset" } as const) }
  ),
  { maxLength: 120 }
)

describe("the breaker's state machine", () => {
  it.prop(
    "does what the naive model does, whatever order calls begin and end in (R85-R92, R94, R96, R97)",
    [settings, steps],
    ([settings, steps]) => {
      const model = new Model(settings)
      let state = machine.initial
      let now = 0
      const generations: Array<number> = []
      const calls: Array<number> = []
      const visited = new Set<string>()
      for (const step of steps) {
        switch (step._tag) {
          case "Wait":
            now += step.millis
            break
          case "Reset":
            ;[state] = machine.transition(settings, state, step, now)
            model.enter("Closed", now)
            break
          case "Admit": {
            const [next, decision] = machine.transition(settings, state, step, now)
            state = next
            const call = generations.length
            const admitted = model.admit(call, now)
            assert.strictEqual(decision._tag, admitted ? "Admitted" : "Rejected")
            if (decision._tag === "Admitted") calls.push(generations.push(decision.generation) - 1)
            if (decision._tag === "Rejected") {
              assert.isAbove(decision.retryAfterMillis, 0)
              assert.isAtMost(decision.retryAfterMillis, settings.openForMillis)
            }
            break
          }
          case "Settle": {
            // Each call ends once; the shell sees to that.
            const [call] = calls.splice(step.which % Math.max(calls.length, 1), 1)
            if (call === undefined) break
            const event = { _tag: "Settle", generation: generations[call]!, outcome: step.outcome } as const
            const before = state
            const [next, decision] = machine.transition(settings, state, event, now)
            state = next
            const counted = model.settle(call, step.outcome, now)
            assert.strictEqual(decision._tag, counted ? "Settled" : "Expired")
            if (!counted) assert.strictEqual(state, before)
            break
          }
        }
        visited.add(state._tag)
        assert.strictEqual(state._tag, model.phase)
        if (state._tag === "HalfOpen") {
          assert.strictEqual(state.probes, model.out.length)
          assert.strictEqual(state.successes, model.successes)
          assert.isAtMost(state.probes, settings.halfOpenMax)
        }
        if (state._tag === "Closed") assert.strictEqual(state.failures, model.failures)
      }
    },
    { fastCheck: { numRuns: 500 } }
  )
})
