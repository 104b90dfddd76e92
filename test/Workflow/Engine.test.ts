import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Ref } from "effect"
import { globalValue } from "effect/GlobalValue"
import { PCGRandom } from "effect/Utils"
import { Timeout } from "holdfast/Call"
import { Activity, Client, Engine, Journal, WorkflowError } from "holdfast/Workflow"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import * as journals from "./support/journals.js"
import { Charge, Declined, historyOf, kinds, Order, started } from "./support/orders.js"
import { adjust } from "./support/settling.js"

for (const [journal, layer] of journals.all) {
  describe(`an engine on ${journal}`, () => {
    it.effect("runs activities in order and gives their result (C7, T7, T13, D1.6)", () => {
      const { engine, start } = started(Layer.mergeAll(
        Order.toLayer((cents) =>
          Effect.gen(function*() {
            const first = yield* Charge.execute(cents)
            const second = yield* Charge.execute(cents + 1)
            return `${first} ${second}`
          })
        ),
        Charge.toLayer((cents) => Effect.succeed(`charged ${cents}`))
      ))
      return Effect.gen(function*() {
        const run = yield* start
        assert.strictEqual(yield* run.result, "charged 100 charged 101")
        assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), [
          "RunStarted",
          "TurnTaken",
          "ActivityScheduled",
          "ActivityCompleted",
          "TurnTaken",
          "ActivityScheduled",
          "ActivityCompleted",
          "TurnTaken",
          "RunClosed"
        ])
        assert.deepStrictEqual(yield* run.poll, { _tag: "Closed", exit: Exit.succeed("charged 100 charged 101") })
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("a typed failure of an activity is one of the workflow, and of its result (C8, T2, T8, D4.2.4)", () => {
      const { engine, start } = started(Layer.mergeAll(
        Order.toLayer(Charge.execute),
        Charge.toLayer((cents) => new Declined({ cents }))
      ))
      return Effect.gen(function*() {
        const run = yield* start
        assert.deepStrictEqual(yield* Effect.flip(run.result), new Declined({ cents: 100 }))
        const status = yield* Client.poll(Order, "order")
        assert.deepStrictEqual(status, { _tag: "Closed", exit: Exit.fail(new Declined({ cents: 100 })) })
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("a sleep of 60 days fires on time, also across a restart (D3.2, B-10)", () => {
      const { engine, start } = started(
        Order.toLayer(() => Effect.zipRight(Effect.sleep("60 days"), Effect.succeed("awake")))
      )
      return Effect.gen(function*() {
        yield* Effect.zipRight(start, adjust("20 days")).pipe(Effect.provide(engine))
        // Nobody runs it for ten days.
        yield* adjust("10 days")
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("30 days")
          assert.strictEqual(yield* Fiber.join(fiber), "awake")
          const fired = (yield* historyOf(run.runId)).find((event) => event._tag === "TimerFired")
          assert.strictEqual(fired?.at, 60 * 86_400_000)
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("a sleep does not fire early", () => {
      const { engine, start } = started(Order.toLayer(() => Effect.as(Effect.sleep("60 days"), "awake")))
      return Effect.gen(function*() {
        const run = yield* start
        const fiber = yield* Effect.fork(run.result)
        yield* adjust(60 * 86_400_000 - 1)
        assert.isNull(fiber.unsafePoll())
        yield* adjust(1)
        assert.strictEqual(yield* Fiber.join(fiber), "awake")
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("an activity that was running when its engine stopped runs again, with the same key (B-9, D5.15, D5.19, W-23)", () =>
      Effect.gen(function*() {
        const keys = yield* Ref.make<ReadonlyArray<string>>([])
        const running = yield* Deferred.make<void>()
        const body = Order.toLayer(Charge.execute)
        const hang = Charge.toLayer(() =>
          Effect.gen(function*() {
            const key = yield* Activity.idempotencyKey
            yield* Ref.update(keys, (all) => [...all, key])
            yield* Deferred.succeed(running, undefined)
            return yield* Effect.never
          })
        )
        const answer = Charge.toLayer(() =>
          Effect.gen(function*() {
            const key = yield* Activity.idempotencyKey
            yield* Ref.update(keys, (all) => [...all, key])
            return "charged"
          })
        )
        const first = started(Layer.mergeAll(body, hang))
        const run = yield* Effect.zipLeft(first.start, Deferred.await(running)).pipe(Effect.provide(first.engine))
        assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), ["RunStarted", "TurnTaken", "ActivityScheduled"])
        const second = started(Layer.mergeAll(body, answer))
        assert.strictEqual(yield* Effect.provide(Client.result(Order, "order"), second.engine), "charged")
        assert.deepStrictEqual(yield* keys, [`${run.runId}/1`, `${run.runId}/1`])
      }).pipe(Effect.provide(layer)))

    it.effect("a changed workflow is blocked with nothing written, and goes on when it fits again (W-6, B-6, T63)", () => {
      const version = (name: string) =>
        started(Layer.mergeAll(
          Order.toLayer((cents) =>
            Effect.gen(function*() {
              yield* Charge.execute(cents)
              yield* Effect.sleep("1 hour")
              return `done by ${name}`
            })
          ),
          Charge.toLayer(() => Effect.succeed("charged"))
        ))
      const changed = started(Order.toLayer((cents) => Charge.execute(cents + 1)))
      return Effect.gen(function*() {
        const before = yield* Effect.gen(function*() {
          const run = yield* version("one").start
          yield* adjust("1 minute")
          return yield* historyOf(run.runId)
        }).pipe(Effect.provide(version("one").engine))

        yield* Effect.gen(function*() {
          yield* adjust("2 hours")
          const run = yield* Client.get(Order, "order")
          const status = yield* run.poll
          const [error] = yield* Effect.flatMap(Engine.Engine, (engine) => engine.blocked)
          assert.strictEqual(error?.reason, "Mismatch")
          assert.strictEqual(error?.expected, "command 1: activity Charge with 100")
          assert.strictEqual(error?.actual, "command 1: activity Charge with 101")
          assert.match(error?.source ?? "", /Engine\.test\.ts/)
          assert.deepStrictEqual(status, { _tag: "Running", blocked: error?.message })
          // The timer has fired, and what arrived is kept; what the workflow did is untouched.
          const after = yield* historyOf(run.runId)
          assert.deepStrictEqual(after.slice(0, before.length), before)
          assert.deepStrictEqual(kinds(after.slice(before.length)), ["TimerFired"])
        }).pipe(Effect.provide(changed.engine))

        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          assert.strictEqual(yield* run.result, "done by one, mended")
        }).pipe(Effect.provide(version("one, mended").engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("runs that have left memory are replayed when they wake (D6.7)", () => {
      const { engine } = started(
        Order.toLayer((minutes) => Effect.as(Effect.sleep(minutes * 60_000), `slept ${minutes}`)),
        {
          residentRuns: 1
        }
      )
      return Effect.gen(function*() {
        const runs = yield* Effect.forEach(
          [3, 1, 2],
          (minutes) => Client.start(Order, { id: `order-${minutes}`, payload: minutes })
        )
        const results = yield* Effect.fork(Effect.forEach(runs, (run) => run.result, { concurrency: 3 }))
        yield* adjust("3 minutes")
        assert.deepStrictEqual(yield* Fiber.join(results), ["slept 3", "slept 1", "slept 2"])
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })
  })
}

describe("an engine whose journal fails now and then", () => {
  it.effect("loses nothing and doubles nothing: what is not written has not happened (W-5, B-2, B-7, T55, D6.2)", () =>
    Effect.gen(function*() {
      const random = new PCGRandom(42)
      let failures = 0
      const inner = memoryStore()
      const flaky = Layer.scoped(
        Journal.Journal,
        Journal.make({
          ...inner,
          write: (entries) =>
            Effect.suspend(() => {
              // A client's start is not repeated by anybody, so it is let through.
              if (entries.every((entry) => entry._tag === "Start") || random.number() > 0.3) return inner.write(entries)
              failures++
              return new WorkflowError.JournalError({ reason: "Write", detail: "injected" })
            })
        })
      )
      const calls: Array<number> = []
      const { engine } = started(Layer.mergeAll(
        Order.toLayer((cents) =>
          Effect.gen(function*() {
            const first = yield* Charge.execute(cents)
            yield* Effect.sleep("1 second")
            const second = yield* Charge.execute(cents + 1_000)
            return `${first} ${second}`
          })
        ),
        Charge.toLayer((cents) =>
          Effect.sync(() => {
            calls.push(cents)
            return String(cents)
          })
        )
      ))
      yield* Effect.gen(function*() {
        const runs = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, i) => i),
          (i) => Client.start(Order, { id: `order-${i}`, payload: i })
        )
        const results = yield* Effect.fork(Effect.forEach(runs, (run) => run.result, { concurrency: "unbounded" }))
        for (let i = 0; i < 60 && results.unsafePoll() === null; i++) yield* adjust("10 seconds")
        assert.deepStrictEqual(yield* Fiber.join(results), runs.map((_, i) => `${i} ${i + 1_000}`))
        // No engine stopped, so each activity ran once.
        assert.strictEqual(calls.length, 80)
        assert.isAbove(failures, 10)
        for (const run of runs) {
          assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), [
            "RunStarted",
            "TurnTaken",
            "ActivityScheduled",
            "ActivityCompleted",
            "TurnTaken",
            "TimerStarted",
            "TimerFired",
            "TurnTaken",
            "ActivityScheduled",
            "ActivityCompleted",
            "TurnTaken",
            "RunClosed"
          ])
        }
      }).pipe(Effect.provide(Layer.provideMerge(engine, flaky)))
    }))
})

describe("runs that leave memory", () => {
  it.effect("leave no fibers behind", () =>
    Effect.gen(function*() {
      const before = roots().size
      const { engine } = started(
        Order.toLayer((cents) =>
          Effect.as(
            Effect.all([
              Effect.sleep("1 hour"),
              Effect.never,
              // Starts root fibers in place, which the scheduler is not told of until they are resumed.
              Effect.sleep("2 hours").pipe(Timeout.after("3 hours"), Effect.orDie)
            ], { concurrency: "unbounded" }),
            String(cents)
          )
        ),
        { residentRuns: 10 }
      )
      yield* Effect.gen(function*() {
        yield* Effect.forEach(
          Array.from({ length: 500 }, (_, i) => i),
          (i) => Client.start(Order, { id: `order-${i}`, payload: i }),
          { concurrency: "unbounded" }
        )
        yield* adjust("1 minute")
        // Ten runs of six fibers each, and those of the engine itself.
        assert.isBelow(roots().size - before, 80)
      }).pipe(Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
      assert.isAtMost(roots().size, before)
    }))
})

const roots = () => globalValue(Symbol.for("effect/FiberScope/Global"), () => ({ roots: new Set() })).roots

describe("an arrival that somebody else has written to the journal", () => {
  it.effect("while a run was in memory is seen with its next turn, and replays in that order (B-3, W-2, W-3)", () => {
    const live = Order.toLayer((cents) =>
      Effect.gen(function*() {
        const both = yield* Effect.all([Charge.execute(cents), Effect.as(Effect.sleep("1 hour"), "slept")], {
          concurrency: "unbounded"
        })
        yield* Effect.sleep("1 hour")
        return both.join(" and ")
      })
    )
    const { engine, start } = started(live)
    return Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const run = yield* start
        yield* adjust("1 minute")
        const { workerId } = yield* Engine.Engine
        const journal = yield* Journal.Journal
        yield* journal.commit({
          _tag: "Append",
          runId: run.runId,
          worker: workerId,
          epoch: 1,
          events: [{ _tag: "ActivityCompleted", target: 1, at: 60_000, payload: "\"charged elsewhere\"" }]
        })
        yield* adjust("1 hour")
        const timers = (yield* historyOf(run.runId)).filter((event) => event._tag === "TimerStarted")
        assert.strictEqual(timers.length, 2)
      }).pipe(Effect.provide(engine))
      // Another engine replays what has become of it, and goes on.
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Client.result(Order, "order"))
        yield* adjust("1 hour")
        assert.strictEqual(yield* Fiber.join(fiber), "charged elsewhere and slept")
      }).pipe(Effect.provide(engine))
    }).pipe(Effect.provide(Journal.layerMemory))
  })
})
