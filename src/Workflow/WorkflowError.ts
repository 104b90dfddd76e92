/**
 * What can go wrong around a durable workflow. All of these are stored or cross a process, so each is a Schema.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { AttemptFailure, Status } from "./Event.js"

/**
 * The journal could not do what was asked. Nothing was written.
 *
 * - `Open`: the database could not be opened or migrated.
 * - `Locked`: another process has held the lock of the database for too long.
 * - `Version`: a newer version of this package has written what was to be read, or the whole journal.
 * - `Write`, `Read`: a statement or the commit failed (disk full, a lost connection).
 * - `Corrupt`: what was read is not what a journal holds.
 * - `Codec`: what was read cannot be decoded by the journal's codec. Nothing is lost: who needs it waits or asks again.
 * - `Closed`: the scope of the journal is over, before or while it was asked.
 *
 * @since 0.1.0
 * @category errors
 */
export class JournalError extends Schema.TaggedError<JournalError>("holdfast/Workflow/JournalError")("JournalError", {
  reason: Schema.Literal("Open", "Locked", "Version", "Write", "Read", "Corrupt", "Codec", "Closed"),
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `the journal ${problems[this.reason]}: ${this.detail}`
  }
}

const problems = {
  Open: "could not be opened",
  Locked: "is locked by another process",
  Version: "is of a newer version",
  Write: "could not be written",
  Read: "could not be read",
  Corrupt: "could not be understood",
  Codec: "could not be decoded",
  Closed: "has closed"
} as const

/**
 * A codec could not do its work on one value.
 *
 * - `UnknownCodec`, `UnknownKey`: it was written by a codec, or with a key, that the journal was not given.
 * - `Tampered`: it was changed, or written with another key of the same id, or under another context.
 * - `Version`: a newer version of this package has written it.
 * - `Malformed`: it is cut short or damaged.
 * - `Failed`: the codec itself says so, or died. It is tried again.
 *
 * @since 0.1.0
 * @category errors
 */
export class CodecError extends Schema.TaggedError<CodecError>("holdfast/Workflow/CodecError")("CodecError", {
  reason: Schema.Literal("UnknownCodec", "UnknownKey", "Tampered", "Version", "Malformed", "Failed"),
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `${this.detail}; ${remedies[this.reason]}`
  }
}

const remedies = {
  UnknownCodec:
    "give the journal that codec too (`Codec.readOnly` lets it read only), or run the version that has it, and what waits goes on",
  UnknownKey: "add that key to the `keys` of `Codec.encryption`, and what waits goes on",
  Tampered: "give the key that belongs to this id, or restore the value from a backup, and what waits goes on",
  Version: "run the version that wrote it, or a later one, and what waits goes on",
  Malformed: "restore the value from a backup, and what waits goes on",
  Failed: "it is tried again"
} as const

/**
 * The worker no longer owns the run: another one has taken it over, or the run has closed. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class StaleOwner extends Schema.TaggedError<StaleOwner>("holdfast/Workflow/StaleOwner")("StaleOwner", {
  runId: Schema.String
}) {
  override get message(): string {
    return `run ${this.runId} is no longer owned by this worker; whoever owns it now goes on from the journal`
  }
}

/**
 * A workflow did what cannot be replayed. Nothing of the turn was written, the run is blocked, and it goes on once code
 * that fits its history is deployed.
 *
 * - `Mismatch`: on replay the code issued another command than its history holds. The code was changed, or it depends on
 *   something outside the run.
 * - `Forbidden`: it reached for the process (a real timer, the network, real randomness) instead of an activity.
 * - `ForeignWait`: a fiber was resumed outside a turn, so it waited for a promise, a callback or another runtime.
 * - `Runaway`: the turn did not end within its budget of operations.
 * - `Stuck`: every fiber waits for something that no event of this run can bring.
 *
 * @since 0.1.0
 * @category errors
 */
export class NondeterminismError
  extends Schema.TaggedError<NondeterminismError>("holdfast/Workflow/NondeterminismError")("NondeterminismError", {
    reason: Schema.Literal("Mismatch", "Forbidden", "ForeignWait", "Runaway", "Stuck"),
    workflow: Schema.String,
    workflowId: Schema.String,
    runId: Schema.String,
    /** The number of the turn, from 1. */
    turn: Schema.Int,
    /** What the history holds, or what is allowed. */
    expected: Schema.String,
    /** What the code did. */
    actual: Schema.String,
    /** The fiber whose command differs. */
    fiber: Schema.optional(Schema.String),
    /** Where in the source, as far as it is known. */
    source: Schema.optional(Schema.String)
  })
{
  override get message(): string {
    const where = [
      this.fiber === undefined ? undefined : `fiber ${this.fiber}`,
      this.source === undefined ? undefined : `at ${this.source}`
    ].filter((part) => part !== undefined)
    return [
      `workflow ${this.workflow}, id ${
        JSON.stringify(this.workflowId)
      }, run ${this.runId}, turn ${this.turn}: ${this.reason}`,
      `  expected: ${this.expected}`,
      `  actual:   ${this.actual}${where.length === 0 ? "" : ` (${where.join(", ")})`}`,
      `  ${advice[this.reason]}`
    ].join("\n")
  }
}

const advice = {
  Mismatch:
    "The history is untouched and the run is blocked. Deploy code that issues the recorded commands; it then goes on by itself.",
  Forbidden: "Move this into an activity: a workflow may use only what its journal can replay.",
  ForeignWait:
    "Move the promise or callback into an activity and wait for that; inside the workflow use Effect's own Deferred, Queue and Effect.sleep.",
  Runaway: "Let the loop wait for something durable (Effect.sleep, an activity), or raise the engine's `opBudget`.",
  Stuck:
    "Move the promise or callback into an activity; complete a Deferred, Queue or Semaphore from a fiber of the same run."
} as const

/**
 * An activity that did not end with one of its own errors.
 *
 * - `TimedOut`: it was out of time; `timeout` is the limit that it exceeded.
 * - `Defect`: its last attempt died.
 * - `Codec`: its payload, its success or its error does not fit its schema.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActivityError
  extends Schema.TaggedError<ActivityError>("holdfast/Workflow/ActivityError")("ActivityError", {
    reason: Schema.Literal("TimedOut", "Defect", "Codec"),
    timeout: AttemptFailure.fields.timeout,
    activity: Schema.String,
    /** How many attempts there were. */
    attempts: Schema.Int,
    detail: Schema.String
  })
{
  override get message(): string {
    return `activity ${this.activity} failed after ${this.attempts} attempt${
      this.attempts === 1 ? "" : "s"
    } (${this.reason}): ${this.detail}`
  }
}

/**
 * The run ended without a result.
 *
 * - `Defect`, `Interrupted`: its code died, or interrupted itself.
 * - `Cancelled`, `Terminated`: somebody ended it.
 * - `TimedOut`: it took longer than it may.
 * - `Continued`: it goes on as another run.
 * - `Refused`: it was not begun as a child, since its id belongs to another run.
 * - `Codec`: its payload or its result does not fit its schema.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunFailed extends Schema.TaggedError<RunFailed>("holdfast/Workflow/RunFailed")("RunFailed", {
  reason: Schema.Literal(
    "Defect",
    "Interrupted",
    "Cancelled",
    "Terminated",
    "TimedOut",
    "Continued",
    "Refused",
    "Codec"
  ),
  workflowId: Schema.String,
  runId: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `workflow id ${
      JSON.stringify(this.workflowId)
    }, run ${this.runId} ended without a result (${this.reason}): ${this.detail}`
  }
}

/**
 * No run has this workflow id.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>("holdfast/Workflow/RunNotFound")("RunNotFound", {
  workflowId: Schema.String
}) {
  override get message(): string {
    return `no run with workflow id ${JSON.stringify(this.workflowId)} in this journal`
  }
}

/**
 * The workflow id belongs to a run of another workflow.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkflowMismatch
  extends Schema.TaggedError<WorkflowMismatch>("holdfast/Workflow/WorkflowMismatch")("WorkflowMismatch", {
    workflowId: Schema.String,
    expected: Schema.String,
    actual: Schema.String
  })
{
  override get message(): string {
    return `workflow id ${JSON.stringify(this.workflowId)} belongs to a run of ${this.actual}, not of ${this.expected}`
  }
}

/**
 * The workflow id has a run already, and the policies of the start do not allow another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlreadyStarted
  extends Schema.TaggedError<AlreadyStarted>("holdfast/Workflow/AlreadyStarted")("AlreadyStarted", {
    workflowId: Schema.String,
    runId: Schema.String,
    /** What that run is doing. */
    status: Status
  })
{
  override get message(): string {
    return `workflow id ${JSON.stringify(this.workflowId)} has run ${this.runId} already (${this.status})`
  }
}

/**
 * A cursor that no list has given.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidCursor
  extends Schema.TaggedError<InvalidCursor>("holdfast/Workflow/InvalidCursor")("InvalidCursor", {
    cursor: Schema.String
  })
{
  override get message(): string {
    return `${JSON.stringify(this.cursor)} is no cursor; use the \`next\` of the page before`
  }
}

/**
 * A payload that does not fit its schema, or that the journal does not take, or an id that no journal could keep. Nothing
 * was started, or sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPayload
  extends Schema.TaggedError<InvalidPayload>("holdfast/Workflow/InvalidPayload")("InvalidPayload", {
    workflow: Schema.String,
    detail: Schema.String
  })
{
  override get message(): string {
    return `the payload of workflow ${this.workflow} is refused: ${this.detail}`
  }
}

/**
 * The attempt that a token stands for cannot be ended from outside. Nothing was written. The error does not hold the token,
 * which is a secret.
 *
 * - `Malformed`: no attempt has given this token.
 * - `OtherActivity`: it belongs to an attempt of another activity.
 * - `Ended`: the attempt has ended or timed out, nobody waits for it any more, or there never was one.
 *
 * @since 0.1.0
 * @category errors
 */
export class AttemptNotPending
  extends Schema.TaggedError<AttemptNotPending>("holdfast/Workflow/AttemptNotPending")("AttemptNotPending", {
    reason: Schema.Literal("Malformed", "OtherActivity", "Ended"),
    activity: Schema.String
  })
{
  override get message(): string {
    return `the token for an attempt of activity ${this.activity} ${notPending[this.reason]}`
  }
}

const notPending = {
  Malformed: "is no token; hand on what `Activity.token` gives, as it is",
  OtherActivity: "belongs to an attempt of another activity",
  Ended: "belongs to an attempt that has ended, or that nobody waits for any more"
} as const

/**
 * The run that a signal or a request was meant for has ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunEnded extends Schema.TaggedError<RunEnded>("holdfast/Workflow/RunEnded")("RunEnded", {
  workflowId: Schema.String
}) {
  override get message(): string {
    return `the run of workflow id ${JSON.stringify(this.workflowId)} has ended, so nothing can reach it any more`
  }
}
