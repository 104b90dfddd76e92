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

const jitter = fc.constantFrom<Backoff.Jitter>("none", "full", "equal")
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
  fc.tuple(duration, cap).map(([initial, cap]) => Backoff.decorrelated(initial, { cap }))
)

const capOf = ({ description }: Backoff.Backoff): number =>
  description._tag === "Constant" ? description.delayMillis : description.capMillis ?? Number.MAX_SAFE_INTEGER

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
      ["initial", () => Backoff.decorrelated("0 millis")]
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
