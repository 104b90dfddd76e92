import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Data, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { Policy } from "holdfast/Call"
import { Grpc, Http, Sql } from "holdfast/Preset"
import { Backoff, Retry } from "holdfast/Schedule"
import { Dependency } from "holdfast/Testing"
import type { Combinator } from "../../src/Combinator.js"

class ClientError extends Data.TaggedError("ClientError")<{
  readonly status?: number
  readonly code?: string | number
  readonly cause?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly request?: { readonly method: string }
}> {}

/** How often a call that always fails like this is made. */
const callsUnder = (retry: Combinator, error: ClientError) =>
  Effect.gen(function*() {
    const dependency = yield* Dependency.script([Dependency.fail(error)], { afterwards: "last" })
    const fiber = yield* Effect.fork(Effect.exit(retry(dependency.call)))
    yield* TestClock.adjust("10 minutes")
    assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail(error))
    return (yield* dependency.calls).length
  })

const assertCalls = (retry: Combinator, calls: number, errors: ReadonlyArray<ClientError>) =>
  Effect.forEach(
    errors,
    (error) => Effect.map(callsUnder(retry, error), (made) => assert.strictEqual(made, calls, JSON.stringify(error)))
  )

const refused = new ClientError({ cause: new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } }) })
const manyRefused = new ClientError({ cause: { errors: [{ code: "ECONNREFUSED" }, { code: "ECONNREFUSED" }] } })
const notFound = new ClientError({ code: "ENOTFOUND" })
const broken = new ClientError({ code: "ECONNRESET" })
const late = new ClientError({ cause: { _tag: "TimedOut" } })
const get = { method: "GET" }
const post = { method: "POST" }

describe("Http", () => {
  it.effect("what was not sent is sent again, whatever the method: 3 times (R145)", () =>
    assertCalls(Http.retry(), 4, [
      refused,
      manyRefused,
      notFound,
      new ClientError({ code: "EAI_AGAIN", request: post })
    ]))

  it.effect("timeouts, 502 and 503 are retried 3 times, if the method is idempotent (R145)", () =>
    Effect.gen(function*() {
      const failures = [{ status: 502 }, { status: 503 }, { code: "ECONNRESET" }, { cause: { _tag: "TimedOut" } }]
      yield* assertCalls(Http.retry(), 4, failures.map((failure) => new ClientError({ ...failure, request: get })))
      yield* assertCalls(Http.retry(), 1, failures.map((failure) => new ClientError({ ...failure, request: post })))
      yield* assertCalls(Http.retry(), 1, [late, broken, new ClientError({ status: 503 })])
      yield* assertCalls(Http.retry({ idempotent: true }), 4, [late, broken, new ClientError({ status: 503 })])
      yield* assertCalls(Http.retry({ idempotent: false }), 1, [new ClientError({ status: 503, request: get })])
    }))

  it.effect("other answers are not retried (R145)", () =>
    assertCalls(
      Http.retry({ idempotent: true }),
      1,
      [400, 401, 404, 500, 507].map((status) => new ClientError({ status }))
    ))

  it.effect("429 is retried 5 times, after the time that the answer asks for (R145)", () =>
    Effect.gen(function*() {
      yield* assertCalls(Http.retry(), 6, [new ClientError({ status: 429, request: post })])
      for (
        const headers of [
          { "Retry-After": "7" },
          { "retry-after": "Sat, 21 Nov 2026 00:00:07 GMT", "date": "Sat, 21 Nov 2026 00:00:00 GMT" }
        ]
      ) {
        const error = new ClientError({ status: 429, headers })
        const dependency = yield* Dependency.script([Dependency.fail(error), Dependency.succeed("ok")])
        const fiber = yield* Effect.fork(Http.retry()(dependency.call))
        yield* TestClock.adjust("6999 millis")
        assert.lengthOf(yield* dependency.calls, 1)
        // Up to a second is added, so that not all come back at once.
        yield* TestClock.adjust("1001 millis")
        assert.strictEqual(yield* Fiber.join(fiber), "ok")
      }
    }))

  it.effect("a date in an answer without a Date counts from the clock, and is never tried before it (R145)", () =>
    Effect.gen(function*() {
      const asked = Date.UTC(2026, 10, 21, 0, 0, 7)
      for (const before of [6_999.5, 7_000, 1, 0.25]) {
        yield* TestClock.setTime(asked - before)
        const error = new ClientError({
          status: 503,
          headers: { "Retry-After": new Date(asked).toUTCString() },
          request: { method: "GET" }
        })
        const starts: Array<number> = []
        const call = Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => Effect.zipRight(Effect.sync(() => starts.push(now)), Effect.fail(error))
        )
        const fiber = yield* Effect.fork(Http.retry()(call))
        yield* TestClock.adjust(Math.ceil(before) - 1)
        assert.lengthOf(starts, 1)
        yield* TestClock.adjust("1001 millis")
        assert.isAtLeast(starts[1] ?? 0, asked)
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("a date in an answer with a Date counts from that, whatever the clock says (R145)", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2040, 0, 1))
      const headers = { "retry-after": "Sat, 21 Nov 2026 00:00:07 GMT", "date": "Sat, 21 Nov 2026 00:00:00 GMT" }
      const dependency = yield* Dependency.script([
        Dependency.fail(new ClientError({ status: 429, headers })),
        Dependency.succeed("ok")
      ])
      const fiber = yield* Effect.fork(Http.retry()(dependency.call))
      yield* TestClock.adjust("6999 millis")
      assert.lengthOf(yield* dependency.calls, 1)
      yield* TestClock.adjust("1001 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
    }))
})

describe("Grpc", () => {
  it.effect("Unavailable 3 times, ResourceExhausted 5 times, DeadlineExceeded if idempotent (R145)", () =>
    Effect.gen(function*() {
      const [unavailable, exhausted, deadline] = [14, 8, 4].map((code) => new ClientError({ code }))
      yield* assertCalls(Grpc.retry(), 4, [unavailable!, new ClientError({ code: "UNAVAILABLE" })])
      yield* assertCalls(Grpc.retry(), 6, [exhausted!])
      yield* assertCalls(Grpc.retry(), 1, [deadline!, new ClientError({ code: 5 })])
      yield* assertCalls(Grpc.retry({ idempotent: true }), 4, [deadline!])
    }))

  it.effect("the server's pushback is heeded: a time, or not at all", () =>
    Effect.gen(function*() {
      const pushing = (value: string) =>
        Object.assign(new ClientError({ code: 14 }), { metadata: new Map([["grpc-retry-pushback-ms", [value]]]) })
      assert.strictEqual(yield* callsUnder(Grpc.retry(), pushing("-1")), 1)
      const dependency = yield* Dependency.script([Dependency.fail(pushing("2500")), Dependency.succeed("ok")])
      const fiber = yield* Effect.fork(Grpc.retry()(dependency.call))
      yield* TestClock.adjust("2499 millis")
      assert.lengthOf(yield* dependency.calls, 1)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
    }))
})

describe("Sql", () => {
  it.effect("deadlocks and lock timeouts 3 times, lost connections if idempotent (R145)", () =>
    Effect.gen(function*() {
      const deadlocks = [{ code: "40P01" }, { code: "40001" }, { errno: 1213 }]
      const locks = [{ code: "55P03" }, { code: "SQLITE_BUSY" }, { errno: 1205 }]
      const lost = [{ code: "08006" }, { code: "57P01" }, { code: "ECONNRESET" }, { code: "ECONNREFUSED" }]
      const wrapped = (causes: ReadonlyArray<object>) => causes.map((cause) => new ClientError({ cause }))
      yield* assertCalls(Sql.retry(), 4, wrapped([...deadlocks, ...locks]))
      yield* assertCalls(Sql.retry(), 1, wrapped([...lost, { code: "23505" }]))
      yield* assertCalls(Sql.retry({ idempotent: true }), 4, wrapped(lost))
    }))

  it.effect("inside of a transaction nothing is retried (R145)", () =>
    Effect.gen(function*() {
      const transaction = Context.GenericTag<never, string>("@effect/sql/SqlClient/TransactionConnection")
      const error = new ClientError({ code: "40P01" })
      const dependency = yield* Dependency.script([Dependency.fail(error)], { afterwards: "last" })
      const exit = yield* Effect.exit(Effect.provideService(Sql.retry()(dependency.call), transaction, "connection"))
      assert.deepStrictEqual(exit, Exit.fail(error))
      assert.lengthOf(yield* dependency.calls, 1)
    }))
})

describe("rules of one's own", () => {
  const own = Retry.on((error: unknown) => error === refused, {
    label: "http.unreached",
    retries: 1,
    backoff: Backoff.constant(Duration.seconds(1))
  })
  const further = Retry.on("Other", { retries: 1, backoff: Backoff.constant(0) })

  it.effect("one with the label of a ready-made rule takes its place, and is described (R146)", () =>
    Effect.gen(function*() {
      const retry = Http.retry({ rules: [own, further] })
      assert.strictEqual(yield* callsUnder(retry, refused), 2)
      assert.strictEqual(yield* callsUnder(retry, notFound), 1)
      const rules = Policy.describe(retry)[0]?.settings["rules"] as ReadonlyArray<Readonly<Record<string, unknown>>>
      assert.deepStrictEqual(rules.map(({ label, retries }) => [label, retries]), [
        ["Other", 1],
        ["http.unreached", 1],
        ["http.rateLimited", 5],
        ["http.timeout", 3],
        ["http.unavailable", 3]
      ])
    }))
})
