/**
 * Patterns that go their own way for exactness or speed keep to the shape of Effect's own operators, as laws: over drawn
 * effects, interruptions and orders of fibers the same happens, at the same times, with the same end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cache as EffectCache, Deferred, Effect, Random } from "effect"
import * as fc from "effect/FastCheck"
import { Cache, Coalesce, Fallback, Hedge, Timeout } from "holdfast/Call"
import { Bulkhead } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import {
  A,
  type B,
  effectOf,
  interruption,
  limit,
  type Note,
  type Script,
  script,
  type Seen,
  simulated,
  underTestClock
} from "./support/scripts.js"

type Program = (note: Note) => Effect.Effect<unknown, A | B>

/** Both programs are seen to do the same, in the simulation, and in some cases, which take real time, under `TestClock`. */
const same = async (ours: Program, effects: Program, interruptAt: number, seed: number): Promise<void> => {
  assert.deepStrictEqual(inOrder(simulated(ours, interruptAt, seed)), inOrder(simulated(effects, interruptAt, seed)))
  if (seed % 20 !== 0) return
  assert.deepStrictEqual(
    inOrder(await underTestClock(ours, interruptAt)),
    inOrder(await underTestClock(effects, interruptAt))
  )
}

/** What happens at one time happens in a drawn order. */
const inOrder = ({ log, ...seen }: Seen): Seen => ({
  ...seen,
  log: [...log].sort(([what, at], [other, then]) => at - then || (what < other ? -1 : what > other ? 1 : 0))
})

const law = <Drawn>(
  name: string,
  drawn: fc.Arbitrary<Drawn>,
  sides: (drawn: Drawn) => readonly [ours: Program, effects: Program],
  interruptions: fc.Arbitrary<number> = interruption
) =>
  it.effect(name, () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(drawn, interruptions, fc.integer(), async (drawn, interruptAt, seed) => {
          const [ours, effects] = sides(drawn)
          await same(ours, effects, interruptAt, seed)
        }),
        { numRuns: 300 }
      )
    ), 120_000)

const curves = fc.constantFrom(
  Backoff.constant(10),
  Backoff.linear(10),
  Backoff.exponential(10, { cap: 100 }),
  Backoff.exponential(10, { cap: 100, jitter: "full" }),
  Backoff.exponential(10, { cap: 100, jitter: "equal" }),
  Backoff.decorrelated(10, { cap: 100 })
)

describe("Retry", () => {
  law(
    "with one rule of a backoff is `Effect.retry` with that backoff as its schedule",
    fc.record({
      attempts: fc.array(script, { minLength: 1, maxLength: 4 }),
      curve: curves,
      retries: fc.nat(4),
      seed: fc.nat()
    }),
    ({ attempts, curve, retries, seed }) => {
      const call = (note: Note) => {
        let made = 0
        return Effect.suspend(() => {
          const number = Math.min(made++, attempts.length - 1)
          return effectOf(attempts[number]!, `attempt ${made}`, note)
        })
      }
      const drawnFrom = <X, E>(effect: Effect.Effect<X, E>) =>
        Effect.suspend(() => Effect.withRandom(effect, Random.make(seed)))
      return [
        (note) => drawnFrom(Retry.rules(call(note), [Retry.onAny({ retries, backoff: curve })])),
        (note) => drawnFrom(Effect.retry(call(note), { schedule: curve, times: retries }))
      ]
    }
  )
})

describe("Fallback", () => {
  const two = fc.record({ first: script, second: script })
  const effects = (note: Note, { first, second }: { readonly first: Script; readonly second: Script }) =>
    [effectOf(first, "first", note), effectOf(second, "second", note)] as const

  // Effect's takes the other way also where the first has interrupted itself, which is no failure here.
  const failing = two.filter(({ first }) => first.end !== "interrupt")

  law("`orElse` is `Effect.orElse`", failing, (drawn) => [
    (note) => {
      const [first, second] = effects(note, drawn)
      return Fallback.orElse(first, () => second)
    },
    (note) => {
      const [first, second] = effects(note, drawn)
      return Effect.orElse(first, () => second)
    }
  ])

  law("`orElseOn` a tag is `Effect.catchTag`", two, (drawn) => [
    (note) => {
      const [first, second] = effects(note, drawn)
      return Fallback.orElseOn(first, "A", () => second)
    },
    (note) => {
      const [first, second] = effects(note, drawn)
      return Effect.catchTag(first, "A", () => second)
    }
  ])

  law("`orElseOn` a predicate is `Effect.catchIf`", two, (drawn) => {
    const isA = (error: A | B): boolean => error._tag === "A"
    return [
      (note) => {
        const [first, second] = effects(note, drawn)
        return Fallback.orElseOn(first, isA, () => second)
      },
      (note) => {
        const [first, second] = effects(note, drawn)
        return Effect.catchIf(first, isA, () => second)
      }
    ]
  })
})

describe("Timeout", () => {
  law("is `Effect.timeoutFail`", fc.record({ work: script, limit }), ({ limit, work }) => [
    (note) => Effect.mapError(Timeout.after(effectOf(work, "work", note), limit), asA),
    (note) =>
      Effect.timeoutFail(effectOf(work, "work", note), { duration: limit, onTimeout: () => new A({ of: "the limit" }) })
  ])

  const asA = (error: A | B | Timeout.TimedOut): A | B => error._tag === "TimedOut" ? new A({ of: "the limit" }) : error
})

describe("Bulkhead", () => {
  const calls = fc.array(fc.tuple(script, limit), { minLength: 1, maxLength: 6 })

  const all = (
    drawn: ReadonlyArray<readonly [work: Script, at: number]>,
    note: Note,
    limited: (call: Effect.Effect<string, A | B>) => Effect.Effect<string, A | B>
  ) =>
    Effect.forEach(
      drawn,
      ([work, at], i) => Effect.exit(Effect.delay(limited(effectOf(work, `call ${i}`, note)), at + 2 * i * 200)),
      { concurrency: "unbounded", discard: true }
    )

  law(
    "without a limit on its line is `withPermits`",
    fc.record({ calls, capacity: fc.integer({ min: 1, max: 3 }) }),
    ({ calls, capacity }) => [
      (note) =>
        Effect.flatMap(
          Bulkhead.make({ key: "law", capacity, queue: "unlimited" }),
          (bulkhead) =>
            all(calls, note, (call) => Effect.catchTag(Bulkhead.protect(call, bulkhead), "BulkheadFull", Effect.die))
        ),
      (note) => Effect.flatMap(Effect.makeSemaphore(capacity), (it) => all(calls, note, it.withPermits(1)))
    ]
  )

  // Where some ask for more than others, nobody passes them here; with Effect's, who fits goes first.
  law(
    "as a semaphore is Effect's, for calls that ask for the same number of permits",
    fc.record({ calls, permits: fc.integer({ min: 1, max: 3 }), capacity: fc.integer({ min: 3, max: 6 }) }),
    ({ calls, capacity, permits }) => [
      (note) =>
        Effect.flatMap(
          Bulkhead.make({ key: "law", capacity }),
          ({ semaphore }) => all(calls, note, semaphore.withPermits(permits))
        ),
      (note) => Effect.flatMap(Effect.makeSemaphore(capacity), (it) => all(calls, note, it.withPermits(permits)))
    ]
  )

  const operation = fc.record({
    name: fc.constantFrom("take", "release", "releaseAll", "ifAvailable", "withPermits", "resize"),
    permits: fc.integer({ min: 1, max: 4 })
  })

  law(
    "as a semaphore answers as Effect's to one after another",
    fc.array(operation, { maxLength: 30 }),
    (operations) => {
      /** What is asked for is there to be taken, and has been taken to be released. */
      const asked = (semaphore: Effect.Semaphore, note: Note) =>
        Effect.gen(function*() {
          let capacity = 4
          let taken = 0
          for (const { name, permits } of operations) {
            const free = Math.max(0, Math.min(permits, capacity - taken))
            const held = Math.min(permits, taken)
            switch (name) {
              case "take":
                yield* note(`takes ${yield* semaphore.take(free)}`)
                taken += free
                break
              case "release":
                taken -= held
                yield* note(`${yield* semaphore.release(held)} are free`)
                break
              case "releaseAll":
                taken = 0
                yield* note(`${yield* semaphore.releaseAll} are free`)
                break
              case "ifAvailable":
                if (permits <= capacity) {
                  yield* note(String(yield* semaphore.withPermitsIfAvailable(permits)(Effect.succeed("runs"))))
                }
                break
              case "withPermits":
                yield* note(yield* semaphore.withPermits(free)(Effect.succeed("runs")))
                break
              case "resize":
                capacity = Math.max(permits, taken)
                yield* semaphore.resize(capacity)
            }
          }
        })
      return [
        (note) => Effect.flatMap(Bulkhead.make({ key: "law", capacity: 4 }), ({ semaphore }) => asked(semaphore, note)),
        (note) => Effect.flatMap(Effect.makeSemaphore(4), (semaphore) => asked(semaphore, note))
      ]
    }
  )
})

/** What comes to an end by itself. */
const answers = script.filter(({ end }) => end !== "interrupt" && end !== "never")

describe("Hedge", () => {
  const two = fc.record({ call: script, target: script, delay: limit })

  interface Drawn {
    readonly call: Script
    readonly target: Script
    readonly delay: number
  }

  /** The target comes after the delay, or at once when the call has failed. */
  const race = (
    { call, delay, target }: Drawn,
    note: Note,
    side: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) =>
    Effect.flatMap(Deferred.make<void>(), (failed) =>
      Effect.race(
        side(Effect.onError(effectOf(call, "call", note), () => Deferred.succeed(failed, undefined))),
        side(Effect.zipRight(
          Effect.raceFirst(Effect.sleep(delay), Deferred.await(failed)),
          effectOf(target, "target", note)
        ))
      ))

  const hedged = ({ call, delay, target }: Drawn): Program => (note) =>
    Hedge.after(effectOf(call, "call", note), delay, {
      targets: [effectOf(target, "target", note)],
      failure: "all"
    })

  const prompt = (script: Script): Script => ({ ...script, finalizer: 0 })

  law(
    "with one hedge is `Effect.race` with the delayed target, where nothing has to be finalized",
    two.map(({ call, delay, target }) => ({ call: prompt(call), delay, target: prompt(target) })),
    (drawn) => [hedged(drawn), (note) => race(drawn, note, (side) => side)]
  )

  law(
    "waits for no finalizer of a loser: it is the race of disconnected sides",
    fc.record({ call: answers, target: answers, delay: limit }),
    (drawn) => [hedged(drawn), (note) => race(drawn, note, Effect.disconnect)],
    fc.constant(9_001)
  )
})

/** Callers that come at drawn times, each with its own end. */
const callers = fc.array(fc.tuple(limit, fc.nat(1)), { minLength: 1, maxLength: 6 })

const allCallers = (
  times: ReadonlyArray<readonly [at: number, key: number]>,
  note: Note,
  call: (key: number) => Effect.Effect<string, A | B>
) =>
  Effect.forEach(times, ([at, key], i) =>
    Effect.exit(Effect.delay(call(key), at + 4 * i)).pipe(
      Effect.flatMap((exit) => note(`caller ${i} of ${key}: ${String(exit)}`))
    ), { concurrency: "unbounded", discard: true })

describe("Coalesce", () => {
  law(
    "of one key is the sharing of `Effect.cachedInvalidateWithTTL` whose value lives as long as a run takes",
    fc.record({ work: answers, times: callers }),
    ({ times, work }) => {
      // No run ends as a caller comes.
      const run = (note: Note) => Effect.delay(effectOf(work, "work", note), 1)
      return [
        (note) =>
          Effect.flatMap(
            Coalesce.make<string, A | B>({ key: "law" }),
            (shared) => allCallers(times, note, () => Coalesce.by(run(note), shared, "key"))
          ),
        (note) =>
          Effect.flatMap(
            Effect.cachedInvalidateWithTTL(run(note), 1 + work.waits.reduce((sum, wait) => sum + wait, 0)),
            ([cached]) => allCallers(times, note, () => cached)
          )
      ]
    },
    fc.constant(9_001)
  )
})

describe("Cache", () => {
  law(
    "is Effect's `Cache`, where ends are remembered for one time and nobody leaves",
    fc.record({
      works: fc.tuple(answers, answers).filter((both) => both.every(({ end }) => end !== "die")),
      times: callers,
      ttl: limit.map((millis) => millis + 1)
    }),
    ({ times, ttl, works }) => {
      // Nothing ends or expires as a caller comes.
      const lookup = (note: Note) => (key: number) => Effect.delay(effectOf(works[key]!, `work ${key}`, note), 1)
      return [
        (note) =>
          Effect.scoped(Effect.flatMap(
            Cache.make<string, A | B>({ key: "law", ttl: () => ttl }),
            (cache) => allCallers(times, note, (key) => Cache.by(lookup(note)(key), cache, `${key}`))
          )),
        (note) =>
          Effect.flatMap(
            EffectCache.make({ capacity: 100, timeToLive: ttl, lookup: lookup(note) }),
            (cache) => allCallers(times, note, (key) => cache.get(key))
          )
      ]
    },
    fc.constant(9_001)
  )
})
