/**
 * What a call costs when nothing is wrong with it, and when it is rejected: one pattern at a time, and the usual stack.
 *
 *   npm run bench -- calls
 *
 * The peers are cockatiel and opossum, on the same action in the same run: natively, where their caller awaits a promise;
 * and as an Effect program calls them, with `Effect.tryPromise` around `execute` or `fire`. Rows of one pattern take
 * turns, so that a machine that changes its speed changes it for all of them. Each figure is the best round, in
 * microseconds per call; in brackets, how many times the cost of holdfast it is.
 */
import * as cockatiel from "cockatiel"
import { Effect, RateLimiter as EffectRateLimiter, Scope } from "effect"
import { Fallback, Policy, Timeout } from "holdfast/Call"
import { Bulkhead, CircuitBreaker, RateLimiter } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import Opossum from "opossum"

const rounds = 7
const batchMillis = 60

/** Something that can be called many times. */
interface Callable {
  readonly times: (count: number) => Promise<unknown>
}

// The loops are plain: what they cost themselves is shown as rows of their own.
const effectful = (call: Effect.Effect<unknown, unknown>): Callable => {
  const ignoring = Effect.exit(call)
  return {
    times: (count) => {
      let left = count
      return Effect.runPromise(
        Effect.whileLoop({ while: () => left-- > 0, body: () => ignoring, step: () => {} })
      )
    }
  }
}

const native = (call: () => Promise<unknown>): Callable => ({
  times: async (count) => {
    for (let i = 0; i < count; i++) {
      try {
        await call()
      } catch {
        // A rejection is what some rows measure.
      }
    }
  }
})

const wrapped = (call: () => Promise<unknown>): Callable => effectful(Effect.tryPromise(call))

const microsPerCall = async ({ times }: Callable, count: number): Promise<number> => {
  const started = performance.now()
  await times(count)
  return (performance.now() - started) * 1000 / count
}

const best = async (callables: ReadonlyArray<Callable>): Promise<ReadonlyArray<number>> => {
  const counts: Array<number> = []
  for (const callable of callables) {
    await callable.times(2_000)
    counts.push(Math.max(100, Math.ceil(batchMillis * 1000 / await microsPerCall(callable, 2_000))))
  }
  const fastest = callables.map(() => Infinity)
  for (let round = 0; round < rounds; round++) {
    for (const [index, callable] of callables.entries()) {
      fastest[index] = Math.min(fastest[index]!, await microsPerCall(callable, counts[index]!))
    }
  }
  return fastest
}

interface Row {
  readonly name: string
  readonly holdfast: Callable
  readonly peers: ReadonlyArray<readonly [string, Callable]>
}

const both = (name: string, call: () => Promise<unknown>): ReadonlyArray<readonly [string, Callable]> => [
  [name, native(call)],
  [`${name} in Effect`, wrapped(call)]
]

const print = async ({ holdfast, name, peers }: Row): Promise<void> => {
  const [ours, ...theirs] = await best([holdfast, ...peers.map(([, callable]) => callable)])
  const cells = peers.map(([peer], index) =>
    `${peer} ${theirs[index]!.toFixed(2)} (${(theirs[index]! / ours!).toFixed(1)}×)`
  )
  console.log(`| ${name} | ${ours!.toFixed(2)} | ${cells.join(", ")} |`)
}

const answer = (): number => 42
const answerLater = (): Promise<number> => Promise.resolve(42)
const fail = (): never => {
  throw new Error("down")
}

const action = Effect.sync(answer)
const actionLater = Effect.promise(answerLater)

const limiter = (options: Partial<RateLimiter.Options> = {}) =>
  Effect.runSync(RateLimiter.make({ key: "bench", limit: 1_000_000_000, ...options }))
const bulkhead = Effect.runSync(Bulkhead.make({ key: "bench", capacity: 10 }))
const breaker = Effect.runSync(CircuitBreaker.make({ key: "bench" }))
const retry = Retry.rules([Retry.onAny({ retries: 3, backoff: Backoff.exponential("100 millis") })])
const stack = Policy.compose(
  Timeout.after("1 minute"),
  retry,
  RateLimiter.protect(limiter()),
  Bulkhead.protect(bulkhead),
  CircuitBreaker.protect(breaker)
)

const theirRetry = cockatiel.retry(cockatiel.handleAll, { maxAttempts: 3, backoff: new cockatiel.ExponentialBackoff() })
const makeTheirBreaker = () =>
  cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 30_000,
    breaker: new cockatiel.ConsecutiveBreaker(5)
  })
const theirBreaker = makeTheirBreaker()
const theirBulkhead = cockatiel.bulkhead(10, 0)
const theirTimeout = cockatiel.timeout(60_000, cockatiel.TimeoutStrategy.Aggressive)
const theirFallback = cockatiel.fallback(cockatiel.handleAll, 0)
const theirStack = cockatiel.wrap(theirTimeout, theirRetry, theirBulkhead, theirBreaker)
const theirStackWithoutTimeout = cockatiel.wrap(theirRetry, theirBulkhead, theirBreaker)
const opossum = new Opossum(answerLater, { timeout: 60_000, capacity: 10 })
const opossumWithoutTimeout = new Opossum(answerLater, { timeout: false })

const openBreaker = Effect.runSync(CircuitBreaker.make({ key: "bench", failures: 1, openFor: "1 hour" }))
await Effect.runPromise(Effect.exit(Effect.fail("down").pipe(CircuitBreaker.protect(openBreaker))))
const theirOpenBreaker = makeTheirBreaker()
for (let i = 0; i < 5; i++) await theirOpenBreaker.execute(fail).catch(() => {})
const openOpossum = new Opossum(answerLater, { timeout: false })
openOpossum.open()

const fullBulkhead = Effect.runSync(Bulkhead.make({ key: "bench", capacity: 1 }))
await Effect.runPromise(fullBulkhead.reserve)
const theirFullBulkhead = cockatiel.bulkhead(1, 0)
void theirFullBulkhead.execute(() => new Promise(() => {}))

const emptyLimiter = limiter({ limit: 1, interval: "1 hour" })
await Effect.runPromise(emptyLimiter.reserve)

const effectLimiter = Effect.runSync(
  Scope.extend(EffectRateLimiter.make({ limit: 1_000_000_000, interval: "1 second" }), Effect.runSync(Scope.make()))
)
const semaphore = Effect.unsafeMakeSemaphore(10)

console.log("| what | holdfast µs | peers µs (times holdfast) |")
console.log("| --- | --- | --- |")
for (
  const row of [
    { name: "the action itself", holdfast: effectful(action), peers: both("promise", answerLater) },
    { name: "the action itself, asynchronous", holdfast: effectful(actionLater), peers: both("promise", answerLater) },
    {
      name: "retry",
      holdfast: effectful(retry(action)),
      peers: [
        ...both("cockatiel", () => theirRetry.execute(answer)),
        ["Effect.retry", effectful(Effect.retry(action, Backoff.standard))]
      ]
    },
    {
      name: "breaker, closed",
      holdfast: effectful(breaker.protect(action)),
      peers: [
        ...both("cockatiel", () => theirBreaker.execute(answer)),
        ...both("opossum", () => opossumWithoutTimeout.fire())
      ]
    },
    {
      name: "breaker, open",
      holdfast: effectful(openBreaker.protect(action)),
      peers: [
        ...both("cockatiel", () => theirOpenBreaker.execute(answer)),
        ...both("opossum", () => openOpossum.fire())
      ]
    },
    {
      name: "bulkhead",
      holdfast: effectful(bulkhead.protect(action)),
      peers: [
        ...both("cockatiel", () => theirBulkhead.execute(answer)),
        ["Effect.Semaphore", effectful(semaphore.withPermits(1)(action))]
      ]
    },
    {
      name: "bulkhead, full",
      holdfast: effectful(fullBulkhead.protect(action)),
      peers: both("cockatiel", () => theirFullBulkhead.execute(answer))
    },
    {
      name: "limiter",
      holdfast: effectful(RateLimiter.protect(limiter())(action)),
      peers: [["Effect.RateLimiter", effectful(effectLimiter(action))]]
    },
    { name: "limiter, empty", holdfast: effectful(emptyLimiter.protect(action)), peers: [] },
    {
      name: "timeout",
      holdfast: effectful(Timeout.after(action, "1 minute")),
      peers: [
        ["Effect.timeout", effectful(Effect.timeout(action, "1 minute"))],
        ...both("cockatiel", () => theirTimeout.execute(answer))
      ]
    },
    {
      name: "timeout, asynchronous",
      holdfast: effectful(Timeout.after(actionLater, "1 minute")),
      peers: [
        ["Effect.timeout", effectful(Effect.timeout(actionLater, "1 minute"))],
        ...both("cockatiel", () => theirTimeout.execute(answerLater)),
        ...both("opossum (breaker too)", () => opossum.fire())
      ]
    },
    {
      name: "fallback, not needed",
      holdfast: effectful(Fallback.to(action, 0)),
      peers: both("cockatiel", () => theirFallback.execute(answer))
    },
    {
      name: "stack: timeout + retry + limiter + bulkhead + breaker (cockatiel has no limiter)",
      holdfast: effectful(stack(action)),
      peers: [
        ...both("cockatiel", () => theirStack.execute(answer)),
        ...both("cockatiel without timeout", () => theirStackWithoutTimeout.execute(answer)),
        ...both("opossum (timeout, breaker, semaphore)", () => opossum.fire())
      ]
    },
    {
      name: "stack, asynchronous",
      holdfast: effectful(stack(actionLater)),
      peers: [
        ...both("cockatiel", () => theirStack.execute(answerLater)),
        ...both("opossum (timeout, breaker, semaphore)", () => opossum.fire())
      ]
    }
  ] satisfies ReadonlyArray<Row>
) await print(row)
process.exit()
