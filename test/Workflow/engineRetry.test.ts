import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity } from "holdfast/Workflow"
import { engineWith, failedAttempts, failureOf, watchedOrder } from "./support/activities.js"
import * as journals from "./support/journals.js"
import { Declined } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const retry = RetryPolicy.make({ retries: 2, backoff: Backoff.constant("1 second") })

const charge = (options?: Activity.RunOptions) =>
  Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined, ...options })

const thirdSucceeds = (cents: number, attempt: number) =>
  attempt < 3 ? new Declined({ cents }) : Effect.succeed(`attempt ${attempt}`)

for (const [journal, layer] of journals.all) {
  describe(`the retry policy of an engine on ${journal}`, () => {
    for (const queue of [undefined, "elsewhere"]) {
      const options = { retry, ...(queue === undefined ? {} : { queues: { [queue]: {} } }) }
      it.effect(`is that of activities that give none, ${queue === undefined ? "here" : "in a queue"} (D5.4)`, () =>
        Effect.gen(function*() {
          const { exit, history } = yield* watchedOrder
          yield* adjust("2 seconds")
          assert.deepStrictEqual(yield* exit, Exit.succeed("attempt 3"))
          assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 1_000], [2, 1_000, 2_000]])
        }).pipe(Effect.provide(Layer.provideMerge(engineWith(charge({ queue }), thirdSucceeds, options), layer))))
    }

    it.effect("gives way to one of the activity's own, also to none", () =>
      Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        assert.instanceOf(failureOf(yield* exit), Declined)
      }).pipe(
        Effect.provide(
          Layer.provideMerge(engineWith(charge({ retry: RetryPolicy.none }), thirdSucceeds, { retry }), layer)
        )
      ))

    it.effect("stays what it was for an activity that has been asked for, with an engine of another policy", () =>
      Effect.gen(function*() {
        const failing = charge()
        yield* Effect.gen(function*() {
          yield* watchedOrder
          yield* adjust("500 millis")
        }).pipe(Effect.provide(engineWith(failing, thirdSucceeds, { retry })))
        yield* Effect.gen(function*() {
          const { exit } = yield* watchedOrder
          yield* adjust("2 seconds")
          assert.deepStrictEqual(yield* exit, Exit.succeed("attempt 3"))
        }).pipe(Effect.provide(engineWith(failing, thirdSucceeds)))
      }).pipe(Effect.provide(layer)))
  })
}
