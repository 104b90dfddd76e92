import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Exit, Fiber } from "effect"
import { Fallback } from "holdfast/Call"
import type { Combinator } from "holdfast/Combinator"
import { InvalidOptions } from "../../src/InvalidOptions.js"

class A extends Data.TaggedError("A")<{ readonly n: number }> {}
class B extends Data.TaggedError("B") {}

const a: Effect.Effect<string, A | B> = Effect.fail(new A({ n: 1 }))
const b: Effect.Effect<string, A | B> = Effect.fail(new B())

describe("Fallback", () => {
  it.effect("to: a value in place of any error (R135)", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* a.pipe(Fallback.to("x")), "x")
      assert.strictEqual(yield* Fallback.to(b, "x"), "x")
      assert.strictEqual(yield* Effect.succeed("own").pipe(Fallback.to("x")), "own")
    }))

  it.effect("toOn: a value in place of the errors that match; others pass (R135)", () =>
    Effect.gen(function*() {
      const isA = (error: unknown): error is A => error instanceof A
      for (
        const fallback of [
          (self: Effect.Effect<string, A | B>) => self.pipe(Fallback.toOn("A", "x")),
          (self: Effect.Effect<string, A | B>) => self.pipe(Fallback.toOn(A, "x")),
          (self: Effect.Effect<string, A | B>) => self.pipe(Fallback.toOn(isA, "x")),
          (self: Effect.Effect<string, A | B>) => self.pipe(Fallback.toOn((error) => "n" in error, "x")),
          (self: Effect.Effect<string, A | B>) => Fallback.toOn(self, "A", "x"),
          (self: Effect.Effect<string, A | B>) => Fallback.toOn(self, A, "x"),
          (self: Effect.Effect<string, A | B>) => Fallback.toOn(self, isA, "x")
        ]
      ) {
        assert.strictEqual(yield* fallback(a), "x")
        assert.strictEqual((yield* Effect.flip(fallback(b)))._tag, "B")
      }
    }))

  it.effect("orElse and orElseOn: another effect, that may look at the error (R135)", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* a.pipe(Fallback.orElse(Effect.succeed("x"))), "x")
      assert.strictEqual(yield* a.pipe(Fallback.orElse((error) => Effect.succeed(error._tag))), "A")
      assert.strictEqual(yield* a.pipe(Fallback.orElseOn("A", (error) => Effect.succeed(`n=${error.n}`))), "n=1")
      assert.strictEqual(yield* a.pipe(Fallback.orElseOn(A, Effect.succeed("x"))), "x")
      assert.strictEqual((yield* Effect.flip(b.pipe(Fallback.orElseOn("A", Effect.succeed("x")))))._tag, "B")
    }))

  it.effect("a defect is never handled, also not beside an error (R30)", () =>
    Effect.gen(function*() {
      const both = Cause.parallel(Cause.fail(new B()), Cause.die("bug"))
      for (const cause of [Cause.die("bug"), both]) {
        const self: Effect.Effect<string, A | B> = Effect.failCause(cause)
        const handled: ReadonlyArray<Effect.Effect<string, A | B>> = [
          self.pipe(Fallback.to("x")),
          self.pipe(Fallback.toOn("B", "x")),
          self.pipe(Fallback.orElse(Effect.succeed("x")))
        ]
        for (const effect of handled) {
          const exit = yield* Effect.exit(effect)
          assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause) && !Cause.isFailure(exit.cause))
        }
      }
    }))

  it.effect("an interruption is never handled (R9)", () =>
    Effect.gen(function*() {
      let ran = false
      const instead = Effect.sync(() => ran = true)
      assert.isTrue(Exit.isInterrupted(yield* Effect.exit(Effect.interrupt.pipe(Fallback.orElse(instead)))))
      const started = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(Fallback.orElse(instead))
      )
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.isFalse(ran)
    }))

  it.effect("a cause that no fallback takes comes out as it is (R1)", () =>
    Effect.gen(function*() {
      const cause = Cause.sequential(Cause.fail(new B()), Cause.fail(new A({ n: 2 })))
      const exit = yield* Effect.exit(Effect.failCause(cause).pipe(Fallback.toOn("A", "x")))
      assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
    }))

  it.effect("chain: the first link that succeeds, each started after the one before has failed (R136, R137)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const link = (name: string, end: Effect.Effect<string, string>) =>
        Effect.sync(() => log.push(`${name} starts`)).pipe(
          Effect.zipRight(Effect.yieldNow()),
          Effect.zipRight(end),
          Effect.ensuring(Effect.sync(() => log.push(`${name} ends`)))
        )
      const chain = Fallback.chain([
        link("first", Effect.fail("1")),
        link("second", Effect.succeed("2")),
        link("third", Effect.succeed("3"))
      ])
      assert.strictEqual(yield* chain, "2")
      assert.deepStrictEqual(log, ["first starts", "first ends", "second starts", "second ends"])
    }))

  it.effect("chain: when all links fail, all errors come out in order; each switch is told, and the end (R136)", () =>
    Effect.gen(function*() {
      const switches: Array<Fallback.Switched<string>> = []
      const exhausted: Array<string> = []
      const error = yield* Effect.flip(Fallback.chain([Effect.fail("1"), Effect.fail("2"), Effect.fail("3")], {
        onSwitch: (event) => Effect.sync(() => switches.push(event)),
        onExhausted: (errors) => Effect.sync(() => exhausted.push(...errors))
      }))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(error.errors, ["1", "2", "3"])
      assert.strictEqual(error.message, "all 3 links of a fallback chain failed; the last with 3")
      assert.deepStrictEqual(exhausted, ["1", "2", "3"])
      assert.deepStrictEqual(switches, [{ from: 0, to: 1, error: "1" }, { from: 1, to: 2, error: "2" }])
    }))

  it("fallbacks describe themselves, and are combinators (R31)", () => {
    const described = [
      Fallback.to("x"),
      Fallback.toOn("A", "x"),
      Fallback.orElse(Effect.succeed("x")),
      Fallback.orElseOn(A, Effect.succeed("x"))
    ].flatMap(({ descriptions }) => descriptions)
    assert.deepStrictEqual(described, [
      { policy: "Fallback", settings: { kind: "to", on: { kind: "all", label: "any error", tags: [] } } },
      { policy: "Fallback", settings: { kind: "toOn", on: { kind: "tag", label: "A", tags: ["A"] } } },
      { policy: "Fallback", settings: { kind: "orElse", on: { kind: "all", label: "any error", tags: [] } } },
      { policy: "Fallback", settings: { kind: "orElseOn", on: { kind: "class", label: "A", tags: ["A"] } } }
    ])
    expectTypeOf(Fallback.to(5)).toEqualTypeOf<Combinator<never, never, unknown, number>>()
    expectTypeOf(Fallback.toOn("A", 5)).toEqualTypeOf<Combinator<never, never, { readonly _tag: "A" }, number>>()
    expectTypeOf(Fallback.toOn(A, 5)).toEqualTypeOf<Combinator<never, never, A, number>>()
    expectTypeOf(Fallback.toOn<A, number>((error) => error.n > 0, 5)).toExtend<
      Combinator<never, never, never, number, A>
    >()
    expectTypeOf(Fallback.orElse((error: A) => Effect.succeed(error.n))).toExtend<
      Combinator<never, never, unknown, number, A>
    >()
  })

  it.effect("a fallback effect can be interrupted (R9)", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      let released = 0
      const instead = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
        Effect.ensuring(Effect.sync(() => released++))
      )
      const fiber = yield* Effect.fork(a.pipe(Fallback.orElse(instead)))
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(released, 1)
    }))

  it("what is no matcher is refused at once (R11)", () => {
    // @ts-expect-error a number matches nothing
    assert.throws(() => a.pipe(Fallback.toOn(5, "x")), InvalidOptions)
  })

  it("the types of errors lose what is handled, and nothing else (R31)", () => {
    class Dependency extends Context.Tag("holdfast/test/Call/Fallback.test/Dependency")<Dependency, number>() {}
    class Other extends Data.TaggedError("Other") {}
    const call: Effect.Effect<string, A | B, Dependency> = Effect.zipRight(Dependency, a)
    const other: Effect.Effect<boolean, Other, Dependency> = Effect.zipRight(Dependency, new Other())
    const isA = (error: unknown): error is A => error instanceof A

    expectTypeOf(call.pipe(Fallback.to(5))).toEqualTypeOf<Effect.Effect<string | number, never, Dependency>>()
    type OnlyB = Effect.Effect<string | number, B, Dependency>
    expectTypeOf(call.pipe(Fallback.toOn("A", 5))).toEqualTypeOf<OnlyB>()
    expectTypeOf(call.pipe(Fallback.toOn(A, 5))).toEqualTypeOf<OnlyB>()
    expectTypeOf(call.pipe(Fallback.toOn(isA, 5))).toEqualTypeOf<OnlyB>()
    expectTypeOf(Fallback.toOn(call, "A", 5)).toEqualTypeOf<OnlyB>()
    // A predicate that is no refinement removes nothing.
    expectTypeOf(call.pipe(Fallback.toOn((error) => error._tag.length > 0, 5))).toEqualTypeOf<
      Effect.Effect<string | number, A | B, Dependency>
    >()
    expectTypeOf(a.pipe(Fallback.orElse(other))).toEqualTypeOf<Effect.Effect<string | boolean, Other, Dependency>>()
    expectTypeOf(a.pipe(Fallback.orElseOn("A", other))).toEqualTypeOf<
      Effect.Effect<string | boolean, B | Other, Dependency>
    >()
    // A fallback that was built apart
    const apart = Fallback.toOn("A", 5)
    expectTypeOf(call.pipe(apart)).toEqualTypeOf<OnlyB>()
    expectTypeOf(Fallback.chain([call, call])).toEqualTypeOf<
      Effect.Effect<string, Fallback.ChainExhausted<A | B>, Dependency>
    >()
    // @ts-expect-error there is no such tag
    assert.isTrue(Effect.isEffect(Fallback.toOn(call, "C", 5)))
  })
})
