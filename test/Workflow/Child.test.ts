import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Option, Schedule, Schema } from "effect"
import { Activity, Client, Engine, History, Journal, Replay, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import * as journals from "./support/journals.js"
import { historyOf, kinds, quiet } from "./support/orders.js"
import { adjust } from "./support/settling.js"

class Lost extends Schema.TaggedError<Lost>()("Lost", { item: Schema.String }) {}

const Shop = Workflow.make("Shop", { payload: Schema.Number, success: Schema.String, error: Lost })
const Shipment = Workflow.make("Shipment", { payload: Schema.String, success: Schema.String, error: Lost })
const Note = Signal.make("Note", { payload: Schema.String })

const ship = (item: string, options?: Partial<Workflow.ChildOptions<string>>) =>
  Workflow.executeChild(Shipment, { id: `shipment-${item}`, payload: item, ...options })

const shop = Client.start(Shop, { id: "shop", payload: 3 })

const on = <A, E>(
  live: Layer.Layer<never, never, Engine.Engine>,
  journal: (typeof journals.all)[number][1],
  test: Effect.Effect<A, E, Journal.Journal | Engine.Engine | Client.Client>
) =>
  test.pipe(Effect.provide(
    live.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
  ))

/** A child that sleeps for a day, and undoes something when it is interrupted. */
const sleepy = (log: Array<string>) =>
  Shipment.toLayer((item) =>
    Effect.onInterrupt(Effect.as(Effect.sleep("1 day"), `shipped ${item}`), () =>
      Effect.zipRight(
        Effect.sleep("1 hour"),
        Effect.sync(() => log.push(`undone ${item}`))
      ))
  )

/** The error of an effect that must fail. */
const failure = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.orDieWith(Effect.flip(self), (success) => new Error(`it succeeded with ${String(success)}`))

const statusOf = (id: string) => Effect.map(Client.describe(id), ({ status }) => status)

for (const [name, journal] of journals.all) {
  describe(`children on ${name}`, () => {
    it.effect("give their result to their parent, and know it (T44, T47, C35, D4.9.1)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.map(Effect.all([ship("a"), ship("b")]), (results) => results.join(", "))),
          Shipment.toLayer((item) =>
            Effect.map(Workflow.info, ({ parent }) => `${item} for ${parent?.workflowId} ${parent?.runId}`)
          )
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.strictEqual(yield* run.result, `a for shop ${run.runId}, b for shop ${run.runId}`)
          const history = yield* historyOf(run.runId)
          assert.deepStrictEqual(kinds(history), [
            "RunStarted",
            "TurnTaken",
            "ChildScheduled",
            "ChildClosed",
            "TurnTaken",
            "ChildScheduled",
            "ChildClosed",
            "TurnTaken",
            "RunClosed"
          ])
          const child = yield* Client.get(Shipment, "shipment-a")
          assert.deepInclude(history[2], {
            command: 1,
            workflow: "Shipment",
            workflowId: "shipment-a",
            parentClose: "terminate"
          })
          assert.deepInclude(history[3], { target: 1, runId: child.runId, outcome: "Success" })
        })
      ))

    it.effect("fail with their own typed error (T45, D4.9.4, B-13)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() => ship("a")),
          Shipment.toLayer((item) => new Lost({ item }))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.deepStrictEqual(yield* Effect.flip(run.result), new Lost({ item: "a" }))
        })
      ))

    it.effect("that die, are cancelled or are terminated fail with why (D4.9.4, B-13, W-26)", () => {
      const log: Array<string> = []
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.map(
              Effect.forEach(["dies", "cancelled", "terminated"], (item) => failure(ship(item)), {
                concurrency: "unbounded"
              }),
              (errors) => errors.map((error) => `${error}`).join("|")
            )
          ),
          Shipment.toLayer((item) =>
            item === "dies"
              ? Effect.die("broken")
              : Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(item)))
          )
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* adjust(0)
          yield* Client.cancel("shipment-cancelled", { reason: "by phone" })
          yield* Client.terminate("shipment-terminated", { reason: "by force" })
          const [dies, cancelled, terminated] = (yield* run.result).split("|")
          assert.match(dies!, /^RunFailed: .*\(Defect\): .*broken/)
          assert.match(cancelled!, /^RunFailed: .*\(Cancelled\): by phone/)
          assert.match(terminated!, /^RunFailed: .*\(Terminated\): by force/)
          assert.deepStrictEqual(log, ["cancelled"])
        })
      )
    })

    it.effect("run side by side, and end in any order (T46, T43)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.map(
              Effect.forEach(["3", "1", "2", "5", "4", "9", "6", "8", "7", "10"], (item) => ship(item), {
                concurrency: "unbounded"
              }),
              (results) => results.join(" ")
            )
          ),
          Shipment.toLayer((item) => Effect.as(Effect.sleep(`${Number(item)} hours`), item))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("10 hours")
          assert.strictEqual(yield* Fiber.join(fiber), "3 1 2 5 4 9 6 8 7 10")
          const closed = (yield* historyOf(run.runId)).filter((event) => event._tag === "ChildClosed")
          assert.lengthOf(closed, 10)
          assert.deepStrictEqual(closed.map(({ at }) => at), closed.map(({ at }) => at).sort((a, b) => a - b))
        })
      ))

    it.effect("deliver their final result through all the runs that they go on as (T54, D4.9.5, T121)", () => {
      const Counter = Workflow.make("Counter", { payload: Schema.Number, success: Schema.Number })
      return on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.map(Workflow.executeChild(Counter, { id: "counter", payload: 1 }), String)),
          Counter.toLayer((n) =>
            Effect.zipRight(Effect.sleep("1 hour"), n < 3 ? Counter.continueAsNew(n + 1) : Effect.succeed(n))
          )
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          const fiber = yield* Effect.fork(run.result)
          yield* adjust("3 hours")
          assert.strictEqual(yield* Fiber.join(fiber), "3")
          const last = yield* Client.get(Counter, "counter")
          const [started] = yield* historyOf(last.runId)
          assert.deepInclude(started, { parent: { workflowId: "shop", runId: run.runId } })
        })
      )
    })

    it.effect("are terminated with their parent, with all that they have asked for (T49, D2.20, D4.9.6, D4.9.7, W-27)", () => {
      const worked: Array<string> = []
      const Pack = Activity.make("Pack", { payload: Schema.String })
      const Box = Workflow.make("Box")
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.zipRight(Workflow.startChild(Shipment, { id: "s", payload: "x" }), Effect.sleep(1))
              .pipe(Effect.as("closed"))
          ),
          Shipment.toLayer((item) =>
            Effect.all([
              Workflow.executeChild(Box, { id: "box" }),
              Effect.zipRight(Effect.sleep("1 hour"), Pack.execute(item))
            ], { concurrency: 2 }).pipe(Effect.as("never"))
          ),
          Box.toLayer(() => Effect.never),
          Pack.toLayer((item) => Effect.sync(() => worked.push(item)))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          const fiber = yield* Effect.fork(run.result)
          yield* adjust(1)
          assert.strictEqual(yield* Fiber.join(fiber), "closed")
          for (const id of ["s", "box"]) {
            const child = yield* Client.describe(id)
            assert.deepInclude(child, { status: "Terminated", activities: [], timers: [] })
            assert.deepInclude(child.closed, { _tag: "RunTerminated", reason: "its parent has ended" })
          }
          yield* adjust("2 hours")
          assert.deepStrictEqual(worked, [])
        })
      )
    })

    it.effect("are asked to end with their parent, or are left alone, as the parent has chosen (D2.20, D4.9.6, B-13)", () => {
      const log: Array<string> = []
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.gen(function*() {
              yield* Workflow.startChild(Shipment, { id: "c", payload: "c", parentClose: "cancel" })
              yield* Workflow.startChild(Shipment, { id: "a", payload: "a", parentClose: "abandon" })
              return "closed"
            })
          ),
          sleepy(log)
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.strictEqual(yield* run.result, "closed")
          assert.deepStrictEqual([yield* statusOf("c"), yield* statusOf("a")], ["Cancelling", "Running"])
          yield* adjust("2 hours")
          assert.deepStrictEqual(log, ["undone c"])
          yield* adjust("1 day")
          assert.deepStrictEqual([yield* statusOf("c"), yield* statusOf("a")], ["Cancelled", "Success"])
          // What becomes of an abandoned child is written to no closed run.
          assert.strictEqual((yield* historyOf(run.runId)).at(-1)?._tag, "RunClosed")
        })
      )
    })

    it.effect("the run that a child goes on as is terminated with the parent (T77, D4.9.5)", () => {
      const Counter = Workflow.make("Counter", { payload: Schema.Number })
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Workflow.startChild(Counter, { id: "counter", payload: 1 }).pipe(
              Effect.zipRight(Effect.sleep("90 minutes")),
              Effect.as("closed")
            )
          ),
          Counter.toLayer((n) => Effect.zipRight(Effect.sleep("1 hour"), Counter.continueAsNew(n + 1)))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* adjust("90 minutes")
          assert.strictEqual(yield* run.result, "closed")
          const counter = yield* Client.describe("counter")
          assert.strictEqual(counter.status, "Terminated")
          assert.deepInclude((yield* historyOf(counter.runId))[0], { payload: "2" })
        })
      )
    })

    it.effect("a parent that continues keeps its children: they end with the last of its runs (W-25, B-12, D4.9.6)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer((n) =>
            n === 3
              ? Effect.zipRight(
                Workflow.startChild(Shipment, { id: "s", payload: "x" }),
                Effect.zipRight(Effect.sleep("1 hour"), Shop.continueAsNew(4))
              )
              : Effect.as(Effect.sleep("1 hour"), "closed")
          ),
          Shipment.toLayer(() => Effect.never)
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* adjust("1 hour")
          assert.strictEqual(yield* statusOf("s"), "Running")
          yield* adjust("1 hour")
          assert.strictEqual(yield* run.result, "closed")
          assert.strictEqual(yield* statusOf("s"), "Terminated")
        })
      ))

    it.effect("two parents of one child are both told of its end (C34, W-24, D4.9.2, D2.18, B-13)", () => {
      const Other = Workflow.make("Other", { success: Schema.String })
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.map(Effect.all([ship("x"), ship("x")], { concurrency: 2 }), (results) => results.join(" & "))
          ),
          Other.toLayer(() => Effect.orDie(ship("x"))),
          Shipment.toLayer((item) => Effect.as(Effect.sleep("1 hour"), item))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          const other = yield* Client.start(Other, { id: "other" })
          yield* adjust("1 hour")
          assert.strictEqual(yield* run.result, "x & x")
          assert.strictEqual(yield* other.result, "x")
          assert.strictEqual(yield* Client.count({ workflow: "Shipment" }), 1)
          const named = [run, other].map(({ runId }) =>
            Effect.map(historyOf(runId), (history) => history.find((event) => event._tag === "ChildClosed"))
          )
          const child = yield* Client.get(Shipment, "shipment-x")
          for (const closed of yield* Effect.all(named)) assert.deepInclude(closed, { runId: child.runId })
        })
      )
    })

    it.effect("an id that was used before and has closed gives a new run (D4.9.3)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.map(Effect.all([ship("x"), ship("x")]), (results) => results.join(" then "))),
          Shipment.toLayer((item) => Effect.succeed(item))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.strictEqual(yield* run.result, "x then x")
          assert.strictEqual(yield* Client.count({ workflow: "Shipment" }), 2)
        })
      ))

    it.effect("an id that is taken attaches, refuses or replaces, as the parent has chosen (B-13, D4.9.2)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.gen(function*() {
              const first = yield* Workflow.startChild(Shipment, { id: "s", payload: "first" })
              const refused = yield* failure(
                Workflow.executeChild(Shipment, { id: "s", payload: "second", conflict: "fail" })
              )
              const other = yield* failure(Workflow.executeChild(Shop, { id: "s", payload: 1 }))
              const itself = yield* failure(Workflow.executeChild(Shop, { id: "shop", payload: 1 }))
              const third = yield* Workflow.executeChild(Shipment, { id: "s", payload: "third", conflict: "terminate" })
              const kept = yield* Workflow.executeChild(Shipment, { id: "s", payload: "fourth", reuse: "attach" })
              const never = yield* failure(
                Workflow.executeChild(Shipment, { id: "s", payload: "fifth", reuse: "never" })
              )
              const reasons = [refused, other, itself, yield* failure(first.result), never].map((error) =>
                "reason" in error ? error.reason : error._tag
              )
              return [...reasons, third, kept].join(" ")
            })
          ),
          Shipment.toLayer((item) => item === "first" ? Effect.never : Effect.succeed(item))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.strictEqual(
            yield* run.result,
            "Refused Refused Refused Terminated Refused third third"
          )
        })
      ))

    it.effect("a child that loses a race is asked to end, and undoes what it has done (B-14, B-13)", () => {
      const log: Array<string> = []
      return on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.map(Effect.timeoutOption(ship("x"), "1 hour"), (shipped) => `${Option.isSome(shipped)}`)
          ),
          sleepy(log)
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* adjust("1 hour")
          assert.strictEqual(yield* run.result, "false")
          // The parent has ended, and the child is not terminated for it: it has its time to undo.
          assert.strictEqual(yield* statusOf("shipment-x"), "Cancelling")
          yield* adjust("1 hour")
          assert.strictEqual(yield* statusOf("shipment-x"), "Cancelled")
          assert.deepStrictEqual(log, ["undone x"])
        })
      )
    })

    it.effect("a cancelled parent takes its children with it (B-14)", () => {
      const log: Array<string> = []
      return on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.map(Effect.all([ship("x"), ship("y")], { concurrency: 2 }), String)),
          sleepy(log)
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* run.cancel({ reason: "called off" })
          assert.deepInclude(yield* Effect.flip(run.result), { _tag: "RunFailed", reason: "Cancelled" })
          yield* adjust("1 hour")
          assert.deepStrictEqual([...log].sort(), ["undone x", "undone y"])
        })
      )
    })

    it.effect("a parent reaches its child by its handle (B-13, D4.9.8)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.gen(function*() {
              const child = yield* Workflow.startChild(Shipment, { id: "s", payload: "x" })
              yield* Effect.orDie(child.signal(Note, "hello"))
              const first = yield* child.result
              const again = yield* Workflow.startChild(Shipment, { id: "s", payload: "y" })
              yield* Effect.orDie(again.cancel({ reason: "enough" }))
              const ended = yield* failure(again.result)
              return `${first} ${"reason" in ended ? ended.reason : ""}`
            })
          ),
          Shipment.toLayer((item) => Effect.map(Effect.orDie(Note.receive), (note) => `${item} ${note}`))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.strictEqual(yield* run.result, "x hello Cancelled")
        })
      ))

    it.effect("a child that nobody runs yet waits, and its parent with it (W-7)", () =>
      Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* shop
          yield* adjust(0)
          assert.strictEqual(yield* statusOf("shipment-x"), "Running")
        }).pipe(Effect.provide(
          Shop.toLayer(() => ship("x")).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
        ))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Shop, "shop")
          assert.strictEqual(yield* run.result, "x")
        }).pipe(Effect.provide(
          Layer.mergeAll(
            Shop.toLayer(() => ship("x")),
            Shipment.toLayer((item) => Effect.succeed(item))
          ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
        ))
      }).pipe(Effect.provide(journal)))

    it.effect("a payload that does not fit is an error of the parent, and starts nothing (D4.3.3)", () => {
      const Strict = Workflow.make("Strict", { payload: Schema.NonEmptyString })
      return on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.as(Workflow.executeChild(Strict, { id: "strict", payload: "" }), "done")),
          Strict.toLayer(() => Effect.void)
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          assert.deepInclude(yield* Effect.flip(run.result), { _tag: "RunFailed", reason: "Codec" })
          assert.strictEqual(yield* Client.count({ workflow: "Strict" }), 0)
        })
      )
    })

    it.effect("signals to other runs are in their journal when the sender goes on; others are errors (T114, D4.7.7, B-16)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.gen(function*() {
              yield* Effect.orDie(Note.send("shipment", "a", { id: "1" }))
              yield* Effect.orDie(Note.send("shipment", "a", { id: "1" }))
              yield* Effect.orDie(Note.send("shipment", "b"))
              yield* Effect.orDie(Note.send("shop", "to itself"))
              const own = yield* Effect.orDie(Note.receive)
              const nobody = yield* failure(Note.send("nobody", "c"))
              yield* Effect.sleep("1 hour")
              const ended = yield* failure(Note.send("shipment", "d"))
              const missing = yield* failure(Workflow.cancel("nobody"))
              return [own, nobody._tag, ended._tag, missing._tag].join(" ")
            })
          ),
          Shipment.toLayer(() =>
            Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, 2)), (notes) => notes.join(" "))
          )
        ),
        journal,
        Effect.gen(function*() {
          const shipment = yield* Client.start(Shipment, { id: "shipment", payload: "" })
          const run = yield* shop
          assert.strictEqual(yield* shipment.result, "a b")
          yield* adjust("1 hour")
          assert.strictEqual(yield* run.result, "to itself RunNotFound RunEnded RunNotFound")
        })
      ))

    it.effect("a run can ask another one to end (B-13)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() => Effect.as(Effect.orDie(Workflow.cancel("shipment", { reason: "sold out" })), "asked")),
          Shipment.toLayer(() => Effect.never)
        ),
        journal,
        Effect.gen(function*() {
          const shipment = yield* Client.start(Shipment, { id: "shipment", payload: "" })
          const run = yield* shop
          assert.strictEqual(yield* run.result, "asked")
          assert.deepInclude(yield* Effect.flip(shipment.result), { reason: "Cancelled", detail: "sold out" })
        })
      ))

    it.effect("a run that takes longer than it may is ended, and its parent is told (B-13, W-59)", () =>
      on(
        Layer.mergeAll(
          Shop.toLayer(() =>
            Effect.map(
              failure(ship("x", { runTimeout: "1 hour" })),
              (error) => "reason" in error ? error.reason : ""
            )
          ),
          Shipment.toLayer(() => Effect.as(Effect.sleep("1 day"), "late"))
        ),
        journal,
        Effect.gen(function*() {
          const run = yield* shop
          yield* adjust("59 minutes")
          assert.strictEqual(yield* statusOf("shipment-x"), "Running")
          yield* adjust("1 minute")
          assert.strictEqual(yield* run.result, "TimedOut")
          assert.deepInclude(yield* Client.describe("shipment-x"), { status: "TimedOut", timers: [] })
        })
      ))
  })
}

describe("windows of children", () => {
  const stress = (options: {
    readonly count: number
    readonly window: number
    readonly batch?: number
    readonly engine?: Engine.Options
  }) => {
    const { batch = options.count, count, window } = options
    const Batch = Workflow.make("Batch", { payload: Schema.Number, success: Schema.Number })
    const Item = Workflow.make("Item", { payload: Schema.Number, success: Schema.Number })
    const Work = Activity.make("Work", { payload: Schema.Number, success: Schema.Number })
    const executed = new Map<number, number>()
    const live = Layer.mergeAll(
      Batch.toLayer((from) =>
        Effect.gen(function*() {
          const items = Array.from({ length: Math.min(batch, count - from) }, (_, i) => from + i)
          yield* Effect.forEach(
            items,
            (item) => Effect.orDie(Workflow.executeChild(Item, { id: `item-${item}`, payload: item })),
            { concurrency: window }
          )
          const next = from + items.length
          return next < count ? yield* Batch.continueAsNew(next) : next
        })
      ),
      Item.toLayer((item) =>
        Effect.orDie(
          Effect.iterate(0, {
            while: (step) => step < 3,
            body: (step) => Work.execute(item * 3 + step).pipe(Effect.as(step + 1))
          })
        )
      ),
      Work.toLayer((key) =>
        Effect.sync(() => {
          executed.set(key, (executed.get(key) ?? 0) + 1)
          return key
        })
      )
    )
    return Effect.gen(function*() {
      const run = yield* Client.start(Batch, { id: "batch", payload: 0 })
      assert.strictEqual(yield* run.result, count)
      assert.strictEqual(executed.size, 3 * count)
      assert.isTrue([...executed.values()].every((times) => times === 1))
      return yield* Client.count({ workflow: "Batch" })
    }).pipe(Effect.provide(
      live.pipe(
        Layer.provideMerge(Engine.layer(options.engine)),
        Layer.provide(quiet),
        Layer.provideMerge(Journal.layerMemory)
      )
    ))
  }

  it.effect("run each child once, through runs that go on from each other (T118, T121)", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* stress({ count: 15, window: 3, batch: 5 }), 3)
      assert.strictEqual(yield* stress({ count: 30, window: 3, batch: 10 }), 3)
    }))

  it.effect("run each step of each child once (T119, T120, T122)", () =>
    Effect.gen(function*() {
      yield* stress({ count: 50, window: 10 })
      yield* stress({ count: 20, window: 5 })
      yield* stress({ count: 5, window: 5 })
    }))

  it.effect("always end, with few slots and with runs that leave memory at once (S3, T43, W-37)", () =>
    Effect.forEach(
      Array.from({ length: 30 }, (_, i) => i),
      (i) =>
        stress({
          count: 40,
          window: 8,
          engine: { activityConcurrency: 1 + i % 3, residentRuns: 1 + i % 7, alwaysReplay: i % 5 === 0 }
        })
    ), 60_000)
})

it.effect("the history of a parent, and of each child, replays with the same code (T48, T53)", () => {
  const family = Layer.mergeAll(
    Shop.toLayer((n) =>
      Effect.gen(function*() {
        const shipped = yield* Effect.all([ship("a"), Effect.timeoutOption(ship("b"), "10 minutes"), ship("c")], {
          concurrency: "unbounded"
        })
        return n === 3 ? yield* Shop.continueAsNew(4) : JSON.stringify(shipped)
      })
    ),
    Shipment.toLayer((item) => Effect.as(Effect.sleep(item === "b" ? "1 hour" : "1 minute"), item))
  )
  return Effect.gen(function*() {
    const run = yield* shop
    const fiber = yield* Effect.fork(run.result)
    yield* adjust("3 hours")
    yield* Fiber.join(fiber)
    const { runs } = yield* Client.list()
    assert.lengthOf(runs, 8)
    for (const { runId } of runs) {
      const history = yield* History.read(runId)
      const result = yield* Effect.provide(Replay.registered(history), Layer.provideMerge(family, Replay.layer))
      assert.isUndefined(result.difference, runId)
    }
  }).pipe(Effect.provide(
    family.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(Journal.layerMemory))
  ))
})

it.effect("a parent without a word of its own passes the child's failure on (D4.2.4)", () =>
  on(
    Layer.mergeAll(
      Shop.toLayer(() => ship("x").pipe(Effect.retry(Schedule.recurs(1)))),
      Shipment.toLayer(() => Effect.die(new Error("no wheels")))
    ),
    Journal.layerMemory,
    Effect.gen(function*() {
      const run = yield* shop
      const exit = yield* Effect.exit(run.result)
      assert.isTrue(Exit.isFailure(exit))
      const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
      assert.isTrue(Option.isSome(failure) && failure.value instanceof WorkflowError.RunFailed)
      assert.strictEqual(yield* Client.count({ workflow: "Shipment" }), 2)
    })
  ))
