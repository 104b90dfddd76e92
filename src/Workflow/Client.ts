/**
 * Starting runs, reaching runs, and asking what they do. A client needs only the journal: a web process can start what
 * another process runs.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Activity } from "./Activity.js"
import type { Event } from "./Event.js"
import { client } from "./internal/client/client.js"
import type { Unserved } from "./internal/journal/unserved.js"
import type { Conflict, Journal, PendingActivity, PendingTimer, Reuse, RunFilter, RunRecord } from "./Journal.js"
import type { Signal } from "./Signal.js"
import type { Workflow } from "./Workflow.js"
import type {
  ActivityError,
  AlreadyStarted,
  AttemptNotPending,
  InvalidCursor,
  InvalidPayload,
  JournalError,
  RunEnded,
  RunFailed,
  RunNotFound,
  WorkflowMismatch
} from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category services
 */
export class Client extends Context.Tag("holdfast/Workflow/Client")<Client, {
  readonly start: <Payload, Success, Error, const Options extends StartOptions<Payload>>(
    workflow: Workflow<Payload, Success, Error>,
    options: Options
  ) => Effect.Effect<
    RunHandle<Success, Error>,
    InvalidPayload | WorkflowMismatch | JournalError | Refusal<Options>
  >
  readonly signalWithStart: <Payload, Success, Error, A, const Options extends StartOptions<Payload>>(
    workflow: Workflow<Payload, Success, Error>,
    options: Options,
    signal: Signal<A>,
    payload: A,
    signalOptions?: SignalOptions
  ) => Effect.Effect<
    RunHandle<Success, Error>,
    InvalidPayload | WorkflowMismatch | JournalError | SignalRefusal<Options>
  >
  readonly get: <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>,
    id: string
  ) => Effect.Effect<RunHandle<Success, Error>, RunNotFound | WorkflowMismatch | JournalError>
  readonly signal: <Payload>(
    id: string,
    signal: Signal<Payload>,
    payload: Payload,
    options?: SignalOptions
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded | JournalError>
  readonly cancel: (
    id: string,
    options?: CancelOptions
  ) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
  readonly terminate: (
    id: string,
    options?: EndOptions
  ) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
  readonly completeActivity: <Payload, Success, Error, Details>(
    activity: Activity<Payload, Success, Error, Details>,
    token: string,
    value: Success
  ) => Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError>
  readonly failActivity: <Payload, Success, Error, Details>(
    activity: Activity<Payload, Success, Error, Details>,
    token: string,
    error: Error
  ) => Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError>
  readonly heartbeatActivity: <Payload, Success, Error, Details>(
    activity: Activity<Payload, Success, Error, Details>,
    token: string,
    details: Details
  ) => Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError>
  readonly list: (options?: ListOptions) => Effect.Effect<Page, InvalidCursor | JournalError>
  readonly count: (filter?: RunFilter) => Effect.Effect<number, JournalError>
  readonly describe: (id: string) => Effect.Effect<RunDescription, RunNotFound | JournalError>
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<Event>, RunNotFound | JournalError>
}>() {}

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  Conflict,
  /**
   * @since 0.1.0
   * @category models
   */
  Reuse,
  /**
   * @since 0.1.0
   * @category models
   */
  RunFilter,
  /**
   * @since 0.1.0
   * @category models
   */
  RunRecord
} from "./Journal.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface SignalOptions {
  /** Sent again with the same id, it is the same signal, and the run sees it once. Default: each is a new one. */
  readonly id?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface EndOptions {
  /** What the run, and whoever waits for it, is told. Default: nothing. */
  readonly reason?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface CancelOptions extends EndOptions {
  /** How long the run may take to compensate; then it is terminated. Default: as long as it needs. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * How a run is started.
 *
 * - `id`: the starter's own name for the work, and what makes starting idempotent.
 * - `conflict`: when the id has an open run: `attach` to it (the default), `fail`, or `terminate` it and start anew.
 * - `reuse`: when the last run of the id has closed: `attach` to it (the default), start a new one `always`, or only
 *   `whenFailed`, or `never`.
 * - `runTimeout`: how long the run, and each run that goes on from it, may take; `executionTimeout`: how long all of these
 *   may take together. A run that takes longer is ended without a word to its code. Default: no limit.
 *
 * @since 0.1.0
 * @category models
 */
export type StartOptions<Payload> =
  & {
    readonly id: string
    readonly conflict?: Conflict | undefined
    readonly reuse?: Reuse | undefined
    readonly runTimeout?: Duration.DurationInput | undefined
    readonly executionTimeout?: Duration.DurationInput | undefined
  }
  & (void extends Payload ? { readonly payload?: Payload } : { readonly payload: Payload })

/**
 * The error of a start whose policies may refuse it.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusal<Options, Refusing = "fail" | "never"> = [
  Extract<Options[keyof Options & ("conflict" | "reuse")], Refusing>
] extends [never] ? never : AlreadyStarted

/**
 * The same of a start with a signal, which cannot be sent to a run that has ended well.
 *
 * @since 0.1.0
 * @category models
 */
export type SignalRefusal<Options> = Refusal<Options, "fail" | "never" | "whenFailed">

/**
 * Which runs to list, and how many.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListOptions extends RunFilter {
  /** At most this many; default 100, and never more than 1,000. */
  readonly limit?: number | undefined
  /** The `next` of the page before; default: the first page. */
  readonly cursor?: string | undefined
}

/**
 * Some of the runs that are listed, newest first, and where the next page begins, if there is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  readonly runs: ReadonlyArray<RunRecord>
  readonly next: Option.Option<string>
}

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  Unserved
} from "./internal/journal/unserved.js"

/**
 * A run and what is pending in it. `unserved` is what of this the run waits for in vain: no live worker has the code of its
 * workflow or of an activity, or serves a queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunDescription extends RunRecord {
  readonly unserved: ReadonlyArray<Unserved>
  readonly activities: ReadonlyArray<PendingActivity>
  readonly timers: ReadonlyArray<PendingTimer>
}

/**
 * What a run is doing: `Running`, possibly `blocked` for a reason that a developer has to mend, or `Closed` with the exit
 * of its code.
 *
 * @since 0.1.0
 * @category models
 */
export type RunStatus<Success, Error> =
  | { readonly _tag: "Running"; readonly blocked: string | undefined }
  | { readonly _tag: "Closed"; readonly exit: Exit.Exit<Success, Error | ActivityError | RunFailed> }

/**
 * A run, seen from outside.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunHandle<out Success, out Error> {
  readonly workflowId: string
  readonly runId: string
  /** When the run was started, in milliseconds since the epoch. */
  readonly startedAt: number
  /**
   * Waits until the run has closed, or the last of those that have gone on from it. A run that is blocked waits for a
   * developer: `poll` tells why.
   */
  readonly result: Effect.Effect<Success, Error | ActivityError | RunFailed | JournalError>
  /** The same for this very run; fails with `RunFailed` when it has gone on as another one. */
  readonly ownResult: Effect.Effect<Success, Error | ActivityError | RunFailed | JournalError>
  /** Looks, and never waits. */
  readonly poll: Effect.Effect<RunStatus<Success, Error>, JournalError>
  /** Sends the run a signal; see the function of this name. */
  readonly signal: <Payload>(
    signal: Signal<Payload>,
    payload: Payload,
    options?: SignalOptions
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded | JournalError>
  /** Asks the run to end; see the function of this name. */
  readonly cancel: (options?: CancelOptions) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
  /** Ends the run; see the function of this name. */
  readonly terminate: (options?: EndOptions) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
}

/**
 * A client of the journal. {@link Engine} provides one too, so a process with an engine needs no other.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Client, never, Journal> = Layer.effect(Client, client)

/**
 * Starts a run and gives its handle once the journal has it.
 *
 * Idempotent by id: when the id has a run already, of the same workflow, that run's handle is given, whatever its payload
 * and whether or not it has closed. `conflict` and `reuse` change that.
 *
 * Fails with {@link InvalidPayload} when the payload does not fit its schema or is too large for the journal, with
 * {@link WorkflowMismatch} when the id belongs to a run of another workflow, and with {@link AlreadyStarted} when a policy
 * refuses.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Client, Workflow } from "holdfast/Workflow"
 *
 * const Greeting = Workflow.make("Greeting", { payload: Schema.String, success: Schema.String })
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* Client.start(Greeting, { id: "greet-ada", payload: "Ada" })
 *   return yield* run.result
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const start = <Payload, Success, Error, const Options extends StartOptions<Payload>>(
  workflow: Workflow<Payload, Success, Error>,
  options: Options
): Effect.Effect<
  RunHandle<Success, Error>,
  InvalidPayload | WorkflowMismatch | JournalError | Refusal<Options>,
  Client
> => Effect.flatMap(Client, (client) => client.start(workflow, options))

/**
 * Sends a signal to the open run of an id, and starts one first if there is none: both, or neither. A closed run cannot be
 * attached to, so by default a new one is started.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Client, Signal, Workflow } from "holdfast/Workflow"
 *
 * const Basket = Workflow.make("Basket")
 * const Added = Signal.make("Added", { payload: Schema.String })
 *
 * const program = Client.signalWithStart(Basket, { id: "basket-ada" }, Added, "lamp")
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const signalWithStart = <Payload, Success, Error, A, const Options extends StartOptions<Payload>>(
  workflow: Workflow<Payload, Success, Error>,
  options: Options,
  signal: Signal<A>,
  payload: A,
  signalOptions?: SignalOptions
): Effect.Effect<
  RunHandle<Success, Error>,
  InvalidPayload | WorkflowMismatch | JournalError | SignalRefusal<Options>,
  Client
> => Effect.flatMap(Client, (client) => client.signalWithStart(workflow, options, signal, payload, signalOptions))

/**
 * The handle of the run with this id.
 *
 * @since 0.1.0
 * @category operations
 */
export const get = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  id: string
): Effect.Effect<RunHandle<Success, Error>, RunNotFound | WorkflowMismatch | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.get(workflow, id))

/**
 * The result of the run with this id; waits until it has closed.
 *
 * @since 0.1.0
 * @category operations
 */
export const result = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  id: string
): Effect.Effect<
  Success,
  Error | ActivityError | RunFailed | RunNotFound | WorkflowMismatch | JournalError,
  Client
> => Effect.flatMap(get(workflow, id), (run) => run.result)

/**
 * What the run with this id is doing; never waits.
 *
 * @since 0.1.0
 * @category operations
 */
export const poll = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  id: string
): Effect.Effect<RunStatus<Success, Error>, RunNotFound | WorkflowMismatch | JournalError, Client> =>
  Effect.flatMap(get(workflow, id), (run) => run.poll)

/**
 * Sends a signal to the run of a workflow id. When this has succeeded the signal is in the journal.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Client, Signal } from "holdfast/Workflow"
 *
 * const Approved = Signal.make("Approved", { payload: Schema.String })
 *
 * const program = Client.signal("order-123", Approved, "ops", { id: "approval-7" })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const signal = <Payload>(
  id: string,
  signal: Signal<Payload>,
  payload: Payload,
  options?: SignalOptions
): Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.signal(id, signal, payload, options))

/**
 * Asks the run of a workflow id to end: it is interrupted, and its finalizers run as compensation, for as long as they
 * need, or until the `timeout` of a request is over. Otherwise only the first request counts.
 *
 * @example
 * ```ts
 * import { Client } from "holdfast/Workflow"
 *
 * const program = Client.cancel("order-123", { reason: "the customer has called" })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const cancel = (
  id: string,
  options?: CancelOptions
): Effect.Effect<void, RunNotFound | RunEnded | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.cancel(id, options))

/**
 * Ends the run of a workflow id at once, without running any more of its code.
 *
 * @example
 * ```ts
 * import { Client } from "holdfast/Workflow"
 *
 * const program = Client.terminate("order-123", { reason: "started by mistake" })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const terminate = (
  id: string,
  options?: EndOptions
): Effect.Effect<void, RunNotFound | RunEnded | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.terminate(id, options))

/**
 * Ends an attempt from outside with a success, by the token that its handler has handed out. It may still be running, and is
 * interrupted then.
 *
 * When this has succeeded the success is in the journal, and it is the only end of that activity. Fails with
 * {@link AttemptNotPending} when the attempt has ended already, or has timed out.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Activity, Client } from "holdfast/Workflow"
 *
 * const Approval = Activity.make("Approval", { success: Schema.Boolean })
 *
 * const onClick = (token: string) => Client.completeActivity(Approval, token, true)
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const completeActivity = <Payload, Success, Error, Details>(
  activity: Activity<Payload, Success, Error, Details>,
  token: string,
  value: Success
): Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.completeActivity(activity, token, value))

/**
 * The same with an error: the attempt has failed, and is retried by the policy of the activity.
 *
 * @since 0.1.0
 * @category operations
 */
export const failActivity = <Payload, Success, Error, Details>(
  activity: Activity<Payload, Success, Error, Details>,
  token: string,
  error: Error
): Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.failActivity(activity, token, error))

/**
 * Tells from outside that an attempt is alive, and how far it has come. Each call is a write.
 *
 * @since 0.1.0
 * @category operations
 */
export const heartbeatActivity = <Payload, Success, Error, Details>(
  activity: Activity<Payload, Success, Error, Details>,
  token: string,
  details: Details
): Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.heartbeatActivity(activity, token, details))

/**
 * One page of the runs that fit a filter, newest first.
 *
 * @example
 * ```ts
 * import { Client } from "holdfast/Workflow"
 *
 * const failed = Client.list({ workflow: "Order", status: "Failure", limit: 20 })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const list = (options?: ListOptions): Effect.Effect<Page, InvalidCursor | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.list(options))

/**
 * All runs that fit a filter, newest first, read page by page.
 *
 * @since 0.1.0
 * @category operations
 */
export const listAll = (
  options?: Omit<ListOptions, "cursor">
): Stream.Stream<RunRecord, InvalidCursor | JournalError, Client> =>
  Stream.paginateChunkEffect(undefined as string | undefined, (cursor) =>
    Effect.map(
      list({ ...options, cursor }),
      ({ next, runs }) => [Chunk.fromIterable(runs), next] as const
    ))

/**
 * How many runs fit a filter.
 *
 * @since 0.1.0
 * @category operations
 */
export const count = (filter?: RunFilter): Effect.Effect<number, JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.count(filter))

/**
 * The newest run of a workflow id, and what is pending in it.
 *
 * @since 0.1.0
 * @category operations
 */
export const describe = (id: string): Effect.Effect<RunDescription, RunNotFound | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.describe(id))

/**
 * The events of the newest run of a workflow id.
 *
 * @since 0.1.0
 * @category operations
 */
export const history = (id: string): Effect.Effect<ReadonlyArray<Event>, RunNotFound | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.history(id))
