/**
 * The events of a run: what its journal holds, one row each, append-only.
 *
 * A history reads as turns. Each turn is a `TurnTaken` followed by the commands that the workflow issued in it; between
 * turns stand the events that came from outside (an activity completed, a timer fired), which a later turn consumed.
 * Commands are numbered per run, and what answers a command names that number, never a row.
 *
 * ```text
 * 1 RunStarted
 * 2 TurnTaken          consumedUpTo 1
 * 3   ActivityScheduled  #1 Reserve
 * 4 ActivityCompleted  of #1
 * 5 TurnTaken          consumedUpTo 3, inlineArrivals 1 (the completion just before it)
 * 6   RunClosed          #2 Success
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** User data, encoded as JSON text; `null` for `undefined`. */
const Payload = Schema.NullOr(Schema.String)

const Command = Schema.Int.pipe(Schema.positive())

/**
 * The first event of every run.
 *
 * @since 0.1.0
 * @category events
 */
export const RunStarted = Schema.TaggedStruct("RunStarted", {
  seq: Schema.Int,
  at: Schema.Number,
  /** The run that this one goes on from, and the first of all that went on from each other. */
  previous: Schema.optional(Schema.String),
  first: Schema.optional(Schema.String),
  /** The run that asked for it. */
  parent: Schema.optional(Schema.Struct({ workflowId: Schema.String, runId: Schema.String })),
  /** Milliseconds that the run, and each run that goes on from it, may take. */
  runTimeout: Schema.optional(Schema.Number),
  /** When the last of the runs that go on from each other must have ended, in milliseconds since the epoch. */
  executionDeadline: Schema.optional(Schema.Number),
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type RunStarted = typeof RunStarted.Type

/**
 * One turn of the workflow. It saw the time `at` (milliseconds since the epoch), consumed every outside event up to
 * `consumedUpTo` that no turn before it had consumed, and then the `inlineArrivals` ones that stand directly before it. The commands
 * that it issued follow.
 *
 * @since 0.1.0
 * @category events
 */
export const TurnTaken = Schema.TaggedStruct("TurnTaken", {
  seq: Schema.Int,
  at: Schema.Number,
  consumedUpTo: Schema.Int,
  inlineArrivals: Schema.Int
})

/**
 * @since 0.1.0
 * @category events
 */
export type TurnTaken = typeof TurnTaken.Type

/**
 * Command: run an activity. Its retry policy and time-out travel with it, so that a later change of the code does not
 * change what was asked for.
 *
 * @since 0.1.0
 * @category commands
 */
export const ActivityScheduled = Schema.TaggedStruct("ActivityScheduled", {
  seq: Schema.Int,
  command: Command,
  activity: Schema.String,
  /** When the workflow asked for it, in the run's time. */
  at: Schema.Number,
  digest: Schema.String,
  /** An encoded `RetryPolicy`; absent: one attempt. */
  retry: Schema.optional(Schema.Unknown),
  /** Milliseconds that the activity may wait for its first attempt to start; absent: as long as it takes. */
  scheduleToStart: Schema.optional(Schema.Number),
  /** Milliseconds that one attempt may take. */
  startToClose: Schema.optional(Schema.Number),
  /** Milliseconds that all attempts of the activity and the waits between them may take. */
  scheduleToClose: Schema.optional(Schema.Number),
  /** Milliseconds that an attempt may go without a heartbeat. */
  heartbeat: Schema.optional(Schema.Number),
  /** Whoever serves this queue runs it; absent: the worker that owns the run. */
  queue: Schema.optional(Schema.String),
  payload: Payload
})

/**
 * @since 0.1.0
 * @category commands
 */
export type ActivityScheduled = typeof ActivityScheduled.Type

/**
 * Command: nobody waits for the activity `target` any more.
 *
 * @since 0.1.0
 * @category commands
 */
export const ActivityCancelled = Schema.TaggedStruct("ActivityCancelled", {
  seq: Schema.Int,
  command: Command,
  target: Command
})

/**
 * @since 0.1.0
 * @category commands
 */
export type ActivityCancelled = typeof ActivityCancelled.Type

/**
 * Command: wake the workflow at `fireAt`, in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category commands
 */
export const TimerStarted = Schema.TaggedStruct("TimerStarted", {
  seq: Schema.Int,
  command: Command,
  fireAt: Schema.Number
})

/**
 * @since 0.1.0
 * @category commands
 */
export type TimerStarted = typeof TimerStarted.Type

/**
 * Command: nobody waits for the timer `target` any more.
 *
 * @since 0.1.0
 * @category commands
 */
export const TimerCancelled = Schema.TaggedStruct("TimerCancelled", {
  seq: Schema.Int,
  command: Command,
  target: Command
})

/**
 * @since 0.1.0
 * @category commands
 */
export type TimerCancelled = typeof TimerCancelled.Type

/**
 * Command: start the workflow `workflow` under an id of its own, as a child.
 *
 * - `parentClose`: what becomes of the child when this run ends before it.
 * - `conflict`, `reuse`: what to do when the id has a run already, one that is open or one that has closed.
 *
 * @since 0.1.0
 * @category commands
 */
export const ChildScheduled = Schema.TaggedStruct("ChildScheduled", {
  seq: Schema.Int,
  command: Command,
  workflow: Schema.String,
  workflowId: Schema.String,
  at: Schema.Number,
  parentClose: Schema.Literal("terminate", "cancel", "abandon"),
  conflict: Schema.Literal("attach", "fail", "terminate"),
  reuse: Schema.Literal("attach", "always", "whenFailed", "never"),
  runTimeout: Schema.optional(Schema.Number),
  executionDeadline: Schema.optional(Schema.Number),
  digest: Schema.String,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category commands
 */
export type ChildScheduled = typeof ChildScheduled.Type

/**
 * Command: nobody waits for the child `target` any more. It is asked to end, unless it was to be abandoned.
 *
 * @since 0.1.0
 * @category commands
 */
export const ChildCancelled = Schema.TaggedStruct("ChildCancelled", {
  seq: Schema.Int,
  command: Command,
  target: Command,
  at: Schema.Number
})

/**
 * @since 0.1.0
 * @category commands
 */
export type ChildCancelled = typeof ChildCancelled.Type

/**
 * Command: send a signal to the open run of another workflow id.
 *
 * @since 0.1.0
 * @category commands
 */
export const SignalSent = Schema.TaggedStruct("SignalSent", {
  seq: Schema.Int,
  command: Command,
  workflowId: Schema.String,
  signal: Schema.String,
  at: Schema.Number,
  id: Schema.optional(Schema.String),
  digest: Schema.String,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category commands
 */
export type SignalSent = typeof SignalSent.Type

/**
 * Command: ask the open run of another workflow id to end.
 *
 * @since 0.1.0
 * @category commands
 */
export const CancelSent = Schema.TaggedStruct("CancelSent", {
  seq: Schema.Int,
  command: Command,
  workflowId: Schema.String,
  at: Schema.Number,
  reason: Schema.String
})

/**
 * @since 0.1.0
 * @category commands
 */
export type CancelSent = typeof CancelSent.Type

/**
 * Something was worked out by code that cannot be repeated; its result is kept.
 *
 * @since 0.1.0
 * @category commands
 */
export const SideEffectRecorded = Schema.TaggedStruct("SideEffectRecorded", {
  seq: Schema.Int,
  command: Command,
  label: Schema.String,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category commands
 */
export type SideEffectRecorded = typeof SideEffectRecorded.Type

/**
 * Command: the workflow has ended. The last event of every closed run.
 *
 * @since 0.1.0
 * @category commands
 */
export const RunClosed = Schema.TaggedStruct("RunClosed", {
  seq: Schema.Int,
  command: Command,
  at: Schema.Number,
  outcome: Schema.Literal("Success", "Failure", "Defect", "Interrupted", "Cancelled", "Continued"),
  digest: Schema.String,
  /** The run of the same workflow id that goes on, with `payload` as its payload. */
  next: Schema.optional(Schema.String),
  /** What a defect said. */
  message: Schema.optional(Schema.String),
  /** The encoded success or failure. */
  payload: Payload
})

/**
 * @since 0.1.0
 * @category commands
 */
export type RunClosed = typeof RunClosed.Type

/**
 * The activity `target` succeeded.
 *
 * @since 0.1.0
 * @category events
 */
export const ActivityCompleted = Schema.TaggedStruct("ActivityCompleted", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type ActivityCompleted = typeof ActivityCompleted.Type

/**
 * Why an attempt of an activity did not succeed: it failed with an error of its own (`Failure`, encoded in the event's
 * payload), died, ran out of time, or gave a value that its schema cannot encode or decode.
 *
 * @since 0.1.0
 * @category models
 */
export const AttemptFailure = Schema.Struct({
  reason: Schema.Literal("Failure", "Defect", "TimedOut", "Codec"),
  /** The limit that was exceeded. */
  timeout: Schema.optional(Schema.Literal("scheduleToStart", "startToClose", "scheduleToClose", "heartbeat")),
  /** The `_tag` of the error, where it has one. */
  tag: Schema.optional(Schema.String),
  message: Schema.String
})

/**
 * The activity `target` failed for good, after `attempts` attempts.
 *
 * @since 0.1.0
 * @category events
 */
export const ActivityFailed = Schema.TaggedStruct("ActivityFailed", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number,
  attempts: Schema.Int,
  failure: AttemptFailure,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type ActivityFailed = typeof ActivityFailed.Type

/**
 * One attempt of the activity `target` failed and the next one starts at `retryAt`. No turn consumes it: the workflow
 * sees only the end.
 *
 * @since 0.1.0
 * @category events
 */
export const AttemptFailed = Schema.TaggedStruct("AttemptFailed", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number,
  attempt: Schema.Int,
  failure: AttemptFailure,
  retryAt: Schema.Number,
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type AttemptFailed = typeof AttemptFailed.Type

/**
 * The child `target` has ended as its run `runId`, or was `Refused`: its id belongs to another run.
 *
 * @since 0.1.0
 * @category events
 */
export const ChildClosed = Schema.TaggedStruct("ChildClosed", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number,
  runId: Schema.String,
  outcome: Schema.Literal(
    "Success",
    "Failure",
    "Defect",
    "Interrupted",
    "Cancelled",
    "Terminated",
    "TimedOut",
    "Refused"
  ),
  message: Schema.optional(Schema.String),
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type ChildClosed = typeof ChildClosed.Type

/**
 * What became of what the command `target` has sent: it is in the journal of the run that it was meant for, or that run
 * has ended, or there never was one.
 *
 * @since 0.1.0
 * @category events
 */
export const SendAnswered = Schema.TaggedStruct("SendAnswered", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number,
  outcome: Schema.Literal("Delivered", "Ended", "NotFound")
})

/**
 * @since 0.1.0
 * @category events
 */
export type SendAnswered = typeof SendAnswered.Type

/**
 * A signal has arrived.
 *
 * @since 0.1.0
 * @category events
 */
export const SignalReceived = Schema.TaggedStruct("SignalReceived", {
  seq: Schema.Int,
  signal: Schema.String,
  at: Schema.Number,
  /** The id that its sender gave the signal, where it must not arrive twice. */
  id: Schema.optional(Schema.String),
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type SignalReceived = typeof SignalReceived.Type

/**
 * Somebody wants the run to end.
 *
 * @since 0.1.0
 * @category events
 */
export const CancelRequested = Schema.TaggedStruct("CancelRequested", {
  seq: Schema.Int,
  at: Schema.Number,
  reason: Schema.String,
  /** When the run is ended without a further word to its code, in milliseconds since the epoch; absent: never. */
  by: Schema.optional(Schema.Number)
})

/**
 * @since 0.1.0
 * @category events
 */
export type CancelRequested = typeof CancelRequested.Type

/**
 * The timer `target` fired.
 *
 * @since 0.1.0
 * @category events
 */
export const TimerFired = Schema.TaggedStruct("TimerFired", {
  seq: Schema.Int,
  target: Command,
  at: Schema.Number
})

/**
 * @since 0.1.0
 * @category events
 */
export type TimerFired = typeof TimerFired.Type

/**
 * The run was ended from outside, without a word to its code. Its last event.
 *
 * @since 0.1.0
 * @category events
 */
export const RunTerminated = Schema.TaggedStruct("RunTerminated", {
  seq: Schema.Int,
  at: Schema.Number,
  reason: Schema.String
})

/**
 * @since 0.1.0
 * @category events
 */
export type RunTerminated = typeof RunTerminated.Type

/**
 * The run took longer than it may. Its last event.
 *
 * @since 0.1.0
 * @category events
 */
export const RunTimedOut = Schema.TaggedStruct("RunTimedOut", {
  seq: Schema.Int,
  at: Schema.Number
})

/**
 * @since 0.1.0
 * @category events
 */
export type RunTimedOut = typeof RunTimedOut.Type

/**
 * Any event of a history.
 *
 * @since 0.1.0
 * @category events
 */
export const Event = Schema.Union(
  RunStarted,
  TurnTaken,
  ActivityScheduled,
  ActivityCancelled,
  TimerStarted,
  TimerCancelled,
  ChildScheduled,
  ChildCancelled,
  SignalSent,
  CancelSent,
  SideEffectRecorded,
  RunClosed,
  ActivityCompleted,
  ActivityFailed,
  AttemptFailed,
  TimerFired,
  ChildClosed,
  SendAnswered,
  SignalReceived,
  CancelRequested,
  RunTerminated,
  RunTimedOut
)

/**
 * @since 0.1.0
 * @category events
 */
export type Event = typeof Event.Type

/**
 * What a workflow asks for: the events that its own code issues, compared one by one on replay.
 *
 * @since 0.1.0
 * @category commands
 */
export type Command = Extract<Event, { readonly command: number }>

/**
 * What comes from outside and wakes the workflow.
 *
 * @since 0.1.0
 * @category events
 */
export type Arrival =
  | RunStarted
  | ActivityCompleted
  | ActivityFailed
  | TimerFired
  | ChildClosed
  | SendAnswered
  | SignalReceived
  | CancelRequested

/**
 * An event that ends its run.
 *
 * @since 0.1.0
 * @category events
 */
export type Closing = RunClosed | RunTerminated | RunTimedOut

/**
 * What anybody may send to the open run of a workflow id.
 *
 * @since 0.1.0
 * @category events
 */
export type Message = SignalReceived | CancelRequested | RunTerminated

/**
 * What becomes of one attempt of an activity.
 *
 * @since 0.1.0
 * @category events
 */
export type AttemptReport = ActivityCompleted | ActivityFailed | AttemptFailed

/**
 * What is written to a run by somebody else than its owner.
 *
 * @since 0.1.0
 * @category events
 */
export type ExternalEvent = Message | AttemptReport | ChildClosed | SendAnswered

/**
 * What a run is doing, in one word: `Running`, `Cancelling` once somebody wants it to end, or how it ended.
 *
 * @since 0.1.0
 * @category models
 */
export const Status = Schema.Literal(
  "Running",
  "Cancelling",
  "Success",
  "Failure",
  "Defect",
  "Interrupted",
  "Cancelled",
  "Continued",
  "Terminated",
  "TimedOut"
)

/**
 * @since 0.1.0
 * @category models
 */
export type Status = typeof Status.Type

/**
 * @since 0.1.0
 * @category models
 */
export type AttemptFailure = typeof AttemptFailure.Type

/**
 * An event that has no place in the journal yet.
 *
 * @since 0.1.0
 * @category events
 */
export type Unsequenced<E extends { readonly seq: number } = Event> = E extends unknown ? Omit<E, "seq"> : never

/**
 * Whether an event is a command: something the workflow asked for.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCommand = (event: Event): event is Command => "command" in event

/**
 * Whether an event ends its run.
 *
 * @since 0.1.0
 * @category guards
 */
export const isClosing = (event: Event): event is Closing =>
  event._tag === "RunClosed" || event._tag === "RunTerminated" || event._tag === "RunTimedOut"

/**
 * How a run has ended, in one word.
 *
 * @since 0.1.0
 * @category accessors
 */
export const statusOf = (closed: Closing): Status => {
  switch (closed._tag) {
    case "RunClosed":
      return closed.outcome
    case "RunTerminated":
      return "Terminated"
    case "RunTimedOut":
      return "TimedOut"
  }
}

/**
 * Whether an event is an arrival: something that wakes the workflow.
 *
 * @since 0.1.0
 * @category guards
 */
export const isArrival = (event: Event): event is Arrival => arrivals.has(event._tag)

const arrivals: ReadonlySet<Event["_tag"]> = new Set<Arrival["_tag"]>([
  "RunStarted",
  "ActivityCompleted",
  "ActivityFailed",
  "TimerFired",
  "ChildClosed",
  "SendAnswered",
  "SignalReceived",
  "CancelRequested"
])
