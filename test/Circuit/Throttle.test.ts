import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Random, TestClock } from "effect"
import { Gate, Throttle } from "holdfast/Circuit"
import type { Combinator } from "holdfast/Combinator"
import { Simulation } from "holdfast/Testing"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { type Down, fail, Http, opened, outcome, times } from "./support/calls.js"

const ok = Effect.succeed("ok")
const refused = Effect.fail(new Http({ status: 503 }))

/** Draws these numbers, and no others: a draw too many starts again from the first. */
const drawing = (...numbers: [number, ...Array<number>]) => Effect.withRandom(Random.fixed(numbers))

describe("Throttle", () => {
  it.effect("sends everything while the dependency accepts everything, and draws no number for it", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({ key: "search" })
      yield* times(50, ok.pipe(throttle.protect)).pipe(drawing(0))
      assert.deepStrictEqual(yield* throttle.snapshot, {
        throttle: "search",
        requests: 50,
        accepts: 50,
        probability: 0,
        rejected: 0
      })
    }))

  it.effect("turns calls away with the probability that the counts give, exactly (R132)", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({ key: "search", minimumRequests: 1, window: "2 minutes", buckets: 24 })
      yield* times(1, refused.pipe(throttle.protect))
      // One request, none accepted: a half.
      assert.strictEqual(yield* outcome(ok.pipe(throttle.protect, drawing(0.5))), "ok")
      // Two requests, one accepted: none.
      assert.strictEqual(yield* outcome(refused.pipe(throttle.protect, drawing(0))), "Http")
      // Three requests, one accepted: a quarter.
      yield* TestClock.adjust("2 seconds")
      const rejection = yield* Effect.flip(ok.pipe(throttle.protect, drawing(0.2499)))
      assert.instanceOf(rejection, Throttle.Throttled)
      assert.isTrue(Gate.isRejection(rejection))
      assert.deepInclude(rejection, { throttle: "search", probability: 0.25, retryAfter: Duration.seconds(3) })
      assert.strictEqual(
        rejection.message,
        "throttle \"search\" turns away 25 % of the calls, since too many are refused; its counts change in 3s"
      )
      // What is turned away counts as a request: four of them, one accepted.
      assert.deepInclude(yield* throttle.snapshot, { requests: 4, accepts: 1, rejected: 1, probability: 2 / 5 })
    }))

  it.effect("forgets what is older than its window", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({ key: "search", window: "10 seconds", buckets: 10 })
      yield* times(20, refused.pipe(throttle.protect)).pipe(drawing(0.999))
      assert.deepInclude(yield* throttle.snapshot, { requests: 20, probability: 20 / 21 })
      yield* TestClock.adjust("9999 millis")
      assert.deepInclude(yield* throttle.snapshot, { requests: 20 })
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* throttle.snapshot, { requests: 0, probability: 0 })
    }))

  it.effect("with a success threshold it turns away at most nine calls in ten, unless told otherwise", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({ key: "search", successThreshold: 0.9 })
      yield* times(100, refused.pipe(throttle.protect)).pipe(drawing(0.9))
      assert.deepInclude(yield* throttle.snapshot, { requests: 100, probability: 0.9, rejected: 0 })
      assert.deepInclude(throttle.description.settings, { k: 1 / 0.9, maxProbability: 0.9, windowMillis: 120_000 })
      const bolder = yield* Throttle.make({ key: "search", successThreshold: 0.5, maxProbability: 0.5 })
      assert.deepInclude(bolder.description.settings, { k: 2, maxProbability: 0.5 })
    }))

  it.effect("an answer of the server is accepted, except 429; what is interrupted or dies is taken out of the counts", () =>
    Effect.gen(function*() {
      const counts = <E>(exit: Exit.Exit<unknown, E>) =>
        Effect.gen(function*() {
          const throttle = yield* Throttle.make({ key: "search" })
          yield* Effect.exit(exit.pipe(throttle.protect))
          const { accepts, requests } = yield* throttle.snapshot
          return [requests, accepts]
        })
      for (const error of [new Http({ status: 404 }), { response: { status: 507 } }]) {
        assert.deepStrictEqual(yield* counts(Exit.fail(error)), [1, 1])
      }
      for (const error of [new Http({ status: 429 }), { response: { status: 429 } }, { status: 500 }, "refused"]) {
        assert.deepStrictEqual(yield* counts(Exit.fail(error)), [1, 0])
      }
      assert.deepStrictEqual(yield* counts(Exit.die("bug")), [0, 0])
      assert.deepStrictEqual(yield* counts(Exit.interrupt(yield* Effect.fiberId)), [0, 0])
    }))

  it.effect("a call that another gate turns away, or a refunded permit, leaves no trace", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({ key: "search" })
      const breaker = yield* opened(0)
      yield* Effect.exit(ok.pipe(breaker.protect, throttle.protect))
      assert.deepInclude(yield* throttle.snapshot, { requests: 0, accepts: 0 })
      const permit = yield* throttle.reserve
      assert.deepInclude(yield* throttle.snapshot, { requests: 1 })
      assert.isTrue(yield* permit.refund)
      assert.isFalse(yield* permit.commit(Exit.void))
      assert.deepInclude(yield* throttle.snapshot, { requests: 0, accepts: 0 })
    }))

  it.effect("a classifier of one's own decides; one that throws is a defect of the call and counts for nothing", () =>
    Effect.gen(function*() {
      const throttle = yield* Throttle.make({
        key: "search",
        classify: (exit) => {
          if (Exit.isFailure(exit)) throw new Error("classifier")
          return "refused"
        }
      })
      yield* ok.pipe(throttle.protect)
      assert.deepInclude(yield* throttle.snapshot, { requests: 1, accepts: 0 })
      assert.strictEqual(yield* outcome(fail.pipe(throttle.protect)), "died")
      assert.deepInclude(yield* throttle.snapshot, { requests: 1, accepts: 0 })
      yield* throttle.reset
      assert.deepInclude(yield* throttle.snapshot, { requests: 0 })
    }))

  it.effect("options that can never work are a defect", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<Partial<Throttle.Options>> = [
        { k: 0.9 },
        { k: NaN },
        { k: Infinity },
        { k: 2, successThreshold: 0.5 },
        { successThreshold: 0 },
        { successThreshold: 1.1 },
        { maxProbability: 0 },
        { minimumRequests: -1 },
        { window: 0 },
        { buckets: 0 }
      ]
      for (const wrong of bad) {
        const exit = yield* Effect.exit(Throttle.make({ key: "search", ...wrong }))
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
    }))

  it.effect("there is one for each key, or one as a service", () => {
    class Search extends Throttle.Tag("Search")<Search>() {}
    const program = Effect.gen(function*() {
      const hosts = yield* Throttle.keyed({ key: "hosts", maxKeys: 1 })
      yield* times(1, refused.pipe(hosts.protect("a")))
      yield* times(1, refused.pipe(hosts.protect("b")))
      assert.strictEqual((yield* (yield* hosts.get("a")).snapshot).throttle, "hosts/a")
      assert.strictEqual(yield* hosts.size, 2)
      yield* TestClock.adjust("3 minutes")
      yield* ok.pipe(hosts.protect("c"))
      assert.strictEqual(yield* hosts.size, 1)
      yield* times(1, refused.pipe(Search.protect))
      assert.deepInclude(yield* (yield* Search).snapshot, { throttle: "Search", requests: 1, accepts: 0 })
    })
    // @effect-diagnostics-next-line strictEffectProvide:off
    return Effect.provide(program, Search.layer())
  })

  it("the types of error and requirement stay exact (R31)", () => {
    class Search extends Throttle.Tag("Search")<Search>() {}
    const uses = (throttle: Throttle.Throttle) => {
      expectTypeOf(Throttle.protect(throttle)).toEqualTypeOf<Combinator<Throttle.Throttled>>()
      expectTypeOf(fail.pipe(Throttle.protect(throttle))).toEqualTypeOf<
        Effect.Effect<never, Down | Throttle.Throttled>
      >()
      expectTypeOf(Throttle.protect(fail, throttle)).toEqualTypeOf<Effect.Effect<never, Down | Throttle.Throttled>>()
      assert.isTrue(Throttle.isThrottle(throttle))
    }
    expectTypeOf(uses).returns.toBeVoid()
    expectTypeOf(fail.pipe(Search.protect)).toEqualTypeOf<Effect.Effect<never, Down | Throttle.Throttled, Search>>()
  })

  it.effect(
    "whatever calls come to and in whatever order, the counts are those of the calls that said something",
    () => {
      const program = Effect.gen(function*() {
        const verdicts: Array<ReturnType<Throttle.Classify>> = []
        const throttle = yield* Throttle.make({
          key: "search",
          minimumRequests: 3,
          window: "1 day",
          classify: (exit) => {
            const verdict = Throttle.classify(exit)
            verdicts.push(verdict)
            return verdict
          }
        })
        let running = 0
        let started = 0
        const call = Effect.gen(function*() {
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 30))
          const end = yield* Random.nextIntBetween(0, 5)
          const work = Effect.sleep(yield* Random.nextIntBetween(0, 15)).pipe(
            Effect.zipRight(end < 2 ? refused : end === 2 ? Effect.dieMessage("bug") : ok)
          )
          const counted = Effect.acquireUseRelease(
            Effect.sync(() => {
              started++
              running++
            }),
            () => work,
            () => Effect.sync(() => running--)
          )
          yield* Effect.exit(counted.pipe(throttle.protect, Effect.timeout(1 + (yield* Random.nextIntBetween(0, 20)))))
        })
        yield* Effect.all(Array.from({ length: 9 }, () => call), { concurrency: "unbounded", discard: true })
        const { accepts, rejected, requests } = yield* throttle.snapshot
        const count = (verdict: string) => verdicts.filter((each) => each === verdict).length
        assert.strictEqual(running, 0)
        assert.isAtMost(started, verdicts.length)
        assert.isAtMost(verdicts.length + rejected, 9)
        assert.deepStrictEqual([requests, accepts], [
          count("accepted") + count("refused") + rejected,
          count("accepted")
        ])
      })
      return Simulation.explore(program, { seeds: 1_000 })
    },
    30_000
  )
})
