/**
 * The workflow that is killed: three steps that write to a ledger outside the journal, with waits and retries between
 * them. Its worker runs as a process of its own; see `crashWorker.ts`.
 */
import { Effect, Schedule, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Workflow } from "holdfast/Workflow"

export class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const retry = RetryPolicy.make({ retries: "unlimited", backoff: Backoff.constant("20 millis") })

/** Writes a line to the ledger, once per idempotency key; now and then it is busy first. */
export const Enter = Activity.make("Enter", {
  payload: Schema.Struct({ account: Schema.String, step: Schema.Number }),
  success: Schema.Number,
  error: Busy,
  retry
})

export const Transfer = Workflow.make("Transfer", { payload: Schema.String, success: Schema.Array(Schema.Number) })

export const TransferLive = Transfer.toLayer((account) =>
  Effect.gen(function*() {
    const first = yield* Effect.orDie(Enter.execute({ account, step: 1 }))
    yield* Effect.sleep("50 millis")
    const both = yield* Effect.all([
      Enter.execute({ account, step: 2 }).pipe(
        Effect.timeout("1 hour"),
        Effect.retry(Schedule.recurs(2))
      ),
      Effect.zipRight(Effect.sleep("30 millis"), Enter.execute({ account, step: 3 }))
    ], { concurrency: "unbounded" }).pipe(Effect.orDie)
    return [first, ...both]
  })
)
