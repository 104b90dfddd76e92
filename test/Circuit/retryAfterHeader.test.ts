import { assert, describe, it } from "@effect/vitest"
import { Duration, Option } from "effect"
import { RateLimiter } from "holdfast/Circuit"

const noon = Date.UTC(2030, 0, 1, 12, 0, 0)

/** Seconds; `undefined` when it asks for nothing. */
const asked = (answer: unknown) =>
  Option.getOrUndefined(Option.map(RateLimiter.retryAfterOf(answer, noon), Duration.toSeconds))

const told = (header: unknown, status = 429) => asked({ status, headers: { "retry-after": header } })

describe("RateLimiter.retryAfterOf", () => {
  it("reads seconds and every form of date, and takes what it is told (R113)", () => {
    assert.strictEqual(told("1"), 1)
    assert.strictEqual(told(" 120 "), 120)
    assert.strictEqual(told(90), 90)
    assert.strictEqual(told("100000"), 100_000)
    assert.strictEqual(told("Tue, 01 Jan 2030 12:01:00 GMT"), 60)
    assert.strictEqual(told("Tuesday, 01-Jan-30 12:01:00 GMT"), 60)
    assert.strictEqual(told("Tue Jan  1 12:01:00 2030 GMT"), 60)
  })

  it("a date counts from the Date of the answer, where there is one, else from the clock (R113)", () => {
    const at = (date: unknown) =>
      asked({ status: 429, headers: { "retry-after": "Tue, 01 Jan 2030 12:01:00 GMT", date } })
    assert.strictEqual(at("Tue, 01 Jan 2030 12:00:30 GMT"), 30)
    for (const none of [undefined, "soon", "2030-01-01", 7]) assert.strictEqual(at(none), 60)
  })

  it("what is asked for is rounded up to whole milliseconds (R113)", () => {
    const wait = (header: unknown, now: number) =>
      Option.map(RateLimiter.retryAfterOf({ status: 429, headers: { "retry-after": header } }, now), Duration.toMillis)
    assert.deepStrictEqual(wait("Tue, 01 Jan 2030 12:01:00 GMT", noon + 0.25), Option.some(60_000))
    assert.deepStrictEqual(wait(0.0001, noon), Option.some(1))
  })

  it("a 429 that does not say when asks for a minute; a 503 then asks for nothing (R113)", () => {
    for (const unreadable of [undefined, "", "soon", "-5", "1.5", "2030-01-01", NaN, {}, null]) {
      assert.strictEqual(told(unreadable), 60)
      assert.strictEqual(told(unreadable, 503), undefined)
    }
    assert.strictEqual(asked({ status: 429 }), 60)
    assert.strictEqual(asked({ status: 503 }), undefined)
  })

  it("what lies in the past asks for nothing (R113)", () => {
    assert.strictEqual(told("0"), undefined)
    assert.strictEqual(told("Tue, 01 Jan 2030 12:00:00 GMT"), undefined)
    assert.strictEqual(told("Mon, 31 Dec 2029 12:00:00 GMT", 503), undefined)
  })

  it("knows responses, and errors that hold one, in all their forms (R113)", () => {
    const headers = new Headers({ "Retry-After": "7" })
    assert.strictEqual(asked({ status: 503, headers }), 7)
    assert.strictEqual(asked({ status: 503, headers: { "Retry-After": "7" } }), 7)
    assert.strictEqual(asked({ response: { status: 503, headers } }), 7)
    assert.strictEqual(asked(Object.assign(new Error("busy"), { status: 429, headers })), 7)
    assert.strictEqual(asked({ _tag: "ResponseError", response: { status: 429, headers: { "retry-after": "7" } } }), 7)
  })

  it("other answers ask for nothing, whatever they carry (R113)", () => {
    for (const status of [200, 301, 404, 500, 502, "429", undefined]) {
      assert.strictEqual(asked({ status, headers: { "retry-after": "7" } }), undefined)
    }
    for (const other of [undefined, null, 429, "429", [], () => 429, { response: null }, { headers: {} }]) {
      assert.strictEqual(asked(other), undefined)
    }
  })
})
