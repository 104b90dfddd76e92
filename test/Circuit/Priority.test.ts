import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Policy } from "holdfast/Call"
import { Priority } from "holdfast/Circuit"
import { isCombinator } from "holdfast/Combinator"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { fail } from "./support/calls.js"

const current = Effect.map(Priority.Current, (priority) => priority)

describe("Priority", () => {
  it.effect("a call is of the class normal unless it is said otherwise; what is said inside counts", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* current, { class: "normal" })
      assert.deepStrictEqual(yield* current.pipe(Priority.withClass("low")), { class: "low" })
      assert.deepStrictEqual(yield* Priority.withLevel(current, 312), { class: "high", level: 312 })
      assert.deepStrictEqual(
        yield* current.pipe(Priority.withClass("high"), Priority.withUser("ada"), Priority.withLevel(42)),
        { class: "high", user: "ada" }
      )
      assert.deepStrictEqual(
        yield* current.pipe(Priority.withUser("ada"), Priority.withLevel(42)),
        { class: "sheddable", level: 42, user: "ada" }
      )
    }))

  it.effect("the fibers that a call starts have its priority", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(current).pipe(Priority.withClass("critical"))
      assert.deepStrictEqual(yield* Fiber.join(fiber), { class: "critical" })
    }))

  it.effect("it composes and describes itself like any other combinator (R148)", () =>
    Effect.gen(function*() {
      assert.isTrue(isCombinator(Priority.withClass("low")))
      const policy = Policy.compose(Priority.withClass("low"), Priority.withUser("ada"))
      assert.deepStrictEqual(yield* current.pipe(policy), { class: "low", user: "ada" })
      assert.deepStrictEqual(policy.descriptions.map(({ policy, settings }) => [policy, settings]), [
        ["Priority", { class: "low" }],
        ["Priority", { user: "ada" }]
      ])
    }))

  it("classes and levels belong together", () => {
    assert.deepStrictEqual(Priority.classes.map(Priority.rank), [0, 1, 2, 3, 4])
    assert.deepStrictEqual(Priority.levels("sheddable"), { lowest: 0, highest: 99 })
    assert.deepStrictEqual(Priority.levels("critical"), { lowest: 400, highest: 499 })
    for (const name of Priority.classes) {
      const { highest, lowest } = Priority.levels(name)
      assert.strictEqual(Priority.classOf(lowest), name)
      assert.strictEqual(Priority.classOf(highest), name)
    }
  })

  it("there is no other class, and no other level", () => {
    assert.throws(() => Priority.withClass("urgent" as never), InvalidOptions)
    for (const level of [-1, 500, 1.5, NaN]) assert.throws(() => Priority.withLevel(level), InvalidOptions)
  })

  it("the types of error and requirement stay exact (R31)", () => {
    expectTypeOf(fail.pipe(Priority.withClass("low"))).toEqualTypeOf<typeof fail>()
    expectTypeOf(Priority.withUser(fail, "ada")).toEqualTypeOf<typeof fail>()
  })
})
