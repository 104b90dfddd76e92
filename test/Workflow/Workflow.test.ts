import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Queue, TestClock } from "effect"
import { Fallback, Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import { Activity, Client, Engine, Journal, Workflow, WorkflowError } from "holdfast/Workflow"
import { Charge, Declined, historyOf, inMemory, kinds, Order, order, started } from "./support/orders.js"

describe("fibers of a workflow", () => {
  it.effect("meet through Deferred, Queue and Semaphore, also across a restart (D3.4)", () => {
    const live = Layer.mergeAll(
      Order.toLayer((cents) =>
        Effect.gen(function*() {
          const charged = yield* Deferred.make<string>()
          const labels = yield* Queue.unbounded<string>()
          const printer = yield* Effect.makeSemaphore(1)
          const print = (label: string) =>
            printer.withPermits(1)(Effect.zipRight(Effect.sleep("1 hour"), Queue.offer(labels, label)))
          yield* Effect.fork(Effect.all([print("first"), print("second")], { concurrency: "unbounded" }))
          yield* Effect.fork(Effect.flatMap(Charge.execute(cents), (receipt) => Deferred.succeed(charged, receipt)))
          const all = [yield* Deferred.await(charged), yield* Queue.take(labels), yield* Queue.take(labels)]
          return `${all.join(", ")} at ${yield* Clock.currentTimeMillis}`
        })
      ),
      Charge.toLayer((cents) => Effect.succeed(`charged ${cents}`))
    )
    const { engine, start } = started(live)
    return Effect.gen(function*() {
      yield* Effect.zipRight(start, TestClock.adjust("90 minutes")).pipe(Effect.provide(engine))
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Client.result(Order, "order"))
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual(yield* Fiber.join(fiber), `charged 100, first, second at ${2 * 3_600_000}`)
      }).pipe(Effect.provide(engine))
    }).pipe(Effect.provide(Journal.layerMemory))
  })
})

describe("timers", () => {
  it.effect("of one instant fire in the order in which they were started (D2.11)", () =>
    inMemory(
      Order.toLayer(() =>
        Effect.as(
          Effect.forEach([3, 1, 2, 1, 3], (n) => Effect.sleep(`${n} seconds`), { concurrency: "unbounded" }),
          "done"
        )
      ),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          (yield* historyOf(run.runId)).flatMap((event) => event._tag === "TimerFired" ? [event.target] : []),
          [2, 4, 3, 1, 5]
        )
      })
    ))
})

describe("a workflow", () => {
  it.effect("that dies closes with what it died of", () =>
    inMemory(
      Order.toLayer(() => Effect.die(new Error("boom"))),
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatMap(order, (run) => run.result))
        assert.instanceOf(error, WorkflowError.RunFailed)
        assert.match(error.message, /boom/)
      })
    ))

  it.effect("whose payload does not fit its schema is not started (D4.2.1)", () =>
    inMemory(
      Order.toLayer(() => Effect.succeed("never")),
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Client.start(Order, { id: "order", payload: "much" as unknown as number })
        )
        assert.strictEqual(error._tag, "InvalidPayload")
        assert.match(error.message, /Order/)
        assert.strictEqual((yield* Effect.flip(Client.get(Order, "order")))._tag, "RunNotFound")
      })
    ))

  it.effect("whose success does not fit its schema has failed, and says why (D4.2.2)", () =>
    inMemory(
      Order.toLayer(() => Effect.succeed(7 as unknown as string)),
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatMap(order, (run) => run.result))
        assert.match(error.message, /success of workflow Order does not fit/)
      })
    ))

  it.effect("knows who it is, and has a scope of its own", () => {
    const released: Array<string> = []
    return inMemory(
      Order.toLayer(() =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => released.push("released")))
          const { workflow, workflowId } = yield* Workflow.info
          return `${workflow} ${workflowId}`
        })
      ),
      Effect.gen(function*() {
        assert.strictEqual(yield* Effect.flatMap(order, (run) => run.result), "Order order")
        assert.deepStrictEqual(released, ["released"])
      })
    )
  })

  it.effect("is started once per id; the id of another workflow is refused (C10, B-17)", () =>
    inMemory(
      Order.toLayer((cents) => Effect.succeed(String(cents))),
      Effect.gen(function*() {
        const [a, b] = yield* Effect.all([order, Client.start(Order, { id: "order", payload: 7 })], {
          concurrency: "unbounded"
        })
        assert.strictEqual(a.runId, b.runId)
        assert.strictEqual(yield* b.result, "100")
        const error = yield* Effect.flip(Client.start(Workflow.make("Else"), { id: "order" }))
        assert.strictEqual(error._tag, "WorkflowMismatch")
      })
    ))

  it.effect("of a type that nobody has waits, and does not hold up others (W-7, D6.6, T60)", () =>
    inMemory(
      Order.toLayer((cents) => Effect.succeed(String(cents))),
      Effect.gen(function*() {
        const unknown = yield* Client.start(Workflow.make("Unknown"), { id: "unknown" })
        assert.strictEqual(yield* Effect.flatMap(order, (run) => run.result), "100")
        assert.deepStrictEqual(yield* unknown.poll, { _tag: "Running", blocked: undefined })
        assert.deepStrictEqual(kinds(yield* historyOf(unknown.runId)), ["RunStarted"])
      })
    ))
})

describe("the package's own combinators", () => {
  it.effect("are durable inside a workflow, also across a restart (D3.4)", () => {
    const calls: Array<number> = []
    const live = Layer.mergeAll(
      Order.toLayer((cents) =>
        Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make({ key: "cards", failures: 2, openFor: "1 hour" })
          return yield* Charge.execute(cents).pipe(
            Timeout.after("10 minutes"),
            CircuitBreaker.protect(breaker),
            Retry.rules([
              Retry.on("Declined", { retries: 3, backoff: Backoff.constant("1 day") }),
              Retry.on("TimedOut", { retries: 1, backoff: Backoff.constant("1 day") })
            ]),
            Fallback.to("on the house")
          )
        })
      ),
      Charge.toLayer((cents) =>
        Effect.suspend(() => {
          calls.push(cents)
          return calls.length === 1 ? Effect.never : new Declined({ cents })
        })
      )
    )
    const { engine, start } = started(live)
    return Effect.gen(function*() {
      // The first attempt runs out of time, and the engine stops in the wait after it.
      yield* Effect.zipRight(start, TestClock.adjust("12 hours")).pipe(Effect.provide(engine))
      assert.strictEqual(calls.length, 1)
      yield* Effect.gen(function*() {
        const run = yield* Client.get(Order, "order")
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("5 days")
        assert.strictEqual(yield* Fiber.join(fiber), "on the house")
        assert.strictEqual(calls.length, 5)
      }).pipe(Effect.provide(engine))
    }).pipe(Effect.provide(Journal.layerMemory))
  })
})

describe("definitions", () => {
  it("refuse what can never work", () => {
    assert.throws(() => Workflow.make(""), /not empty/)
    assert.throws(() => Activity.make(""), /not empty/)
    assert.throws(() => Activity.make("A", { startToClose: -1 }), /startToClose/)
  })

  it.effect("refuse engine options that can never work, and names taken twice", () =>
    Effect.gen(function*() {
      for (const options of [{ activityConcurrency: 0 }, { residentRuns: 0.5 }, { lease: 0 }, { opBudget: NaN }]) {
        const exit = yield* Effect.exit(
          Effect.scoped(Layer.build(Layer.provide(Engine.layer(options), Journal.layerMemory)))
        )
        assert.include(String(exit), Object.keys(options)[0]!)
      }
      const twice = Layer.mergeAll(Order.toLayer(() => Effect.succeed("a")), Order.toLayer(() => Effect.succeed("b")))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(
        twice.pipe(Layer.provide(Engine.layer()), Layer.provide(Journal.layerMemory))
      )))
      assert.match(String(exit), /a name that no other workflow/)
    }))
})
