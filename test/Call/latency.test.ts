import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Histogram } from "../../src/Call/internal/latency/histogram.js"
import * as moving from "../../src/Call/internal/latency/movingQuantile.js"
import * as p2 from "../../src/Call/internal/latency/p2.js"

/** Numbers in [0, 1) that are the same in each run. */
const uniform = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const samples = (count: number, from: number, to: number, seed = 1): ReadonlyArray<number> => {
  const next = uniform(seed)
  return Array.from({ length: count }, () => from + next() * (to - from))
}

/** The sample of a rank, by sorting all of them. */
const exact = (values: ReadonlyArray<number>, quantile: number): number =>
  [...values].sort((a, b) => a - b)[Math.max(1, Math.ceil(quantile * values.length)) - 1]!

describe("estimates of latency", () => {
  describe("P²", () => {
    const feed = (quantile: number, values: ReadonlyArray<number>) =>
      p2.estimate(quantile, values.reduce((state, value) => p2.add(quantile, state, value), p2.initial))

    it("the example of its paper: 20 numbers, of which the median is estimated as 4.44 (R142)", () => {
      const numbers = [0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92]
      const more = [34.6, 10.28, 1.47, 0.4, 0.05, 11.39, 0.27, 0.42, 0.09, 11.37]
      assert.closeTo(feed(0.5, [...numbers, ...more])!, 4.44, 0.005)
    })

    it("of a uniform 0..100 the 0.95-quantile is found within 1 (R142)", () => {
      assert.closeTo(feed(0.95, samples(20_000, 0, 100))!, 95, 1)
    })

    it("few samples are ranked exactly", () => {
      assert.isUndefined(feed(0.5, []))
      for (let count = 1; count <= 5; count++) {
        const values = samples(count, 0, 100, count)
        for (const quantile of [0.01, 0.5, 0.95]) {
          assert.strictEqual(feed(quantile, values), exact(values, quantile))
        }
      }
    })

    it.prop(
      "it stays within what was seen",
      [fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 })],
      (
        [values]
      ) => {
        const found = feed(0.9, values)!
        assert.isTrue(found >= Math.min(...values) && found <= Math.max(...values))
      }
    )

    it("in rotation it forgets: after a shift it is there within two turns (R142)", () => {
      const quantile = 0.9
      let rotation = p2.initialRotation
      for (const value of samples(5_000, 0, 100)) rotation = p2.addRotating(quantile, 500, rotation, value)
      assert.closeTo(p2.estimate(quantile, rotation.older)!, 90, 3)
      assert.isAtMost(rotation.older.count, 1_000)
      for (const value of samples(1_000, 200, 300)) rotation = p2.addRotating(quantile, 500, rotation, value)
      assert.closeTo(p2.estimate(quantile, rotation.older)!, 290, 3)
    })
  })

  describe("the moving quantile", () => {
    const settings = { quantile: 0.9, age: 100 }

    const feed = (state: moving.State, values: ReadonlyArray<number>) =>
      values.reduce((state, value) => moving.add(settings, state, value), state)

    it("moves around the quantile: 92.7 of a uniform 0..100, or 295.6 after a shift by 200, are readings of it (R142)", () => {
      const read = (shift: number) =>
        Array.from({ length: 200 }, (_, seed) => {
          const before = feed(moving.initial, samples(2_000, 0, 100, seed))
          return shift === 0 ? before.estimate : feed(before, samples(2_000, shift, shift + 100, -seed)).estimate
        })
      for (const [shift, reading] of [[0, 92.7], [200, 295.6]] as const) {
        const readings = read(shift)
        const mean = readings.reduce((sum, value) => sum + value, 0) / readings.length
        const deviation = Math.sqrt(readings.reduce((sum, value) => sum + (value - mean) ** 2, 0) / readings.length)
        assert.closeTo(mean, shift + 90, 1)
        assert.closeTo(deviation, 3.8, 0.8)
        assert.closeTo(reading, mean, 2 * deviation)
      }
    })

    it("it is at the new quantile within 5 times its age after a shift (R142)", () => {
      const readings = Array.from(
        { length: 200 },
        (_, seed) => feed(feed(moving.initial, samples(2_000, 0, 100, seed)), samples(500, 200, 300, -seed)).estimate
      )
      assert.closeTo(readings.reduce((sum, value) => sum + value, 0) / readings.length, 290, 1)
    })

    it("the first sample is the first estimate, and samples at the estimate leave it where it is", () => {
      const one = moving.add(settings, moving.initial, 7)
      assert.strictEqual(one.estimate, 7)
      assert.strictEqual(moving.add(settings, one, 7).estimate, 7)
      assert.isAbove(moving.add(settings, one, 8).estimate, 7)
      assert.isBelow(moving.add(settings, one, 6).estimate, 7)
    })
  })

  describe("the histogram", () => {
    const settings = { error: 0.01, sliceMillis: 100, slices: 4 }

    it("within 2 % for stationary input (R142)", () => {
      const histogram = new Histogram(settings)
      for (const value of samples(20_000, 1, 100)) histogram.add(value, 0)
      for (const quantile of [0.5, 0.9, 0.95, 0.99]) {
        const truth = 1 + 99 * quantile
        assert.closeTo(histogram.quantile(quantile, 0)!, truth, truth * 0.02)
      }
    })

    it.prop(
      "within its error of the sample of the rank, among those that live (R142)",
      [
        fc.array(fc.tuple(fc.double({ min: 0.001, max: 1e7, noNaN: true }), fc.nat(60)), { maxLength: 120 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(500)
      ],
      ([steps, quantile, wait]) => {
        const histogram = new Histogram(settings)
        const seen: Array<readonly [value: number, at: number]> = []
        let now = 0
        for (const [value, step] of steps) {
          now += step
          histogram.add(value, now)
          seen.push([value, now])
        }
        now += wait
        const alive = seen.filter(([, at]) => Math.floor(at / 100) > Math.floor(now / 100) - 4).map(([value]) => value)
        assert.strictEqual(histogram.count(now), alive.length)
        const found = histogram.quantile(quantile, now)
        if (alive.length === 0) assert.isUndefined(found)
        else {
          const truth = exact(alive, quantile)
          assert.closeTo(found!, truth, truth * 0.01 * 1.000001)
        }
      },
      { fastCheck: { numRuns: 500 } }
    )

    it("what takes no time is counted, and a clock that is set back loses nothing", () => {
      const histogram = new Histogram(settings)
      histogram.add(0, 1_000)
      histogram.add(5, 400)
      assert.strictEqual(histogram.count(1_000), 2)
      assert.isBelow(histogram.quantile(0.5, 1_000)!, 0.001)
    })
  })
})
