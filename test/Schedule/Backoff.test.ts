import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Duration, Effect, FastCheck as fc, Fiber, Random, Schedule, TestClock } from "effect"
import { Backoff } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const millis = (backoff: Backoff.Backoff, count: number, random = 0): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, retry) => Duration.toMillis(Backoff.delay(backoff, { retry, random })))

/** A walk in which every delay is the next one's previous. */
const walk = (backoff: Backoff.Backoff, count: number, random: number): ReadonlyArray<number> => {
  const delays: Array<number> = []
  for (let retry = 0; retry < count; retry++) {
    const previous = delays.at(-1)
    delays.push(Duration.toMillis(Backoff.delay(backoff, { retry, random, previous })))
  }
  return delays
}

const jitter = fc.constantFrom<Backoff.Jitter>("none", "full", "equal", "grpc", { proportional: 0.7 })
const duration = fc.double({ min: 0.001, max: 1e12, noNaN: true })
const cap = fc.option(duration, { nil: undefined })

const curves: fc.Arbitrary<Backoff.Backoff> = fc.oneof(
  fc.tuple(duration, jitter).map(([delay, jitter]) => Backoff.constant(delay, { jitter })),
  fc.tuple(duration, duration, cap, jitter).map(([initial, step, cap, jitter]) =>
    Backoff.linear(initial, { step, cap, jitter })
  ),
  fc.tuple(duration, fc.double({ min: 1, max: 1e6, noNaN: true }), cap, jitter).map(([initial, factor, cap, jitter]) =>
    Backoff.exponential(initial, { factor, cap, jitter })
  ),
  fc.tuple(duration, cap).map(([initial, cap]) => Backoff.decorrelated(initial, { cap })),
  fc.tuple(duration, cap).map(([initial, cap]) => Backoff.decorrelatedV2(initial, { cap })),
  fc.tuple(duration, cap, jitter).map(([initial, cap, jitter]) => Backoff.fibonacci(initial, { cap, jitter })),
  fc.tuple(fc.array(duration, { minLength: 1, maxLength: 5 }), fc.constantFrom("last" as const, "cycle" as const))
    .map(([delays, after]) => Backoff.list(delays, { after, jitter: "equal" }))
)

/** The longest delay that a curve may give out. */
const capOf = ({ description }: Backoff.Backoff): number => {
  switch (description._tag) {
    case "Constant":
      return description.delayMillis * (typeof description.jitter === "object" || description.jitter === "grpc" ? 2 : 1)
    case "List":
      return Math.max(...description.delaysMillis)
    default:
      return description.capMillis ?? Number.MAX_SAFE_INTEGER
  }
}

describe("Backoff", () => {
  it("the standard curve is 1, 2, 4, 8, 16, 30, 30 seconds (R23)", () => {
    assert.deepStrictEqual(millis(Backoff.standard, 7), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  })

  it("linear grows by its step, and by its first delay when no step is given", () => {
    assert.deepStrictEqual(millis(Backoff.linear("1 second", { cap: "3500 millis" }), 5), [
      1_000,
      2_000,
      3_000,
      3_500,
      3_500
    ])
    assert.deepStrictEqual(millis(Backoff.linear("1 second", { step: "10 millis" }), 3), [1_000, 1_010, 1_020])
  })

  it("full jitter spreads over the whole delay, equal jitter over its upper half (R24)", () => {
    const options = { cap: "3 seconds" } as const
    assert.deepStrictEqual(millis(Backoff.exponential("1 second", { ...options, jitter: "full" }), 3, 0.25), [
      250,
      500,
      750
    ])
    assert.deepStrictEqual(millis(Backoff.exponential("1 second", { ...options, jitter: "equal" }), 3, 0.25), [
      625,
      1_250,
      1_875
    ])
  })

  it("decorrelated draws between the first delay and three times the one before (R24)", () => {
    const curve = Backoff.decorrelated("1 second", { cap: "30 seconds" })
    assert.deepStrictEqual(walk(curve, 7, 0.5), [2_000, 3_500, 5_750, 9_125, 14_187.5, 21_781.25, 30_000])
    assert.deepStrictEqual(walk(curve, 3, 0), [1_000, 1_000, 1_000])
    assert.deepStrictEqual(walk(curve, 4, 1), [3_000, 9_000, 27_000, 30_000])
  })

  it("the second decorrelated curve takes the differences of a smooth one (R24)", () => {
    const curve = Backoff.decorrelatedV2(1_000)
    const seconds = (randoms: ReadonlyArray<number>) =>
      randoms.map((random, retry) => {
        const previousRandom = randoms[retry - 1]
        return Duration.toSeconds(Backoff.delay(curve, { retry, random, previousRandom }))
      })
    const near = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
      assert.lengthOf(actual, expected.length)
      // The expected values are rounded to the third digit, or to the second of 1.46 and 11.43.
      actual.forEach((value, index) => assert.closeTo(value, expected[index]!, 0.0051))
    }
    near(seconds([0, 0, 0, 0, 0, 0]), [0, 1.377, 1.46, 2.866, 5.718, 11.43])
    near(seconds([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]), [0.897, 1.093, 2.036, 4.046, 8.084, 16.164])
    near(seconds([0.9, 0.1, 0.9, 0.1, 0.9, 0.1]), [1.274, 0.211, 3.834, 0.794, 15.207, 3.171])
    // Without the random number before, its mean stands in.
    assert.closeTo(Duration.toSeconds(Backoff.delay(curve, { retry: 1, random: 0.5 })), 1.093, 0.001)
    assert.strictEqual(
      Duration.toMillis(Backoff.delay(curve, { retry: 5_000, random: 0.5 })),
      Number.MAX_SAFE_INTEGER
    )
    assert.deepStrictEqual(millis(Backoff.decorrelatedV2(1_000, { cap: 3_000 }), 9, 0.5).slice(3), [
      3_000,
      3_000,
      3_000,
      3_000,
      3_000,
      3_000
    ])
  })

  it.effect("as a schedule the decorrelated curves remember what they drew (R24)", () =>
    Effect.gen(function*() {
      for (const backoff of [Backoff.decorrelated(1_000), Backoff.decorrelatedV2(1_000)]) {
        const randoms: Array<number> = []
        const delays: Array<number> = []
        let state: unknown = backoff.initial
        for (let retry = 0; retry < 5; retry++) {
          const random = yield* Effect.withRandom(Random.next, Random.make(`seed ${retry}`))
          const [next, delay] = yield* Effect.withRandom(
            backoff.step(0, undefined, state),
            Random.make(`seed ${retry}`)
          )
          const previous = delays.at(-1)
          const expected = Backoff.delay(backoff, { retry, random, previous, previousRandom: randoms.at(-1) })
          assert.closeTo(Duration.toMillis(delay), Duration.toMillis(expected), 1e-5)
          randoms.push(random)
          delays.push(Duration.toMillis(delay))
          state = next
        }
      }
    }))

  it("fibonacci grows as its numbers (R22)", () => {
    const curve = Backoff.fibonacci("1 second", { cap: "10 seconds" })
    assert.deepStrictEqual(millis(curve, 8), [1_000, 1_000, 2_000, 3_000, 5_000, 8_000, 10_000, 10_000])
    let [one, two] = [1, 1]
    for (const delay of millis(Backoff.fibonacci(1), 70)) {
      assert.strictEqual(delay, one)
      ;[one, two] = [two, one + two]
    }
    assert.strictEqual(millis(Backoff.fibonacci(1), 2_000)[1_999], Number.MAX_SAFE_INTEGER)
  })

  it("a list is read to its end, and then its last delay repeated, or begun again (R14)", () => {
    const delays = ["1 second", "5 seconds", "2 seconds"] as const
    assert.deepStrictEqual(millis(Backoff.list(delays), 5), [1_000, 5_000, 2_000, 2_000, 2_000])
    assert.deepStrictEqual(millis(Backoff.list(delays, { after: "cycle" }), 5), [1_000, 5_000, 2_000, 1_000, 5_000])
  })

  it("a custom curve is a function, capped and spread like any other (R24)", () => {
    const squares = (retry: number) => retry ** 2
    const curve = Backoff.custom(squares, { cap: 10, jitter: "full" })
    assert.deepStrictEqual(millis(curve, 5, 0.5), [0, 0.5, 2, 4.5, 5])
    assert.deepStrictEqual(curve.description, { _tag: "Custom", label: "squares", capMillis: 10, jitter: "full" })
    for (const nothing of [-5, NaN, "soon" as "5 millis"]) {
      assert.deepStrictEqual(millis(Backoff.custom(() => nothing), 2), [0, 0])
    }
    assert.strictEqual(millis(Backoff.custom(() => Infinity), 1)[0], Number.MAX_SAFE_INTEGER)
    assert.throws(() => Backoff.fromDescription(curve.description), InvalidOptions)
  })

  it("proportional jitter lies to both sides of the delay, and at the cap below it unless it may exceed (R24)", () => {
    const at = (jitter: Backoff.Jitter, random: number) =>
      millis(Backoff.exponential(1_000, { cap: 2_000, jitter }), 3, random)
    assert.deepStrictEqual(at({ proportional: 0.5 }, 0), [500, 1_000, 1_000])
    assert.deepStrictEqual(at({ proportional: 0.5 }, 0.75), [1_250, 2_000, 2_000])
    assert.deepStrictEqual(at({ proportional: 0.5, exceedCap: true }, 0.75), [1_250, 2_500, 2_500])
    assert.deepStrictEqual(at("grpc", 0), [800, 1_600, 1_600])
    assert.deepStrictEqual(at("grpc", 0.75), [1_100, 2_000, 2_000])
    assert.deepStrictEqual(at({ proportional: 0.2, exceedCap: true }, 1), [1_200, 2_400, 2_400])
  })

  it("a cap that is zero, infinite or absent is no cap (R22)", () => {
    for (const cap of [undefined, 0, Infinity, "0 millis"] as const) {
      assert.strictEqual(millis(Backoff.exponential("1 second", { cap }), 21)[20], 1_000 * 2 ** 20)
    }
  })

  it.prop(
    "no delay is negative, not a number, or above the cap, for any retry up to 10^6 (R22, R24)",
    [curves, fc.integer({ min: 0, max: 1_000_000 }), fc.double({ min: 0, max: 1, noNaN: true }), duration],
    ([curve, retry, random, previous]) => {
      const delay = Duration.toMillis(Backoff.delay(curve, { retry, random, previous }))
      assert.isAtLeast(delay, 0)
      // Durations keep whole nanoseconds.
      assert.isAtMost(delay, capOf(curve) + 1e-6)
    }
  )

  it("what overflows becomes the longest delay (R22)", () => {
    assert.strictEqual(millis(Backoff.exponential("1 second", { factor: 10 }), 400)[399], Number.MAX_SAFE_INTEGER)
    const delay = Backoff.delay(Backoff.exponential(1), { retry: 1_000_000, random: 0 })
    assert.strictEqual(Duration.toMillis(delay), Number.MAX_SAFE_INTEGER)
  })

  it.effect("is a schedule for Effect.retry: the waits are exactly the delays (R23)", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const fiber = yield* Effect.fork(
        Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => times.push(now)), Effect.fail("busy")).pipe(
          Effect.retry(Schedule.intersect(Backoff.standard, Schedule.recurs(6))),
          Effect.exit
        )
      )
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 1_000, 3_000, 7_000, 15_000, 31_000, 61_000])
    }))

  it.effect("is a schedule for Effect.repeat and gives out its delays", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Effect.repeat(Effect.void, Schedule.intersect(Backoff.linear("1 second"), Schedule.recurs(2)))
      )
      yield* TestClock.adjust("1 minute")
      const [last] = yield* Fiber.join(fiber)
      assert.strictEqual(Duration.toMillis(last), 3_000)
    }))

  it.effect("with a fixed seed the delays are the same again; without jitter no random number is drawn (R24)", () =>
    Effect.gen(function*() {
      const run = (backoff: Backoff.Backoff) =>
        Effect.gen(function*() {
          const drawn: Array<number> = []
          let state: unknown = backoff.initial
          for (let i = 0; i < 5; i++) {
            const [next, delay] = yield* backoff.step(0, undefined, state)
            state = next
            drawn.push(Duration.toMillis(delay))
          }
          return { drawn, after: yield* Random.next }
        }).pipe(Effect.withRandom(Random.make("seed")))
      for (const backoff of [Backoff.exponential(100, { jitter: "full" }), Backoff.decorrelated(100)]) {
        const first = yield* run(backoff)
        assert.deepStrictEqual(first, yield* run(backoff))
        assert.strictEqual(new Set(first.drawn).size, 5)
      }
      const untouched = yield* Effect.withRandom(Random.next, Random.make("seed"))
      assert.strictEqual((yield* run(Backoff.standard)).after, untouched)
    }))

  it.prop("a description is JSON and makes the same curve again", [curves], ([curve]) => {
    const again = Backoff.fromDescription(JSON.parse(JSON.stringify(curve.description)))
    assert.deepStrictEqual(again.description, curve.description)
  })

  it("impossible options are refused at once (R10, R11)", () => {
    const refused: ReadonlyArray<readonly [option: string, () => unknown]> = [
      ["delay", () => Backoff.constant(-1)],
      ["delay", () => Backoff.constant(Infinity)],
      ["initial", () => Backoff.exponential(0)],
      ["initial", () => Backoff.exponential(NaN)],
      ["factor", () => Backoff.exponential(1, { factor: 0.5 })],
      ["factor", () => Backoff.exponential(1, { factor: NaN })],
      ["cap", () => Backoff.linear(1, { cap: -5 })],
      ["step", () => Backoff.linear(1, { step: -5 })],
      ["initial", () => Backoff.decorrelated("0 millis")],
      ["initial", () => Backoff.decorrelatedV2(0)],
      ["initial", () => Backoff.fibonacci(0)],
      ["delays", () => Backoff.list([])],
      ["delays.1", () => Backoff.list([1, -1])],
      // @ts-expect-error there is no such end
      ["after", () => Backoff.list([1], { after: "stop" })],
      ["jitter", () => Backoff.constant(1, { jitter: { proportional: 1.5 } })],
      // @ts-expect-error there is no such jitter
      ["jitter", () => Backoff.constant(1, { jitter: "some" })]
    ]
    for (const [option, build] of refused) {
      try {
        build()
        assert.fail(`nothing was thrown for ${option}`)
      } catch (error) {
        assert.instanceOf(error, InvalidOptions)
        assert.strictEqual(error.option, option)
      }
    }
  })

  it("prints itself", () => {
    assert.strictEqual(
      String(Backoff.constant(5)),
      "{\"_id\":\"Backoff\",\"_tag\":\"Constant\",\"delayMillis\":5,\"jitter\":\"none\"}"
    )
  })

  it("its types are those of a schedule of durations", () => {
    expectTypeOf<Backoff.Backoff>().toExtend<Schedule.Schedule<Duration.Duration>>()
  })
})
