import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Client, type Engine, WorkflowError } from "holdfast/Workflow"
import { type ChargeLike, engineWith, failureOf, handled, timedOut } from "./support/activities.js"
import * as journals from "./support/journals.js"
import { Declined, Order, order, started } from "./support/orders.js"

const limit = 20

/** Holds up the whole process for longer than the limit: no timer can fire. */
const blockProcess = Effect.sync(() => {
  const until = performance.now() + 3 * limit
  while (performance.now() < until);
})

const charge = (options: Activity.RunOptions): ChargeLike =>
  Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined, ...options })

const blocking = Effect.as(blockProcess, "charged")

const resultWith = (
  activity: ChargeLike,
  handler: Parameters<typeof handled>[1],
  options?: Engine.Options
) =>
  Effect.flatMap(order, (run) => Effect.exit(run.result)).pipe(
    Effect.provide(Layer.provideMerge(engineWith(activity, handler, options), journals.all[0]![1]))
  )

describe("what ends after its limit, where no timer could fire before", () => {
  for (const [where, queue] of [["here", undefined], ["in a queue", "elsewhere"]] as const) {
    const options = queue === undefined ? undefined : { queues: { [queue]: {} } }

    it.live(`an attempt made ${where} has taken too long (D5.9, T124)`, () =>
      Effect.gen(function*() {
        const exit = yield* resultWith(charge({ queue, startToClose: limit }), () => blocking, options)
        assert.deepStrictEqual(timedOut(exit), { reason: "TimedOut", timeout: "startToClose", attempts: 1 })
      }))

    it.live(`an activity made ${where} has taken too long over all (D5.9, T125)`, () =>
      Effect.gen(function*() {
        const exit = yield* resultWith(charge({ queue, scheduleToClose: limit }), () => blocking, options)
        assert.deepStrictEqual(timedOut(exit), { reason: "TimedOut", timeout: "scheduleToClose", attempts: 1 })
      }))

    it.live(`an attempt made ${where} was silent for too long, whether it ends or beats next (D5.9)`, () =>
      Effect.gen(function*() {
        for (const then of [Effect.void, Effect.orDie(charge({}).heartbeat())]) {
          const exit = yield* resultWith(
            charge({ queue, heartbeat: limit }),
            () => Effect.as(Effect.zipRight(blockProcess, then), "charged"),
            options
          )
          assert.deepStrictEqual(timedOut(exit), { reason: "TimedOut", timeout: "heartbeat", attempts: 1 })
        }
      }))
  }

  it.live("an attempt that waits behind one that blocks starts too late (D5.9, T123)", () =>
    Effect.gen(function*() {
      const Block = Activity.make("Block")
      const Late = charge({ scheduleToStart: limit })
      let startedAttempts = 0
      const exit = yield* Effect.flatMap(order, (run) => Effect.exit(run.result)).pipe(
        Effect.provide(Layer.provideMerge(
          started(
            Layer.mergeAll(
              Order.toLayer((cents) =>
                Effect.map(
                  Effect.all([Effect.orDie(Block.execute()), Late.execute(cents)], { concurrency: "unbounded" }),
                  ([, late]) => late
                )
              ),
              Block.toLayer(() => blockProcess),
              handled(Late, () => Effect.sync(() => `started ${++startedAttempts}`))
            ),
            { activityConcurrency: 1 }
          ).engine,
          journals.all[0]![1]
        ))
      )
      assert.deepStrictEqual(timedOut(exit), { reason: "TimedOut", timeout: "scheduleToStart", attempts: 0 })
      assert.strictEqual(startedAttempts, 0)
    }))

  it.live("an attempt that has blocked is made again as its policy says", () =>
    Effect.gen(function*() {
      const exit = yield* resultWith(
        charge({
          startToClose: limit,
          retry: RetryPolicy.make({ retries: 1, backoff: Backoff.constant(1) })
        }),
        (_, attempt) => attempt === 1 ? blocking : Effect.succeed("second")
      )
      assert.deepStrictEqual(exit, Exit.succeed("second"))
    }))

  it.live("a timer of the workflow that was due before comes before the end of the activity", () =>
    Effect.gen(function*() {
      const run = yield* order
      assert.strictEqual(yield* run.result, "too late")
    }).pipe(
      Effect.provide(Layer.provideMerge(
        started(Layer.mergeAll(
          Order.toLayer((cents) =>
            Effect.map(
              Effect.timeoutOption(charge({}).execute(cents), limit),
              Option.getOrElse(() => "too late")
            )
          ),
          handled(charge({}), () => blocking)
        )).engine,
        journals.all[0]![1]
      ))
    ))

  it.live("a run is out of time before it takes the turn that would have ended it (T128)", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Order, { id: "order", payload: 1, runTimeout: limit })
      const error = failureOf(yield* Effect.exit(run.result))
      assert.instanceOf(error, WorkflowError.RunFailed)
      assert.strictEqual(error.reason, "TimedOut")
    }).pipe(
      Effect.provide(Layer.provideMerge(engineWith(charge({}), () => blocking), journals.all[0]![1]))
    ))
})
