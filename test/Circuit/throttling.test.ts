import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as machine from "../../src/Circuit/internal/throttle/throttling.js"

const sre = (k: number) => ({ k, maxProbability: 1, minimumRequests: 0 })
const capped = { k: 1 / 0.9, maxProbability: 0.9, minimumRequests: 0 }

describe("the formula of a throttle", () => {
  it("with k = 2: 100/50 → 0, 100/49 → .0198, 100/30 → .396, 100/0 → .9901, 1/0 → .5", () => {
    const p = (requests: number, accepts: number) => machine.probability(sre(2), requests, accepts)
    assert.strictEqual(p(100, 50), 0)
    assert.closeTo(p(100, 49), 0.0198, 5e-5)
    assert.closeTo(p(100, 30), 0.396, 5e-4)
    assert.closeTo(p(100, 0), 0.9901, 5e-5)
    assert.strictEqual(p(1, 0), 0.5)
    assert.strictEqual(p(0, 0), 0)
  })

  it("with k = 1.1: 100/80 → .1188", () => {
    assert.closeTo(machine.probability(sre(1.1), 100, 80), 0.1188, 5e-5)
  })

  it("with a success threshold of .9, at most .9: 100/90 → 0, 100/80 → .11, 120/90 → .1653, 100/0 → .9", () => {
    const p = (requests: number, accepts: number) => machine.probability(capped, requests, accepts)
    assert.closeTo(p(100, 90), 0, 1e-12)
    assert.closeTo(p(100, 80), 0.11, 5e-5)
    assert.closeTo(p(120, 90), 0.1653, 5e-5)
    assert.strictEqual(p(100, 0), 0.9)
  })

  it("below the minimum of requests nothing is turned away", () => {
    const settings = { ...sre(2), minimumRequests: 10 }
    assert.strictEqual(machine.probability(settings, 9, 0), 0)
    assert.closeTo(machine.probability(settings, 10, 0), 10 / 11, 1e-12)
  })

  it.prop(
    "requests count from their start and accepts from their end, in the window of each; what says nothing is taken out",
    [
      fc.record({ widthMillis: fc.constantFrom(5, 12.5, 100), buckets: fc.integer({ min: 1, max: 5 }) }),
      fc.array(
        fc.oneof(
          { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Start" as const) }) },
          {
            weight: 4,
            arbitrary: fc.record({
              _tag: fc.constant("End" as const),
              which: fc.nat(100),
              how: fc.constantFrom("accepted", "refused", "neutral")
            })
          },
          { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), millis: fc.nat(90) }) }
        ),
        { maxLength: 150 }
      )
    ],
    ([shape, steps]) => {
      const settings = { k: 1.5, maxProbability: 0.8, minimumRequests: 3, shape }
      // The history, told as a list of what has happened and has not been taken back.
      const requests = new Map<number, number>()
      const accepts: Array<number> = []
      const out: Array<{ readonly id: number; readonly bucket: number }> = []
      let state = machine.initial
      let now = 0
      const bucket = (at: number) => Math.floor(at / shape.widthMillis)
      const inside = (at: number) => bucket(at) > bucket(now) - shape.buckets
      for (const [id, step] of steps.entries()) {
        if (step._tag === "Wait") now += step.millis
        else if (step._tag === "Start") {
          const n = [...requests.values()].filter(inside).length
          const a = accepts.filter(inside).length
          const [next, decision] = machine.start(settings, state, now)
          state = next
          const expected = n < 3 ? 0 : Math.min(0.8, Math.max(0, (n - 1.5 * a) / (n + 1)))
          assert.closeTo(decision.probability, expected, 1e-12)
          assert.isAbove(machine.untilNextBucket(settings, state, now), 0)
          assert.isAtMost(machine.untilNextBucket(settings, state, now), shape.widthMillis)
          requests.set(id, now)
          out.push({ id, bucket: decision.bucket })
        } else {
          const [ended] = out.splice(step.which % Math.max(out.length, 1), 1)
          if (ended === undefined) continue
          if (step.how === "accepted") {
            state = machine.accepted(settings, state, now)
            accepts.push(now)
          } else if (step.how === "neutral") {
            state = machine.withdrawn(settings, state, ended.bucket, now)
            requests.delete(ended.id)
          }
        }
        assert.deepStrictEqual(machine.countsAt(settings, state, now), {
          requests: [...requests.values()].filter(inside).length,
          accepts: accepts.filter(inside).length
        })
        assert.deepStrictEqual(JSON.parse(JSON.stringify(state)), state)
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )
})
