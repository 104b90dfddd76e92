import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Clock, Context, Duration, Effect, Exit, FastCheck as fc } from "effect"
import { Backoff, Retry } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { A, B, doubling, ended, failing, second, soon, SubA } from "./support/calls.js"

describe("Retry", () => {
  describe("calls", () => {
    it.effect("without rules the effect is the same effect, run once, with its own cause (R1)", () =>
      Effect.gen(function*() {
        const cause = Cause.parallel(Cause.fail("a"), Cause.die("b"))
        const self = Effect.failCause(cause)
        assert.strictEqual(self.pipe(Retry.rules([])), self)
        const exit = yield* Effect.exit(
          self.pipe(Retry.rules([Retry.on((error) => error === "b", { retries: 3, backoff: soon })]))
        )
        assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
      }))

    it.effect("a success passes through after one call (R1)", () =>
      Effect.gen(function*() {
        const { action, times } = failing([])
        assert.strictEqual(yield* Retry.rules(action, [Retry.onAny({ retries: 3, backoff: soon })]), "done")
        assert.lengthOf(times, 1)
      }))

    it.effect("counters belong to one call (R4)", () =>
      Effect.gen(function*() {
        const policy = Retry.rules([Retry.onAny({ retries: 1, backoff: soon })])
        const first = failing(["x"])
        const second = failing(["x"])
        yield* Effect.all([first.action.pipe(policy), second.action.pipe(policy)], { concurrency: 2 })
        assert.deepStrictEqual([first.times.length, second.times.length], [2, 2])
        const again = first.action.pipe(policy)
        first.times.length = 0
        yield* again
        first.times.length = 0
        assert.strictEqual(yield* again, "done")
      }))

    it.effect("N retries are N + 1 calls, and then the last error itself comes out (R10, R13)", () =>
      Effect.gen(function*() {
        const errors = [new A({}), new A({}), new A({}), new A({})]
        const { action, times } = failing(errors)
        const error = yield* Effect.flip(action.pipe(Retry.rules([Retry.on("A", { retries: 2, backoff: soon })])))
        assert.lengthOf(times, 3)
        assert.strictEqual(error, errors[2])
      }))

    it.effect("unlimited retries go on until the call succeeds (R10)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(Array.from({ length: 500 }, () => "x"))
        yield* action.pipe(Retry.rules([Retry.onAny({ retries: "unlimited", backoff: soon })]))
        assert.lengthOf(times, 501)
      }))

    it.effect("an error that no rule takes comes out at once (R12)", () =>
      Effect.gen(function*() {
        const { action, times } = failing([new A({}), new B()])
        const error = yield* Effect.flip(action.pipe(Retry.rules([Retry.on("A", { retries: 9, backoff: soon })])))
        assert.strictEqual(error._tag, "B")
        assert.lengthOf(times, 2)
      }))

    it.effect("the first retry of a rule waits for the first delay of its curve (R14)", () =>
      Effect.gen(function*() {
        const { action, times } = failing([new A({}), new B(), new A({}), new B()])
        yield* ended(action.pipe(Retry.rules([
          Retry.on("A", { retries: 9, backoff: doubling }),
          Retry.on("B", { retries: 9, backoff: Backoff.exponential("10 seconds") })
        ])))
        assert.deepStrictEqual(times, [0, 1_000, 11_000, 13_000, 33_000])
      }))
  })

  describe("rules", () => {
    it.effect("each rule has its own budget in one loop (R15)", () =>
      Effect.gen(function*() {
        const policy = Retry.rules<A | B>([
          Retry.on("A", { retries: 2, backoff: soon }),
          Retry.on("B", { retries: 3, backoff: soon })
        ])
        const errors = [new A({}), new B(), new A({}), new B(), new B()]
        for (const last of [new A({}), new B()]) {
          const { action, times } = failing([...errors, last])
          assert.strictEqual(yield* Effect.flip(action.pipe(policy)), last)
          assert.lengthOf(times, 6)
        }
      }))

    it.effect.prop(
      "calls are at most 1 + the sum of all retries, and what each error's first rule allows (R15, R16)",
      [
        fc.array(fc.record({ takes: fc.subarray(["a", "b", "c", "d"]), retries: fc.nat(4) }), { maxLength: 4 }),
        fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 30 })
      ],
      ([rules, errors]) =>
        Effect.gen(function*() {
          const { action, times } = failing(errors)
          yield* Effect.exit(action.pipe(Retry.rules(
            rules.map(({ retries, takes }) =>
              Retry.on((error: string) => takes.includes(error), { retries, backoff: soon })
            )
          )))
          const left = rules.map(({ retries }) => retries)
          let expected = 1
          for (const error of errors) {
            const rule = rules.findIndex(({ takes }) => takes.includes(error))
            if (rule === -1 || left[rule] === 0) break
            left[rule]!--
            expected++
          }
          assert.lengthOf(times, expected)
          assert.isAtMost(times.length, 1 + rules.reduce((sum, { retries }) => sum + retries, 0))
        })
    )

    it.effect("the first rule that matches decides, also when it is used up (R16)", () =>
      Effect.gen(function*() {
        const run = (exhausted: "stop" | "next") => {
          const { action, times } = failing(Array.from({ length: 9 }, () => new A({})))
          return Effect.as(
            Effect.exit(action.pipe(Retry.rules([
              Retry.on("A", { retries: 1, backoff: soon, exhausted }),
              Retry.onAny({ retries: 5, backoff: soon })
            ]))),
            times
          )
        }
        assert.lengthOf(yield* run("stop"), 2)
        assert.lengthOf(yield* run("next"), 7)
      }))

    it.effect("a rule takes a tag, a class with its subclasses, or what a predicate says (R11)", () =>
      Effect.gen(function*() {
        const takes = (rule: Retry.Rule<A | B>, error: A | B) => {
          const { action, times } = failing([error])
          return Effect.map(Effect.exit(Retry.rules(action, [rule])), () => times.length === 2)
        }
        const options = { retries: 1, backoff: soon }
        const byTag = Retry.on<A | B, "A">("A", options)
        assert.deepStrictEqual(yield* Effect.all([takes(byTag, new A({})), takes(byTag, new B())]), [true, false])
        const byClass = Retry.on(A, options)
        assert.deepStrictEqual(
          yield* Effect.all([takes(byClass, new A({})), takes(byClass, new SubA({})), takes(byClass, new B())]),
          [true, true, false]
        )
        const byPredicate = Retry.on((error: A | B) => error._tag === "B", options)
        assert.deepStrictEqual(yield* Effect.all([takes(byPredicate, new A({})), takes(byPredicate, new B())]), [
          false,
          true
        ])
        // A function of the old kind is a predicate, a built-in class is a class.
        const byFunction = Retry.on(function(error: A | B) {
          return error._tag === "A"
        }, options)
        assert.isTrue(yield* takes(byFunction, new A({})))
        assert.isTrue(yield* takes(Retry.on(Error, options), new B()))
        assert.isFalse(yield* takes(Retry.on(TypeError, options), new B()))
      }))

    it("options that can never work are refused when the rule is built (R10, R11)", () => {
      const refused: ReadonlyArray<() => unknown> = [
        () => Retry.on("A", { retries: -1, backoff: soon }),
        () => Retry.on("A", { retries: NaN, backoff: soon }),
        () => Retry.on("A", { retries: 1.5, backoff: soon }),
        () => Retry.on("A", { retries: 1, backoff: soon, hintCap: -1 }),
        () => Retry.rules([], { maxElapsed: -1 }),
        () => Retry.rules([], { clamp: { minAttempt: 0 } }),
        () => Retry.retryAfter(-1, {}),
        // @ts-expect-error a rule needs a backoff
        () => Retry.on("A", { retries: 1 }),
        // @ts-expect-error a number matches nothing
        () => Retry.on(5, { retries: 1, backoff: soon }),
        // @ts-expect-error these are no rules
        () => Retry.rules([{}])
      ]
      for (const build of refused) assert.throws(build, InvalidOptions)
    })

    it("rules that can never decide are found (R17)", () => {
      const options = { retries: 1, backoff: soon }
      const find = (...rules: ReadonlyArray<Retry.Rule<unknown>>) =>
        Retry.unreachable(rules).map(({ coveredBy, index, rule }) => [index, rule, coveredBy])
      const predicate = () => true
      assert.deepStrictEqual(find(Retry.onAny(options), Retry.on("A", options)), [[1, "A", "any error"]])
      assert.deepStrictEqual(find(Retry.on("A", options), Retry.on("B", options), Retry.on("A", options)), [
        [2, "A", "A"]
      ])
      assert.deepStrictEqual(find(Retry.on(A, options), Retry.on(SubA, options)), [[1, "SubA", "A"]])
      assert.deepStrictEqual(find(Retry.on(SubA, options), Retry.on(A, options)), [])
      assert.deepStrictEqual(find(Retry.on(predicate, options), Retry.on(predicate, options)).length, 1)
      assert.deepStrictEqual(find(Retry.onAny(options), Retry.onCause(Cause.isDie, options)), [])
      assert.deepStrictEqual(find(Retry.onAny({ ...options, exhausted: "next" }), Retry.on("A", options)), [])
      assert.lengthOf(
        find(Retry.onAny({ ...options, retries: "unlimited", exhausted: "next" }), Retry.on("A", options)),
        1
      )
    })

    it.effect("defects and interruptions are left alone, unless a rule looks at the cause (R30)", () =>
      Effect.gen(function*() {
        const calls = (cause: Cause.Cause<string>, rule: Retry.Rule<string>) => {
          let count = 0
          const action = Effect.suspend(() => {
            count++
            return Effect.failCause(cause)
          })
          return Effect.map(Effect.exit(Retry.rules(action, [rule])), () => count)
        }
        const options = { retries: 2, backoff: soon }
        const fails = Cause.fail("x")
        const dies = Cause.die("bug")
        const interrupts = yield* Effect.map(Effect.fiberId, Cause.interrupt)
        assert.strictEqual(yield* calls(dies, Retry.onAny(options)), 1)
        assert.strictEqual(yield* calls(interrupts, Retry.onAny(options)), 1)
        assert.strictEqual(yield* calls(Cause.parallel(fails, dies), Retry.onAny(options)), 1)
        // What its siblings were interrupted for is still a failure.
        assert.strictEqual(yield* calls(Cause.parallel(fails, interrupts), Retry.onAny(options)), 3)
        assert.strictEqual(yield* calls(dies, Retry.onCause(Cause.isDie, options)), 3)
        assert.strictEqual(yield* calls(interrupts, Retry.onCause(Cause.isInterruptedOnly, options)), 3)
        assert.strictEqual(yield* calls(fails, Retry.onCause(Cause.isDie, options)), 1)
      }))
  })

  describe("what can be seen", () => {
    it.effect("an attempt knows its number; a nested retry counts for itself (R27)", () =>
      Effect.gen(function*() {
        const seen: Array<readonly [outer: number, inner: number]> = []
        const twice = Retry.rules([Retry.onAny({ retries: 1, backoff: soon })])
        const inner = (outer: number) =>
          Effect.flatMap(Retry.CurrentAttempt, (inner) => {
            seen.push([outer, inner])
            return Effect.fail("x")
          })
        yield* Effect.exit(Effect.flatMap(Retry.CurrentAttempt, (outer) => inner(outer).pipe(twice)).pipe(twice))
        assert.deepStrictEqual(seen, [[1, 1], [1, 2], [2, 1], [2, 2]])
        assert.strictEqual(yield* Retry.CurrentAttempt, 1)
      }))

    it.effect("an observer is told of each retry before its sleep; attempts count from 1 (R27)", () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const { action } = failing([new A({}), new B()])
        yield* ended(action.pipe(Retry.rules([
          Retry.on("A", { retries: 1, backoff: second }),
          Retry.onAny({ retries: 1, backoff: doubling, label: "the rest" })
        ], {
          onRetry: ({ attempt, cause, delay, rule }) =>
            Effect.map(
              Clock.currentTimeMillis,
              (now) => seen.push([now, rule, attempt, Duration.toMillis(delay), Cause.squash(cause) instanceof Error])
            )
        })))
        assert.deepStrictEqual(seen, [[0, "A", 1, 1_000, true], [1_000, "the rest", 2, 1_000, true]])
      }))

    it.effect("an observer that throws, dies or hangs neither fails nor delays the call", () =>
      Effect.gen(function*() {
        const observers = [
          () => {
            throw new Error("thrown")
          },
          () => Effect.die("bug"),
          () => Effect.never
        ]
        for (const onRetry of observers) {
          const { action } = failing(["x"])
          const call = action.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: soon })], { onRetry }))
          assert.strictEqual(yield* call, "done")
        }
      }))
  })

  it("the types of error and requirement stay exact (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Schedule/Retry.test/Dependency")<Dependency, number>() {}
    class Logs extends Context.Tag("holdfast/test/Schedule/Retry.test/Logs")<Logs, number>() {}
    const call: Effect.Effect<string, A | B, Dependency> = Effect.zipRight(Dependency, Effect.fail(new B()))
    const options = { retries: 1, backoff: soon }
    type Same = Effect.Effect<string, A | B, Dependency>

    expectTypeOf(
      call.pipe(Retry.rules([
        Retry.on("A", { ...options, hint: (error) => (expectTypeOf(error).toEqualTypeOf<A>(), 1) }),
        Retry.on(B, { ...options, hint: (error) => (expectTypeOf(error).toEqualTypeOf<B>(), 1) }),
        Retry.on((error) => error._tag === "A", {
          ...options,
          hint: (error) => (expectTypeOf(error).toEqualTypeOf<A>(), 1)
        }),
        Retry.on((error: unknown) => error instanceof Error, options),
        Retry.onAny({ ...options, hint: (error) => (expectTypeOf(error).toEqualTypeOf<A | B>(), 1) })
      ]))
    ).toEqualTypeOf<Same>()
    expectTypeOf(Retry.rules(call, [Retry.on("A", options), Retry.on(B, options)])).toEqualTypeOf<Same>()

    // A policy that was built apart
    const policy = Retry.rules([Retry.on("A", options), Retry.on(B, options)], { maxElapsed: 1 })
    expectTypeOf(call.pipe(policy)).toEqualTypeOf<Same>()
    expectTypeOf(Effect.fail(5).pipe(policy)).toEqualTypeOf<Effect.Effect<never, number>>()
    const ofB = Retry.rules([Retry.on((error: B) => error._tag === "B", options)])
    // @ts-expect-error A is not what the predicate takes
    assert.isTrue(Effect.isEffect(call.pipe(ofB)))

    // Only the observer adds a requirement.
    expectTypeOf(
      call.pipe(Retry.rules([Retry.onAny(options)], { onRetry: () => Logs }))
    ).toEqualTypeOf<Effect.Effect<string, A | B, Dependency | Logs>>()

    // @ts-expect-error there is no such tag
    assert.isTrue(Effect.isEffect(call.pipe(Retry.rules([Retry.on("C", options)]))))
  })
})
