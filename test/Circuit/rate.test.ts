import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Algorithm, Limit } from "../../src/Circuit/internal/limiter/rate/algorithm.js"
import { fixedWindow } from "../../src/Circuit/internal/limiter/rate/fixedWindow.js"
import { estimate, slidingCounter } from "../../src/Circuit/internal/limiter/rate/slidingCounter.js"
import { slidingLog } from "../../src/Circuit/internal/limiter/rate/slidingLog.js"
import { tokenBucket } from "../../src/Circuit/internal/limiter/rate/tokenBucket.js"

interface Spent {
  readonly at: number
  readonly cost: number
}

/** Whether a call may take at a time, told from everything that was spent before it. */
type Model = (limit: Limit, spent: ReadonlyArray<Spent>, cost: number, now: number) => boolean

const sum = (spent: ReadonlyArray<Spent>): number => spent.reduce((sum, { cost }) => sum + cost, 0)

/** A bucket that leaks, in units of tokens × interval, so that all numbers are whole. */
const level = ({ intervalMillis, limit }: Limit, spent: ReadonlyArray<Spent>, now: number): number => {
  let level = 0
  let last = 0
  for (const { at, cost } of spent) {
    level = Math.max(0, level - (at - last) * limit) + cost * intervalMillis
    last = at
  }
  return Math.max(0, level - (now - last) * limit)
}

const models: Record<string, Model> = {
  tokenBucket: (limit, spent, cost, now) =>
    level(limit, spent, now) + cost * limit.intervalMillis <= limit.capacity * limit.intervalMillis,
  fixedWindow: ({ capacity, intervalMillis }, spent, cost, now) => {
    const windowOf = (at: number) => Math.floor(at / intervalMillis)
    return sum(spent.filter(({ at }) => windowOf(at) === windowOf(now))) + cost <= capacity
  },
  slidingLog: ({ capacity, intervalMillis }, spent, cost, now) =>
    sum(spent.filter(({ at }) => at > now - intervalMillis)) + cost <= capacity,
  slidingCounter: ({ capacity, intervalMillis }, spent, cost, now) => {
    const windowOf = (at: number) => Math.floor(at / intervalMillis)
    const inWindow = (window: number) => sum(spent.filter(({ at }) => windowOf(at) === window))
    const left = intervalMillis - (now - windowOf(now) * intervalMillis)
    return inWindow(windowOf(now) - 1) * left + (inWindow(windowOf(now)) + cost) * intervalMillis <=
      capacity * intervalMillis
  }
}

const limits: fc.Arbitrary<Limit> = fc.record({
  limit: fc.integer({ min: 1, max: 8 }),
  intervalMillis: fc.integer({ min: 1, max: 40 }),
  capacity: fc.integer({ min: 1, max: 8 })
})

const calls = fc.array(
  fc.record({ later: fc.oneof(fc.constant(0), fc.nat(30), fc.nat(100)), cost: fc.integer({ min: 0, max: 8 }) }),
  { maxLength: 60 }
)

/** What an algorithm keeps is its own affair; these tests only hand it on. */
interface Opaque {
  readonly opaque: true
}
const opaque = <S>(algorithm: Algorithm<S>) => algorithm as unknown as Algorithm<Opaque>

const algorithms = [
  ["tokenBucket", opaque(tokenBucket)],
  ["fixedWindow", opaque(fixedWindow)],
  ["slidingLog", opaque(slidingLog)],
  ["slidingCounter", opaque(slidingCounter)]
] as const

/** For windows the limit is all that can be spent at once. */
const fitting = (name: string, limit: Limit): Limit =>
  name === "tokenBucket" ? limit : { ...limit, capacity: limit.limit }

/** What an exact wait must be, found by trying each millisecond. */
const tried = (name: string, limit: Limit, spent: ReadonlyArray<Spent>, cost: number, now: number): number => {
  for (let wait = 0;; wait++) if (models[name]!(limit, spent, cost, now + wait)) return wait
}

describe.each(algorithms)("the rate algorithm %s", (name, algorithm) => {
  it.prop(
    "lets pass what a look at the whole history lets pass, and says exactly when the rest could (R110, R119)",
    [limits, calls],
    ([given, calls]) => {
      const limit = fitting(name, given)
      let state = algorithm.initial
      let now = 0
      const spent: Array<Spent> = []
      for (const { cost, later } of calls) {
        now += later
        if (cost > limit.capacity) continue
        const wait = algorithm.wait(limit, state, cost, 0, now)
        assert.strictEqual(Math.max(0, Math.ceil(wait)), tried(name, limit, spent, cost, now))
        if (wait <= 0) {
          state = algorithm.take(limit, state, cost, now, 0)
          spent.push({ at: now, cost })
        }
        // So many pass now, and not one more.
        const remaining = Math.floor(algorithm.remaining(limit, state, now) + 1e-9)
        assert.isTrue(models[name]!(limit, spent, remaining, now))
        assert.isFalse(models[name]!(limit, spent, remaining + 1, now))
        // Nothing is spent when it says so, and not a millisecond before.
        const reset = Math.ceil(algorithm.resetAfter(limit, state, now))
        assert.isTrue(models[name]!(limit, spent, limit.capacity, now + reset))
        if (reset > 0 && sum(spent) > 0) {
          assert.isFalse(algorithm.resetAfter(limit, state, now + reset - 1) <= 0)
        }
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )

  it.prop(
    "a call that gives back at once leaves things as they were (R116)",
    [limits, calls],
    ([given, calls]) => {
      const limit = fitting(name, given)
      let state = algorithm.initial
      let now = 0
      const spent: Array<Spent> = []
      for (const [index, { cost, later }] of calls.entries()) {
        now += later
        if (cost > limit.capacity || algorithm.wait(limit, state, cost, 0, now) > 0) continue
        const taken = algorithm.take(limit, state, cost, now, 0)
        if (index % 2 === 0) {
          state = taken
          spent.push({ at: now, cost })
        } else {
          state = algorithm.giveBack(limit, taken, cost, taken, now)
        }
        assert.strictEqual(
          Math.max(0, Math.ceil(algorithm.wait(limit, state, limit.capacity, 0, now))),
          tried(name, limit, spent, limit.capacity, now)
        )
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it.prop(
    "whatever is given back whenever, the calls that ran stay within the rate (R116)",
    [limits, calls, fc.array(fc.record({ index: fc.nat(60), after: fc.nat(8) }), { maxLength: 30 })],
    ([given, calls, returns]) => {
      const limit = fitting(name, given)
      let state = algorithm.initial
      let now = 0
      const taken: Array<{ readonly cost: number; readonly left: Opaque; readonly at: number; ran: boolean }> = []
      for (const [index, { cost, later }] of calls.entries()) {
        now += later
        for (const { after, index: which } of returns) {
          const call = taken[which]
          if (call === undefined || !call.ran || which + after !== index) continue
          call.ran = false
          state = algorithm.giveBack(limit, state, call.cost, call.left, now)
        }
        if (cost > limit.capacity || algorithm.wait(limit, state, cost, 0, now) > 0) continue
        state = algorithm.take(limit, state, cost, now, 0)
        taken.push({ cost, left: state, at: now, ran: true })
      }
      const ran = taken.filter(({ ran }) => ran)
      for (const [index, call] of ran.entries()) {
        assert.isTrue(models[name]!(limit, ran.slice(0, index), call.cost, call.at))
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )

  it.prop(
    "those in line pass one after another exactly when it was said when they came (R119)",
    [limits, fc.integer({ min: 1, max: 30 }), fc.array(fc.nat(3), { minLength: 1, maxLength: 30 }), fc.nat(100)],
    ([given, before, arrivals, start]) => {
      const limit = fitting(name, given)
      let state = algorithm.initial
      let now = start
      // As many at once as may, so that the next has to wait.
      for (let i = 0; i < before && algorithm.wait(limit, state, 1, 0, now) <= 0; i++) {
        state = algorithm.take(limit, state, 1, now, 0)
      }
      if (algorithm.wait(limit, state, 1, 0, now) <= 0) return
      const line: Array<{ readonly turn: number; readonly arrivedAt: number }> = []
      let pending = [...arrivals]
      let since = now
      while (pending.length > 0 || line.length > 0) {
        for (let first = line[0]; first !== undefined; first = line[0]) {
          const wait = algorithm.wait(limit, state, 1, 0, now)
          if (wait > 0) break
          const late = Math.min(now - since, now - first.arrivedAt, -wait)
          assert.approximately(now - late, first.turn, 1e-6)
          state = algorithm.take(limit, state, 1, now, late)
          since = now - late
          line.shift()
        }
        since = now
        for (; pending[0] === 0; pending = pending.slice(1)) {
          const wait = algorithm.wait(limit, state, 1, line.length, now)
          if (line.length === 0 && wait <= 0) state = algorithm.take(limit, state, 1, now, 0)
          else line.push({ turn: now + wait, arrivedAt: now })
        }
        if (pending.length > 0) pending = [pending[0]! - 1, ...pending.slice(1)]
        now++
      }
    },
    { fastCheck: { numRuns: 500 } }
  )
})

/** What a list of calls comes to: `true`, or when they may try again. */
const answers = (limit: Limit, calls: ReadonlyArray<readonly [at: number, cost?: number]>) => {
  let state = tokenBucket.initial
  return calls.map(([at, cost = 1]) => {
    const wait = tokenBucket.wait(limit, state, cost, 0, at)
    if (wait > 0) return Math.ceil(wait)
    state = tokenBucket.take(limit, state, cost, at, 0)
    return true
  })
}

describe("the token bucket", () => {
  const limit = { limit: 10, intervalMillis: 1_000, capacity: 3 }

  it("10 per second with a burst of 3 (R110)", () => {
    assert.deepStrictEqual(
      answers(limit, [[0], [0], [0], [0], [99], [100], [150], [200], [1_000]]),
      [true, true, true, 100, 1, true, 50, true, true]
    )
    let state = tokenBucket.initial
    const remaining = [0, 0, 0, 0].map((at, index) => {
      if (index > 0) state = tokenBucket.take(limit, state, 1, at, 0)
      return tokenBucket.remaining(limit, state, at)
    })
    assert.deepStrictEqual(remaining, [3, 2, 1, 0])
    state = tokenBucket.take(limit, state, 1, 1_000, 0)
    assert.strictEqual(tokenBucket.remaining(limit, state, 1_000), 2)
  })

  it("10 per second with a burst of 3, at a cost of 2 (R110)", () => {
    assert.deepStrictEqual(answers(limit, [[0, 2], [0, 2], [100, 2]]), [true, 100, true])
  })

  it.each([0, 1_800_000_000_000])("is exact at 5,000 per second and above, from %d ms on (R118)", (start) => {
    for (const rate of [3_000, 5_000, 7_777, 1_000_000]) {
      for (const capacity of [1, 50]) {
        const limit = { limit: rate, intervalMillis: 1_000, capacity }
        let state = tokenBucket.take(limit, tokenBucket.initial, capacity, start, 0)
        let passed = 0
        let since = start
        // Callers stand in line all the time; their alarm rings once in a millisecond.
        for (let now = start; now <= start + 2_000; now++) {
          for (;;) {
            const wait = tokenBucket.wait(limit, state, 1, 0, now)
            if (wait > 0) break
            const late = Math.min(now - since, -wait)
            state = tokenBucket.take(limit, state, 1, now, late)
            since = now - late
            passed++
          }
          since = now
        }
        assert.strictEqual(passed, 2 * rate)
      }
    }
  })

  it("keeps what is spent when the limit changes, up to the new one (R114)", () => {
    const spent = tokenBucket.take(limit, tokenBucket.initial, 2, 0, 0)
    const faster = { limit: 20, intervalMillis: 1_000, capacity: 10 }
    const raised = tokenBucket.change(limit, faster, spent, 0)
    assert.strictEqual(tokenBucket.remaining(faster, raised, 0), 8)
    assert.strictEqual(tokenBucket.resetAfter(faster, raised, 0), 100)
    const smaller = { limit: 10, intervalMillis: 1_000, capacity: 1 }
    const lowered = tokenBucket.change(limit, smaller, spent, 0)
    assert.strictEqual(tokenBucket.wait(smaller, lowered, 1, 0, 0), 100)
  })
})

describe("the sliding counter", () => {
  it("estimates 90 from 80 before and 30 now, a quarter into the window (R110)", () => {
    const limit = { limit: 100, intervalMillis: 1_000, capacity: 100 }
    let state = slidingCounter.take(limit, slidingCounter.initial, 80, 500, 0)
    state = slidingCounter.take(limit, state, 30, 1_250, 0)
    assert.strictEqual(estimate(limit, state, 1_250), 90)
    assert.strictEqual(slidingCounter.remaining(limit, state, 1_250), 10)
    assert.isTrue(slidingCounter.wait(limit, state, 10, 0, 1_250) <= 0)
    // 11 fit when one of the 80 counts no more: an eightieth of the window later.
    assert.strictEqual(slidingCounter.wait(limit, state, 11, 0, 1_250), 12.5)
  })
})

describe("what is given back in the next window", () => {
  const limit = { limit: 10, intervalMillis: 1_000, capacity: 10 }

  it("counts no more in a sliding counter (R116)", () => {
    const taken = slidingCounter.take(limit, slidingCounter.initial, 6, 500, 0)
    assert.strictEqual(slidingCounter.remaining(limit, taken, 1_500), 7)
    const back = slidingCounter.giveBack(limit, taken, 6, taken, 1_250)
    assert.strictEqual(slidingCounter.remaining(limit, back, 1_500), 10)
  })

  it("counts no more in a fixed window, and gives nothing to the one after it (R116)", () => {
    const taken = fixedWindow.take(limit, fixedWindow.initial, 6, 500, 0)
    const next = fixedWindow.take(limit, taken, 4, 1_000, 0)
    assert.strictEqual(fixedWindow.remaining(limit, fixedWindow.giveBack(limit, next, 6, taken, 1_250), 1_250), 6)
  })

  it("has come back by itself in a token bucket (R116)", () => {
    const taken = tokenBucket.take(limit, tokenBucket.initial, 6, 500, 0)
    const next = tokenBucket.take(limit, taken, 8, 1_000, 0)
    // Of the six, five came back in half a second, and were taken again.
    assert.strictEqual(tokenBucket.remaining(limit, next, 1_000), 1)
    assert.strictEqual(tokenBucket.remaining(limit, tokenBucket.giveBack(limit, next, 6, taken, 1_000), 1_000), 2)
  })
})

describe("the fixed window", () => {
  it("lets up to twice the limit pass at a border (R110)", () => {
    const limit = { limit: 3, intervalMillis: 1_000, capacity: 3 }
    const before = fixedWindow.take(limit, fixedWindow.initial, 3, 999, 0)
    assert.strictEqual(fixedWindow.wait(limit, before, 1, 0, 999), 1)
    assert.isTrue(fixedWindow.wait(limit, before, 3, 0, 1_000) <= 0)
  })
})

describe("the sliding log", () => {
  it("never lets more than the limit pass in an interval, and forgets what is older (R110)", () => {
    const limit = { limit: 3, intervalMillis: 1_000, capacity: 3 }
    let state = slidingLog.initial
    for (const at of [0, 400, 999]) state = slidingLog.take(limit, state, 1, at, 0)
    assert.strictEqual(slidingLog.wait(limit, state, 1, 0, 999), 1)
    assert.isTrue(slidingLog.wait(limit, state, 1, 0, 1_000) <= 0)
    assert.strictEqual(slidingLog.wait(limit, state, 2, 0, 1_000), 400)
    for (let at = 1_000; at < 100_000; at += 400) state = slidingLog.take(limit, state, 1, at, 0)
    assert.isAtMost(state.log.length, 200)
  })

  it("states that went on from one another in different ways read each as their own (R116)", () => {
    const limit = { limit: 5, intervalMillis: 1_000, capacity: 5 }
    const one = slidingLog.take(limit, slidingLog.initial, 1, 0, 0)
    const left = slidingLog.take(limit, one, 1, 10, 0)
    const right = slidingLog.take(limit, one, 3, 20, 0)
    const other = slidingLog.take(limit, slidingLog.initial, 2, 5, 0)
    assert.deepStrictEqual(
      [one, left, right, other, slidingLog.initial].map((state) => slidingLog.remaining(limit, state, 20)),
      [4, 3, 1, 3, 5]
    )
  })
})
