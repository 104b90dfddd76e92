import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Client, Engine, Journal } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { SharedClock } from "../../src/Workflow/internal/journal/sharedClock.js"
import {
  describeOrder,
  ends,
  failedAttempts,
  failureOf,
  handled,
  timedOut,
  watchedOrder
} from "./support/activities.js"
import * as journals from "./support/journals.js"
import { Declined, historyOf, Order, order, quiet } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const charge = (options: Activity.RunOptions = {}) =>
  Activity.make("Charge", {
    payload: Schema.Number,
    success: Schema.String,
    error: Declined,
    heartbeatDetails: Schema.Number,
    queue: "gpu",
    ...options
  })

const every = (delay: number, retries: number | "unlimited" = "unlimited") =>
  RetryPolicy.make({ retries, backoff: Backoff.constant(delay) })

const gpu = (concurrency = 1, options: Engine.Options = {}): Engine.Options => ({
  ...options,
  queues: { gpu: { concurrency } }
})

/** An engine of its own with these layers. */
const engine = <E, R>(live: Layer.Layer<never, E, R | Engine.Engine>, options?: Engine.Options) =>
  Layer.fresh(Layer.provideMerge(live, Engine.layer(options))).pipe(Layer.provide(quiet))

const runs = (activity: Activity.Activity<number, string, Declined, number>, options?: Engine.Options) =>
  engine(Order.toLayer(activity.execute), options)

type Handler = Parameters<typeof handled<number>>[1]

const serves = (
  activity: Activity.Activity<number, string, Declined, number>,
  handler: Handler,
  options: Engine.Options = gpu()
) => engine(handled(activity, handler), options)

for (const [journal, layer] of journals.all) {
  describe(`queues on ${journal}`, () => {
    it.effect("an attempt goes to the engine that serves its queue, and its end to the owner of the run (W-58, D5.16, C18, C19, C22)", () => {
      const Charge = charge()
      const made: Array<number> = []
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust("1 hour")
        // The engine that has the handler, but serves another queue, does not make it.
        assert.isUndefined(yield* exit)
        yield* Effect.gen(function*() {
          yield* adjust(0)
          assert.deepStrictEqual(yield* exit, Exit.succeed("charged 100 at 1"))
          assert.deepStrictEqual(made, [1])
          assert.lengthOf(ends(yield* history), 1)
        }).pipe(
          Effect.provide(serves(Charge, (cents, attempt) =>
            Effect.sync(() => {
              made.push(attempt)
              return `charged ${cents} at ${attempt}`
            })))
        )
      }).pipe(
        Effect.provide(Layer.provideMerge(
          Layer.merge(
            runs(Charge),
            serves(Charge, () => Effect.succeed("wrong"), { queues: { cpu: {} } })
          ),
          layer
        ))
      )
    })

    it.effect("a call may choose its own queue, and other options (W-58, D5.1)", () => {
      const Charge = charge({ queue: "nobody" })
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust("1 hour")
        assert.deepStrictEqual(yield* exit, Exit.succeed("attempt 2"))
        const asked = (yield* history).find(({ _tag }) => _tag === "ActivityScheduled")
        assert.deepInclude(asked, { queue: "gpu", startToClose: 5_000 })
      }).pipe(Effect.provide(Layer.provideMerge(
        engine(
          Layer.merge(
            Order.toLayer(
              Charge.withOptions({ queue: "gpu", startToClose: 5_000, retry: every(1_000) }).execute
            ),
            handled(Charge, (_, attempt) => attempt === 1 ? Effect.never : Effect.succeed(`attempt ${attempt}`))
          ),
          gpu()
        ),
        layer
      )))
    })

    it.effect("runs at most as many at once as the queue allows, in the order of asking; a free slot is filled (W-58)", () => {
      const Step = Activity.make("Step", { payload: Schema.Number, queue: "gpu" })
      const Local = Activity.make("Local", { payload: Schema.Number })
      let running = 0
      let most = 0
      const seen: Array<number> = []
      return Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        // One that needs no queue is not held up.
        assert.strictEqual(most, 2)
        yield* adjust("3 seconds")
        assert.deepStrictEqual(yield* exit, Exit.succeed("done"))
        assert.deepStrictEqual([most, seen], [2, [1, 2, 3, 4, 5]])
      }).pipe(Effect.provide(Layer.provideMerge(
        engine(
          Layer.mergeAll(
            Order.toLayer(() =>
              Effect.as(
                Effect.zipRight(
                  Local.execute(0),
                  Effect.forEach([1, 2, 3, 4, 5], Step.execute, { concurrency: "unbounded" })
                ),
                "done"
              )
            ),
            Local.toLayer(() => Effect.void),
            Step.toLayer((n) =>
              Effect.gen(function*() {
                seen.push(n)
                most = Math.max(most, ++running)
                yield* Effect.sleep("1 second")
                running--
              })
            )
          ),
          gpu(2)
        ),
        layer
      )))
    })

    it.effect("a retry is taken when its back-off is over, without any other event (W-12, C20, D2.8, D2.9, B-10)", () => {
      const Charge = charge({ retry: every(60_000, 2) })
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(59_999)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 60_000]])
        yield* adjust(1)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 60_000], [2, 60_000, 120_000]])
        yield* adjust(60_000)
        assert.deepStrictEqual(failureOf(yield* exit), new Declined({ cents: 3 }))
        assert.deepStrictEqual(ends(yield* history).map((end) => "attempts" in end && end.attempts), [3])
      }).pipe(Effect.provide(Layer.provideMerge(
        Layer.merge(runs(Charge), serves(Charge, (_, attempt) => new Declined({ cents: attempt }))),
        layer
      )))
    })

    it.effect("limits of one attempt are its engine's, those of the whole the owner's (D5.9, D5.10, T124, T80, W-13)", () => {
      const Charge = charge({ startToClose: 10_000, heartbeat: 4_000, scheduleToClose: 25_000, retry: every(1_000) })
      const interrupted: Array<number> = []
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(24_999)
        assert.isUndefined(yield* exit)
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 3 })
        assert.include(String(failureOf(yield* exit)), "it took longer than 10s")
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 4_000, 5_000], [2, 15_000, 16_000]])
        assert.deepStrictEqual(interrupted, [1, 2, 3])
        yield* adjust("1 hour")
        assert.lengthOf(ends(yield* history), 1)
      }).pipe(Effect.provide(Layer.provideMerge(
        Layer.merge(
          runs(Charge),
          serves(Charge, (_, attempt) =>
            Effect.onInterrupt(
              attempt === 1 ? Effect.never : Effect.forever(Effect.delay(Charge.heartbeat(attempt), 2_000)),
              () => Effect.sync(() => interrupted.push(attempt))
            ))
        ),
        layer
      )))
    })

    it.effect("an attempt that nobody waits for any more is interrupted: cancelled, or its run ended (D5.11, D4.8.5, W-17)", () => {
      const Charge = charge()
      let interrupted = 0
      const endings: ReadonlyArray<readonly [string, Effect.Effect<void, unknown, Client.Client>]> = [
        ["cancelled", Effect.void],
        ["terminated", Client.terminate("order")]
      ]
      return Effect.forEach(endings, ([ending, end], i) =>
        Effect.gen(function*() {
          const { history } = yield* watchedOrder
          assert.lengthOf((yield* describeOrder).activities, 1)
          if (ending === "terminated") yield* end
          yield* adjust("1 minute")
          assert.strictEqual(interrupted, i + 1)
          assert.lengthOf(ends(yield* history), 0)
        }).pipe(Effect.provide(Layer.provideMerge(
          Layer.merge(
            engine(Order.toLayer((cents) =>
              Charge.execute(cents).pipe(
                Effect.timeoutTo({ duration: "1 minute", onSuccess: (text) => text, onTimeout: () => "too slow" }),
                // The run goes on.
                Effect.zipLeft(Effect.sleep("1 hour"))
              )
            )),
            serves(Charge, () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
          ),
          layer
        )))).pipe(Effect.asVoid)
    })

    it.effect("attempts that an engine gives up as it stops have not failed (D5.19)", () => {
      const Charge = charge({ retry: every(1_000) })
      const made: Array<string> = []
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* Effect.zipRight(adjust("1 minute"), Effect.sync(() => assert.lengthOf(made, 1))).pipe(
          Effect.provide(serves(Charge, (_, attempt) => {
            made.push(`first ${attempt}`)
            return Effect.zipRight(Charge.heartbeat(7), Effect.never)
          }))
        )
        yield* Effect.zipRight(adjust("1 minute"), Effect.sync(() => assert.lengthOf(made, 2))).pipe(
          Effect.provide(serves(Charge, (_, attempt) =>
            Effect.map(Charge.lastHeartbeat, (last) => {
              made.push(`second ${attempt}`)
              return `from ${Option.getOrThrow(last)}`
            })))
        )
        assert.deepStrictEqual(made, ["first 1", "second 1"])
        assert.deepStrictEqual(yield* exit, Exit.succeed("from 7"))
        assert.deepStrictEqual(failedAttempts(yield* history), [])
      }).pipe(Effect.provide(Layer.provideMerge(runs(Charge), layer)))
    })
  })
}

const onFile = (filename: string, pollInterval: "10 millis" | "1 hour" = "10 millis") =>
  Layer.fresh(
    Journal.layerSql({ pollInterval }).pipe(Layer.provide(journals.database(filename)), Layer.orDie)
  )

/** What a worker with a long lease looks like to others when it has not renewed it. */
const expireLeases = (filename: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`UPDATE holdfast_workers SET lease_until = 0 WHERE lease_until > ${Date.now() + 60_000}`
  }).pipe(Effect.provide(journals.database(filename)))

/** As soon as it holds. */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => holds() ? Effect.void : Effect.zipRight(Effect.sleep("5 millis"), until(holds)))

/** The activity is in the journal. */
const asked = Effect.repeat(Effect.delay(describeOrder, "5 millis"), {
  until: ({ activities }) => activities.length > 0
})

/** Another process, for as long as the test. */
const launched = <E>(
  worker: Layer.Layer<Engine.Engine | Client.Client, E, Journal.Journal>,
  journal: Layer.Layer<Journal.Journal>
) => Effect.forkScoped(Layer.launch(Layer.provide(worker, journal)))

describe("queues across processes", () => {
  it.scopedLive("a worker without workflows makes attempts, and keeps them by its lease (W-58, D5.18, B-9)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const Charge = charge()
      let made = 0
      const slow = (cents: number) => Effect.delay(Effect.sync(() => `charged ${cents} ${++made}`), "700 millis")
      yield* Effect.gen(function*() {
        const run = yield* order
        assert.strictEqual(yield* run.result, "charged 100 1")
        assert.strictEqual(made, 1)
      }).pipe(
        Effect.provide(Layer.mergeAll(
          Layer.provideMerge(runs(Charge, { lease: "200 millis" }), onFile(file)),
          Layer.discard(Layer.provide(serves(Charge, slow, gpu(1, { lease: "200 millis" })), onFile(file))),
          Layer.discard(Layer.provide(serves(Charge, slow, gpu(1, { lease: "200 millis" })), onFile(file)))
        ))
      )
    }))

  it.scopedLive("what another process cancels is interrupted (D5.11, W-60)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const Charge = charge()
      let [started, interrupted] = [false, false]
      yield* Effect.gen(function*() {
        const run = yield* order
        yield* until(() => started)
        yield* run.cancel()
        yield* until(() => interrupted)
        yield* Effect.exit(run.result)
        assert.lengthOf(ends(yield* historyOf(run.runId)), 0)
      }).pipe(
        Effect.provide(Layer.mergeAll(
          Layer.provideMerge(runs(Charge), onFile(file)),
          Layer.discard(Layer.provide(
            serves(Charge, () => {
              started = true
              return Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true))
            }),
            onFile(file)
          ))
        ))
      )
    }))

  it.scopedLive(
    "a heartbeat that finds its attempt gone interrupts it (B-9, D5.14, W-60)",
    () =>
      Effect.gen(function*() {
        const file = yield* journals.temporaryFile
        const Charge = charge()
        let interrupted = false
        const token = yield* Deferred.make<string>()
        yield* Effect.gen(function*() {
          const run = yield* order
          yield* asked
          // It looks for nothing that others write: only its heartbeats can tell.
          yield* launched(
            serves(Charge, () =>
              Effect.gen(function*() {
                yield* Deferred.succeed(token, yield* Activity.token)
                return yield* Effect.forever(Effect.delay(Charge.heartbeat(1), "20 millis"))
              }).pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted = true))), gpu(1, { lease: "1 hour" })),
            onFile(file, "1 hour")
          )
          yield* Client.completeActivity(Charge, yield* Deferred.await(token), "from outside")
          assert.strictEqual(yield* run.result, "from outside")
          yield* until(() => interrupted)
        }).pipe(Effect.provide(Layer.provideMerge(runs(Charge), onFile(file))))
      }),
    20_000
  )

  it.scopedLive(
    "a worker that was away for longer than its lease has lost its attempt, and its result is nobody's (W-16, W-17, D5.11, D5.18)",
    () =>
      Effect.gen(function*() {
        const file = yield* journals.temporaryFile
        const Charge = charge()
        const gate = yield* Deferred.make<void>()
        const lateHasReported = yield* Deferred.make<void>()
        const made: Array<string> = []
        yield* Effect.gen(function*() {
          const run = yield* order
          yield* asked
          const away = yield* launched(
            serves(Charge, () => {
              made.push("away")
              return Effect.uninterruptible(Effect.as(Deferred.await(gate), "late"))
            }, gpu(1, { lease: "1 hour" })),
            onFile(file, "1 hour")
          )
          yield* until(() => made.length === 1)
          yield* expireLeases(file)
          yield* launched(
            serves(Charge, () => {
              made.push("new")
              return Effect.as(Deferred.await(lateHasReported), "in time")
            }, gpu(1, { lease: "200 millis" })),
            onFile(file)
          )
          yield* until(() => made.length === 2)
          yield* Deferred.succeed(gate, undefined)
          // It stops once all that it had to tell is written.
          yield* Fiber.interrupt(away)
          yield* Deferred.succeed(lateHasReported, undefined)
          assert.strictEqual(yield* run.result, "in time")
          assert.lengthOf(ends(yield* historyOf(run.runId)), 1)
          assert.deepStrictEqual(made, ["away", "new"])
        }).pipe(Effect.provide(Layer.provideMerge(runs(Charge, { lease: "200 millis" }), onFile(file))))
      }),
    20_000
  )
})

describe("an engine", () => {
  it.scopedLive("that finds its lease over looks whose its runs are, and stops the attempts of those it has lost (D5.18, B-9)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const Charge = charge({ queue: undefined })
      let [started, interrupted] = [false, false]
      let away = 0
      const real = Clock.make()
      const shared: Clock.Clock = Object.assign(Object.create(real) as Clock.Clock, {
        unsafeCurrentTimeMillis: () => real.unsafeCurrentTimeMillis() + away
      })
      yield* Effect.gen(function*() {
        yield* order
        yield* until(() => started)
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE holdfast_runs SET owner = 'another', epoch = epoch + 1`
        yield* Effect.sleep("100 millis")
        assert.isFalse(interrupted)
        away = 60_000
        yield* until(() => interrupted)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engine(
            Layer.merge(
              Order.toLayer(Charge.execute),
              handled(Charge, () => {
                started = true
                return Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true))
              })
            ),
            { lease: "60 millis" }
          ),
          journals.sqliteFile(file)
        )),
        Effect.provideService(SharedClock, shared)
      )
    }))

  it.effect("refuses queues that can never work", () =>
    Effect.forEach(
      [{ "": {} }, { gpu: { concurrency: 0 } }, { gpu: { concurrency: 1.5 } }],
      (queues) =>
        Effect.map(
          Effect.exit(Layer.build(Engine.layer({ queues }))),
          (exit) =>
            assert.isTrue(
              Exit.isFailure(exit) && Option.getOrUndefined(Cause.dieOption(exit.cause)) instanceof InvalidOptions
            )
        )
    ).pipe(Effect.scoped, Effect.provide(Journal.layerMemory)))
})
