/**
 * A policy as a value: composed once, checked, described, observed, and used for many calls at a time to a dependency
 * that behaves as a script says. Runs without a network, takes a second, and ends by itself.
 *
 *     npx tsx examples/policy.ts
 */
import { Console, Data, Effect } from "effect"
import { Observer, Policy, Timeout } from "holdfast/Call"
import { Bulkhead, CircuitBreaker, RateLimiter } from "holdfast/Circuit"
import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
import { Dependency } from "holdfast/Testing"

class Unavailable extends Data.TaggedError("Unavailable")<{ readonly call: number }> {}

const program = Effect.gen(function*() {
  // What calls share is made once.
  const limiter = yield* RateLimiter.make({ key: "quotes", limit: 200, interval: "1 second", maxWait: "500 millis" })
  const bulkhead = yield* Bulkhead.make({ key: "quotes", capacity: 8, queue: 100 })
  const breaker = yield* CircuitBreaker.make({
    key: "quotes",
    trip: CircuitBreaker.countWindow({ size: 50, failureRate: 0.5, minimumCalls: 20 }),
    openFor: "200 millis"
  })
  const budget = yield* RetryBudget.ratio({ key: "quotes" })
  const counts = { calls: 0, attempts: 0 }
  const observer = yield* Observer.make((event) =>
    Effect.sync(() => {
      if (event._tag === "CallEnded") counts.calls++
      if (event._tag === "AttemptStarted") counts.attempts++
    })
  )

  const policy = Policy.make({
    policies: [
      Timeout.after("2 seconds"),
      Retry.rules([
        Retry.on("Unavailable", { retries: 3, backoff: Backoff.exponential("10 millis", { jitter: "full" }) })
      ], { budget }),
      RateLimiter.protect(limiter),
      Bulkhead.protect(bulkhead),
      CircuitBreaker.protect(breaker),
      Timeout.after("100 millis")
    ],
    observers: [observer]
  })

  yield* Console.log(Policy.toMermaid(policy))
  for (const { message, rule } of Policy.lint(policy, { idempotent: true })) yield* Console.log(`${rule}: ${message}`)

  const quotes = yield* Dependency.random({
    seed: 7,
    latency: ["5 millis", "30 millis"],
    failureRate: 0.3,
    succeed: (call) => call,
    fail: (call) => new Unavailable({ call })
  })
  const calls = Effect.forEach(Array.from({ length: 150 }), () => Effect.either(policy(quotes.call)), {
    concurrency: "unbounded"
  })
  const results = yield* calls
  yield* Effect.yieldNow()

  const succeeded = results.filter(({ _tag }) => _tag === "Right").length
  yield* Console.log(`${succeeded} of ${counts.calls} calls succeeded, with ${counts.attempts} attempts`)
  yield* Console.log(`at most ${yield* quotes.maxInFlight} were under way at a time`)
}).pipe(Effect.scoped)

Effect.runFork(program)
