import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type CountWindow, emptyCountWindow, recordCall } from "../../src/Circuit/internal/breaker/countWindow.js"
import { add, emptyTimeWindow, expire } from "../../src/Circuit/internal/breaker/timeWindow.js"

describe("the windows of a breaker", () => {
  it("the last five of S S F F F S S S: 0/1, 0/2, 1/3, 2/4, 3/5, 3/5, 3/5, 2/5 (R100)", () => {
    let window = emptyCountWindow
    const seen = [..."SSFFFSSS"].map((result) => {
      window = recordCall(5, window, result === "F", false)
      return `${window.failures}/${window.total}`
    })
    assert.deepStrictEqual(seen, ["0/1", "0/2", "1/3", "2/4", "3/5", "3/5", "3/5", "2/5"])
  })

  it.prop(
    "a count window holds the last calls, of any number (R100)",
    [fc.integer({ min: 1, max: 100 }), fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 400 })],
    ([size, calls]) => {
      let window: CountWindow = emptyCountWindow
      for (const [index, [failed, slow]] of calls.entries()) {
        window = recordCall(size, window, failed, slow)
        const last = calls.slice(Math.max(0, index + 1 - size), index + 1)
        assert.strictEqual(window.total, last.length)
        assert.strictEqual(window.failures, last.filter(([failed]) => failed).length)
        assert.strictEqual(window.slow, last.filter(([, slow]) => slow).length)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "a time window holds what was added in its buckets, and expires on read and on write (R100, R101)",
    [
      fc.record({ widthMillis: fc.constantFrom(1, 2.5, 10, 100), buckets: fc.integer({ min: 1, max: 6 }) }),
      fc.array(fc.tuple(fc.nat(120), fc.boolean(), fc.nat(3)), { maxLength: 100 })
    ],
    ([shape, steps]) => {
      let window = emptyTimeWindow(2)
      let now = 0
      const added: Array<{ readonly at: number; readonly count: number }> = []
      const bucket = (at: number) => Math.floor(at / shape.widthMillis)
      for (const [wait, write, count] of steps) {
        now += wait
        if (write) {
          window = add(shape, window, [1, count], now)
          added.push({ at: now, count })
        }
        const inside = added.filter(({ at }) => bucket(at) > bucket(now) - shape.buckets)
        const { older, sums } = expire(shape, window, now)
        assert.deepStrictEqual(sums, [inside.length, inside.reduce((sum, { count }) => sum + count, 0)])
        assert.isBelow(older.length, shape.buckets)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it("a time window does not forget when the clock goes back (R100)", () => {
    const shape = { widthMillis: 10, buckets: 3 }
    const window = add(shape, add(shape, emptyTimeWindow(1), [2], 100), [3], 55)
    assert.deepStrictEqual(expire(shape, window, 55).sums, [5])
    assert.deepStrictEqual(expire(shape, window, 129).sums, [5])
    assert.deepStrictEqual(expire(shape, window, 130).sums, [0])
  })
})
