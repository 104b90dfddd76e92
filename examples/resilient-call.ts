/**
 * One call to a service that is having a bad time: a limit per attempt, retries by rules, a circuit breaker around it
 * all, and an answer of last resort. Runs without a network and ends by itself.
 *
 *     npx tsx examples/resilient-call.ts
 */
import { Clock, Console, Data, Duration, Effect, Random } from "effect"
import { Fallback, Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"

class RateLimited extends Data.TaggedError("RateLimited")<{ readonly retryAfter: Duration.Duration }> {}
class Unavailable extends Data.TaggedError("Unavailable")<{ readonly status: number }> {}

/** A price service: quick or slow, and for its first second mostly down. */
const fetchQuote = (startedAt: number) =>
  Effect.gen(function*() {
    const attempt = yield* Retry.CurrentAttempt
    const now = yield* Clock.currentTimeMillis
    const luck = yield* Random.next
    yield* Console.log(`    attempt ${attempt} at ${now - startedAt} ms`)
    yield* Effect.sleep(luck < 0.3 ? "1 second" : "20 millis")
    if (now - startedAt < 1_000) {
      return yield* luck < 0.5
        ? new RateLimited({ retryAfter: Duration.millis(80) })
        : new Unavailable({ status: 503 })
    }
    return 42
  })

const withRetries = Retry.rules<RateLimited | Unavailable | Timeout.TimedOut>([
  // The service says how long to wait; believe it, up to a point.
  Retry.on("RateLimited", {
    retries: 3,
    backoff: Backoff.constant("200 millis"),
    hint: (error) => error.retryAfter,
    hintCap: "1 second"
  }),
  Retry.on("TimedOut", { retries: 1, backoff: Backoff.constant("10 millis") }),
  Retry.on((error) => error._tag === "Unavailable" && error.status >= 500, {
    label: "server error",
    retries: 2,
    backoff: Backoff.exponential("50 millis", { cap: "1 second", jitter: "full" })
  })
], {
  maxElapsed: "2 seconds",
  onRetry: ({ delay, rule }) => Console.log(`    ${rule}: again in ${Math.round(Duration.toMillis(delay))} ms`)
})

const program = Effect.gen(function*() {
  const startedAt = yield* Clock.currentTimeMillis
  const breaker = yield* CircuitBreaker.make({ key: "quotes", failures: 2, successes: 1, openFor: "600 millis" })

  const quote = fetchQuote(startedAt).pipe(
    Timeout.after("100 millis"), // each attempt
    withRetries,
    CircuitBreaker.protect(breaker), // all attempts of a call are one to the breaker
    Fallback.orElseOn("CircuitOpen", (open) => Effect.as(Console.log(`    ${open.message}`), "a stale price" as const)),
    Fallback.to("no price" as const)
  )

  for (let call = 1; call <= 8; call++) {
    yield* Console.log(`call ${call}`)
    yield* Console.log(`  got ${yield* quote}; the breaker is ${(yield* breaker.state)._tag}`)
    yield* Effect.sleep("150 millis")
  }
})

// A seed, so that every run shows the same.
Effect.runFork(Effect.withRandom(program, Random.make("an unlucky day")))
