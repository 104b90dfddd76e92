import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema } from "effect"
import * as ActivityTest from "holdfast/Testing/ActivityTest"
import { Activity } from "holdfast/Workflow"

class Broken extends Schema.TaggedError<Broken>()("Broken", { row: Schema.Number }) {}

const Import = Activity.make("Import", {
  payload: Schema.Struct({ rows: Schema.Number, since: Schema.Date }),
  success: Schema.String,
  error: Broken,
  heartbeatDetails: Schema.Struct({ row: Schema.NumberFromString })
})

const handler = ({ rows, since }: { readonly rows: number; readonly since: Date }) =>
  Effect.gen(function*() {
    const { attempt, workflowId } = yield* Activity.info
    const from = Option.match(yield* Import.lastHeartbeat, { onNone: () => 0, onSome: ({ row }) => row })
    for (let row = from + 1; row <= rows; row++) {
      yield* Import.heartbeat({ row })
      if (row === 13) return yield* new Broken({ row })
    }
    return `${workflowId}, attempt ${attempt}, since ${since.getTime()}`
  })

const since = new Date(7)

describe("a test of one attempt", () => {
  it.effect("runs a handler as the attempt that it says, and sees its heartbeats (D8.7)", () =>
    Effect.gen(function*() {
      const first = yield* ActivityTest.run(Import, handler, { payload: { rows: 3, since } })
      assert.deepStrictEqual(first.exit, Exit.succeed("test, attempt 1, since 7"))
      assert.deepStrictEqual(first.heartbeats, [{ row: 1 }, { row: 2 }, { row: 3 }])
      const later = yield* ActivityTest.run(Import, handler, {
        payload: { rows: 3, since },
        attempt: 4,
        workflowId: "order-7",
        lastHeartbeat: { row: 2 }
      })
      assert.deepStrictEqual(later, {
        exit: Exit.succeed("order-7, attempt 4, since 7"),
        heartbeats: [{ row: 3 }]
      })
    }))

  it.effect("gives its failure, and what it has told before (D8.7)", () =>
    Effect.gen(function*() {
      const { exit, heartbeats } = yield* ActivityTest.run(Import, handler, { payload: { rows: 20, since } })
      assert.deepStrictEqual(exit, Exit.fail(new Broken({ row: 13 })))
      assert.lengthOf(heartbeats, 13)
    }))

  it.effect("ends what the handler has acquired, and takes no payload that does not fit (D8.7)", () =>
    Effect.gen(function*() {
      let released = false
      const Plain = Activity.make("Plain", { payload: Schema.NonEmptyString })
      const acquiring = () => Effect.acquireRelease(Effect.void, () => Effect.sync(() => released = true))
      yield* ActivityTest.run(Plain, acquiring, { payload: "x" })
      assert.isTrue(released)
      const unfit = yield* Effect.exit(ActivityTest.run(Plain, acquiring, { payload: "" }))
      assert.isTrue(Exit.isFailure(unfit) && String(unfit.cause).includes("the payload of activity Plain"))
      const outside = yield* ActivityTest.run(Plain, () => Activity.outside, { payload: "x" })
      assert.isTrue(Exit.isSuccess(outside.exit))
      const never = yield* Effect.exit(ActivityTest.run(Plain, acquiring, { payload: "x", attempt: 0 }))
      assert.isTrue(Exit.isFailure(never))
    }))
})
