/**
 * Which runs are in memory: seen by which histories are read again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Layer, Option, Ref, Schema, Scope, TestClock } from "effect"
import { globalValue } from "effect/GlobalValue"
import { Activity, Client, Engine, Journal, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { SharedClock } from "../../src/Workflow/internal/journal/sharedClock.js"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import { historyOf, quiet } from "./support/orders.js"

const Note = Signal.make("Note", { payload: Schema.String })
const Sleeper = Workflow.make("Sleeper", { success: Schema.String })
const Work = Activity.make("Work", { payload: Schema.String, success: Schema.String })

const sleeper = Sleeper.toLayer(() =>
  Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, 3)), (notes) => notes.join(""))
)

/** An engine that keeps few runs, and what histories it has read. */
const keeping = (residentRuns: number, live: Layer.Layer<never, never, Engine.Engine>) =>
  Effect.gen(function*() {
    const store = memoryStore()
    const read: Array<string> = []
    const journal = Layer.scoped(
      Journal.Journal,
      Journal.make({
        ...store,
        history: (runId) =>
          Effect.flatMap(store.run(runId), (record) => {
            read.push(record._tag === "Some" ? record.value.workflowId : runId)
            return store.history(runId)
          })
      })
    )
    const engine = live.pipe(Layer.provideMerge(Engine.layer({ residentRuns })), Layer.provide(quiet))
    return { read, layer: Layer.provideMerge(engine, journal), store }
  })

const start = (id: string) => Effect.zipRight(Client.start(Sleeper, { id }), TestClock.adjust(0))
const poke = (id: string) => Effect.zipRight(Client.signal(id, Note, id), TestClock.adjust(0))

describe("runs in memory", () => {
  it.effect("go on without being read again (T91, D6.5, D6.11)", () =>
    Effect.gen(function*() {
      const { layer, read } = yield* keeping(2, sleeper)
      yield* Effect.gen(function*() {
        yield* start("a")
        yield* start("b")
        yield* poke("a")
        yield* poke("b")
        assert.deepStrictEqual(read, [])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("leave when there are too many, those that have waited longest first (T92, T93, T94, D6.7)", () =>
    Effect.gen(function*() {
      const { layer, read } = yield* keeping(2, sleeper)
      yield* Effect.gen(function*() {
        yield* start("a")
        yield* start("b")
        yield* poke("a")
        yield* start("c")
        // "b" has waited longest, since "a" has moved meanwhile.
        yield* poke("a")
        yield* poke("c")
        assert.deepStrictEqual(read, [])
        yield* poke("b")
        assert.deepStrictEqual(read, ["b"])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("that left come back as they were, and their place can be taken by others (T95, T101)", () =>
    Effect.gen(function*() {
      const { layer, read } = yield* keeping(1, sleeper)
      yield* Effect.gen(function*() {
        for (const id of ["a", "b", "c"]) yield* start(id)
        for (let round = 0; round < 3; round++) {
          for (const id of ["a", "b", "c"]) yield* poke(id)
        }
        for (const id of ["a", "b", "c"]) assert.strictEqual(yield* Client.result(Sleeper, id), id.repeat(3))
        assert.isAtLeast(read.length, 8)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("let those go first that were due before them and have to be read (D6.9)", () =>
    Effect.gen(function*() {
      const woken: Array<string> = []
      const Timed = Workflow.make("Timed", { payload: Schema.Number })
      const gate = yield* Effect.makeLatch(false)
      const store = memoryStore()
      const journal = Layer.scoped(
        Journal.Journal,
        Journal.make({ ...store, history: (runId) => Effect.zipRight(gate.await, store.history(runId)) })
      )
      const live = Timed.toLayer((seconds) =>
        Effect.gen(function*() {
          yield* Effect.race(Effect.sleep(Duration.seconds(seconds)), Effect.orDie(Note.receive))
          const { workflowId } = yield* Workflow.info
          yield* Workflow.sideEffect("woken", Schema.Void, () => void woken.push(workflowId))
        })
      )
      yield* Effect.gen(function*() {
        for (const [i, id] of ["first", "second", "third", "in memory", "told", "last"].entries()) {
          yield* Client.start(Timed, { id, payload: 10 + i })
          yield* TestClock.adjust(0)
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(woken, [])
        // Who is told something waits for nobody's clock.
        yield* poke("told")
        assert.deepStrictEqual(woken, ["told"])
        yield* gate.open
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(woken, ["told", "first", "second", "third", "in memory", "last"])
      }).pipe(Effect.provide(
        live.pipe(
          Layer.provideMerge(Engine.layer({ residentRuns: 3, replayConcurrency: 1 })),
          Layer.provide(quiet),
          Layer.provideMerge(journal)
        )
      ))
    }))

  it.effect("are not held up by a history that can never be read, nor are others that have to be read", () =>
    Effect.gen(function*() {
      const woken: Array<string> = []
      const Timed = Workflow.make("Timed", { payload: Schema.Number })
      const store = memoryStore()
      const journal = Layer.scoped(
        Journal.Journal,
        Journal.make({
          ...store,
          history: (runId) =>
            Effect.flatMap(store.run(runId), (run) =>
              Option.exists(run, ({ workflowId }) => workflowId === "corrupt")
                ? new WorkflowError.JournalError({ reason: "Corrupt", detail: "it cannot be read" })
                : store.history(runId))
        })
      )
      const live = Timed.toLayer((seconds) =>
        Effect.gen(function*() {
          yield* Effect.sleep(Duration.seconds(seconds))
          const { workflowId } = yield* Workflow.info
          yield* Workflow.sideEffect("woken", Schema.Void, () => void woken.push(workflowId))
        })
      )
      yield* Effect.gen(function*() {
        for (const [i, id] of ["corrupt", "to be read", "in memory"].entries()) {
          yield* Client.start(Timed, { id, payload: 10 + i })
          yield* TestClock.adjust(0)
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(woken, ["to be read", "in memory"])
      }).pipe(Effect.provide(
        live.pipe(
          Layer.provideMerge(Engine.layer({ residentRuns: 1, replayConcurrency: 1 })),
          Layer.provide(quiet),
          Layer.provideMerge(journal)
        )
      ))
    }))

  it.effect("that were lost and come back are not given up for what was on its way before (C13, B-3)", () =>
    Effect.gen(function*() {
      const Timed = Workflow.make("Timed")
      const store = memoryStore()
      const gate = yield* Effect.makeLatch(true)
      const clock = yield* Effect.clock
      let version = 1
      const journal = Layer.scoped(
        Journal.Journal,
        Journal.make({
          ...store,
          version: Effect.sync(() => version),
          write: (entries) => Effect.zipRight(gate.await, store.write(entries))
        }, { pollInterval: "100 millis" })
      )
      const live = Timed.toLayer(() => Effect.zipRight(Effect.sleep("10 seconds"), Effect.sleep("10 seconds")))
      yield* Effect.gen(function*() {
        const { runId } = yield* Client.start(Timed, { id: "timed" })
        yield* TestClock.adjust("1 second")
        yield* gate.close
        // Its timer fires, and the turn is on its way while another worker takes the run over and gives it up.
        yield* TestClock.adjust("9500 millis")
        const claim = { worker: "other", workflows: ["Timed"], now: 1e9, leaseUntil: 2e9, quarantined: 1 }
        assert.lengthOf((yield* store.claim(claim)).runs, 1)
        yield* store.release("other")
        version++
        yield* TestClock.adjust("1 second")
        assert.isDefined(yield* store.owner(runId))
        yield* gate.open
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(Option.getOrThrow(yield* store.run(runId)).status, "Success")
      }).pipe(Effect.provide(
        live.pipe(
          Layer.provideMerge(Engine.layer({ lease: "9 seconds" })),
          Layer.provide(quiet),
          Layer.provideMerge(journal),
          Layer.provide(Layer.succeed(SharedClock, clock))
        )
      ))
    }))

  it.effect("that have ended make room (T143, T144, T97, W-51)", () =>
    Effect.gen(function*() {
      const { layer, read } = yield* keeping(2, sleeper)
      yield* Effect.gen(function*() {
        yield* start("stays")
        for (let i = 0; i < 20; i++) {
          yield* start(`${i}`)
          for (let round = 0; round < 3; round++) yield* poke(`${i}`)
        }
        yield* poke("stays")
        assert.deepStrictEqual(read, [])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("may leave while an activity of theirs runs: its end brings them back (T98, T99, T100, W-37, D6.8)", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const Worker = Workflow.make("Worker", { success: Schema.String })
      const { layer } = yield* keeping(
        1,
        Layer.mergeAll(
          Worker.toLayer(() =>
            Effect.flatMap(Workflow.info, ({ workflowId }) => Effect.orDie(Work.execute(workflowId)))
          ),
          Work.toLayer((id) => Effect.as(Deferred.await(gate), `${id} worked`))
        )
      )
      yield* Effect.gen(function*() {
        const ids = Array.from({ length: 10 }, (_, i) => `w${i}`)
        for (const id of ids) yield* Client.start(Worker, { id })
        yield* TestClock.adjust(0)
        // Every one of them waits for its activity, and there is room for one: nothing is held up by that.
        yield* Deferred.succeed(gate, undefined)
        for (const id of ids) assert.strictEqual(yield* Client.result(Worker, id), `${id} worked`)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("leave without a word to their code: no finalizer runs (T87, T96, W-36, D4.1.8)", () =>
    Effect.gen(function*() {
      const finalized: Array<string> = []
      const Careful = Workflow.make("Careful")
      const { layer, store } = yield* keeping(
        1,
        Careful.toLayer(() =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => finalized.push("scope")))
            yield* Effect.fork(
              Effect.onInterrupt(Effect.sleep("1 day"), () => Effect.sync(() => finalized.push("fiber")))
            )
            yield* Effect.sleep("2 days")
          })
        )
      )
      yield* Effect.gen(function*() {
        for (const id of ["a", "b", "c"]) yield* Client.start(Careful, { id })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(finalized, [])
      }).pipe(Effect.provide(layer))
      // Nor when the engine ends.
      assert.deepStrictEqual(finalized, [])
      assert.isTrue((yield* store.list({ filter: {}, after: undefined, limit: 9 })).every(({ events }) => events === 4))
    }))

  it.effect("that were dropped are held by nothing", () =>
    Effect.gen(function*() {
      const roots = globalValue(Symbol.for("effect/FiberScope/Global"), () => ({ roots: new Set<unknown>() })).roots
      const { layer } = yield* keeping(1, sleeper)
      yield* Effect.gen(function*() {
        yield* start("first")
        const before = roots.size
        for (let i = 0; i < 50; i++) yield* start(`${i}`)
        assert.isAtMost(roots.size - before, 1)
      }).pipe(Effect.provide(layer))
    }))
})

describe("duties", () => {
  it.effect("activities run at once as many as may, however many runs ask for them (W-38, W-50)", () =>
    Effect.gen(function*() {
      const running = yield* Ref.make(0)
      let most = 0
      const Worker = Workflow.make("Worker")
      const live = Layer.mergeAll(
        Worker.toLayer(() => Effect.asVoid(Effect.orDie(Work.execute("x")))),
        Work.toLayer((text) =>
          Ref.updateAndGet(running, (n) => n + 1).pipe(
            Effect.tap((now) => Effect.sync(() => most = Math.max(most, now))),
            Effect.zipRight(Effect.sleep("100 millis")),
            Effect.zipRight(Ref.update(running, (n) => n - 1)),
            Effect.as(text)
          )
        )
      )
      yield* Effect.gen(function*() {
        const runs = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => `${i}`),
          (id) => Client.start(Worker, { id })
        )
        yield* TestClock.adjust("399 millis")
        assert.strictEqual(most, 5)
        const early = yield* Effect.forEach(runs, (run) => run.poll)
        assert.strictEqual(early.filter(({ _tag }) => _tag === "Closed").length, 15)
        yield* TestClock.adjust("1 millis")
        yield* Effect.forEach(runs, (run) => run.result)
      }).pipe(Effect.provide(
        live.pipe(
          Layer.provideMerge(Engine.layer({ activityConcurrency: 5 })),
          Layer.provide(quiet),
          Layer.provideMerge(Journal.layerMemory)
        )
      ))
    }))

  it.effect("a window of activities always ends, also with one slot (S1, S2, T74a, D6.4)", () => {
    const Window = Workflow.make("Window", { success: Schema.Number })
    const Item = Activity.make("Item", { payload: Schema.Number, success: Schema.Number })
    const windows = (runs: number, activityConcurrency: number) => {
      const executed = new Map<string, number>()
      return Effect.gen(function*() {
        const handles = yield* Effect.forEach(
          Array.from({ length: runs }, (_, i) => `${i}`),
          (id) => Client.start(Window, { id })
        )
        yield* TestClock.adjust("1 hour")
        for (const run of handles) {
          assert.strictEqual(yield* run.result, 60)
          const scheduled = (yield* historyOf(run.runId)).filter((event) => event._tag === "ActivityScheduled")
          assert.lengthOf(scheduled, 60)
        }
        assert.strictEqual(executed.size, 60 * runs)
        assert.isTrue([...executed.values()].every((times) => times === 1))
      }).pipe(Effect.provide(
        Layer.mergeAll(
          Window.toLayer(() =>
            Effect.map(
              Effect.forEach(Array.from({ length: 60 }, (_, i) => i), (i) => Effect.orDie(Item.execute(i)), {
                concurrency: 10
              }),
              (items) => items.length
            )
          ),
          Item.toLayer((i) =>
            Effect.flatMap(Activity.idempotencyKey, (key) =>
              Effect.as(
                Effect.delay(Effect.sync(() => executed.set(key, (executed.get(key) ?? 0) + 1)), 1 + i % 5),
                i
              ))
          )
        ).pipe(
          Layer.provideMerge(Engine.layer({ activityConcurrency })),
          Layer.provide(quiet),
          Layer.provideMerge(Journal.layerMemory)
        )
      ))
    }
    return Effect.zipRight(windows(40, 1_000), windows(20, 1))
  }, 60_000)

  it.effect("histories are read a few at a time (W-38)", () =>
    Effect.gen(function*() {
      const store = memoryStore()
      let reading = 0
      let most = 0
      const journal = Layer.scoped(
        Journal.Journal,
        Journal.make({
          ...store,
          history: (runId) =>
            Effect.sync(() => most = Math.max(most, ++reading)).pipe(
              Effect.zipRight(Effect.sleep("1 millis")),
              Effect.zipRight(store.history(runId)),
              Effect.tap(() => Effect.sync(() => reading--))
            )
        })
      )
      yield* Effect.gen(function*() {
        const ids = Array.from({ length: 50 }, (_, i) => `${i}`)
        // Started by a client alone, so that the engine finds them all at once.
        yield* Effect.forEach(ids, (id) => Client.start(Sleeper, { id })).pipe(Effect.provide(Client.layer))
        yield* Effect.gen(function*() {
          yield* TestClock.adjust("1 second")
          for (const id of ids) for (let i = 0; i < 3; i++) yield* Client.signal(id, Note, "x")
          yield* TestClock.adjust("1 second")
          for (const id of ids) assert.strictEqual(yield* Client.result(Sleeper, id), "xxx")
        }).pipe(Effect.provide(
          sleeper.pipe(Layer.provideMerge(Engine.layer({ replayConcurrency: 3 })), Layer.provide(quiet))
        ))
        assert.strictEqual(most, 3)
      }).pipe(Effect.provide(journal))
    }))

  it.effect("an engine that replays every turn finds what cannot be replayed at once (B-22, W-43)", () => {
    let outside = 0
    const Bad = Workflow.make("Bad", { success: Schema.Number })
    const bad = Bad.toLayer(() =>
      Effect.gen(function*() {
        // What every program can reach and no replay can give back.
        yield* Effect.sleep(1_000 + outside++)
        yield* Effect.sleep("1 second")
        return outside
      })
    )
    const found = (alwaysReplay: boolean) =>
      Effect.gen(function*() {
        outside = 0
        yield* Client.start(Bad, { id: "b" })
        yield* TestClock.adjust("1 minute")
        return (yield* Effect.flatMap(Engine.Engine, (engine) => engine.blocked)).map(({ reason }) => reason)
      }).pipe(Effect.provide(
        bad.pipe(
          Layer.provideMerge(Engine.layer({ alwaysReplay })),
          Layer.provide(quiet),
          Layer.provideMerge(Journal.layerMemory)
        )
      ))
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* found(false), [])
      assert.deepStrictEqual(yield* found(true), ["Mismatch"])
    })
  })
})

describe("an engine that ends", () => {
  it.effect("gives its runs up for another one at once, and what it cut off has not failed (W-30, D6.3, D6.10)", () =>
    Effect.gen(function*() {
      const store = memoryStore()
      const journal = Layer.scoped(Journal.Journal, Journal.make(store))
      const Worker = Workflow.make("Worker", { success: Schema.String })
      const attempts: Array<string> = []
      const live = Layer.mergeAll(
        Worker.toLayer(() => Effect.orDie(Work.execute("w"))),
        Work.toLayer((text) =>
          Effect.zipRight(Effect.sync(() => attempts.push(text)), Effect.as(Effect.sleep("1 day"), text))
        )
      )
      const engine = live.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(engine, scope)
      const { runId } = yield* Effect.provide(Client.start(Worker, { id: "w" }), context)
      yield* TestClock.adjust("1 hour")
      yield* Scope.close(scope, Exit.void)
      const { runs } = yield* store.claim({
        worker: "next",
        workflows: ["Worker"],
        now: 0,
        leaseUntil: 1,
        quarantined: 1
      })
      assert.deepStrictEqual(runs.map((run) => run.runId), [runId])
      yield* store.release("next")
      yield* Effect.gen(function*() {
        const run = yield* Client.get(Worker, "w")
        yield* TestClock.adjust("1 day")
        assert.strictEqual(yield* run.result, "w")
        const tags = (yield* Client.history("w")).map(({ _tag }) => _tag)
        assert.notInclude(tags, "AttemptFailed")
        assert.deepStrictEqual(attempts, ["w", "w"])
      }).pipe(Effect.provide(engine))
    }))
})
