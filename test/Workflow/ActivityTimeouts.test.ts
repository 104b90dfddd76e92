import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import {
  type ChargeLike,
  describeOrder,
  ends,
  engineWith,
  failedAttempts,
  failureOf,
  timedOut,
  watchedOrder
} from "./support/activities.js"
import * as journals from "./support/journals.js"
import { Declined, historyOf, Order, order, started } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const charge = (options: Activity.RunOptions): ChargeLike =>
  Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined, ...options })

const every = (delay: number, retries: number | "unlimited" = "unlimited") =>
  RetryPolicy.make({ retries, backoff: Backoff.constant(delay) })

for (const [journal, layer] of journals.all) {
  describe(`time-outs of activities on ${journal}`, () => {
    for (const queue of [undefined, "elsewhere"]) {
      const where = queue === undefined ? "here" : "in a queue"
      it.effect(`no attempt starts in time ${where}: it fails for good, once (T123, T129, C26, D5.9, D2.12)`, () =>
        Effect.gen(function*() {
          const { exit, history } = yield* watchedOrder
          yield* adjust(9_999)
          assert.isUndefined(yield* exit)
          assert.lengthOf((yield* describeOrder).activities, 1)
          yield* adjust(1)
          assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToStart", attempts: 0 })
          yield* adjust("1 hour")
          assert.lengthOf(ends(yield* history), 1)
        }).pipe(
          Effect.provide(Layer.provideMerge(
            engineWith(
              charge({
                queue,
                scheduleToStart: 10_000,
                startToClose: 20_000,
                scheduleToClose: 30_000,
                retry: every(1)
              }),
              undefined
            ),
            layer
          ))
        ))
    }

    it.effect("once it has started, the limit on starting is over; it does not apply to retries (D5.9)", () =>
      Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust("1 hour")
        assert.deepStrictEqual(yield* exit, Exit.succeed("attempt 2"))
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(charge({ scheduleToStart: 10, retry: every(60_000) }), (cents, attempt) =>
            attempt === 1
              ? Effect.delay(new Declined({ cents }), 1_000)
              : Effect.succeed(`attempt ${attempt}`)),
          layer
        ))
      ))

    it.effect("an attempt that takes too long is interrupted, at the limit and not before (T124, T128, D5.9)", () => {
      let interruptedAt = 0
      return Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust(49)
        assert.isUndefined(yield* exit)
        assert.strictEqual(interruptedAt, 0)
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "startToClose", attempts: 1 })
        assert.strictEqual(interruptedAt, 50)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ startToClose: 50 }),
            () =>
              Effect.onInterrupt(
                Effect.never,
                () => Effect.clockWith((clock) => Effect.sync(() => interruptedAt = clock.unsafeCurrentTimeMillis()))
              )
          ),
          layer
        ))
      )
    })

    it.effect("all attempts together take too long: it fails at the limit, whatever runs (T125, C27, C28)", () => {
      let interrupted = 0
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(4_999)
        assert.isUndefined(yield* exit)
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 2 })
        assert.include(String(failureOf(yield* exit)), "attempt 1 was declined")
        assert.strictEqual(interrupted, 1)
        yield* adjust("1 hour")
        assert.lengthOf(ends(yield* history), 1)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ scheduleToClose: 5_000, retry: every(1_000) }),
            (_, attempt) =>
              attempt === 1
                ? Effect.die("attempt 1 was declined")
                : Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
          ),
          layer
        ))
      )
    })

    it.effect("nothing follows an activity that ends in time (T126)", () =>
      Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(1_000)
        assert.deepStrictEqual(yield* exit, Exit.succeed("charged"))
        const before = yield* history
        yield* adjust("2 hours")
        assert.deepStrictEqual(yield* history, before)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ scheduleToStart: 10_000, startToClose: 10_000, scheduleToClose: 10_000, heartbeat: 10_000 }),
            () => Effect.delay(Effect.succeed("charged"), 1_000)
          ),
          layer
        ))
      ))

    it.effect("a retry that does not fit is not waited for: it fails at once, with the last failure (T127, D5.5)", () =>
      Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(3_999)
        assert.isUndefined(yield* exit)
        // The next one would start at 6 s, after the limit.
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 3 })
        assert.include(String(failureOf(yield* exit)), "Declined")
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 2_000], [2, 2_000, 4_000]])
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(charge({ scheduleToClose: 5_000, retry: every(2_000, 9) }), (cents) => new Declined({ cents })),
          layer
        ))
      ))

    it.effect("a retry that would start at the very limit does not fit (D2.12, D5.5)", () =>
      Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust(4_000)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 3 })
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(charge({ scheduleToClose: 6_000, retry: every(2_000) }), (cents) => new Declined({ cents })),
          layer
        ))
      ))

    it.effect("limits that are reached at once: the one on the whole counts (D2.12)", () =>
      Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(1_000)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 1 })
        assert.lengthOf(ends(yield* history), 1)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ scheduleToClose: 1_000, startToClose: 1_000, heartbeat: 1_000, retry: every(1) }),
            () => Effect.never
          ),
          layer
        ))
      ))

    it.effect("a back-off is not cut short by limits of the attempt before; the next one has its own (W-11, D5.12, G8, D2.9)", () =>
      Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(10_000)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 10_000]])
        yield* adjust(999)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 10_000]])
        yield* adjust(1)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 10_000], [2, 11_000, 21_000]])
        yield* adjust(10_000)
        assert.deepStrictEqual(yield* exit, Exit.succeed("third"))
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ startToClose: 2_000, heartbeat: 1_000, retry: every(10_000) }),
            (cents, attempt) =>
              attempt === 1
                ? new Declined({ cents })
                : attempt === 2
                ? Effect.never
                : Effect.succeed("third")
          ),
          layer
        ))
      ))

    it.effect("limits of the whole count from when it was asked for, across a change of workers (D5.9, B-10)", () => {
      const engine = engineWith(
        charge({ scheduleToClose: "1 hour", retry: every(1_000) }),
        (cents, attempt) => attempt === 1 ? new Declined({ cents }) : Effect.never
      )
      return Effect.gen(function*() {
        const run = yield* Effect.provide(Effect.zipLeft(order, adjust("30 minutes")), engine)
        yield* adjust("15 minutes")
        yield* Effect.gen(function*() {
          yield* adjust(15 * 60_000 - 1)
          assert.lengthOf(ends(yield* historyOf(run.runId)), 0)
          yield* adjust(1)
          const [end] = ends(yield* historyOf(run.runId))
          assert.isTrue(end?._tag === "ActivityFailed" && end.at === 3_600_000 && end.attempts === 2)
          assert.include(JSON.stringify(end), "Declined")
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("an attempt that had started is not one that never did, for the next owner of its run (D5.9)", () => {
      const limited = charge({ scheduleToStart: 1_000 })
      return Effect.gen(function*() {
        const run = yield* Effect.provide(
          Effect.zipLeft(order, adjust("1 minute")),
          engineWith(limited, () => Effect.never)
        )
        // The next owner has no handler at first.
        yield* Effect.gen(function*() {
          yield* adjust("1 hour")
          assert.lengthOf(ends(yield* historyOf(run.runId)), 0)
        }).pipe(Effect.provide(engineWith(limited, undefined)))
      }).pipe(Effect.provide(layer))
    })
  })
}

describe("time-outs of activities", () => {
  it.effect("an attempt that cannot be interrupted is late: its result is nobody's (D5.11, W-16)", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust(3_000)
        assert.deepStrictEqual(yield* exit, Exit.succeed("second"))
        yield* Deferred.succeed(release, undefined)
        yield* adjust("1 hour")
        assert.lengthOf(ends(yield* history), 1)
        assert.deepStrictEqual(failedAttempts(yield* history), [[1, 1_000, 2_000]])
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(charge({ startToClose: 1_000, retry: every(1_000) }), (_, attempt) =>
            attempt === 1
              ? Effect.uninterruptible(Effect.as(Deferred.await(release), "first"))
              : Effect.succeed("second")),
          journals.all[0]![1]
        ))
      )
    }))

  it.effect("what an activity calls a time-out itself is its own error, not a limit (W-34)", () => {
    class TooSlow extends Schema.TaggedError<TooSlow>()("TimeoutException", {}) {}
    const Slow = Activity.make("Slow", { error: TooSlow, startToClose: "1 minute", retry: every(1_000, 1) })
    return Effect.gen(function*() {
      const run = yield* order
      assert.strictEqual(yield* run.result, "TimeoutException")
    }).pipe(
      Effect.provide(Layer.provideMerge(
        started(Layer.mergeAll(
          Order.toLayer(() =>
            Effect.match(Slow.withOptions({ retry: RetryPolicy.none }).execute(), {
              onFailure: (error) => error instanceof TooSlow ? error._tag : `not ${error}`,
              onSuccess: () => "done"
            })
          ),
          Slow.toLayer(() => new TooSlow())
        )).engine,
        journals.all[0]![1]
      ))
    )
  })

  it("must be positive", () => {
    for (const limit of ["scheduleToStart", "startToClose", "scheduleToClose", "heartbeat"] as const) {
      for (const bad of [0, -1, Infinity, Number.NaN]) {
        assert.throws(() => Activity.make("Charge", { [limit]: bad }), InvalidOptions)
      }
    }
    assert.throws(() => Activity.make("Charge").withOptions({ queue: "" }), InvalidOptions)
    assert.throws(() => Activity.make("Charge").withOptions({ startToClose: -1 }), InvalidOptions)
  })
})
