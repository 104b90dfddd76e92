import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Schema, type Scope, TestClock } from "effect"
import { Backoff, Retry, RetryPolicy } from "holdfast/Schedule"
import { Activity, Engine, Journal, WorkflowError } from "holdfast/Workflow"
import type { Entry } from "../../src/Workflow/Journal.js"
import { recorded } from "./support/journals.js"
import { Charge, Declined, historyOf, inMemory, kinds, Order, order, started } from "./support/orders.js"

/** The result of an order whose body is one activity with this handler. */
const orderOf = (
  activity: Activity.Activity<number, string, Declined>,
  handler: (cents: number, attempt: number) => Effect.Effect<string, Declined, Scope.Scope>
) =>
  inMemory(
    Layer.mergeAll(
      Order.toLayer(activity.execute),
      activity.toLayer((cents) => Effect.flatMap(Activity.info, ({ attempt }) => handler(cents, attempt)))
    ),
    Effect.gen(function*() {
      const run = yield* order
      const fiber = yield* Effect.fork(Effect.exit(run.result))
      yield* TestClock.adjust("1 hour")
      return { exit: yield* Fiber.join(fiber), history: yield* historyOf(run.runId) }
    })
  )

const charge = (options: { readonly retry?: RetryPolicy.RetryPolicy; readonly startToClose?: number }) =>
  Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined, ...options })

/** Registers a handler with the engine of the test, for the life of a scope. */
const register = (handler: Layer.Layer<never, never, Engine.Engine>) =>
  Effect.flatMap(
    Effect.context<Engine.Engine>(),
    (context) => Layer.build(Layer.provide(handler, Layer.succeedContext(context)))
  )

describe("an activity", () => {
  it.effect("is asked for once, with its name and its encoded payload, and gives its decoded result (T1, T3, T7, T13)", () => {
    const Parcel = Schema.Struct({ id: Schema.String, weights: Schema.Array(Schema.Number), sent: Schema.Date })
    const Weigh = Activity.make("Weigh", {
      payload: Parcel,
      success: Schema.Struct({ of: Parcel, sum: Schema.BigInt })
    })
    const sent = new Date("2024-01-01T12:00:00Z")
    return inMemory(
      Layer.mergeAll(
        Order.toLayer(() =>
          Effect.map(
            Weigh.execute({ id: "p", weights: [1, 2.5], sent }),
            ({ of, sum }) => `${sum} ${of.sent instanceof Date && of.sent.getTime() === sent.getTime()} ${of.weights}`
          )
        ),
        Weigh.toLayer((parcel) => Effect.succeed({ of: parcel, sum: BigInt(parcel.weights.length) }))
      ),
      Effect.gen(function*() {
        const run = yield* order
        assert.strictEqual(yield* run.result, "2 true 1,2.5")
        const asked = (yield* historyOf(run.runId)).filter(({ _tag }) => _tag === "ActivityScheduled")
        assert.lengthOf(asked, 1)
        assert.deepInclude(asked[0], {
          activity: "Weigh",
          payload: JSON.stringify({ id: "p", weights: [1, 2.5], sent: sent.toISOString() })
        })
      })
    )
  })

  it.effect("that fails gives that very error, which the workflow may handle (T2, T8, D5.6)", () =>
    inMemory(
      Layer.mergeAll(
        Order.toLayer((cents) =>
          Charge.execute(cents).pipe(
            Effect.catchTag(
              "Declined",
              (error) => error instanceof Declined && error.cents === 7 ? Effect.succeed("handled") : Effect.die(error)
            )
          )
        ),
        Charge.toLayer(() => new Declined({ cents: 7 }))
      ),
      Effect.flatMap(order, (run) => Effect.map(run.result, (result) => assert.strictEqual(result, "handled")))
    ))

  it.effect("several that are asked for in one turn keep their order and their results, and a result can be had twice (T4, T6)", () =>
    inMemory(
      Layer.mergeAll(
        Order.toLayer(() =>
          Effect.gen(function*() {
            const fibers = yield* Effect.forEach([1, 2, 3], (cents) => Effect.fork(Charge.execute(cents)))
            const [first, again] = [yield* Fiber.joinAll(fibers), yield* Fiber.joinAll(fibers)]
            return `${first} ${again}`
          })
        ),
        // The last one ends first.
        Charge.toLayer((cents) => Effect.delay(Effect.succeed(`<${cents}>`), 10_000 - 1_000 * cents))
      ),
      Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Fiber.join(fiber), "<1>,<2>,<3> <1>,<2>,<3>")
        const history = yield* historyOf(run.runId)
        const asked = history.flatMap((event) => event._tag === "ActivityScheduled" ? [event.payload] : [])
        assert.deepStrictEqual(asked, ["1", "2", "3"])
        assert.deepStrictEqual(kinds(history).slice(0, 5), [
          "RunStarted",
          "TurnTaken",
          "ActivityScheduled",
          "ActivityScheduled",
          "ActivityScheduled"
        ])
        assert.lengthOf(history.filter(({ _tag }) => _tag === "ActivityCompleted"), 3)
      })
    ))

  it.effect("ends that come together take one turn, and are written with it (D5.8, B-9, G1)", () => {
    const written: Array<Entry> = []
    const gate = Effect.unsafeMakeLatch(false)
    return Effect.gen(function*() {
      const run = yield* order
      const fiber = yield* Effect.fork(run.result)
      yield* TestClock.adjust(0)
      yield* gate.open
      assert.strictEqual(yield* Fiber.join(fiber), "3")
      const turns = written.flatMap((entry) => entry._tag === "Append" ? [entry.events.map(({ _tag }) => _tag)] : [])
      assert.deepStrictEqual(turns, [
        ["TurnTaken", "ActivityScheduled", "ActivityScheduled", "ActivityScheduled"],
        ["ActivityCompleted", "ActivityCompleted", "ActivityCompleted", "TurnTaken", "RunClosed"]
      ])
    }).pipe(Effect.provide(Layer.provideMerge(
      started(Layer.mergeAll(
        Order.toLayer(() =>
          Effect.map(Effect.forEach([1, 2, 3], Charge.execute, { concurrency: "unbounded" }), (all) => `${all.length}`)
        ),
        Charge.toLayer((cents) => Effect.as(gate.await, `${cents}`))
      )).engine,
      recorded(written)
    )))
  })

  it.effect("is told which attempt of which activity of which run it is (T10)", () =>
    inMemory(
      Layer.mergeAll(
        Order.toLayer(Charge.execute),
        Charge.toLayer(() => Effect.map(Activity.info, (info) => JSON.stringify(info)))
      ),
      Effect.gen(function*() {
        const run = yield* order
        const asked = (yield* Effect.zipRight(run.result, historyOf(run.runId))).find(({ _tag }) =>
          _tag === "ActivityScheduled"
        )
        assert.deepStrictEqual(JSON.parse(yield* run.result), {
          activity: "Charge",
          attempt: 1,
          workflow: "Order",
          workflowId: "order",
          runId: run.runId,
          idempotencyKey: `${run.runId}/${asked?._tag === "ActivityScheduled" && asked.command}`
        })
      })
    ))

  it.effect("has one attempt without a retry policy (D5.1)", () =>
    Effect.gen(function*() {
      const { exit, history } = yield* orderOf(charge({}), (cents) => new Declined({ cents }))
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ cents: 100 })))
      assert.notInclude(kinds(history), "AttemptFailed")
    }))

  it.effect("is retried by its policy, at exact times, numbered from 1 (C20, D5.2, D5.3)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({ retries: 3, backoff: Backoff.exponential("1 second") })
      const { exit, history } = yield* orderOf(
        charge({ retry }),
        (cents, attempt) => attempt < 4 ? new Declined({ cents: attempt }) : Effect.succeed(`charged ${cents}`)
      )
      assert.deepStrictEqual(exit, Exit.succeed("charged 100"))
      assert.deepStrictEqual(
        history.flatMap((event) => event._tag === "AttemptFailed" ? [[event.attempt, event.at, event.retryAt]] : []),
        [[1, 0, 1_000], [2, 1_000, 3_000], [3, 3_000, 7_000]]
      )
    }))

  it.effect("fails with its own last error when its retries are used up (D5.4)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({ retries: 2, backoff: Backoff.constant("1 second") })
      const { exit, history } = yield* orderOf(charge({ retry }), (_, attempt) => new Declined({ cents: attempt }))
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ cents: 3 })))
      assert.strictEqual(history.find((event) => event._tag === "ActivityFailed")?.attempts, 3)
    }))

  it.effect("is not retried for an error that its policy names (D5.4)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({
        retries: "unlimited",
        backoff: Backoff.constant("1 second"),
        nonRetryable: ["Declined"]
      })
      const { exit } = yield* orderOf(charge({ retry }), (cents) => new Declined({ cents }))
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ cents: 100 })))
    }))

  it.effect("is retried when its error says, or not at all (R27, D5.4)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({ retries: "unlimited", backoff: Backoff.constant("1 second") })
      const { exit, history } = yield* orderOf(
        charge({ retry }),
        (_, attempt) =>
          attempt === 1
            ? Effect.fail(Retry.retryAfter("7 seconds", new Declined({ cents: 1 })))
            : Effect.fail(Retry.nonRetryable(new Declined({ cents: 2 })))
      )
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ cents: 2 })))
      assert.deepStrictEqual(
        history.flatMap((event) => event._tag === "AttemptFailed" ? [[event.at, event.retryAt]] : []),
        [[0, 7_000]]
      )
    }))

  it.effect("that takes too long is interrupted and retried, and fails as timed out at last (D5.10, W-13)", () =>
    Effect.gen(function*() {
      const interrupted: Array<number> = []
      const retry = RetryPolicy.make({ retries: 1, backoff: Backoff.constant("5 seconds") })
      const { exit, history } = yield* orderOf(
        charge({ retry, startToClose: 30_000 }),
        (_, attempt) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(attempt)))
      )
      assert.deepStrictEqual(interrupted, [1, 2])
      const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : undefined
      assert.isTrue(failure?._tag === "Some" && failure.value instanceof WorkflowError.ActivityError)
      assert.include(String(failure?._tag === "Some" && failure.value), "TimedOut")
      assert.deepStrictEqual(
        history.flatMap((event) => event._tag === "AttemptFailed" ? [[event.at, event.retryAt]] : []),
        [[30_000, 35_000]]
      )
    }))

  it.effect("that dies is a failed attempt, and no harm to the engine (W-31, D5.17)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({ retries: 1, backoff: Backoff.constant("1 second") })
      const { exit } = yield* orderOf(
        charge({ retry }),
        (_, attempt) => attempt === 1 ? Effect.die(new Error("boom")) : Effect.succeed("recovered")
      )
      assert.deepStrictEqual(exit, Exit.succeed("recovered"))
    }))

  it.effect("that interrupts itself is one that died", () =>
    Effect.gen(function*() {
      const { exit } = yield* orderOf(charge({}), () => Effect.interrupt)
      assert.include(String(exit), "Defect")
    }))

  it.effect("whose payload does not fit its schema is never scheduled (T5, D4.3.3)", () =>
    inMemory(
      Layer.mergeAll(
        Order.toLayer(() =>
          Charge.execute("not a number" as unknown as number).pipe(
            Effect.catchTag("ActivityError", (error) => Effect.succeed(`${error.reason} after ${error.attempts}`))
          )
        ),
        Charge.toLayer(() => Effect.succeed("charged"))
      ),
      Effect.gen(function*() {
        const run = yield* order
        assert.strictEqual(yield* run.result, "Codec after 0")
        assert.notInclude(kinds(yield* historyOf(run.runId)), "ActivityScheduled")
      })
    ))

  it.effect("whose success does not fit its schema fails, and is not tried again (D5.7)", () =>
    Effect.gen(function*() {
      const retry = RetryPolicy.make({ retries: "unlimited", backoff: Backoff.constant("1 second") })
      const { exit, history } = yield* orderOf(charge({ retry }), () => Effect.succeed(7 as unknown as string))
      assert.include(String(exit), "Codec")
      assert.strictEqual(history.find((event) => event._tag === "ActivityFailed")?.attempts, 1)
    }))

  it.effect("that loses a race is cancelled: its fiber is interrupted and its result refused (D3.1, T20, T21)", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      yield* inMemory(
        Layer.mergeAll(
          Order.toLayer((cents) =>
            Charge.execute(cents).pipe(
              Effect.timeoutTo({ duration: "1 minute", onSuccess: (s) => s, onTimeout: () => "too slow" })
            )
          ),
          Charge.toLayer(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
        ),
        Effect.gen(function*() {
          const run = yield* order
          const fiber = yield* Effect.fork(run.result)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* Fiber.join(fiber), "too slow")
          yield* Deferred.await(interrupted)
          assert.deepStrictEqual(kinds(yield* historyOf(run.runId)), [
            "RunStarted",
            "TurnTaken",
            "ActivityScheduled",
            "TimerStarted",
            "TimerFired",
            "TurnTaken",
            "ActivityCancelled",
            "RunClosed"
          ])
        })
      )
    }))

  it.effect("has a scope, which closes with the attempt: when it ends, fails, or is interrupted", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const retry = RetryPolicy.make({ retries: 3, backoff: Backoff.constant("1 second") })
      const { exit } = yield* orderOf(
        charge({ retry, startToClose: 1_000 }),
        (cents, attempt) =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer((exit) => Effect.sync(() => log.push(`${attempt} first ${exit._tag}`)))
            yield* Effect.acquireRelease(Effect.void, () => Effect.sync(() => log.push(`${attempt} second`)))
            // A layer of its own takes a child of that scope.
            yield* Layer.build(Layer.scopedDiscard(
              Effect.addFinalizer(() => Effect.sync(() => log.push(`${attempt} layer`)))
            ))
            yield* Effect.forkScoped(
              Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`${attempt} fiber`)))
            )
            yield* Effect.yieldNow()
            if (attempt === 1) return yield* Effect.never
            if (attempt === 2) return yield* new Declined({ cents })
            return "charged"
          })
      )
      assert.deepStrictEqual(exit, Exit.succeed("charged"))
      const each = (attempt: number, tag: string) => [
        `${attempt} fiber`,
        `${attempt} layer`,
        `${attempt} second`,
        `${attempt} first ${tag}`
      ]
      assert.deepStrictEqual(log, [...each(1, "Failure"), ...each(2, "Failure"), ...each(3, "Success")])
    }))

  it.effect("waits for a handler that comes later (T9, W-58, D5.16)", () =>
    Effect.gen(function*() {
      const { engine, start } = started(Order.toLayer(Charge.execute))
      yield* Effect.gen(function*() {
        const run = yield* start
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("1 hour")
        assert.isNull(fiber.unsafePoll())
        yield* register(Charge.toLayer(() => Effect.succeed("late")))
        assert.strictEqual(yield* Fiber.join(fiber), "late")
      }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
    }))

  it.effect("that has ended does not start again when its handler comes back", () =>
    Effect.gen(function*() {
      const { engine, start } = started(Order.toLayer(Charge.execute))
      let calls = 0
      const handler = Charge.toLayer(() => Effect.sync(() => String(++calls)))
      yield* Effect.gen(function*() {
        const run = yield* start
        const build = Effect.scoped(Effect.zipRight(register(handler), run.result))
        assert.deepStrictEqual([yield* build, yield* build, calls], ["1", "1", 1])
      }).pipe(Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
    }))

  it.effect("whose handler goes while it runs starts again, with the same key, when the handler is back (D5.15, D5.16)", () =>
    Effect.gen(function*() {
      const { engine, start } = started(Order.toLayer(Charge.execute))
      const running = yield* Deferred.make<string>()
      yield* Effect.gen(function*() {
        const run = yield* start
        const hang = Charge.toLayer(() =>
          Effect.flatMap(
            Activity.idempotencyKey,
            (key) => Effect.zipRight(Deferred.succeed(running, key), Effect.never)
          )
        )
        const key = yield* Effect.scoped(Effect.zipRight(register(hang), Deferred.await(running)))
        yield* register(Charge.toLayer(() => Activity.idempotencyKey))
        assert.strictEqual(yield* run.result, key)
      }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
    }))

  it.effect("without a handler does not hold up those that wait for a slot behind it", () =>
    Effect.gen(function*() {
      const Slow = Activity.make("Slow", { success: Schema.String })
      const { engine, start } = started(
        Order.toLayer((cents) =>
          Effect.as(
            Effect.all([
              Effect.ignore(Slow.execute()),
              Effect.ignore(Charge.execute(cents)),
              Effect.ignore(Slow.execute())
            ], { concurrency: "unbounded" }),
            "done"
          )
        ),
        { activityConcurrency: 1 }
      )
      let slow = 0
      yield* Effect.gen(function*() {
        yield* register(Slow.toLayer(() => Effect.delay(Effect.sync(() => String(++slow)), "1 minute")))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* register(Charge.toLayer(() => Effect.succeed("charged")))
          yield* start
          yield* TestClock.adjust("30 seconds")
        }))
        yield* TestClock.adjust("90 seconds")
        assert.strictEqual(slow, 2)
      }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
    }))

  it.effect("runs beside at most as many as the engine allows, in order", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const seen: Array<number> = []
      const { engine } = started(
        Layer.mergeAll(
          Order.toLayer((cents) =>
            Effect.map(
              Effect.forEach([1, 2, 3, 4, 5], (n) => Charge.execute(cents + n), { concurrency: "unbounded" }),
              (all) => all.join(",")
            )
          ),
          Charge.toLayer((cents) =>
            Effect.gen(function*() {
              seen.push(cents)
              most = Math.max(most, ++running)
              yield* Effect.sleep("1 second")
              running--
              return String(cents)
            })
          )
        ),
        { activityConcurrency: 2 }
      )
      yield* Effect.gen(function*() {
        const run = yield* order
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), "101,102,103,104,105")
        assert.deepStrictEqual([most, seen], [2, [101, 102, 103, 104, 105]])
      }).pipe(Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
    }))
})
