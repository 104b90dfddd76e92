import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as JournalConformance from "holdfast/Testing/JournalConformance"
import { Journal } from "holdfast/Workflow"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import * as journals from "./support/journals.js"

for (const [store, journal] of journals.all) {
  const tests = JournalConformance.suite(journal, { runs: store === "PostgreSQL" ? 20 : 100 })
  const shown = new Set<string>()
  const show = (theme: string) => () => {
    shown.add(theme)
    for (const { name, run } of tests.filter((test) => test.theme === theme)) it.effect(name, () => run, 60_000)
  }

  describe(`the store of ${store} passes the suite of all stores (B-19, T78)`, () => {
    describe("a run begins once, as its policies say (C5, C6, C10, C11, C17, D2.1)", show("starts"))
    describe("what is written is what is read (C1, C2, C4, D1.2, D2.2, D2.3, G5, G6)", show("histories"))
    describe(
      "one owner writes, and is told what it has not seen (C3, C15, C30, C32, D2.6, W-2, W-3, W-18, B-3)",
      show("owners")
    )
    describe("a run ends once, and everything in it (C7, C8, C9, D2.14, W-9, W-10, B-11)", show("ends"))
    describe("anybody sends to the open run of an id (C29, C31, C33, D2.15, D2.16)", show("messages"))
    describe("what is pending can be looked at, and stays (C23, C24, C25, D2.4, D2.11, D2.21)", show("pending"))
    describe(
      "an attempt ends once, by whoever may end it (C20, C21, C26, C27, C28, D2.9, D2.10, D2.12, W-16, W-17)",
      show("attempts")
    )
    describe("an attempt is taken from a queue by one worker (C18, C19, C22, D2.8)", show("queues"))
    describe("a run has one owner, as long as that lives (C12, C13, C14, C16, D2.5, D2.7, T75, G9)", show("claims"))
    describe("a child is begun with what asks for it (C34, C35, D2.18, D2.19)", show("children"))
    describe("a child goes the way of its parent, as was asked for (D2.20)", show("families"))
    describe("what a run sends arrives with its turn (D2.4)", show("sends"))
    describe("who goes on as another run is still waited for, and ended (T77)", show("links"))
    describe(
      "runs are listed by what they are (C36, C37, C38, C39, C40, C41, C42, C43, D2.17, W-42)",
      show("lists")
    )
    describe("a group is written as a whole, in its order (D2.3)", show("groups"))
    describe("whoever waits for an end is told of it (D2.13, T76, G2, G3)", show("waiting"))
    describe("workers are known, and what waits for one", show("workers and what waits for them"))
    describe("it holds what the store in memory holds (B-19)", show("random"))

    it("and nothing of the suite is left out", () => {
      assert.deepStrictEqual(tests.filter(({ theme }) => !shown.has(theme)), [])
      assert.lengthOf(new Set(tests.map(({ name }) => name)), tests.length)
    })
  })
}

describe("two SQLite journals in one file are one journal (B-19)", () => {
  const open = (filename: string) =>
    Effect.map(
      Layer.build(Layer.provide(Journal.layerSql(), journals.database(filename))),
      (context) => Context.get(context, Journal.Journal).store
    )
  const pair = Effect.flatMap(journals.temporaryFile, (filename) => Effect.all([open(filename), open(filename)]))
  for (const { name, run } of JournalConformance.sharedSuite(pair)) it.live(name, () => run, 60_000)
})

describe("the suite", () => {
  const forgetful: Effect.Effect<Journal.JournalStore> = Effect.sync(() => {
    const store = memoryStore()
    return { ...store, release: () => Effect.void }
  })

  it.effect("says what a store should do, and what it does instead", () =>
    Effect.gen(function*() {
      const tests = JournalConformance.suite(forgetful).filter(({ name }) => name.includes("a release gives up"))
      assert.lengthOf(tests, 1)
      const failure = yield* Effect.flip(tests[0]!.run)
      assert.instanceOf(failure, JournalConformance.ConformanceFailure)
      assert.strictEqual(
        failure.message,
        [
          "claims: a release gives up everything at once, as often as it is asked for",
          "  what it has taken (.length)",
          "  expected: 0",
          "  found:    1"
        ].join("\n")
      )
    }))

  it.effect("finds a short journal after which a store holds something else, the same one for one seed", () =>
    Effect.gen(function*() {
      const find = Effect.flip(JournalConformance.random(forgetful, { runs: 500, seed: 7 }))
      const failure = yield* find
      assert.instanceOf(failure, JournalConformance.ConformanceFailure)
      const steps = failure.counterexample!.steps.split("\n")
      assert.isAtMost(steps.length, 4)
      assert.isTrue(steps.some((step) => step.includes("Release")))
      assert.include(failure.message, "seed 7")
      assert.deepStrictEqual((yield* find).message, failure.message)
    }))

  it.effect("gives a store's own error as it is, and closes what it has opened", () =>
    Effect.gen(function*() {
      let open = 0
      const source = Effect.as(
        Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--)),
        memoryStore()
      )
      const [first] = JournalConformance.suite(source)
      yield* first!.run
      assert.strictEqual(open, 0)
      assert.strictEqual(yield* Effect.flip(JournalConformance.random(Effect.fail("no store"))), "no store")
    }))

  it("refuses options that can never work", () => {
    assert.throws(() => JournalConformance.random(forgetful, { runs: 0 }), /"runs" must be a whole number/)
    assert.throws(() => JournalConformance.suite(forgetful, { seed: 0.5 }), /"seed"/)
  })
})
