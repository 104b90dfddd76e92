import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Ref, Schema, TestClock } from "effect"
import { globalValue } from "effect/GlobalValue"
import { PCGRandom } from "effect/Utils"
import { Fallback, Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry, RetryPolicy } from "holdfast/Schedule"
import { Activity, Client, Engine, Journal, Workflow, WorkflowError } from "holdfast/Workflow"
import type { Event } from "../../src/Workflow/Event.js"
import { memoryStore } from "../../src/Workflow/internal/memoryStore.js"
import * as journals from "./support/journals.js"

class Declined extends Schema.TaggedError<Declined>()("Declined", { cents: Schema.Number }) {}

const Charge = Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined })

const Order = Workflow.make("Order", { payload: Schema.Number, success: Schema.String, error: Declined })

const quiet = Logger.remove(Logger.defaultLogger)

const historyOf = (runId: string) => Effect.flatMap(Journal.Journal, ({ store }) => store.history(runId))

const kinds = (history: ReadonlyArray<Event>) => history.map((event) => event._tag)

/** A run of `Order`, on an engine of its own with these layers, on the journal of the test. */
const started = <R>(live: Layer.Layer<never, never, Engine.Engine | R>, options?: Engine.Options) => ({
  engine: live.pipe(Layer.provideMerge(Engine.layer(options)), Layer.provide(quiet)),
  start: Client.start(Order, { id: "order", payload: 100 })
})

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
        yield* Effect.zipRight(start, TestClock.adjust("20 days")).pipe(Effect.provide(engine))
        // Nobody runs it for ten days.
        yield* TestClock.adjust("10 days")
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          const fiber = yield* Effect.fork(run.result)
          yield* TestClock.adjust("30 days")
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
        yield* TestClock.adjust(60 * 86_400_000 - 1)
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Fiber.join(fiber), "awake")
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })

    it.effect("an activity that was running when its engine stopped runs again, with the same key (B-9, D5.15, D5.19)", () =>
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
          yield* TestClock.adjust("1 minute")
          return yield* historyOf(run.runId)
        }).pipe(Effect.provide(version("one").engine))

        yield* Effect.gen(function*() {
          yield* TestClock.adjust("2 hours")
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
        yield* TestClock.adjust("3 minutes")
        assert.deepStrictEqual(yield* Fiber.join(results), ["slept 3", "slept 1", "slept 2"])
      }).pipe(Effect.provide(Layer.provideMerge(engine, layer)))
    })
  })
}

const inMemory = <A, E>(
  live: Layer.Layer<never, never, Engine.Engine>,
  test: Effect.Effect<A, E, Engine.Engine | Client.Client | Journal.Journal>
) => test.pipe(Effect.provide(Layer.provideMerge(started(live).engine, Journal.layerMemory)))

const order = Client.start(Order, { id: "order", payload: 100 })

/** The result of an order whose body is one activity with this handler. */
const orderOf = (
  activity: Activity.Activity<number, string, Declined>,
  handler: (cents: number, attempt: number) => Effect.Effect<string, Declined>
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

describe("an activity", () => {
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

  it.effect("waits for a handler that comes later (W-58, D5.16)", () =>
    Effect.gen(function*() {
      const { engine, start } = started(Order.toLayer(Charge.execute))
      yield* Effect.gen(function*() {
        const run = yield* start
        const fiber = yield* Effect.fork(run.result)
        yield* TestClock.adjust("1 hour")
        assert.isNull(fiber.unsafePoll())
        const context = yield* Effect.context<Engine.Engine>()
        yield* Layer.build(Layer.provide(Charge.toLayer(() => Effect.succeed("late")), Layer.succeedContext(context)))
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
        const context = yield* Effect.context<Engine.Engine>()
        const build = Effect.scoped(Effect.zipRight(
          Layer.build(Layer.provide(handler, Layer.succeedContext(context))),
          run.result
        ))
        assert.deepStrictEqual([yield* build, yield* build, calls], ["1", "1", 1])
      }).pipe(Effect.provide(Layer.provideMerge(engine, Journal.layerMemory)))
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

  it.effect("of a type that nobody has waits, and does not hold up others (W-7, D6.6)", () =>
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

describe("an engine whose journal fails now and then", () => {
  it.effect("loses nothing and doubles nothing: what is not written has not happened (W-5, B-2, B-7)", () =>
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
        for (let i = 0; i < 60 && results.unsafePoll() === null; i++) yield* TestClock.adjust("10 seconds")
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
        yield* TestClock.adjust("1 minute")
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
        yield* TestClock.adjust("1 minute")
        const { workerId } = yield* Engine.Engine
        const journal = yield* Journal.Journal
        yield* journal.commit({
          _tag: "Append",
          runId: run.runId,
          worker: workerId,
          epoch: 1,
          events: [{ _tag: "ActivityCompleted", target: 1, at: 60_000, payload: "\"charged elsewhere\"" }]
        })
        yield* TestClock.adjust("1 hour")
        const timers = (yield* historyOf(run.runId)).filter((event) => event._tag === "TimerStarted")
        assert.strictEqual(timers.length, 2)
      }).pipe(Effect.provide(engine))
      // Another engine replays what has become of it, and goes on.
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Client.result(Order, "order"))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* Fiber.join(fiber), "charged elsewhere and slept")
      }).pipe(Effect.provide(engine))
    }).pipe(Effect.provide(Journal.layerMemory))
  })
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
    assert.throws(() => Workflow.make(""), /non-empty/)
    assert.throws(() => Activity.make(""), /non-empty/)
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
