/** A run that never comes back from its turn, an activity that never comes back from a step, and a run beside them. */
import { Effect, Layer, Schema } from "effect"
import { Activity, Workflow } from "holdfast/Workflow"

const hangs = {
  loop: Effect.sync((): void => {
    for (;;);
  }),
  generator: Effect.gen(function*() {
    for (;;) yield* Effect.succeed(1)
  })
}

export const Hang = Workflow.make("Hang", { payload: Schema.Literal("loop", "generator", "activity") })
const Compute = Activity.make("Compute")

export const Beside = Workflow.make("Beside", { success: Schema.String })
const Work = Activity.make("Work")

export const Live = Layer.mergeAll(
  Hang.toLayer((how) => Effect.orDie(how === "activity" ? Compute.execute() : hangs[how])),
  Compute.toLayer(() => Effect.zipRight(Effect.sleep("10 millis"), hangs.loop)),
  Beside.toLayer(() => Effect.orDie(Effect.as(Work.execute(), "done"))),
  Work.toLayer(() => Effect.sleep("700 millis"))
)
