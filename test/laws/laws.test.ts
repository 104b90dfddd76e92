/**
 * Patterns that go their own way for exactness or speed keep to the shape of Effect's own operators, as laws: over drawn
 * effects, interruptions and orders of fibers the same happens, at the same times, with the same end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as fc from "effect/FastCheck"
import { Fallback, Timeout } from "holdfast/Call"
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
  sides: (drawn: Drawn) => readonly [ours: Program, effects: Program]
) =>
  it.effect(name, () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(drawn, interruption, fc.integer(), async (drawn, interruptAt, seed) => {
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
  law(
    "without a limit on its line is `withPermits`",
    fc.record({
      calls: fc.array(fc.tuple(script, limit), { minLength: 1, maxLength: 6 }),
      capacity: fc.integer({ min: 1, max: 3 })
    }),
    ({ calls, capacity }) => {
      const all = (note: Note, limited: (call: Effect.Effect<string, A | B>) => Effect.Effect<string, A | B>) =>
        Effect.forEach(
          calls,
          ([work, at], i) => Effect.exit(Effect.delay(limited(effectOf(work, `call ${i}`, note)), at + 2 * i * 200)),
          { concurrency: "unbounded", discard: true }
        )
      return [
        (note) =>
          Effect.flatMap(
            Bulkhead.make({ key: "law", capacity, queue: "unlimited" }),
            (bulkhead) =>
              all(note, (call) => Effect.catchTag(Bulkhead.protect(call, bulkhead), "BulkheadFull", Effect.die))
          ),
        (note) => Effect.flatMap(Effect.makeSemaphore(capacity), (semaphore) => all(note, semaphore.withPermits(1)))
      ]
    }
  )
})
