import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Random,
  TestClock
} from "effect"
import { Backoff, Retry } from "holdfast/Schedule"
import { InvalidOptions } from "../../src/InvalidOptions.js"

class A extends Data.TaggedError("A")<{ readonly wait?: Duration.DurationInput }> {}
class B extends Data.TaggedError("B") {}
class SubA extends A {}

const soon = Backoff.constant(0)
const second = Backoff.constant("1 second")
const doubling = Backoff.exponential("1 second")

/** An action that fails with each of the errors in turn, then succeeds; and the times of its attempts. */
const failing = <E>(errors: ReadonlyArray<E>) => {
  const times: Array<number> = []
  const action: Effect.Effect<string, E> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const index = times.push(now) - 1
    return index < errors.length ? Effect.fail(errors[index]!) : Effect.succeed("done")
  })
  return { times, action }
}

/** Runs an effect for a virtual hour. */
const ended = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.await(fiber)
  })

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

  describe("hints and markers", () => {
    const hinted = (errors: ReadonlyArray<A>, options: Partial<Retry.RuleOptions<A>>) => {
      const { action, times } = failing(errors)
      return Effect.as(
        ended(action.pipe(
          Retry.rules([Retry.on("A", { retries: 9, backoff: doubling, hint: (error) => error.wait, ...options })])
        )),
        times
      )
    }

    it.effect("a hint above zero is the wait; any other leaves it to the curve (R18)", () =>
      Effect.gen(function*() {
        const errors = [5_000, 0, -7, NaN, undefined].map((wait) => new A(wait === undefined ? {} : { wait }))
        assert.deepStrictEqual(yield* hinted(errors, {}), [0, 5_000, 6_000, 8_000, 12_000, 20_000])
      }))

    it.effect("a hint does not move the curve forward, nor draw a random number for it (R19)", () =>
      Effect.gen(function*() {
        const times = yield* hinted([new A({}), new A({ wait: 100 }), new A({ wait: 100 }), new A({})], {})
        assert.deepStrictEqual(times, [0, 1_000, 1_100, 1_200, 3_200])
        const run = (errors: ReadonlyArray<A>) =>
          Effect.zipRight(hinted(errors, { backoff: Backoff.exponential(1_000, { jitter: "full" }) }), Random.next)
            .pipe(
              Effect.withRandom(Random.make("seed"))
            )
        assert.strictEqual(yield* run([new A({ wait: 50 })]), yield* run([]))
      }))

    it.effect("a hint is capped, and jitter adds to it but never takes away (R18)", () =>
      Effect.gen(function*() {
        const errors = [new A({ wait: "10 minutes" })]
        assert.deepStrictEqual(yield* hinted(errors, { hintCap: "1 minute" }), [0, 60_000])
        const [from, to] = yield* Effect.withRandom(hinted(errors, { hintJitter: "1 minute" }), Random.make("seed"))
        const random = yield* Effect.withRandom(Random.next, Random.make("seed"))
        assert.closeTo(to! - from!, 600_000 + 60_000 * random, 0.001)
      }))

    it.effect("combine: \"max\" waits for the longer of curve and hint (R18)", () =>
      Effect.gen(function*() {
        const errors = [new A({ wait: 3_000 }), new A({ wait: 500 })]
        assert.deepStrictEqual(yield* hinted(errors, { combine: "max" }), [0, 3_000, 5_000])
      }))

    it.effect("a marked error is not retried, also when another error wraps it (R27)", () =>
      Effect.gen(function*() {
        class Wrapper extends Data.TaggedError("Wrapper")<{ readonly cause: unknown }> {}
        for (
          const error of [
            Retry.nonRetryable(new A({})),
            new Wrapper({ cause: new Wrapper({ cause: Retry.nonRetryable(Object.freeze({ frozen: true })) }) })
          ]
        ) {
          const { action, times } = failing<unknown>([error])
          yield* Effect.exit(action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })])))
          assert.lengthOf(times, 1)
          assert.isTrue(Retry.isNonRetryable(error))
        }
        assert.isFalse(Retry.isNonRetryable(new A({})))
      }))

    it.effect("a delay marked on an error wins over hint and curve (R27)", () =>
      Effect.gen(function*() {
        const wrapped = { cause: Retry.retryAfter("7 seconds", new B()) }
        const { action, times } = failing([wrapped])
        yield* ended(action.pipe(
          Retry.rules([Retry.onAny({ retries: 9, backoff: doubling, hint: () => "1 minute" })])
        ))
        assert.deepStrictEqual(times, [0, 7_000])
        assert.deepStrictEqual(Retry.retryAfterOf(wrapped).pipe((delay) => delay._tag), "Some")
        assert.strictEqual(Retry.retryAfterOf("text")._tag, "None")
      }))

    it.effect("an error that wraps itself is read once and for all (R27)", () =>
      Effect.gen(function*() {
        const knot: { cause?: unknown } = {}
        knot.cause = knot
        const { action, times } = failing([knot])
        yield* action.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: soon })]))
        assert.lengthOf(times, 2)
      }))
  })

  describe("time", () => {
    it.effect("no attempt starts later than maxElapsed, and no sleep is begun in vain (R25)", () =>
      Effect.gen(function*() {
        const run = (maxElapsed: number) =>
          Effect.gen(function*() {
            const { action, times } = failing(Array.from({ length: 9 }, () => "x"))
            let end = -1
            yield* ended(
              action.pipe(
                Retry.rules([Retry.onAny({ retries: 9, backoff: doubling })], { maxElapsed }),
                Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => end = now))
              )
            )
            const from = times[0]!
            return [...times, end].map((time) => time - from)
          })
        assert.deepStrictEqual(yield* run(7_000), [0, 1_000, 3_000, 7_000, 7_000])
        assert.deepStrictEqual(yield* run(6_999), [0, 1_000, 3_000, 3_000])
      }))

    it.effect("near a deadline no sleep is begun that ends at it or after it (R26)", () =>
      Effect.gen(function*() {
        const run = (remaining: number, options?: Retry.Options<string>) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const { action, times } = failing(Array.from({ length: 9 }, () => "x"))
            const policy = Retry.rules([Retry.onAny<string>({ retries: 9, backoff: doubling })], options)
            const exit = yield* ended(
              action.pipe(policy, Effect.provideService(Retry.CurrentDeadline, now + remaining))
            )
            assert.deepStrictEqual(exit, Exit.fail("x"))
            return times.map((time) => time - now)
          })
        assert.deepStrictEqual(yield* run(3_001), [0, 1_000, 3_000])
        assert.deepStrictEqual(yield* run(3_000), [0, 1_000])
        assert.deepStrictEqual(yield* run(0), [0])
        assert.deepStrictEqual(yield* run(-5), [0])
        assert.deepStrictEqual(yield* run(5_000, { clamp: { minAttempt: 500 } }), [0, 1_000, 3_000, 4_500])
      }))

    it.effect("clamping shortens no delay that was asked for (R26)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        yield* ended(action.pipe(Retry.rules(
          [Retry.onAny({ retries: 9, backoff: second, hint: () => "10 seconds" })],
          { maxElapsed: "5 seconds", clamp: { minAttempt: 1 } }
        )))
        assert.deepStrictEqual(times, [0])
      }))

    it.effect("a delay beyond the longest timer of the platform is slept in full", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        const fiber = yield* Effect.fork(
          action.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.constant("60 days") })]))
        )
        yield* TestClock.adjust(Duration.subtract(Duration.days(60), 1))
        assert.lengthOf(times, 1)
        yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        assert.strictEqual(times[1], 60 * 86_400_000)
      }))
  })

  describe("interruption", () => {
    it.effect("in the sleep: no further call, and the failure comes out before the interruption (R20, R21)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x", "x"])
        const fiber = yield* Effect.fork(
          action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: second })]))
        )
        yield* TestClock.adjust("500 millis")
        const exit = yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(times, [0])
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right))
        assert.deepStrictEqual(cause._tag === "Sequential" && cause.left, Cause.fail("x"))
      }))

    it.effect("after a failing attempt that could not be interrupted: the failure is kept (R20, R21)", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        let calls = 0
        const action = Effect.uninterruptible(
          Effect.sync(() => calls++).pipe(
            Effect.zipRight(Deferred.succeed(started, undefined)),
            Effect.zipRight(Deferred.await(goOn)),
            Effect.zipRight(Effect.fail("x"))
          )
        )
        const fiber = yield* Effect.fork(action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })])))
        yield* Deferred.await(started)
        yield* Fiber.interruptFork(fiber)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(goOn, undefined)
        const exit = yield* Fiber.await(fiber)
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right))
        assert.deepStrictEqual(cause._tag === "Sequential" && cause.left, Cause.fail("x"))
        assert.strictEqual(calls, 1)
      }))

    it.effect("in an attempt: it is interrupted, and releases what it holds once (R9, R20)", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        let released = 0
        let calls = 0
        const action = Effect.acquireUseRelease(
          Effect.sync(() => calls++),
          () => Effect.zipRight(Deferred.succeed(started, undefined), Effect.never),
          () => Effect.sync(() => released++)
        )
        const fiber = yield* Effect.fork(
          action.pipe(Retry.rules([
            Retry.onCause(() => true, { retries: 9, backoff: soon }),
            Retry.onAny({ retries: 9, backoff: soon })
          ]))
        )
        yield* Deferred.await(started)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isInterrupted(exit))
        assert.deepStrictEqual([calls, released], [1, 1])
      }))

    it.effect("before the call: the effect does not run (R20)", () =>
      Effect.gen(function*() {
        const { action, times } = failing(["x"])
        const retried = action.pipe(Retry.rules([Retry.onAny({ retries: 9, backoff: soon })]))
        const fiber = yield* Effect.fork(
          Effect.uninterruptibleMask((restore) =>
            Effect.withFiberRuntime<string, string>((self) => {
              self.unsafeInterruptAsFork(self.id())
              return Effect.zipRight(Effect.yieldNow(), restore(retried))
            })
          )
        )
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
        assert.lengthOf(times, 0)
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

    it.effect("an observer that throws, dies or hangs neither fails nor delays the call (R8)", () =>
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
    class Dependency extends Context.Tag("test/Retry/Dependency")<Dependency, number>() {}
    class Logs extends Context.Tag("test/Retry/Logs")<Logs, number>() {}
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
    call.pipe(ofB)

    // Only the observer adds a requirement.
    expectTypeOf(
      call.pipe(Retry.rules([Retry.onAny(options)], { onRetry: () => Logs }))
    ).toEqualTypeOf<Effect.Effect<string, A | B, Dependency | Logs>>()

    // @ts-expect-error there is no such tag
    call.pipe(Retry.rules([Retry.on("C", options)]))
  })
})
