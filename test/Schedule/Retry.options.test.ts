import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit, Option, Schedule } from "effect"
import * as Combinator from "holdfast/Combinator"
import { Backoff, Retry, RetryBudget } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { A, B, doubling, ended, failing, second, soon, SubA } from "./support/calls.js"

class Pushed extends Data.TaggedError("Pushed")<{ readonly header: string | number | undefined }> {}

describe("Retry, further options", () => {
  describe("never", () => {
    it.effect("what it matches is not retried, whatever the rules say (R12)", () =>
      Effect.gen(function*() {
        const options = { retries: 9, backoff: soon }
        const run = (error: A | B, policy: Combinator.Combinator<never, never, never, never, A | B>) => {
          const { action, times } = failing<A | B>([error])
          return Effect.map(Effect.exit(action.pipe(policy)), () => times.length)
        }
        const byTag = Retry.rules<A | B>([Retry.onAny(options)], { never: ["A"] })
        assert.deepStrictEqual(yield* Effect.all([run(new A({}), byTag), run(new B(), byTag)]), [1, 2])
        const byClass = Retry.rules<A | B>([Retry.onAny(options)], { never: [A] })
        assert.deepStrictEqual(yield* Effect.all([run(new SubA({}), byClass), run(new B(), byClass)]), [1, 2])
        const byPredicate = Retry.rules<A | B>([Retry.onAny(options)], { never: [(error) => error._tag === "B"] })
        assert.deepStrictEqual(yield* Effect.all([run(new A({}), byPredicate), run(new B(), byPredicate)]), [2, 1])
      }))

    it("what matches nothing is refused when the retry is built (R11)", () => {
      // @ts-expect-error a number matches nothing
      assert.throws(() => Retry.rules([], { never: [5] }), InvalidOptions)
      const call: Effect.Effect<string, A | B> = Effect.fail(new B())
      expectTypeOf(call.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: soon })], { never: ["A"] })))
        .toEqualTypeOf<Effect.Effect<string, A | B>>()
      assert.isTrue(Effect.isEffect(
        // @ts-expect-error there is no such tag
        call.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: soon })], { never: ["C"] }))
      ))
    })
  })

  describe("values", () => {
    /** Gives each of the values in turn, and the last again and again. */
    const giving = (values: ReadonlyArray<string>) => {
      let calls = 0
      return { calls: () => calls, action: Effect.sync(() => values[Math.min(calls++, values.length - 1)]!) }
    }
    const isPending = (value: unknown) => value === "pending"

    it.effect("a value that is not good enough is tried again; used up, the last value comes out (R10, R13)", () =>
      Effect.gen(function*() {
        const policy = Retry.rules([Retry.onValue(isPending, { retries: 2, backoff: soon })])
        const soonDone = giving(["pending", "done"])
        assert.strictEqual(yield* soonDone.action.pipe(policy), "done")
        assert.strictEqual(soonDone.calls(), 2)
        const never = giving(["pending"])
        assert.strictEqual(yield* never.action.pipe(policy), "pending")
        assert.strictEqual(never.calls(), 3)
      }))

    it.effect("rules for values and for errors are in one loop, each with its own budget (R15)", () =>
      Effect.gen(function*() {
        let calls = 0
        const action = Effect.suspend(() => {
          calls++
          return calls % 2 === 0 ? Effect.fail("x") : Effect.succeed("pending")
        })
        const exit = yield* ended(action.pipe(Retry.rules([
          Retry.onValue(isPending, { retries: 2, backoff: doubling }),
          Retry.onAny({ retries: 1, backoff: second })
        ])))
        // pending, x, pending, x: the error's only retry is used up.
        assert.deepStrictEqual([exit, calls], [Exit.fail("x"), 4])
      }))

    it.effect("the observer is told of the value, and a hint may look at it (R18, R27)", () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        yield* ended(
          giving(["pending", "done"]).action.pipe(Retry.rules([
            Retry.onValue(isPending, { retries: 2, backoff: soon, hint: (value) => value === "pending" ? 700 : 0 })
          ], {
            onRetry: ({ cause, delay, rule, value }) =>
              Effect.sync(() =>
                seen.push([rule, Cause.isEmpty(cause), Option.getOrNull(value), Duration.toMillis(delay)])
              )
          }))
        )
        assert.deepStrictEqual(seen, [["isPending", true, "pending", 700]])
      }))

    it("a rule for values hides only the same rule for values (R17)", () => {
      const options = { retries: 1, backoff: soon }
      const rules = [
        Retry.onAny(options),
        Retry.onValue(isPending, options),
        Retry.onCause(isPending, options),
        Retry.onValue(isPending, options)
      ]
      assert.deepStrictEqual(Retry.unreachable(rules), [{ index: 3, rule: "isPending", coveredBy: "isPending" }])
    })
  })

  describe("schedules", () => {
    it.effect("any schedule can be the backoff: it starts anew with each call, and its end uses up the rule (R14)", () =>
      Effect.gen(function*() {
        const backoff = Schedule.intersect(Schedule.spaced("3 seconds"), Schedule.recurs(2))
        const policy = Retry.rules([Retry.onAny({ retries: "unlimited", backoff })])
        for (let call = 0; call < 2; call++) {
          const { action, times } = failing(["x", "x", "x", "x"])
          assert.deepStrictEqual(yield* ended(action.pipe(policy)), Exit.fail("x"))
          assert.deepStrictEqual(times.map((time) => time - times[0]!), [0, 3_000, 6_000])
        }
      }))

    it.effect("at its end the next rule is asked, if the rule says so (R16)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x", "x", "x"])
        yield* ended(action.pipe(Retry.rules([
          Retry.onAny({ retries: "unlimited", backoff: Schedule.recurs(1), exhausted: "next" }),
          Retry.onAny({ retries: 9, backoff: second })
        ])))
        assert.deepStrictEqual(times, [0, 0, 1_000, 2_000])
        const hidden = Retry.unreachable([
          Retry.onAny({ retries: "unlimited", backoff: Schedule.recurs(1), exhausted: "next" }),
          Retry.onAny({ retries: 9, backoff: second })
        ])
        assert.lengthOf(hidden, 0)
      }))

    it.effect("a schedule that has come to its end is not asked again (R16)", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const { action } = failing(["x", "stop", "x"])
        yield* ended(action.pipe(Retry.rules([
          Retry.onAny({
            retries: "unlimited",
            backoff: Schedule.recurUntil((error: string) => error === "stop"),
            exhausted: "next",
            label: "first"
          }),
          Retry.onAny({ retries: 9, backoff: soon, label: "second" })
        ], { onRetry: ({ rule }) => Effect.sync(() => seen.push(rule)) })))
        assert.deepStrictEqual(seen, ["first", "second", "second"])
      }))

    it.effect("it is given what the rule has matched (R11)", () =>
      Effect.gen(function*() {
        const { action, times } = failing([new A({ wait: "1 second" }), new A({ wait: "2 seconds" })])
        const asAsked = Schedule.identity<A>().pipe(
          Schedule.addDelay((error) => Duration.decode(error.wait ?? 0))
        )
        yield* ended(action.pipe(Retry.rules([Retry.on("A", { retries: 9, backoff: asAsked })])))
        assert.deepStrictEqual(times, [0, 1_000, 3_000])
      }))

    it("what is neither is refused (R11)", () => {
      // @ts-expect-error a duration is no backoff
      assert.throws(() => Retry.onAny({ retries: 1, backoff: "1 second" }), InvalidOptions)
    })
  })

  describe("pushback", () => {
    const run = (headers: ReadonlyArray<string | number | undefined>) => {
      const { action, times } = failing(headers.map((header) => new Pushed({ header })))
      const seen: Array<string> = []
      return Effect.as(
        ended(action.pipe(Retry.rules([
          Retry.on("Pushed", { retries: 9, backoff: doubling, pushback: (error) => error.header })
        ], {
          onRetry: (event) => Effect.sync(() => seen.push(event._tag === "Suppressed" ? event.reason : event._tag))
        }))),
        { times, seen }
      )
    }

    it.effect("a time is waited, and the curve starts again from its first delay (R18, R19)", () =>
      Effect.gen(function*() {
        const { times } = yield* run([undefined, undefined, "500", undefined, undefined, 0])
        assert.deepStrictEqual(times, [0, 1_000, 3_000, 3_500, 4_500, 6_500, 6_500])
      }))

    it.effect("negative or unreadable, there is no retry (R28)", () =>
      Effect.gen(function*() {
        for (const header of [-1, "-1", "soon", "", "1.5", NaN]) {
          const { seen, times } = yield* run([header])
          assert.deepStrictEqual([times.length, seen], [1, ["pushback"]])
        }
      }))
  })

  it.effect("a retry that would come too late is told too (R25)", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      yield* ended(
        failing(["x"]).action.pipe(Retry.rules(
          [Retry.onAny({ retries: 9, backoff: second })],
          {
            maxElapsed: 999,
            onRetry: (event) =>
              Effect.sync(() =>
                seen.push([event._tag === "Suppressed" && event.reason, Duration.toMillis(event.delay)])
              )
          }
        ))
      )
      assert.deepStrictEqual(seen, [["time", 1_000]])
    }))

  it.effect("it describes itself as plain data", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.throttle({ key: "search" })
      const policy = Retry.rules([
        Retry.on("A", { retries: 5, backoff: Backoff.constant(5), hint: () => 1, hintCap: "1 minute" }),
        Retry.on(B, { retries: "unlimited", backoff: Schedule.spaced(1), exhausted: "next", combine: "max" }),
        Retry.on("A", { retries: 1, backoff: soon, label: "again", pushback: () => undefined, hintJitter: 7 }),
        Retry.onCause(Cause.isDie, { retries: 1, backoff: soon })
      ], { maxElapsed: "1 minute", clamp: { minAttempt: 10 }, budget, never: [TypeError] })
      assert.isTrue(Combinator.isCombinator(policy))
      const backoff = { _tag: "Constant", delayMillis: 0, jitter: "none" }
      const rest = {
        exhausted: "stop",
        combine: "replace",
        hasHint: false,
        hintCapMillis: null,
        hintJitterMillis: 0,
        hasPushback: false
      }
      assert.deepStrictEqual(policy.descriptions, [{
        policy: "Retry",
        settings: {
          rules: [
            {
              ...rest,
              label: "A",
              matcher: { kind: "tag", label: "A", tags: ["A"] },
              retries: 5,
              backoff: { ...backoff, delayMillis: 5 },
              hasHint: true,
              hintCapMillis: 60_000
            },
            {
              ...rest,
              label: "B",
              matcher: { kind: "class", label: "B", tags: ["B"] },
              retries: "unlimited",
              backoff: { _tag: "Schedule" },
              exhausted: "next",
              combine: "max"
            },
            {
              ...rest,
              label: "again",
              matcher: { kind: "tag", label: "A", tags: ["A"] },
              retries: 1,
              backoff,
              hintJitterMillis: 7,
              hasPushback: true
            },
            { ...rest, label: "isDie", matcher: { kind: "cause", label: "isDie", tags: [] }, retries: 1, backoff }
          ],
          never: [{ kind: "class", label: "TypeError", tags: ["TypeError"] }],
          unreachable: [{ index: 2, rule: "again", coveredBy: "A" }],
          maxElapsedMillis: 60_000,
          minAttemptMillis: 10,
          budget: "search"
        }
      }])
      assert.deepStrictEqual(JSON.parse(JSON.stringify(policy.descriptions)), policy.descriptions)
      const { settings } = Retry.rules([]).descriptions[0]!
      assert.deepStrictEqual(settings, {
        rules: [],
        never: [],
        unreachable: [],
        maxElapsedMillis: null,
        minAttemptMillis: null,
        budget: null
      })
    }))

  it("its type is a combinator's, with the errors that it can be used with (R31)", () => {
    const options = { retries: 1, backoff: soon }
    const ofA = Retry.rules<A>([Retry.on("A", options)])
    expectTypeOf(ofA).toExtend<Combinator.Combinator<never, never, never, never, A>>()
    const ofAny = Retry.rules([Retry.onAny(options)])
    expectTypeOf(ofAny).toEqualTypeOf<Combinator.Combinator>()
    // The errors of the effect, not those of the rules, come out.
    const sub: Effect.Effect<string, SubA> = Effect.fail(new SubA({}))
    expectTypeOf(sub.pipe(ofA)).toEqualTypeOf<Effect.Effect<string, SubA>>()
    expectTypeOf(ofA(sub)).toEqualTypeOf<Effect.Effect<string, SubA>>()
  })
})
