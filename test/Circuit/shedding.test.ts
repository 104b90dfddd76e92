import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as codel from "../../src/Circuit/internal/shedder/codel.js"
import { initial, isTooSlow, recorded } from "../../src/Circuit/internal/shedder/latencyShedder.js"
import {
  levelOfUser,
  rejectionRate,
  thresholdFor,
  usageQuantiles
} from "../../src/Circuit/internal/shedder/priorityShedding.js"
import { Usage } from "../../src/Circuit/internal/shedder/usage.js"

describe("the laws of a queue", () => {
  const settings = { targetMillis: 5, intervalMillis: 100 }

  it("RFC 8289, a dequeue each ms, 20 ms in the queue from 1: drops at 101, 201, 272, 330, 380, 425, 465, 503, 539, ...", () => {
    let state = codel.initial
    const drops: Array<number> = []
    for (let now = 1; now <= 700; now++) {
      const [next, drop] = codel.judge(settings, state, 20, now)
      state = next
      if (drop) drops.push(now)
    }
    assert.deepStrictEqual(drops, [101, 201, 272, 330, 380, 425, 465, 503, 539, 572, 604, 634, 663, 690])
  })

  it("it stops when calls wait less, and goes on with the rate that was enough when they soon wait again", () => {
    let state = codel.initial
    const at = (sojourn: number, now: number) => {
      const [next, drop] = codel.judge(settings, state, sojourn, now)
      state = next
      return drop
    }
    for (let now = 1; now <= 400; now++) at(20, now)
    assert.deepInclude(state, { dropping: true, count: 5 })
    assert.isFalse(at(4.9, 401))
    assert.deepInclude(state, { dropping: false, firstAbove: null })
    assert.isFalse(at(5, 402))
    assert.isFalse(at(5, 501))
    assert.isTrue(at(5, 502))
    assert.deepInclude(state, { count: 4, lastCount: 4, dropNext: 552 })
    // An empty queue ends it as well.
    assert.deepInclude(codel.emptied(state), { dropping: false, firstAbove: null, count: 4 })
    // Long after, it begins with one again.
    state = codel.emptied(state)
    assert.isFalse(at(5, 2_100))
    assert.isTrue(at(5, 2_200))
    assert.deepInclude(state, { count: 1 })
  })

  /** Takes one out of a queue as the RFC writes it: one function that drops until it has one to give. */
  class Reference {
    firstAbove = 0
    dropNext = 0
    count = 0
    lastCount = 0
    dropping = false
    take(queue: Array<number>, now: number): { readonly dropped: Array<number>; readonly served: number | undefined } {
      const dropped: Array<number> = []
      let [one, may] = this.look(queue, now)
      if (this.dropping) {
        if (!may) this.dropping = false
        while (this.dropping && now >= this.dropNext) {
          dropped.push(one!)
          this.count++
          ;[one, may] = this.look(queue, now)
          if (!may) this.dropping = false
          else this.dropNext += settings.intervalMillis / Math.sqrt(this.count)
        }
      } else if (may) {
        dropped.push(one!)
        ;[one, may] = this.look(queue, now)
        this.dropping = true
        const delta = this.count - this.lastCount
        this.count = delta > 1 && now - this.dropNext < 16 * settings.intervalMillis ? delta : 1
        this.dropNext = now + settings.intervalMillis / Math.sqrt(this.count)
        this.lastCount = this.count
      }
      return { dropped, served: one }
    }
    look(queue: Array<number>, now: number): [number | undefined, boolean] {
      const one = queue.shift()
      if (one === undefined || now - one < settings.targetMillis) {
        this.firstAbove = 0
        return [one, false]
      }
      if (this.firstAbove === 0) {
        this.firstAbove = now + settings.intervalMillis
        return [one, false]
      }
      return [one, now >= this.firstAbove]
    }
  }

  it.prop(
    "it drops what the RFC's own procedure drops",
    [fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 4 })), { maxLength: 400 })],
    ([steps]) => {
      const reference = new Reference()
      const theirs: Array<number> = []
      const ours: Array<number> = []
      let state = codel.initial
      // Times of arrival, told apart by a part of a millisecond.
      let now = 1
      for (const [index, [wait, arrivals]] of steps.entries()) {
        now += wait
        for (let i = 0; i < arrivals; i++) {
          theirs.push(now + (index + i / 10) / 1e6)
          ours.push(now + (index + i / 10) / 1e6)
        }
        const expected = reference.take(theirs, now)
        const dropped: Array<number> = []
        let served: number | undefined
        while (ours.length > 0) {
          const one = ours.shift()!
          const [next, drop] = codel.judge(settings, state, now - one, now)
          state = next
          if (drop) dropped.push(one)
          else {
            served = one
            break
          }
        }
        if (served === undefined) state = codel.emptied(state)
        assert.deepStrictEqual({ dropped, served }, expected)
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("for servers: an interval to wait while the queue was empty within the last, else only the target", () => {
    assert.strictEqual(codel.timeoutFor(settings, 1_000, 1_100), 100)
    assert.strictEqual(codel.timeoutFor(settings, 1_000, 1_101), 5)
  })
})

describe("the latency in a window", () => {
  it.prop(
    "is too long when the percentile of the calls in it is above the limit (R143)",
    [
      fc.record({
        limitMillis: fc.constantFrom(10, 25),
        percentile: fc.constantFrom(0.1, 0.5, 0.9, 0.99, 1),
        minimumCalls: fc.integer({ min: 1, max: 6 }),
        shape: fc.record({ widthMillis: fc.constantFrom(10, 30), buckets: fc.integer({ min: 1, max: 4 }) })
      }),
      fc.array(fc.tuple(fc.nat(25), fc.integer({ min: 0, max: 40 }), fc.boolean()), { maxLength: 100 })
    ],
    ([settings, steps]) => {
      let state = initial
      let now = 0
      const history: Array<{ readonly at: number; readonly millis: number }> = []
      const bucket = (at: number) => Math.floor(at / settings.shape.widthMillis)
      for (const [wait, millis, hasValue] of steps) {
        now += wait
        state = recorded(settings, state, millis, hasValue, now)
        if (hasValue || millis > settings.limitMillis) history.push({ at: now, millis })
        const durations = history.filter(({ at }) => bucket(at) > bucket(now) - settings.shape.buckets).map((each) =>
          each.millis
        ).sort((a, b) => a - b)
        // The nearest rank: the smallest duration that so large a part of them does not exceed.
        const percentile = durations.find((_, index) => (index + 1) / durations.length >= settings.percentile - 1e-9)
        assert.strictEqual(
          isTooSlow(settings, state, now),
          durations.length >= settings.minimumCalls && percentile! > settings.limitMillis
        )
      }
    },
    { fastCheck: { numRuns: 500 } }
  )
})

describe("the threshold of priorities", () => {
  const calls = (...perClass: ReadonlyArray<number>) =>
    perClass.flatMap((calls) => Array.from({ length: 100 }, () => calls / 100))

  it("is the quantile of the levels at the rate of rejections", () => {
    const even = calls(100, 100, 100, 100, 100)
    assert.deepStrictEqual([0, 0.1, 0.2, 0.5, 0.999, 1].map((rate) => thresholdFor(rate, even)), [
      0,
      50,
      100,
      250,
      499,
      500
    ])
    // Half of the calls are sheddable, and the rest critical: a quarter is the half of the first class.
    assert.strictEqual(thresholdFor(0.25, calls(50, 0, 0, 0, 50)), 50)
    assert.strictEqual(thresholdFor(0.5, calls(50, 0, 0, 0, 50)), 100)
    assert.strictEqual(thresholdFor(0.51, calls(50, 0, 0, 0, 50)), 402)
    assert.strictEqual(thresholdFor(0.5, calls(0, 0, 0, 0, 0)), 0)
    // A level is given up as a whole or not at all.
    const one = Array.from({ length: 500 }, (_, level) => level === 299 ? 100 : 0)
    assert.strictEqual(thresholdFor(0.99, one), 0)
    assert.strictEqual(thresholdFor(1, one), 300)
  })

  it.prop(
    "gives up no larger a part of the calls, and as many as that allows",
    [fc.array(fc.nat(5), { minLength: 500, maxLength: 500 }), fc.double({ min: 0.01, max: 1, noNaN: true })],
    ([levels, rate]) => {
      const threshold = thresholdFor(rate, levels)
      const total = levels.reduce((sum, calls) => sum + calls, 0)
      const below = (level: number) => levels.slice(0, level).reduce((sum, calls) => sum + calls, 0)
      assert.isAtMost(below(threshold), rate * total + 1e-6)
      const next = levels.findIndex((calls, level) => level >= threshold && calls > 0)
      if (next >= 0) assert.isAbove(below(next + 1), rate * total)
    }
  )

  it("counts what did not run, and of what was shed nine tenths, so that it falls slowly and settles", () => {
    assert.strictEqual(rejectionRate({ passed: 0, notRun: 0, shed: 0 }), 0)
    assert.strictEqual(rejectionRate({ passed: 80, notRun: 20, shed: 20 }), 0.38)
    assert.closeTo(rejectionRate({ passed: 80, notRun: 0, shed: 20 }), 0.18, 1e-12)
    // A hundred calls, of which sixty can run: what is shed comes to rest where a few are still turned away.
    let shed = 0
    for (let i = 0; i < 30; i++) {
      const passed = 100 - shed
      shed = 100 * rejectionRate({ passed, notRun: Math.max(0, passed - 60), shed })
    }
    assert.closeTo(shed, 40 / 1.1, 1e-9)
  })

  it("what users have used is known for one window more, and of no more users than may be", () => {
    const usage = new Usage(1_000, 2)
    usage.compare(0)
    usage.add("a", 5)
    usage.add("b", 10)
    usage.add("c", 99)
    usage.add("a", 20)
    const known = () => ["a", "b", "c"].map((user) => usage.quantileOf(user))
    assert.deepStrictEqual(known(), [undefined, undefined, undefined])
    usage.compare(500)
    assert.deepStrictEqual(known(), [1, 0, undefined])
    usage.compare(1_000)
    usage.add("c", 1)
    usage.compare(1_500)
    assert.deepStrictEqual(known(), [1, 0.5, 0])
    usage.compare(2_000)
    usage.compare(2_500)
    assert.deepStrictEqual(known(), [undefined, undefined, 0])
    // Two windows without a call: all is forgotten.
    usage.add("a", 5)
    usage.compare(6_000)
    usage.compare(6_001)
    assert.deepStrictEqual(known(), [undefined, undefined, undefined])
  })

  it("within a class heavy users are given up first, and unknown ones last", () => {
    const quantiles = usageQuantiles(new Map([["light", 1], ["middle", 5], ["heavy", 100], ["also", 5], ["much", 7]]))
    assert.deepStrictEqual([...quantiles], [["light", 0], ["middle", 0.25], ["heavy", 1], ["also", 0.25], [
      "much",
      0.75
    ]])
    assert.strictEqual(levelOfUser(200, quantiles.get("heavy")), 200)
    assert.strictEqual(levelOfUser(200, quantiles.get("light")), 299)
    assert.strictEqual(levelOfUser(200, undefined), 299)
    assert.strictEqual(levelOfUser(0, 0.25), 74)
    assert.deepStrictEqual([...usageQuantiles(new Map([["only", 9]]))], [["only", 0]])
  })
})
