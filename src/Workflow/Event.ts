/**
 * The events of a run: what its journal holds, one row each, append-only.
 *
 * A history reads as turns. Each turn is a `TurnTaken` followed by the commands that the workflow issued in it; between
 * turns stand the events that came from outside (an activity completed, a timer fired), which a later turn consumed.
 * Commands are numbered per run, and what answers a command names that number, never a row.
 *
 * ```text
 * 1 RunStarted
 * 2 TurnTaken          upTo 1
 * 3   ActivityScheduled  #1 Reserve
 * 4 ActivityCompleted  of #1
 * 5 TurnTaken          upTo 3, carried 1 (the completion just before it)
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
  /** The run that it goes on from. */
  previous: Schema.optional(Schema.String),
  payload: Payload
})

/**
 * @since 0.1.0
 * @category events
 */
export type RunStarted = typeof RunStarted.Type

/**
 * One turn of the workflow. It saw the time `at` (milliseconds since the epoch), consumed every outside event up to
 * `upTo` that no turn before it had consumed, and then the `carried` ones that stand directly before it. The commands
 * that it issued follow.
 *
 * @since 0.1.0
 * @category events
 */
export const TurnTaken = Schema.TaggedStruct("TurnTaken", {
  seq: Schema.Int,
  at: Schema.Number,
  upTo: Schema.Int,
  carried: Schema.Int
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
  /** When it was asked for, in the run's time. */
  at: Schema.Number,
  digest: Schema.String,
  /** An encoded `RetryPolicy`; absent: one attempt. */
  retry: Schema.optional(Schema.Unknown),
  /** Milliseconds that one attempt may take; absent: as long as it likes. */
  startToClose: Schema.optional(Schema.Number),
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
 * A signal has arrived.
 *
 * @since 0.1.0
 * @category events
 */
export const SignalReceived = Schema.TaggedStruct("SignalReceived", {
  seq: Schema.Int,
  signal: Schema.String,
  at: Schema.Number,
  /** What its sender calls it, where it must not arrive twice. */
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
  reason: Schema.String
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
  SideEffectRecorded,
  RunClosed,
  ActivityCompleted,
  ActivityFailed,
  AttemptFailed,
  TimerFired,
  SignalReceived,
  CancelRequested,
  RunTerminated
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
  | SignalReceived
  | CancelRequested

/**
 * An event that ends its run.
 *
 * @since 0.1.0
 * @category events
 */
export type Closing = RunClosed | RunTerminated

/**
 * What anybody may write to a run, not only its owner.
 *
 * @since 0.1.0
 * @category events
 */
export type Posted = SignalReceived | CancelRequested | RunTerminated

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
export type Unplaced<E extends { readonly seq: number } = Event> = E extends unknown ? Omit<E, "seq"> : never

/**
 * Is it something the workflow asked for?
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
  event._tag === "RunClosed" || event._tag === "RunTerminated"

/**
 * Is it something that wakes the workflow?
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
  "SignalReceived",
  "CancelRequested"
])
