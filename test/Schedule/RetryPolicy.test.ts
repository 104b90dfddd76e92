import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, FastCheck as fc } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const backoff = Backoff.exponential("1 second", { cap: "10 seconds" })
const first = { failures: 1, elapsedMillis: 0, random: 0 }

const policies = fc.record({
  retries: fc.oneof(fc.nat(), fc.constant("unlimited" as const)),
  backoff: fc.constantFrom(
    Backoff.standard,
    Backoff.constant("1 minute", { jitter: "equal" }),
    Backoff.linear("2 seconds", { step: "1 second", cap: "1 hour" }),
    Backoff.decorrelated("5 millis"),
    Backoff.decorrelatedV2("5 millis", { cap: "1 minute" }),
    Backoff.fibonacci("1 second", { jitter: "grpc" }),
    Backoff.list(["1 second", "1 minute"], { after: "cycle", jitter: { proportional: 0.1, exceedCap: true } })
  ),
  nonRetryable: fc.array(fc.string()),
  maxElapsed: fc.option(fc.nat(), { nil: undefined })
}).map(RetryPolicy.make)

describe("RetryPolicy", () => {
  it("N retries are N + 1 attempts, with the curve from its first delay on (R10, R14)", () => {
    const policy = RetryPolicy.make({ retries: 3, backoff })
    const delays = [1, 2, 3, 4].map((failures) => RetryPolicy.next(policy, { ...first, failures }))
    assert.deepStrictEqual(delays, [
      { _tag: "Retry", delayMillis: 1_000 },
      { _tag: "Retry", delayMillis: 2_000 },
      { _tag: "Retry", delayMillis: 4_000 },
      { _tag: "Stop", reason: "RetriesExhausted" }
    ])
  })

  it("unlimited retries never end, and the delay stays at the cap (R10, R22, W-22)", () => {
    const policy = RetryPolicy.make({ retries: "unlimited", backoff })
    assert.deepStrictEqual(RetryPolicy.next(policy, { ...first, failures: 1_000_000 }), {
      _tag: "Retry",
      delayMillis: 10_000
    })
  })

  it("an error that is not worth a retry gets none, by its tag or by its own word (R27)", () => {
    const policy = RetryPolicy.make({ retries: 3, backoff, nonRetryable: ["CardDeclined"] })
    const stop = { _tag: "Stop", reason: "NonRetryable" } as const
    assert.deepStrictEqual(RetryPolicy.next(policy, { ...first, errorTag: "CardDeclined" }), stop)
    assert.deepStrictEqual(RetryPolicy.next(policy, { ...first, errorTag: "Other", nonRetryable: true }), stop)
    assert.strictEqual(RetryPolicy.next(policy, { ...first, errorTag: "Other" })._tag, "Retry")
  })

  it("a delay that the error asked for wins over the curve; zero, negative and NaN ask for nothing (R18, R27)", () => {
    const policy = RetryPolicy.make({ retries: 3, backoff })
    const wait = (retryAfterMillis: number) => RetryPolicy.next(policy, { ...first, retryAfterMillis })
    assert.deepStrictEqual(wait(7.6), { _tag: "Retry", delayMillis: 8 })
    for (const nothing of [0, -5, NaN]) {
      assert.deepStrictEqual(wait(nothing), { _tag: "Retry", delayMillis: 1_000 })
    }
    assert.deepStrictEqual(wait(Infinity), { _tag: "Retry", delayMillis: Number.MAX_SAFE_INTEGER })
  })

  it("no attempt starts later than maxElapsed (R25)", () => {
    const policy = RetryPolicy.make({ retries: 3, backoff, maxElapsed: "3 seconds" })
    const at = (elapsedMillis: number) => RetryPolicy.next(policy, { ...first, elapsedMillis })
    assert.strictEqual(at(2_000)._tag, "Retry")
    assert.deepStrictEqual(at(2_001), { _tag: "Stop", reason: "MaxElapsed" })
  })

  it("the decorrelated curve walks on from the delay before (R24)", () => {
    const policy = RetryPolicy.make({ retries: 9, backoff: Backoff.decorrelated("1 second", { cap: "30 seconds" }) })
    assert.deepStrictEqual(
      RetryPolicy.next(policy, { failures: 2, elapsedMillis: 0, random: 0.5, previousDelayMillis: 2_000 }),
      { _tag: "Retry", delayMillis: 3_500 }
    )
  })

  it("so does the second one, from the random number before (R24)", () => {
    const policy = RetryPolicy.make({ retries: 9, backoff: Backoff.decorrelatedV2("1 second") })
    const next = (previousRandom: number) =>
      RetryPolicy.next(policy, { failures: 2, elapsedMillis: 0, random: 0.1, previousRandom })
    assert.deepStrictEqual(next(0.9), { _tag: "Retry", delayMillis: 211 })
    assert.deepStrictEqual(next(0), { _tag: "Retry", delayMillis: 1_486 })
  })

  it("none never retries", () => {
    assert.deepStrictEqual(RetryPolicy.next(RetryPolicy.none, first), { _tag: "Stop", reason: "RetriesExhausted" })
  })

  it.prop("JSON keeps a policy as it is", [policies], ([policy]) => {
    const again = Either.getOrThrow(RetryPolicy.decode(JSON.parse(JSON.stringify(policy))))
    assert.isTrue(RetryPolicy.isRetryPolicy(again))
    assert.deepStrictEqual(RetryPolicy.encode(again), RetryPolicy.encode(policy))
  })

  it.effect("what is no policy is refused with the place that is wrong", () =>
    Effect.gen(function*() {
      const good = RetryPolicy.encode(RetryPolicy.make({ retries: 1, backoff, maxElapsed: Duration.minutes(1) }))
      const wrong: ReadonlyArray<readonly [path: string, value: unknown]> = [
        ["", null],
        ["", []],
        ["retries", { ...good, retries: -1 }],
        ["retries", { ...good, retries: "forever" }],
        ["backoff", { ...good, backoff: "exponential" }],
        ["backoff._tag", { ...good, backoff: { ...good.backoff, _tag: "Cubic" } }],
        ["backoff.factor", { ...good, backoff: { ...good.backoff, factor: 0 } }],
        ["backoff.jitter", { ...good, backoff: { ...good.backoff, jitter: "some" } }],
        ["backoff.initialMillis", { ...good, backoff: { ...good.backoff, initialMillis: 0 } }],
        ["backoff._tag", { ...good, backoff: { _tag: "Custom", label: "f", capMillis: null, jitter: "none" } }],
        ["backoff.jitter", { ...good, backoff: { ...good.backoff, jitter: { proportional: 2 } } }],
        ["backoff.delaysMillis", {
          ...good,
          backoff: { _tag: "List", delaysMillis: [], after: "last", jitter: "none" }
        }],
        ["backoff.capMillis", { ...good, backoff: { ...good.backoff, capMillis: -1 } }],
        ["nonRetryable", { ...good, nonRetryable: [1] }],
        ["maxElapsedMillis", { ...good, maxElapsedMillis: "1 minute" }]
      ]
      for (const [path, value] of wrong) {
        const error = yield* Effect.flip(RetryPolicy.decode(value))
        assert.strictEqual(error._tag, "UndecodableRetryPolicy")
        assert.strictEqual(error.path, path)
        assert.include(error.message, "a stored retry policy cannot be read")
      }
    }))

  it("impossible options are refused at once (R10, R11)", () => {
    assert.throws(() => RetryPolicy.make({ retries: -1, backoff }), InvalidOptions)
    assert.throws(() => RetryPolicy.make({ retries: NaN, backoff }), InvalidOptions)
    assert.throws(() => RetryPolicy.make({ retries: 1, backoff, maxElapsed: -1 }), InvalidOptions)
    // A function cannot be stored.
    assert.throws(() => RetryPolicy.make({ retries: 1, backoff: Backoff.custom(() => 5) }), InvalidOptions)
    // @ts-expect-error a policy needs a backoff
    assert.throws(() => RetryPolicy.make({ retries: 1 }), InvalidOptions)
  })
})
