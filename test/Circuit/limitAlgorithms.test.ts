import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { aimd } from "../../src/Circuit/internal/concurrency/aimd.js"
import { correlationOf, variationOf } from "../../src/Circuit/internal/concurrency/correlation.js"
import * as gradient from "../../src/Circuit/internal/concurrency/gradient.js"
import type { Algorithm, Sample } from "../../src/Circuit/internal/concurrency/limitAlgorithm.js"
import { addNumber, emptyMarkers, quantileOf } from "../../src/Circuit/internal/concurrency/quantileMarkers.js"
import * as vegas from "../../src/Circuit/internal/concurrency/vegas.js"
import {
  direction,
  rejectRamp,
  type Signs,
  type State,
  windowed
} from "../../src/Circuit/internal/concurrency/windowedLimit.js"

const sample = (rttMillis: number, inflight: number, dropped = false): Sample => ({ rttMillis, inflight, dropped })

const samples = fc.array(
  fc.record({
    rttMillis: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.constantFrom(0.2, 5_001, 10_000)),
    inflight: fc.integer({ min: 1, max: 300 }),
    dropped: fc.boolean().map((dropped) => dropped)
  }),
  { maxLength: 200 }
)

/** What holds of every algorithm: the bounds, what an idle dependency and a drop can do, and that states are data. */
const laws = <S>(algorithm: Algorithm<S>, history: ReadonlyArray<Sample>, min: number, max: number) => {
  let state = algorithm.initial
  let now = 0
  for (const each of history) {
    now += 100
    const before = algorithm.limit(state)
    state = algorithm.onSample(JSON.parse(JSON.stringify(state)) as S, each, now)
    const limit = algorithm.limit(state)
    assert.isAtLeast(limit, min)
    assert.isAtMost(limit, max)
    if (each.dropped) assert.isAtMost(limit, before)
  }
}

describe("Vegas", () => {
  const settings = { min: 1, max: 1_000, smoothing: 1 }
  const step = (limit: number, rtt: number, inflight: number, dropped = false) =>
    vegas.step(settings, limit, 10, rtt, inflight, dropped)

  it("on a baseline of 10: L20 rtt 10.1 → 26, 11 → 21, 12 → 20, 20 → 19, idle → 20, drop → 19; L200 rtt 10.05 → 212", () => {
    assert.strictEqual(step(20, 10.1, 20), 26)
    assert.strictEqual(step(20, 11, 20), 21)
    assert.strictEqual(step(20, 12, 20), 20)
    assert.strictEqual(step(20, 20, 20), 19)
    assert.strictEqual(step(20, 10.1, 5), 20)
    assert.strictEqual(step(20, 10.1, 20, true), 19)
    assert.strictEqual(step(200, 10.05, 150), 212)
  })

  it("from three to six that wait, the limit stays", () => {
    assert.deepStrictEqual([11.1, 11.2, 11.5, 14.2, 14.3].map((rtt) => step(20, rtt, 20)), [21, 20, 20, 20, 19])
  })

  it("smoothing goes a part of the way; the bounds hold", () => {
    assert.strictEqual(vegas.step({ ...settings, smoothing: 0.5 }, 20, 10, 10.1, 20, false), 23)
    assert.strictEqual(vegas.step({ ...settings, max: 22 }, 20, 10, 10.1, 20, false), 22)
    assert.strictEqual(vegas.step({ ...settings, min: 20 }, 20, 10, 20, 20, false), 20)
  })

  const algorithm = (more?: Partial<vegas.Settings>) =>
    vegas.vegas({ initial: 20, min: 1, max: 1_000, smoothing: 1, probeAfter: 30, phase: 0, ...more })
  const run = <S>(algorithm: Algorithm<S>, history: ReadonlyArray<Sample>, from = algorithm.initial) =>
    history.reduce((state, each) => algorithm.onSample(state, each, 0), from)

  it("the baseline is the shortest duration; that of a dropped call does not count", () => {
    const state = run(algorithm(), [sample(12, 1), sample(3, 1, true), sample(10, 1), sample(11, 1)])
    assert.strictEqual(state.baselineMillis, 10)
  })

  it("latency under load never becomes the baseline, as it would if any call were taken for it", () => {
    const subject = algorithm({ max: 20 })
    const idle = run(subject, [sample(10, 1)])
    // A thousand loaded calls, three times the usual interval between two searches.
    const loaded = run(subject, Array.from({ length: 1_000 }, () => sample(40, 20)), idle)
    assert.strictEqual(loaded.baselineMillis, 10)
    assert.isBelow(loaded.limit, 20)
    // What a search with the call at hand would have made of it: loaded latency looks usual, and the limit grows.
    assert.strictEqual(vegas.step({ ...settings, max: 100 }, 20, 40, 40, 20, false), 26)
  })

  it("it is looked for anew when few calls are under way, and is then the shortest since the last search", () => {
    const subject = algorithm({ initial: 20, probeAfter: 1 })
    // Due after half of 1 · 20 calls, since the phase is 0.
    const nine = run(subject, [sample(10, 1), ...Array.from({ length: 8 }, (_, index) => sample(30 + index, 1))])
    assert.strictEqual(nine.baselineMillis, 10)
    const first = subject.onSample(nine, sample(31, 1), 0)
    assert.strictEqual(first.baselineMillis, 10)
    assert.deepInclude(first, { calls: 0, shortestMillis: 0 })
    // The next search is later, by the next phase; it has only seen what came since.
    const later = run(subject, Array.from({ length: 17 }, (_, index) => sample(30 + index, 1)), first)
    assert.strictEqual(later.baselineMillis, 30)
  })

  it("a dependency that is slower for good does not keep a low limit low for ever, though it is used up", () => {
    const subject = algorithm({ max: 40, probeAfter: 3 })
    let state = run(subject, [sample(10, 1)])
    const limits = Array.from({ length: 500 }, () => {
      state = subject.onSample(state, sample(200, Math.floor(state.limit)), 0)
      return state.limit
    })
    assert.strictEqual(Math.min(...limits), 6)
    assert.strictEqual(state.baselineMillis, 200)
    assert.strictEqual(state.limit, 40)
  })

  it.prop("keeps its bounds, and a drop never raises it", [samples, fc.double({ min: 0, max: 0.99, noNaN: true })], ([
    history,
    phase
  ]) => laws(algorithm({ max: 60, probeAfter: 2, phase }), history, 1, 60))
})

describe("gradient", () => {
  const settings = { min: 1, max: 200, room: 4, tolerance: 1.5, smoothing: 0.2 }
  const next = (limit: number, long: number, short: number) =>
    gradient.step(settings, limit, gradient.gradientOf(settings, long, short))
  /** With room added whatever the gradient, as it was published. */
  const published = (limit: number, long: number, short: number, min: number) =>
    Math.max(min, 0.8 * limit + 0.2 * (limit * Math.min(1, Math.max(0.5, 1.5 * long / short)) + 4))

  it("L40 long 10: short 10 → 40.8 as published; short 20 → 38.0, not 38.8; short 40 → 36.0, not 36.8", () => {
    assert.closeTo(next(40, 10, 10), 40.8, 1e-9)
    assert.closeTo(published(40, 10, 10, 20), 40.8, 1e-9)
    assert.closeTo(next(40, 10, 20), 38, 1e-9)
    assert.closeTo(published(40, 10, 20, 20), 38.8, 1e-9)
    assert.closeTo(next(40, 10, 40), 36, 1e-9)
    assert.closeTo(published(40, 10, 40, 20), 36.8, 1e-9)
  })

  it("L20 short 16: 19.75 with a minimum of 1; published, with a minimum of 20, it grows to 20.55", () => {
    assert.closeTo(next(20, 10, 16), 19.75, 1e-9)
    assert.closeTo(published(20, 10, 16, 20), 20.55, 1e-9)
  })

  it("under a steady gradient of .95 it falls to its minimum, where the published one settles at 80", () => {
    let fixed = 40
    let drifting = 40
    for (let i = 0; i < 2_000; i++) {
      fixed = gradient.step(settings, fixed, 0.95)
      drifting = 0.8 * drifting + 0.2 * (drifting * 0.95 + 4)
    }
    assert.strictEqual(fixed, 1)
    assert.closeTo(drifting, 80, 0.01)
  })

  const algorithm = gradient.gradient({ ...settings, initial: 40, longWindow: 600 })
  const warm = { limit: 40, longMillis: 10, calls: 10 }

  it("few calls under way move nothing: L40 with 10 → 40", () => {
    assert.strictEqual(algorithm.onSample(warm, sample(10, 10), 0).limit, 40)
    assert.strictEqual(algorithm.onSample(warm, sample(10, 19), 0).limit, 40)
    assert.isAbove(algorithm.onSample(warm, sample(10, 20), 0).limit, 40)
  })

  it("a dropped call counts as a gradient of .5, however few calls are under way, and not in the average", () => {
    assert.deepStrictEqual(algorithm.onSample(warm, sample(1, 1, true), 0), { ...warm, limit: 36 })
  })

  it("the average is plain over the first ten calls, then weighted; it comes down faster after a time of load", () => {
    let state = algorithm.initial
    for (let i = 1; i <= 10; i++) state = algorithm.onSample(state, sample(i, 1), 0)
    assert.deepInclude(state, { longMillis: 5.5, calls: 10 })
    state = algorithm.onSample(state, sample(11, 1), 0)
    assert.closeTo(state.longMillis, 5.5 + 2 / 601 * 5.5, 1e-12)
    const loaded = algorithm.onSample({ ...warm, longMillis: 100 }, sample(10, 1), 0)
    assert.closeTo(loaded.longMillis, (100 - 2 / 601 * 90) * 0.95, 1e-9)
  })

  it.prop("keeps its bounds, and a drop never raises it", [samples], ([history]) => laws(algorithm, history, 1, 200))
})

describe("AIMD", () => {
  const algorithm = aimd({ initial: 20, min: 20, max: 200, backoff: 0.9, timeoutMillis: 5_000 })

  it("one more while the limit is used, a tenth less when dropped or too slow, between 20 and 200", () => {
    const after = (limit: number, each: Sample) => algorithm.limit(algorithm.onSample({ limit }, each, 0))
    assert.strictEqual(after(100, sample(10, 50)), 101)
    assert.strictEqual(after(100, sample(10, 49)), 100)
    assert.strictEqual(after(100, sample(5_000, 50)), 101)
    assert.strictEqual(after(100, sample(5_001, 1)), 90)
    assert.strictEqual(after(100, sample(10, 1, true)), 90)
    assert.strictEqual(after(200, sample(10, 200)), 200)
    assert.strictEqual(after(21, sample(10, 1, true)), 20)
  })

  it.prop("is the naive fold over the history", [samples], ([history]) => {
    laws(algorithm, history, 20, 200)
    let limit = 20
    let state = algorithm.initial
    for (const each of history) {
      if (each.dropped || each.rttMillis > 5_000) limit = Math.max(20, limit * 0.9)
      else if (each.inflight >= limit / 2) limit = Math.min(200, limit + 1)
      state = algorithm.onSample(state, each, 0)
      assert.strictEqual(algorithm.limit(state), limit)
    }
  })
})

describe("the windowed limit", () => {
  const settings = {
    initial: 20,
    min: 1,
    max: 200,
    windowMinMillis: 1_000,
    windowMaxMillis: 30_000,
    windowMinCalls: 50,
    recentAge: 2,
    baselineAge: 10,
    headroom: 5
  }
  const algorithm = windowed(settings)

  it("turns away nothing up to twice the limit waiting, all from three times, a part between", () => {
    assert.deepStrictEqual([0, 20, 40, 45, 50, 60, 70].map((waiting) => rejectRamp(waiting, 20)), [
      0,
      0,
      0,
      0.25,
      0.5,
      1,
      1
    ])
  })

  it("goes down for a queue, or where a full limit brings no throughput but longer calls; up where nothing waits", () => {
    const signs: Signs = {
      waiting: 0,
      log: 1,
      full: false,
      dropped: false,
      throughputCorrelation: 1,
      latencyCorrelation: 0,
      throughputVariation: 1
    }
    const towards = (more: Partial<Signs>) => direction({ ...signs, ...more })
    assert.strictEqual(towards({}), 1)
    assert.strictEqual(towards({ waiting: 2 }), 1)
    assert.strictEqual(towards({ waiting: 3 }), 0)
    assert.strictEqual(towards({ waiting: 6 }), 0)
    assert.strictEqual(towards({ waiting: 7 }), -1)
    assert.strictEqual(towards({ waiting: 12, log: 2 }), 0)
    assert.strictEqual(towards({ waiting: 13, log: 2 }), -1)
    assert.strictEqual(towards({ dropped: true }), -1)
    assert.strictEqual(towards({ full: true }), 1)
    assert.strictEqual(towards({ full: true, throughputCorrelation: -0.1 }), -1)
    assert.strictEqual(towards({ full: false, throughputCorrelation: -0.1 }), 1)
    assert.strictEqual(towards({ full: true, throughputCorrelation: 0.2 }), 1)
    assert.strictEqual(towards({ full: true, throughputCorrelation: 0.2, latencyCorrelation: 0.6 }), -1)
    assert.strictEqual(towards({ full: false, throughputCorrelation: 0.2, latencyCorrelation: 0.6 }), 1)
    assert.strictEqual(towards({ full: true, throughputVariation: 0.1, latencyCorrelation: 0.6 }), -1)
    assert.strictEqual(towards({ full: true, throughputVariation: 0.1, latencyCorrelation: 0.5 }), 1)
  })

  it("moves once for each window: at least a second and fifty calls, at most thirty seconds", () => {
    let state = algorithm.initial
    let now = 0
    const call = (millis: number) => {
      now += millis
      state = algorithm.onSample(state, sample(10, 20), now)
      return algorithm.limit(state)
    }
    // Fifty calls, but no second yet
    assert.strictEqual(Math.max(...Array.from({ length: 60 }, () => call(10))), 20)
    for (let i = 0; i < 40; i++) assert.strictEqual(call(10), 20)
    // 1,000 ms after the first of them
    assert.strictEqual(call(10), 21)
    // A second, but not fifty calls
    for (let i = 0; i < 29; i++) assert.strictEqual(call(1_000), 21)
    assert.strictEqual(call(1_000), 21)
    assert.strictEqual(call(1_000), 22)
  })

  it("looks at the correlations only when the limit was used up", () => {
    // Ten windows in which more calls at a time went with less throughput.
    const history = Array.from(
      { length: 10 },
      (_, index) => ({ inflight: 10 + index, throughput: 20 - index, rtt: 10 })
    )
    const before: State = { ...algorithm.initial, percentiles: [10], recentMillis: 10, baselineMillis: 10, history }
    const after = (peak: number) => {
      let state = before
      for (let i = 0; i <= 50; i++) state = algorithm.onSample(state, sample(10, peak), i * 20)
      return algorithm.limit(state)
    }
    assert.strictEqual(after(19), 21)
    assert.strictEqual(after(20), 19)
  })

  /** A dependency that does `capacity` calls at a time: more only make each of them longer. */
  const settle = (capacity: number, windows: number, jitter: (call: number) => number) => {
    let state = algorithm.initial
    let now = 0
    const limits: Array<number> = []
    for (let i = 0; i < windows * 100; i++) {
      const inflight = Math.max(1, Math.floor(algorithm.limit(state) * (0.7 + 0.3 * jitter(i + 7))))
      now += 10 * Math.max(1, capacity / inflight) / 5
      state = algorithm.onSample(
        state,
        sample(10 * Math.max(1, inflight / capacity) * (1 + jitter(i) / 10), inflight),
        now
      )
      limits.push(algorithm.limit(state))
    }
    return limits
  }

  it("settles a little above what the dependency can take", () => {
    const random = (call: number) => {
      const x = Math.sin(call * 12.9898) * 43758.5453
      return x - Math.floor(x)
    }
    const tail = settle(30, 300, random).slice(-5_000)
    assert.isAbove(Math.min(...tail), 20)
    assert.isBelow(Math.max(...tail), 60)
  })

  it("does not grow beyond five times the calls that are under way", () => {
    let state = algorithm.initial
    for (let i = 0; i < 5_000; i++) state = algorithm.onSample(state, sample(10, 5), i * 100)
    assert.strictEqual(algorithm.limit(state), 25)
  })

  it.prop("keeps its bounds, and states are plain data", [samples], ([history]) => {
    laws(windowed({ ...settings, windowMinCalls: 3, windowMinMillis: 200 }), history, 1, 200)
  })
})

describe("what the windowed limit is worked out from", () => {
  it("the quantile of the twenty numbers of the paper is 4.44", () => {
    const numbers = [
      [0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92],
      [34.6, 10.28, 1.47, 0.4, 0.05, 11.39, 0.27, 0.42, 0.09, 11.37]
    ].flat()
    const markers = numbers.reduce((markers, value) => addNumber(0.5, markers, value), emptyMarkers)
    assert.closeTo(quantileOf(0.5, markers)!, 4.44, 0.005)
  })

  it.prop(
    "the quantile of any stream lies between its extremes, and close to the true one where there are many",
    [fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 300 })],
    ([values]) => {
      const markers = values.reduce((markers, value) => addNumber(0.9, markers, value), emptyMarkers)
      const quantile = quantileOf(0.9, markers)!
      assert.isAtLeast(quantile, Math.min(...values))
      assert.isAtMost(quantile, Math.max(...values))
    }
  )

  it("on 20,000 numbers spread evenly over 0 to 100 it is the true one", () => {
    let markers = emptyMarkers
    for (let i = 1; i <= 20_000; i++) markers = addNumber(0.9, markers, (i * 61.803398875) % 100)
    assert.closeTo(quantileOf(0.9, markers)!, 90, 0.5)
  })

  it("correlation is 1 along a line, -1 against it, 0 where one does not vary", () => {
    const line = [1, 2, 3, 4].map((x) => ({ x, y: 3 * x + 1 }))
    assert.closeTo(correlationOf(line), 1, 1e-12)
    assert.closeTo(correlationOf(line.map(({ x, y }) => ({ x, y: -y }))), -1, 1e-12)
    assert.strictEqual(correlationOf(line.map(({ x }) => ({ x, y: 5 }))), 0)
    assert.closeTo(correlationOf([{ x: 1, y: 2 }, { x: 2, y: 1 }, { x: 3, y: 4 }, { x: 4, y: 3 }]), 0.6, 1e-12)
    assert.closeTo(variationOf([2, 4, 4, 4, 5, 5, 7, 9]), 0.4, 1e-12)
  })
})
