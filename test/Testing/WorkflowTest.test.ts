import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { Backoff, Retry, RetryPolicy } from "holdfast/Schedule"
import { WorkflowTest } from "holdfast/Testing"
import { Activity, Client, History, Replay, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

class Busy extends Schema.TaggedError<Busy>()("Busy", { why: Schema.String }) {}

const Double = Activity.make("Double", { payload: Schema.Number, success: Schema.Number })
const Charge = Activity.make("Charge", {
  payload: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
  success: Schema.String,
  error: Busy,
  retry: RetryPolicy.make({ retries: 4, backoff: Backoff.exponential("1 second") })
})
const Undo = Activity.make("Undo", { payload: Schema.String })
const Note = Signal.make("Note", { payload: Schema.String })
const Part = Workflow.make("Part", { payload: Schema.Number, success: Schema.Number, error: Busy })
const Job = Workflow.make("Job", { payload: Schema.Number, success: Schema.String, error: Busy })

const charge = Charge.execute({ order: "o", cents: 5 })

type Body = Parameters<typeof Job.toLayer>[0]
const job = (body: Body) => WorkflowTest.make(Job.toLayer(body))
const start = { payload: 5 }

describe("stubs", () => {
  it.effect("give a value, or what a function says (T146, T84)", () =>
    Effect.gen(function*() {
      const body = job((n) => Effect.map(Double.execute(n), String))
      const fixed = yield* body.pipe(WorkflowTest.stub(Double, Effect.succeed(7))).run(Job, start)
      assert.strictEqual(yield* fixed.exit, "7")
      const typed = yield* body.pipe(WorkflowTest.stub(Double, (n) => Effect.succeed(n * 2))).run(Job, start)
      assert.strictEqual(yield* typed.exit, "10")
    }))

  it.effect("may be called several times (T147, T150)", () =>
    Effect.gen(function*() {
      const run = yield* job((n) => Effect.map(Effect.flatMap(Double.execute(n), Double.execute), String)).pipe(
        WorkflowTest.stub(Double, (n) => Effect.succeed(n * 2))
      ).run(Job, start)
      assert.strictEqual(yield* run.exit, "20")
      yield* run.expectCalled(Double, { times: 2 })
      yield* run.expectCalled(Double, { times: 1, with: 5 })
      yield* run.expectCalled(Double, { times: 1, with: 10 })
      assert.deepStrictEqual((yield* run.calls(Double)).map(({ exit, payload }) => [payload, exit]), [
        [5, Exit.succeed(10)],
        [10, Exit.succeed(20)]
      ])
    }))

  it.effect("fail with the activity's own error, or die (T148)", () =>
    Effect.gen(function*() {
      const body = job(() => charge)
      const once = Charge.name
      const failed = yield* body.pipe(
        WorkflowTest.stub(Charge, Effect.fail(Retry.nonRetryable(new Busy({ why: once }))))
      ).run(Job, start)
      assert.deepStrictEqual(yield* Effect.flip(failed.exit), new Busy({ why: "Charge" }))
      const dead = yield* job(() => Effect.map(Double.execute(1), String)).pipe(
        WorkflowTest.stub(Double, Effect.die("broken"))
      ).run(Job, start)
      const error = yield* Effect.flip(dead.exit)
      assert.instanceOf(error, WorkflowError.ActivityError)
      assert.deepInclude(error, { reason: "Defect", activity: "Double" })
    }))
})

describe("time", () => {
  it.effect("goes by by itself, and not in the test (T149)", () =>
    Effect.gen(function*() {
      const run = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* job(() => Effect.as(Effect.sleep("5 seconds"), "slept")).start(Job, start)
        assert.strictEqual(yield* run.result, "slept")
        assert.strictEqual(yield* run.now, 5_000)
        return run
      }))
      assert.strictEqual(run.workflowId, "test")
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }))
})
