import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, Schema, type Scope, Stream } from "effect"
import { Activity, Client, type Engine, Journal, type Run, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import * as journals from "./support/journals.js"
import { historyOf, kinds, Order, order, started } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const Note = Signal.make("Note", { payload: Schema.String })
const Stop = Signal.make("Stop")
const Count = Signal.make("Count", { payload: Schema.Number })

const collect = (count: number) =>
  Order.toLayer(() =>
    Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, count)), (notes) => notes.join(", "))
  )

for (const [journal, layer] of journals.all) {
  describe(`signals on ${journal}`, () => {
    it.effect("arrive in order, before and while somebody waits for them (D4.7.1, T109, T110)", () => {
      const { engine, start } = started(collect(4))
      return Effect.gen(function*() {
        const run = yield* start
        yield* run.signal(Note, "a")
        yield* Client.signal("order", Note, "b")
        yield* Effect.gen(function*() {
          const fiber = yield* Effect.fork(run.result)
          yield* run.signal(Note, "c")
          yield* run.signal(Note, "d")
          assert.strictEqual(yield* Fiber.join(fiber), "a, b, c, d")
        })
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("are kept for a run that nobody runs yet, and for a fiber that waits later (D4.7.1, T113)", () => {
      const { engine } = started(
        Order.toLayer(() =>
          Effect.orDie(
            Effect.zipRight(Effect.sleep("1 day"), Effect.zipWith(Note.receive, Note.receive, (a, b) => `${a}${b}`))
          )
        )
      )
      return Effect.gen(function*() {
        // A client alone: no engine has the code.
        yield* Effect.gen(function*() {
          yield* Client.start(Order, { id: "order", payload: 1 })
          yield* Client.signal("order", Note, "a")
        }).pipe(Effect.provide(Client.layer))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("1 hour")
          yield* run.signal(Note, "b")
          yield* adjust("23 hours")
          assert.strictEqual(yield* Fiber.join(fiber), "ab")
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("with an id are seen once, however often they are sent (B-16)", () => {
      const { engine, start } = started(collect(2))
      return Effect.gen(function*() {
        const run = yield* start
        for (let i = 0; i < 3; i++) yield* run.signal(Note, "first", { id: "1" })
        yield* run.signal(Note, "second", { id: "2" })
        assert.strictEqual(yield* run.result, "first, second")
        const history = yield* historyOf(run.runId)
        assert.lengthOf(history.filter((event) => event._tag === "SignalReceived"), 2)
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("survive a change of workers, and each is taken once (D4.7.1)", () => {
      const { engine, start } = started(collect(3))
      return Effect.gen(function*() {
        yield* Effect.zipRight(start, Client.signal("order", Note, "a")).pipe(Effect.provide(engine))
        yield* Client.signal("order", Note, "b").pipe(Effect.provide(Client.layer))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          const fiber = yield* Effect.fork(run.result)
          yield* run.signal(Note, "c")
          assert.strictEqual(yield* Fiber.join(fiber), "a, b, c")
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("to nobody, and to a run that has ended, are errors (T111, T116, D2.15)", () => {
      const { engine, start } = started(Order.toLayer(() => Effect.succeed("done")))
      return Effect.gen(function*() {
        const unknown = yield* Effect.flip(Client.signal("nobody", Note, "x"))
        assert.instanceOf(unknown, WorkflowError.RunNotFound)
        const run = yield* start
        yield* run.result
        const ended = yield* Effect.flip(run.signal(Note, "x"))
        assert.instanceOf(ended, WorkflowError.RunEnded)
        assert.instanceOf(yield* Effect.flip(Client.cancel("order")), WorkflowError.RunEnded)
        assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), ["RunStarted", "TurnTaken", "RunClosed"])
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("a request to end interrupts it; compensation runs last first, and may take its time (T11, T12, T24, B-14)", () => {
      const Undo = Activity.make("Undo", { payload: Schema.String })
      const undone: Array<string> = []
      const { engine, start } = started(Layer.mergeAll(
        Order.toLayer(() =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.orDie(Undo.execute("flight")))
            yield* Effect.addFinalizer(() =>
              Effect.orDie(Effect.zipRight(Effect.sleep("1 day"), Undo.execute("hotel")))
            )
            return yield* Effect.never
          })
        ),
        Undo.toLayer((what) => Effect.sync(() => undone.push(what)))
      ))
      return Effect.gen(function*() {
        // Half of the compensation on one engine, the rest on another.
        yield* Effect.gen(function*() {
          const run = yield* start
          yield* adjust("1 hour")
          yield* run.cancel({ reason: "called off" })
          yield* run.cancel({ reason: "again" })
          yield* adjust("1 hour")
          assert.deepStrictEqual(undone, [])
        }).pipe(Effect.provide(engine))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          const fiber = yield* Effect.fork(Effect.flip(run.result))
          yield* adjust("1 day")
          const error = yield* Fiber.join(fiber)
          assert.instanceOf(error, WorkflowError.RunFailed)
          assert.deepInclude(error, { reason: "Cancelled", detail: "called off" })
          assert.deepStrictEqual(undone, ["hotel", "flight"])
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("an end from outside runs no code, and whoever waits is told (B-17, W-9)", () => {
      let finalized = false
      const { engine, start } = started(
        Order.toLayer(() =>
          Effect.ensuring(Effect.as(Effect.sleep("1 day"), "done"), Effect.sync(() => finalized = true))
        )
      )
      return Effect.gen(function*() {
        const run = yield* start
        const fiber = yield* Effect.fork(Effect.flip(run.result))
        yield* adjust("1 hour")
        yield* run.terminate({ reason: "by mistake" })
        const error = yield* Fiber.join(fiber)
        assert.deepInclude(error, { _tag: "RunFailed", reason: "Terminated", detail: "by mistake" })
        yield* adjust("2 days")
        assert.isFalse(finalized)
        assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), [
          "RunStarted",
          "TurnTaken",
          "TimerStarted",
          "RunTerminated"
        ])
        assert.instanceOf(yield* Effect.flip(run.terminate()), WorkflowError.RunEnded)
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })
  })
}

describe("signals from another process", () => {
  // Two journals on one file know of each other what two processes do: only what is in it.
  it.scopedLive("wake a run that waits for nothing else (W-2)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const journal = Layer.fresh(
        Journal.layerSql({ pollInterval: "10 millis" }).pipe(Layer.provide(journals.database(file)), Layer.orDie)
      )
      const { engine, start } = started(collect(2))
      const elsewhere = (note: string) =>
        Effect.provide(Client.signal("order", Note, note), Layer.provide(Client.layer, journal))
      yield* Effect.gen(function*() {
        const run = yield* start
        yield* elsewhere("a")
        yield* Effect.sleep("50 millis")
        yield* elsewhere("b")
        assert.strictEqual(yield* run.result, "a, b")
      }).pipe(Effect.provide(Layer.provideMerge(engine, journal)))
    }))

  it.scopedLive("reach the owner, and are none lost among what it writes itself (W-2, D2.15)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const journal = Layer.fresh(
        Journal.layerSql({ pollInterval: "10 millis" }).pipe(Layer.provide(journals.database(file)), Layer.orDie)
      )
      const Step = Activity.make("Step", { payload: Schema.Number })
      const live = Layer.mergeAll(
        Order.toLayer(() =>
          Effect.gen(function*() {
            const notes: Array<string> = []
            yield* Effect.fork(Effect.forever(Effect.map(Effect.orDie(Note.receive), (note) => notes.push(note))))
            // The owner writes while the others do.
            while (notes.length < 30) yield* Effect.orDie(Step.execute(notes.length))
            return notes.join(",")
          })
        ),
        Step.toLayer(() => Effect.sleep("5 millis"))
      )
      const { engine, start } = started(live)
      const notes = Array.from({ length: 30 }, (_, i) => String(i))
      const elsewhere = Effect.forEach(
        notes,
        (note) => Client.signal("order", Note, note).pipe(Effect.delay("7 millis")),
        {
          discard: true
        }
      ).pipe(Effect.provide(Layer.provide(Client.layer, journal)))
      const result = Effect.gen(function*() {
        const run = yield* start
        yield* Effect.fork(elsewhere)
        return yield* run.result
      }).pipe(Effect.provide(Layer.provideMerge(engine, journal)))
      assert.strictEqual(yield* result, notes.join(","))
    }))
})

const inMemory = <A, E>(
  body: Effect.Effect<string, never, Run.Run | Scope.Scope>,
  test: Effect.Effect<A, E, Client.Client | Engine.Engine | Journal.Journal>
) => test.pipe(Effect.provide(Layer.provideMerge(started(Order.toLayer(() => body)).engine, Journal.layerMemory)))

describe("receiving", () => {
  it.effect("what loses a race takes nothing, whichever of the two came first (W-19, B-15, T36, T37, D4.6.3)", () =>
    inMemory(
      Effect.gen(function*() {
        const first = yield* Effect.timeoutOption(Note.receive, "1 hour")
        const second = yield* Effect.timeoutOption(Note.receive, "1 hour")
        return [first, second].map((note) => Option.getOrElse(note, () => "none")).join(", ")
      }).pipe(Effect.orDie),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* adjust("59 minutes")
        // In one turn with the timer, and after it.
        yield* Effect.all([run.signal(Note, "late"), adjust("1 minute")], { concurrency: 2 })
        yield* adjust("1 hour")
        const result = yield* Fiber.join(fiber)
        assert.include(["late, none", "none, late"], result)
      })
    ))

  it.effect("of several receivers the one that has waited longest gets it, and each signal goes to one (D4.7.3)", () =>
    inMemory(
      Effect.gen(function*() {
        const got: Array<string> = []
        const receiver = (name: string) => Effect.map(Effect.orDie(Note.receive), (note) => got.push(`${name}:${note}`))
        yield* Effect.all(["a", "b", "c"].map(receiver), { concurrency: "unbounded" })
        return got.join(", ")
      }),
      Effect.gen(function*() {
        const run = yield* order
        for (const note of ["1", "2", "3"]) yield* run.signal(Note, note)
        assert.strictEqual(yield* run.result, "a:1, b:2, c:3")
      })
    ))

  it.effect("without waiting: what has arrived, or none; kinds do not mix (T111, D4.7.2, D4.7.5)", () =>
    inMemory(
      Effect.gen(function*() {
        const none = yield* Note.tryReceive
        yield* Stop.receive
        const [one, other] = [yield* Note.tryReceive, yield* Note.tryReceive]
        return [none, one, other].map((note) => Option.getOrElse(note, () => "none")).join(", ")
      }).pipe(Effect.orDie),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* adjust(0)
        yield* run.signal(Note, "x")
        yield* run.signal(Stop, undefined)
        assert.strictEqual(yield* Fiber.join(fiber), "none, x, none")
      })
    ))

  it.effect("as a stream (T112)", () =>
    inMemory(
      Count.stream.pipe(Stream.take(3), Stream.runSum, Effect.map(String), Effect.orDie),
      Effect.gen(function*() {
        const run = yield* order
        for (const count of [1, 2, 3]) yield* run.signal(Count, count)
        assert.strictEqual(yield* run.result, "6")
      })
    ))

  it.effect("a payload that does not fit is an error of that one receive (D4.7.4, B-16)", () => {
    const Text = Signal.make("Note", { payload: Schema.Number })
    return inMemory(
      Effect.gen(function*() {
        const unfit = yield* Effect.flip(Note.receive)
        return `${unfit._tag} ${unfit.signal}, then ${yield* Effect.orDie(Note.receive)}`
      }).pipe(Effect.orDie),
      Effect.gen(function*() {
        const run = yield* order
        yield* run.signal(Text, 1)
        yield* run.signal(Note, "fits")
        assert.strictEqual(yield* run.result, "UnfitSignal Note, then fits")
      })
    )
  })

  it.effect("a payload that its sender cannot encode is the sender's error (T115)", () =>
    inMemory(
      Effect.succeed("done"),
      Effect.gen(function*() {
        yield* order
        const Positive = Signal.make("Positive", { payload: Schema.Number.pipe(Schema.positive()) })
        assert.instanceOf(yield* Effect.flip(Client.signal("order", Positive, -1)), WorkflowError.InvalidPayload)
      })
    ))

  it("a signal must have a name", () => {
    assert.throws(() => Signal.make(""), InvalidOptions)
  })
})

describe("inside a workflow", () => {
  it.effect("a condition is looked at whenever nothing else can go on (T14, T17, W-14, B-4, D4.1.3, D4.1.4, D4.1.6)", () =>
    inMemory(
      Effect.gen(function*() {
        let count = 0
        // The fiber that waits was there before the one that makes the condition true.
        const waiting = yield* Effect.fork(Effect.zipRight(Workflow.until(() => count === 3), Clock.currentTimeMillis))
        yield* Effect.fork(Effect.repeatN(Effect.zipRight(Effect.sleep("1 hour"), Effect.sync(() => count++)), 5))
        return String(yield* Fiber.join(waiting))
      }),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* adjust("6 hours")
        assert.strictEqual(yield* Fiber.join(fiber), String(3 * 3_600_000))
      })
    ))

  it.effect("a side effect is worked out once, with the real world at hand, and replayed (D4.10.1, T67)", () => {
    let computed = 0
    const { engine, start } = started(
      Order.toLayer(() =>
        Effect.gen(function*() {
          const draw = Workflow.sideEffect("draw", Schema.String, () => {
            computed++
            return crypto.randomUUID()
          })
          const before = yield* draw
          yield* Effect.sleep("1 day")
          return `${before} ${yield* draw}`
        })
      )
    )
    return Effect.gen(function*() {
      yield* Effect.zipRight(start, adjust("1 hour")).pipe(Effect.provide(engine))
      yield* Effect.gen(function*() {
        const run = yield* Client.get(Order, "order")
        const fiber = yield* Effect.fork(run.result)
        yield* adjust("1 day")
        const drawn = (yield* Fiber.join(fiber)).split(" ")
        assert.strictEqual(computed, 2)
        const recorded = (yield* historyOf(run.runId)).flatMap((event) =>
          event._tag === "SideEffectRecorded" ? [event.payload] : []
        )
        assert.deepStrictEqual(recorded, drawn.map((id) => JSON.stringify(id)))
        assert.notStrictEqual(drawn[0], drawn[1])
      }).pipe(Effect.provide(engine))
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("code that sees the end coming may give a result (T18, T20, T21, D4.8.1, D4.8.2)", () =>
    inMemory(
      Workflow.uncancellable(Effect.raceFirst(
        Effect.as(Effect.sleep("1 day"), "delivered"),
        Effect.map(Workflow.cancellation, ({ at, reason }) => `called off at ${at}: ${reason}`)
      )),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* adjust("1 hour")
        yield* run.cancel({ reason: "by phone" })
        assert.strictEqual(yield* Fiber.join(fiber), "called off at 3600000: by phone")
      })
    ))

  it.effect("a wish to end that comes in the way of what must not be interrupted waits for it (D4.8.2, B-14)", () => {
    const log: Array<string> = []
    return inMemory(
      Effect.gen(function*() {
        yield* Workflow.uncancellable(Effect.zipRight(Effect.sleep("1 day"), Effect.sync(() => log.push("paid"))))
        yield* Effect.sleep("1 day")
        return "delivered"
      }),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(Effect.flip(run.result))
        yield* adjust("1 hour")
        yield* run.cancel({ reason: "by phone" })
        yield* adjust("1 day")
        assert.deepInclude(yield* Fiber.join(fiber), { _tag: "RunFailed", reason: "Cancelled" })
        assert.deepStrictEqual(log, ["paid"])
      })
    )
  })
})
