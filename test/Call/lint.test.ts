import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Policy, Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import type { Description } from "../../src/Combinator.js"

const spread = Backoff.exponential("1 second", { cap: "10 seconds", jitter: "full" })
const retryAny = (retries: number | "unlimited") => Retry.rules([Retry.onAny({ retries, backoff: spread })])
const breaker = (key: string) => Effect.runSync(CircuitBreaker.make({ key }))

/** A policy of a kind, as a stored description would have it. */
const described = (policy: string, settings: Description["settings"] = {}, key = "k"): Description => ({
  policy,
  key,
  settings
})

const found = (policy: Policy.Any | ReadonlyArray<Description>, assumptions: Policy.Assumptions = { callers: 1 }) =>
  Policy.lint(policy, assumptions).map(({ rule }) => rule)

const only = (id: string, policy: Policy.Any | ReadonlyArray<Description>, assumptions?: Policy.Assumptions) => {
  const findings = Policy.lint(policy, assumptions ?? { callers: 1 }).filter(({ rule }) => rule === id)
  assert.lengthOf(findings, 1)
  return findings[0]!
}

describe("Policy.lint", () => {
  it("a usual stack has no findings", () => {
    const policy = Policy.compose(
      Timeout.after("2 minutes"),
      Retry.rules([Retry.on("Busy", { retries: 3, backoff: spread })]),
      CircuitBreaker.protect(breaker("b")),
      Timeout.after("2 seconds")
    )
    assert.deepStrictEqual(Policy.lint(policy), [])
  })

  it("rules that can never decide, duplicates among them (L1, R147)", () => {
    const finding = only(
      "L1",
      Retry.rules([Retry.onAny({ retries: 1, backoff: spread }), Retry.on("Busy", { retries: 1, backoff: spread })])
    )
    assert.strictEqual(finding.severity, "error")
    assert.include(finding.message, "\"Busy\"")
    const busy = Retry.on("Busy", { retries: 1, backoff: spread })
    only("L1", Retry.rules([busy, Retry.on("Busy", { retries: 2, backoff: spread })]))
    assert.notInclude(found(Retry.rules([busy, Retry.onAny({ retries: 1, backoff: spread })])), "L1")
  })

  it("a retry of what an open breaker rejects (L2)", () => {
    const circuit = CircuitBreaker.protect(breaker("payments"))
    assert.include(only("L2", Policy.compose(retryAny(3), circuit)).message, "\"payments\"")
    const byTag = Retry.rules([Retry.on("CircuitOpen", { retries: 1, backoff: spread })])
    only("L2", Policy.compose(byTag, circuit))
    const excluded = Retry.rules([Retry.onAny({ retries: 3, backoff: spread })], { never: ["CircuitOpen"] })
    assert.notInclude(found(Policy.compose(excluded, circuit)), "L2")
    assert.notInclude(found(Policy.compose(circuit, retryAny(3))), "L2")
  })

  it("a retry inside of a hedge, with the most calls that may come of it (L3)", () => {
    const retry = Policy.describe(retryAny(3))
    assert.include(only("L3", [described("Hedge", { hedges: 2 }), ...retry]).message, "up to 12 times")
    assert.include(
      only("L3", [described("Hedge", { hedges: 1 }), ...Policy.describe(retryAny("unlimited"))]).message,
      "without limit"
    )
    assert.notInclude(found([...retry, described("Hedge", { hedges: 2 })]), "L3")
  })

  it("an attempt that has no less time than the whole (L4)", () => {
    const limits = (outer: string, inner: string) =>
      Policy.compose(Timeout.after(outer as "1 second"), retryAny(1), Timeout.after(inner as "1 second"))
    const finding = only("L4", limits("5 seconds", "5 seconds"))
    assert.deepStrictEqual(finding.at, [0, 2])
    assert.strictEqual(finding.severity, "error")
    assert.notInclude(found(limits("5 seconds", "4999 millis")), "L4")
    only("L4", [described("Deadline", { withinMillis: 1_000 }), ...Policy.describe(Timeout.after("2 seconds"))])
  })

  it("backoffs that add up to more than the whole has (L5, R147)", () => {
    // 1 + 2 + 4 seconds at the longest
    const policy = (total: number) => Policy.compose(Timeout.after(total), retryAny(3))
    assert.include(only("L5", policy(6_999)).message, "add up to 7 s")
    assert.notInclude(found(policy(7_000)), "L5")
    only("L5", Policy.compose(Timeout.after("1 day"), retryAny("unlimited")))
    const bounded = Retry.rules([Retry.onAny({ retries: "unlimited", backoff: spread })], { maxElapsed: "1 minute" })
    assert.notInclude(found(Policy.compose(Timeout.after("1 minute"), bounded)), "L5")
    const walk = Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.decorrelated("1 second") })])
    // 3 + 9 + 27 seconds at the longest
    assert.include(only("L5", Policy.compose(Timeout.after(38_999), walk)).message, "add up to 39 s")
    const many = Retry.rules([Retry.onAny({ retries: 5_000, backoff: Backoff.constant("1 second") })])
    assert.include(only("L5", Policy.compose(Timeout.after("1 hour"), many)).message, "add up to 5000 s")
  })

  it("a fallback that hides failures from a retry (L6)", () => {
    const retry = Policy.describe(retryAny(1))
    only("L6", [...retry, described("Fallback")])
    assert.notInclude(found([described("Fallback"), ...retry]), "L6")
  })

  it("a cache whose hits a breaker counts (L7)", () => {
    only("L7", [described("CircuitBreaker"), described("Cache")])
    assert.notInclude(found([described("Cache"), described("CircuitBreaker")]), "L7")
  })

  it("a bulkhead that holds a place during backoffs (L8)", () => {
    only("L8", [described("Bulkhead", { queue: 0 }), ...Policy.describe(retryAny(1))])
    assert.notInclude(found([...Policy.describe(retryAny(1)), described("Bulkhead", { queue: 0 })]), "L8")
  })

  it("two retries, one in the other (L9)", () => {
    assert.include(only("L9", Policy.compose(retryAny(2), retryAny(3))).message, "up to 12 times")
    assert.notInclude(found(retryAny(2)), "L9")
  })

  it("a limiter that does not count retries (L10)", () => {
    only("L10", [described("RateLimiter", { maxWaitMillis: 0 }), ...Policy.describe(retryAny(1))])
    assert.notInclude(found([...Policy.describe(retryAny(1)), described("RateLimiter", { maxWaitMillis: 0 })]), "L10")
  })

  it("many callers that come back together (L11)", () => {
    const steady = Retry.rules([Retry.on("Busy", { retries: 1, backoff: Backoff.constant("1 second") })])
    assert.include(only("L11", steady, {}).message, "\"Busy\"")
    only("L11", steady, { callers: 2 })
    assert.notInclude(found(steady, { callers: 1 }), "L11")
    assert.notInclude(found(retryAny(1), {}), "L11")
  })

  it("a hedge of what may not be done twice (L12)", () => {
    assert.strictEqual(only("L12", [described("Hedge", { hedges: 1 })], { idempotent: false }).severity, "error")
    assert.notInclude(found([described("Hedge", { hedges: 1 })], { idempotent: true }), "L12")
    assert.notInclude(found([described("Hedge", { hedges: 1 })], {}), "L12")
  })

  it("a breaker of several targets (L13)", () => {
    const shared = CircuitBreaker.protect(breaker("b"))
    const call = (policy: Policy.Any, target: string) => ({ policy, target, callers: 1 })
    const findings = Policy.lintAll({ a: call(shared, "one"), b: call(shared, "one"), c: call(shared, "two") })
    assert.deepStrictEqual(findings.map(({ at, call, rule }) => [rule, call, at]), [["L13", "c", [0]]])
    assert.deepStrictEqual(
      Policy.lintAll({
        a: call(shared, "one"),
        b: call(CircuitBreaker.protect(breaker("other")), "two"),
        c: { policy: shared }
      }),
      []
    )
  })

  it("more calls than a window holds (L14)", () => {
    only("L14", [described("CircuitBreaker", { minimumCalls: 11, windowSize: 10 })])
    assert.notInclude(found([described("CircuitBreaker", { minimumCalls: 10, windowSize: 10 })]), "L14")
    assert.notInclude(found([described("CircuitBreaker", { minimumCalls: 10, windowSize: null })]), "L14")
  })

  it("a breaker that can never close (L15)", () => {
    const settings = { halfOpenSuccesses: 4, halfOpenSample: 3 }
    assert.strictEqual(only("L15", [described("CircuitBreaker", settings)]).severity, "error")
    assert.notInclude(found([described("CircuitBreaker", { ...settings, halfOpenSample: 4 })]), "L15")
  })

  it("hints that ask for more time than there is (L16)", () => {
    const hinted = (hintCap?: "1 second" | "1 minute") =>
      Retry.rules([
        Retry.onAny({ retries: 1, backoff: Backoff.constant(0, { jitter: "full" }), hint: () => 1, hintCap })
      ])
    const policy = (hintCap?: "1 second" | "1 minute") => Policy.compose(Timeout.after("10 seconds"), hinted(hintCap))
    only("L16", policy())
    only("L16", policy("1 minute"))
    assert.notInclude(found(policy("1 second")), "L16")
    assert.notInclude(found(Policy.compose(Timeout.after("10 seconds"), retryAny(1))), "L16")
  })

  it("a limit that counts the time in a line (L17)", () => {
    const limit = Policy.describe(Timeout.after("1 second"))
    only("L17", [...limit, described("RateLimiter", { maxWaitMillis: null })])
    only("L17", [...limit, described("Bulkhead", { queue: 10 })])
    assert.notInclude(found([...limit, described("RateLimiter", { maxWaitMillis: 0 })]), "L17")
    assert.notInclude(found([...limit, described("Bulkhead", { queue: 0 })]), "L17")
    assert.notInclude(found([described("Bulkhead", { queue: 10 }), ...limit]), "L17")
    assert.notInclude(found([...limit, described("Bulkhead", { queue: 10 }), ...limit]), "L17")
  })

  it("unlimited retries without a budget (L18)", () => {
    only("L18", retryAny("unlimited"))
    assert.notInclude(found(retryAny(5)), "L18")
  })

  it("a breaker that never sees calls time out (L19)", () => {
    const circuit = CircuitBreaker.protect(breaker("b"))
    const [short, long] = [Timeout.after("1 second"), Timeout.after("5 seconds")]
    assert.deepStrictEqual(only("L19", Policy.compose(short, circuit)).at, [0, 1])
    assert.notInclude(found(Policy.compose(long, circuit, short)), "L19")
    assert.include(found(Policy.compose(short, circuit, long)), "L19")
    assert.notInclude(found(Policy.compose(circuit, short)), "L19")
  })

  it("two instances of one name, in a policy and in a program (L20)", () => {
    const [one, other] = [CircuitBreaker.protect(breaker("b")), CircuitBreaker.protect(breaker("b"))]
    only("L20", Policy.compose(one, other))
    assert.notInclude(found(Policy.compose(one, one)), "L20")
    const findings = Policy.lintAll({ a: { policy: one }, b: { policy: other }, c: { policy: one } })
    assert.deepStrictEqual(findings.map(({ call, rule }) => [rule, call]), [["L20", "b"]])
  })

  it("what is described by JSON of another version is read as far as it goes", () => {
    const odd = [
      described("Retry", { rules: "none" }),
      described("Retry"),
      described("CircuitBreaker"),
      described("New")
    ]
    assert.deepStrictEqual(found(odd).filter((rule) => rule !== "L9" && rule !== "L20"), [])
  })
})
