import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema } from "effect"
import { Client, Engine, Journal, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import * as journals from "./support/journals.js"
import { historyOf, kinds, quiet } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const Note = Signal.make("Note", { payload: Schema.String })

const Counter = Workflow.make("Counter", {
  payload: Schema.Struct({ n: Schema.Number, until: Schema.Number }),
  success: Schema.String
})

const on = <A, E>(
  live: Layer.Layer<never, never, Engine.Engine>,
  journal: (typeof journals.all)[number][1],
  test: Effect.Effect<A, E, Layer.Layer.Success<typeof journal> | Engine.Engine | Client.Client>
) =>
  test.pipe(Effect.provide(
    live.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
  ))

for (const [name, journal] of journals.all) {
  describe(`a run that continues as another, on ${name}`, () => {
    const counting = Counter.toLayer(({ n, until }) =>
      Effect.zipRight(
        Effect.sleep("1 hour"),
        n < until ? Counter.continueAsNew({ n: n + 1, until }) : Effect.succeed(`counted to ${n}`)
      )
    )

    it.effect("has an empty history, another id of its own, and the same workflow id (T50, T51, T52, D4.11.1)", () =>
      on(
        counting,
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 3 } })
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("3 hours")
          assert.strictEqual(yield* Fiber.join(fiber), "counted to 3")
          const last = yield* Client.get(Counter, "c")
          assert.notStrictEqual(last.runId, run.runId)
          assert.strictEqual(last.workflowId, run.workflowId)
          assert.strictEqual(last.startedAt, 2 * 3_600_000)
          const first = yield* historyOf(run.runId)
          assert.deepStrictEqual(kinds(first), [
            "RunStarted",
            "TurnTaken",
            "TimerStarted",
            "TimerFired",
            "TurnTaken",
            "RunClosed"
          ])
          assert.deepInclude(first.at(-1), { outcome: "Continued" })
          assert.lengthOf(yield* historyOf(last.runId), 6)
        })
      ))

    it.effect("its result follows it, and its own end is told apart (T59, B-12, G3)", () =>
      on(
        counting,
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 2 } })
          const own = yield* Effect.fork(Effect.flip(run.ownResult))
          yield* adjust("2 hours")
          assert.deepInclude(yield* Fiber.join(own), { _tag: "RunFailed", reason: "Continued" })
          assert.strictEqual(yield* run.result, "counted to 2")
          assert.strictEqual(yield* Client.result(Counter, "c"), "counted to 2")
        })
      ))

    it.effect("signals that nobody has taken go along, in order, and with them a wish to end (W-28, D4.7.6, B-12)", () =>
      on(
        Counter.toLayer(({ n, until }) =>
          n < until
            ? Effect.zipRight(Effect.sleep("1 hour"), Counter.continueAsNew({ n: n + 1, until }))
            : Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, 3)), (notes) => notes.join(", "))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 2 } })
          yield* run.signal(Note, "a", { id: "a" })
          yield* run.signal(Note, "b")
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("1 hour")
          yield* run.signal(Note, "c")
          assert.strictEqual(yield* Fiber.join(fiber), "a, b, c")
        })
      ))

    it.effect("what is sent while it continues is not lost (W-4, W-28)", () =>
      on(
        Counter.toLayer(({ n, until }) =>
          n < until
            ? Counter.continueAsNew({ n: n + 1, until })
            : Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, 20)), (notes) => notes.join(","))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 10 } })
          const notes = Array.from({ length: 20 }, (_, i) => String(i))
          yield* Effect.forEach(notes, (note) => run.signal(Note, note), { discard: true })
          assert.strictEqual(yield* run.result, notes.join(","))
        })
      ))
  })
}

it.effect("only a run of the same workflow can continue so", () => {
  const Other = Workflow.make("Other")
  return on(
    Counter.toLayer(() => Other.continueAsNew(undefined)),
    journals.all[0]![1],
    Effect.gen(function*() {
      const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 1 } })
      const error = yield* Effect.flip(run.result)
      assert.instanceOf(error, WorkflowError.RunFailed)
      assert.include(error.message, "cannot continue as one of Other")
    })
  )
})

/** A journal that somebody signals a run on in the moment in which it continues as another one, once. */
const interfering = Layer.scoped(
  Journal.Journal,
  Effect.suspend(() => {
    const store = memoryStore()
    let done = false
    return Journal.make({
      ...store,
      write: (entries) => {
        const continuing = entries.some((entry) => entry._tag === "Append" && entry.next !== undefined)
        if (done || !continuing) return store.write(entries)
        done = true
        const event = { _tag: "SignalReceived" as const, signal: "Note", at: 0, payload: "\"in between\"" }
        return Effect.zipRight(store.write([{ _tag: "Post", workflowId: "c", event }]), store.write(entries))
      }
    })
  })
)

it.effect("a turn that would lose a signal is taken again, with all that had arrived (W-4, W-28)", () =>
  Effect.gen(function*() {
    const run = yield* Client.start(Counter, { id: "c", payload: { n: 1, until: 2 } })
    const fiber = yield* Effect.fork(run.result)
    yield* adjust("1 hour")
    assert.strictEqual(yield* Fiber.join(fiber), "in between")
    // The timer that fired into the refused turn is not lost: it is in the history once.
    const fired = (yield* historyOf(run.runId)).filter((event) => event._tag === "TimerFired")
    assert.lengthOf(fired, 1)
  }).pipe(Effect.provide(
    Counter.toLayer(({ n, until }) =>
      n < until
        ? Effect.zipRight(Effect.sleep("1 hour"), Counter.continueAsNew({ n: n + 1, until }))
        : Effect.orDie(Note.receive)
    ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(interfering))
  )))

for (const [name, layer] of journals.all) {
  it.effect(`of one group, what is posted is written before the turns, on ${name} (W-4)`, () =>
    Effect.gen(function*() {
      const journal = yield* Journal.Journal
      const receipts: Array<string> = []
      const commit = (entry: Journal.Entry) =>
        Effect.async<void>((resume) =>
          journal.unsafeCommit(entry, (exit) => {
            receipts.push(Exit.isSuccess(exit) ? exit.value._tag : "failed")
            resume(Effect.void)
          })
        )
      const run = { runId: "r", worker: "w" }
      yield* commit({
        _tag: "Start",
        run,
        workflowId: "c",
        workflow: "W",
        started: { _tag: "RunStarted", at: 0, payload: null },
        conflict: "attach",
        reuse: "attach"
      })
      const ends: Journal.Entry = {
        _tag: "Append",
        ...run,
        epoch: 1,
        events: [
          { _tag: "TurnTaken", at: 0, consumedUpTo: 1, inlineArrivals: 0 },
          { _tag: "RunClosed", command: 1, at: 0, outcome: "Continued", digest: "d", payload: null, next: "s" }
        ],
        next: { runId: "s", started: { _tag: "RunStarted", at: 0, payload: null }, posted: [] }
      }
      const event = { _tag: "CancelRequested" as const, at: 0, reason: "" }
      yield* Effect.all([commit(ends), commit({ _tag: "Post", workflowId: "c", event })], { concurrency: 2 })
      assert.deepStrictEqual(receipts, ["Started", "Posted", "Conflict"])
    }).pipe(Effect.provide(layer)))
}
