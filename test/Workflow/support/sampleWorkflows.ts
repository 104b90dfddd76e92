/**
 * The workflows whose runs are in the sample journals, as they were when those were made. Their code must not change: a later
 * version of the library goes on with their runs. New ones may be added, for samples to come.
 */
import { Effect, Layer, Schedule, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Signal, Workflow } from "holdfast/Workflow"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { item: Schema.String }) {}

const once = RetryPolicy.none

/** Succeeds with the item in capitals; refuses `"bad"`. */
export const Pack = Activity.make("Pack", {
  payload: Schema.String,
  success: Schema.String,
  error: Refused,
  retry: once
})

/** Ends at its first attempt when the sample is read, and never while it is made. */
export const Slow = Activity.make("Slow", { payload: Schema.String, success: Schema.String })

/** Its first attempt fails, and the next is made an hour later. */
export const Flaky = Activity.make("Flaky", {
  payload: Schema.String,
  success: Schema.String,
  error: Refused,
  retry: RetryPolicy.make({ retries: 5, backoff: Backoff.constant("1 hour") })
})

/** Waits in a queue that nobody serves while the sample is made. */
export const Queued = Activity.make("Queued", { payload: Schema.String, success: Schema.String, queue: "desk" })

/** Is ended by the token that it has given away. */
export const Approval = Activity.make("Approval", { payload: Schema.String, success: Schema.Boolean })

export const Go = Signal.make("Go", { payload: Schema.String })

const text = { payload: Schema.String, success: Schema.String }

/** Two steps, one after the other; with `"bad"` the second fails. */
export const Packing = Workflow.make("Packing", { ...text, error: Refused })
export const WaitsForSignal = Workflow.make("WaitsForSignal", text)
export const Sleeps = Workflow.make("Sleeps", text)
export const WaitsForSlow = Workflow.make("WaitsForSlow", text)
export const WaitsForFlaky = Workflow.make("WaitsForFlaky", { ...text, error: Refused })
export const WaitsForQueued = Workflow.make("WaitsForQueued", text)
export const WaitsForApproval = Workflow.make("WaitsForApproval", { payload: Schema.String, success: Schema.Boolean })
/** Beside a sleep, a race, a side effect and a change of its code. */
export const Mixed = Workflow.make("Mixed", text)
export const Parent = Workflow.make("Parent", text)
/** Goes on as another run for each `Go`, until one says `"enough"`. */
export const Rounds = Workflow.make("Rounds", { payload: Schema.Number, success: Schema.Number })
/** Is blocked, since it ran with other code for a while. */
export const Changed = Workflow.make("Changed", text)

const orDie = Effect.orDie

export const live = Layer.mergeAll(
  Packing.toLayer((item) =>
    Effect.gen(function*() {
      const packed = yield* Pack.execute("box").pipe(orDie)
      return `${packed} ${yield* Pack.execute(item).pipe(Effect.catchTag("ActivityError", Effect.die))}`
    })
  ),
  WaitsForSignal.toLayer((item) =>
    Effect.gen(function*() {
      const packed = yield* Pack.execute(item).pipe(orDie)
      return `${packed} ${yield* Go.receive.pipe(orDie)} ${yield* Go.receive.pipe(orDie)}`
    })
  ),
  Sleeps.toLayer((item) => Effect.sleep("3 days").pipe(Effect.zipRight(orDie(Pack.execute(item))))),
  WaitsForSlow.toLayer((item) => orDie(Slow.execute(item))),
  WaitsForFlaky.toLayer((item) => Flaky.execute(item).pipe(Effect.catchTag("ActivityError", Effect.die))),
  WaitsForQueued.toLayer((item) => orDie(Queued.execute(item))),
  WaitsForApproval.toLayer((item) => orDie(Approval.execute(item))),
  Mixed.toLayer((item) =>
    Effect.gen(function*() {
      const drawn = yield* Workflow.sideEffect("drawn", Schema.Number, () => 17)
      const isNew = yield* Workflow.patched("newer")
      const first = yield* Effect.race(
        Effect.as(Effect.sleep("1 hour"), "slept"),
        orDie(Pack.execute(item)).pipe(Effect.retry(Schedule.recurs(1)))
      )
      const both = yield* Effect.all([orDie(Pack.execute("left")), Effect.as(Effect.sleep("5 days"), "right")], {
        concurrency: "unbounded"
      })
      return [drawn, isNew, first, ...both].join(" ")
    })
  ),
  Parent.toLayer((item) => orDie(Workflow.executeChild(WaitsForSignal, { id: `child of ${item}`, payload: item }))),
  Rounds.toLayer((round) =>
    Effect.flatMap(
      orDie(Go.receive),
      (word) => word === "enough" ? Effect.succeed(round) : Rounds.continueAsNew(round + 1)
    )
  ),
  Pack.toLayer((item) => item === "bad" ? Effect.fail(new Refused({ item })) : Effect.succeed(item.toUpperCase()))
)

export const changedLive = Changed.toLayer((item) => Effect.zipRight(Effect.sleep("4 days"), orDie(Pack.execute(item))))

/** The code that has blocked it. */
export const changedOtherwiseLive = Changed.toLayer((item) => orDie(Pack.execute(item)))
