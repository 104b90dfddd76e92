/**
 * An activity that is killed on its way: its first attempt fails, the second stops at line 5 until it is made again.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Workflow } from "holdfast/Workflow"

class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", {}) {}

/** One retry: a kill that counted as a failure would use it up. */
export const Import = Activity.make("Import", {
  success: Schema.String,
  error: Unreadable,
  heartbeatDetails: Schema.Struct({ line: Schema.Number }),
  retry: RetryPolicy.make({ retries: 1, backoff: Backoff.constant("20 millis") })
})

export const ImportLive = Import.toLayer(() =>
  Effect.gen(function*() {
    const { attempt } = yield* Activity.info
    const last = yield* Import.lastHeartbeat
    if (attempt === 1) return yield* new Unreadable()
    if (Option.isSome(last)) return `attempt ${attempt} went on from line ${last.value.line}`
    for (let line = 1; line <= 5; line++) yield* Effect.delay(Import.heartbeat({ line }), "1 millis")
    return yield* Effect.never
  })
)

/** Where the activity is made: by the worker that owns the run, or by one that serves a queue. */
export const Ingest = Workflow.make("Ingest", {
  payload: Schema.Literal("here", "elsewhere"),
  success: Schema.String
})

export const IngestLive = Ingest.toLayer((where) =>
  Effect.orDie((where === "here" ? Import : Import.withOptions({ queue: "import" })).execute())
)

export const workers = { owner: Layer.merge(IngestLive, ImportLive), server: ImportLive }
