/**
 * What it costs to wait in line: many calls that wait for the one place of a bulkhead, or for their turn at a limiter.
 *
 *   npm run bench -- waiters
 *
 * A line is linear when a waiter costs the same however many there are: look down the column "µs per waiter". Effect's
 * own semaphore and limiter wake everyone on each release, so theirs grows with the length of the line; they are
 * measured only at lengths that they get through in seconds.
 *
 * Of the bulkhead the drain is timed: all stand in line, and the first ends. Each gives way once while it is inside, as
 * calls do that wait for anything. The first row is what Effect asks for as many fibers that wake one another, each by a
 * Deferred. A limiter takes its time whatever it costs, so of it the processor's time is counted, and beside it how long
 * it took against what its rate demands.
 */
import { Console, Deferred, Effect, Fiber, RateLimiter as Own, Scope } from "effect"
import { Bulkhead, RateLimiter } from "holdfast/Circuit"

type Rejection = Bulkhead.BulkheadFull | RateLimiter.RateLimited

type Protect = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Rejection, R>

/** Starts so many calls, and comes back when all stand in line. */
const startAll = (waiters: number, call: Effect.Effect<void, Rejection>) =>
  Effect.gen(function*() {
    const fibers: Array<Fiber.RuntimeFiber<void, Rejection>> = []
    for (let i = 0; i < waiters; i++) fibers.push(yield* Effect.forkDaemon(call))
    // A task of the platform: every fiber has been run by then.
    yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 1)))
    return fibers
  })

/** The line is first in, first out. */
const joinLast = (fibers: ReadonlyArray<Fiber.RuntimeFiber<void, Rejection>>) => Fiber.join(fibers[fibers.length - 1]!)

/** A call that gives way once. */
const brief = Effect.yieldNow()

/** Milliseconds that the line behind one call takes to drain. */
const drain = (waiters: number, protect: Protect) =>
  Effect.gen(function*() {
    const end = yield* Deferred.make<void>()
    yield* Effect.forkDaemon(protect(Deferred.await(end)))
    const fibers = yield* startAll(waiters, protect(brief))
    const started = performance.now()
    yield* Deferred.succeed(end, undefined)
    yield* joinLast(fibers)
    return performance.now() - started
  })

/** The same of fibers each of which waits for the one before it. */
const chainDrain = (waiters: number) =>
  Effect.gen(function*() {
    const ends: Array<Deferred.Deferred<void>> = []
    for (let i = 0; i <= waiters; i++) ends.push(yield* Deferred.make<void>())
    const fibers: Array<Fiber.RuntimeFiber<boolean>> = []
    for (let i = 0; i < waiters; i++) {
      const call = Effect.zipRight(brief, Deferred.succeed(ends[i + 1]!, undefined))
      fibers.push(yield* Effect.forkDaemon(Effect.zipRight(Deferred.await(ends[i]!), call)))
    }
    yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 1)))
    const started = performance.now()
    yield* Deferred.succeed(ends[0]!, undefined)
    yield* Fiber.join(fibers[waiters - 1]!)
    return performance.now() - started
  })

/** The best of a few, since others share the machine; once where it takes long. */
const best = (run: Effect.Effect<number, Rejection>) =>
  Effect.gen(function*() {
    let least = yield* run
    for (let i = 0; i < 4 && least < 1_000; i++) least = Math.min(least, yield* run)
    return least
  })

const bulkheadDrain = (waiters: number) =>
  Effect.flatMap(
    Bulkhead.make({ key: "bench", capacity: 1, queue: "unlimited" }),
    (bulkhead) => drain(waiters, bulkhead.protect)
  )

const timedBulkheadDrain = (waiters: number) =>
  Effect.flatMap(
    Bulkhead.make({ key: "bench", capacity: 1, queue: "unlimited", queueTimeout: "1 hour" }),
    (bulkhead) => drain(waiters, bulkhead.protect)
  )

const semaphoreDrain = (waiters: number) =>
  Effect.flatMap(Effect.makeSemaphore(1), (semaphore) => drain(waiters, semaphore.withPermits(1)))

/** How long so many waiters took at a limiter that nothing is left of, and what of that the processor worked. */
const pass = (waiters: number, protect: Protect) =>
  Effect.gen(function*() {
    const started = performance.now()
    const before = process.cpuUsage()
    yield* joinLast(yield* startAll(waiters, protect(Effect.void)))
    const { system, user } = process.cpuUsage(before)
    return { millis: performance.now() - started, workedMicros: system + user }
  })

const limiterPass = (waiters: number, perSecond: number) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.make({ key: "bench", limit: perSecond, burst: 1, maxWait: Infinity })
    yield* Effect.void.pipe(limiter.protect)
    return yield* pass(waiters, limiter.protect)
  })

const ownLimiterPass = (waiters: number, perSecond: number) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const limiter = yield* Scope.extend(Own.make({ limit: perSecond, interval: "1 second" }), scope)
    // It begins with a full bucket, and comes to those who wait after that.
    for (let i = 0; i < perSecond; i++) yield* limiter(Effect.void)
    return yield* pass(waiters, limiter)
  })

interface Row {
  readonly what: string
  readonly waiters: number
  readonly millis: number
}

const bulkheadRow = (what: string, waiters: number, run: Effect.Effect<number, Rejection>) =>
  Effect.map(best(run), (millis): Row => ({ what, waiters, millis }))

const bulkheads = Effect.gen(function*() {
  // Warm.
  yield* Effect.all([chainDrain(20_000), bulkheadDrain(20_000), timedBulkheadDrain(20_000), semaphoreDrain(100)])
  const rows: Array<Row> = [yield* bulkheadRow("fibers that wake one another", 100_000, chainDrain(100_000))]
  for (const waiters of [1_000, 10_000, 100_000]) {
    rows.push(yield* bulkheadRow("Bulkhead of 1", waiters, bulkheadDrain(waiters)))
  }
  for (const waiters of [1_000, 10_000, 100_000]) {
    rows.push(yield* bulkheadRow("Bulkhead of 1, queueTimeout", waiters, timedBulkheadDrain(waiters)))
  }
  for (const waiters of [100, 200, 400, 800]) {
    rows.push(yield* bulkheadRow("Effect's Semaphore of 1", waiters, semaphoreDrain(waiters)))
  }
  const perWaiter = ({ millis, waiters }: Row) => millis * 1_000 / waiters
  const one = perWaiter(rows[0]!)
  return rows.map((row) => ({
    "": row.what,
    waiters: row.waiters,
    "drain ms": row.millis.toFixed(1),
    "µs per waiter": perWaiter(row).toFixed(2),
    "against the first row": (perWaiter(row) / one).toFixed(1)
  }))
})

const limiterRow = (
  what: string,
  waiters: number,
  perSecond: number,
  run: Effect.Effect<{ readonly millis: number; readonly workedMicros: number }, Rejection>
) =>
  Effect.map(run, ({ millis, workedMicros }) => ({
    "": what,
    "per second": perSecond,
    waiters,
    seconds: (millis / 1_000).toFixed(2),
    "against its rate": (millis * perSecond / 1_000 / waiters).toFixed(2),
    "µs of processor per waiter": (workedMicros / waiters).toFixed(1)
  }))

const limiters = Effect.gen(function*() {
  yield* limiterPass(10_000, 50_000)
  const rows = []
  for (const [waiters, perSecond] of [[1_000, 5_000], [10_000, 5_000], [50_000, 5_000]] as const) {
    rows.push(yield* limiterRow("RateLimiter", waiters, perSecond, limiterPass(waiters, perSecond)))
  }
  for (const waiters of [250, 500, 1_000]) {
    rows.push(yield* limiterRow("Effect's RateLimiter", waiters, 5_000, ownLimiterPass(waiters, 5_000)))
  }
  return rows
})

await Effect.gen(function*() {
  yield* Console.log("Many calls in line for one place\n")
  const drained = yield* bulkheads
  yield* Effect.sync(() => console.table(drained))
  yield* Console.log("\nMany calls in line for their turn\n")
  const passed = yield* limiters
  yield* Effect.sync(() => console.table(passed))
}).pipe(Effect.runPromise)
