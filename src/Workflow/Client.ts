/**
 * Starting runs and asking for their results. A client needs only the journal: a web process can start what another
 * process runs.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Closing, Posted, Unplaced } from "./Event.js"
import { makeRunId } from "./internal/runId.js"
import { Journal, type RunRecord } from "./Journal.js"
import type { Signal } from "./Signal.js"
import type { Workflow } from "./Workflow.js"
import {
  type ActivityError,
  InvalidPayload,
  type JournalError,
  RunEnded,
  type RunFailed,
  RunNotFound,
  WorkflowMismatch
} from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category services
 */
export class Client extends Context.Tag("holdfast/Workflow/Client")<Client, {
  readonly start: <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>,
    options: StartOptions<Payload>
  ) => Effect.Effect<RunHandle<Success, Error>, InvalidPayload | WorkflowMismatch | JournalError>
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
    options?: EndOptions
  ) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
  readonly terminate: (
    id: string,
    options?: EndOptions
  ) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
}>() {}

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
 * `id` is the starter's own name for the work, and what makes starting idempotent.
 *
 * @since 0.1.0
 * @category models
 */
export type StartOptions<Payload> =
  & { readonly id: string }
  & (void extends Payload ? { readonly payload?: Payload } : { readonly payload: Payload })

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
  /** When it was started, in milliseconds since the epoch. */
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
  /** Sends it a signal; see the function of this name. */
  readonly signal: <Payload>(
    signal: Signal<Payload>,
    payload: Payload,
    options?: SignalOptions
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded | JournalError>
  /** Asks it to end; see the function of this name. */
  readonly cancel: (options?: EndOptions) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
  /** Ends it; see the function of this name. */
  readonly terminate: (options?: EndOptions) => Effect.Effect<void, RunNotFound | RunEnded | JournalError>
}

type HandleOf<W> = W extends Workflow<infer _Payload, infer Success, infer Error> ? RunHandle<Success, Error> : never

/**
 * A client of the journal. {@link Engine} provides one too, so a process with an engine needs no other.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Client, never, Journal> = Layer.effect(
  Client,
  Effect.gen(function*() {
    const journal = yield* Journal

    /** A payload, if it fits its schema and the journal takes it. */
    const admitted = (workflow: string, encoded: Either.Either<string | null, string>) =>
      Either.mapLeft(
        Either.flatMap(encoded, (text) => {
          const refusal = journal.refuse(text)
          return refusal === undefined ? Either.right(text) : Either.left(refusal)
        }),
        (detail) => new InvalidPayload({ workflow, detail })
      )

    const post = (
      workflowId: string,
      event: Unplaced<Posted>
    ): Effect.Effect<void, RunNotFound | RunEnded | JournalError> =>
      Effect.flatMap(
        // Only what the owner of a run writes can be stale.
        Effect.catchTag(journal.commit({ _tag: "Post", workflowId, event }), "StaleOwner", Effect.die),
        (receipt): Effect.Effect<void, RunNotFound | RunEnded> =>
          receipt._tag !== "NotOpen"
            ? Effect.void
            : receipt.known
            ? new RunEnded({ workflowId })
            : new RunNotFound({ workflowId })
      )

    /** The end of a run, or of the last of those that have gone on from it. */
    const lastOf = (
      runId: string
    ): Effect.Effect<{ readonly runId: string; readonly closed: Closing }, JournalError> =>
      Effect.flatMap(journal.awaitClosed(runId), (closed) =>
        closed._tag === "RunClosed" && closed.next !== undefined
          ? lastOf(closed.next)
          : Effect.succeed({ runId, closed }))

    const to = (workflowId: string) => ({
      signal: <Payload>(signal: Signal<Payload>, payload: Payload, options?: SignalOptions) =>
        Either.match(admitted(`signal ${signal.name}`, signal.encode(payload)), {
          onLeft: Effect.fail,
          onRight: (text) =>
            Effect.flatMap(Clock.currentTimeMillis, (at) =>
              post(workflowId, {
                _tag: "SignalReceived",
                signal: signal.name,
                at,
                ...(options?.id === undefined ? {} : { id: options.id }),
                payload: text
              }))
        }),
      cancel: (options?: EndOptions) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (at) => post(workflowId, { _tag: "CancelRequested", at, reason: options?.reason ?? "" })
        ),
      terminate: (options?: EndOptions) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (at) => post(workflowId, { _tag: "RunTerminated", at, reason: options?.reason ?? "" })
        )
    })

    const handleOf = <Payload, Success, Error>(
      workflow: Workflow<Payload, Success, Error>,
      { closed, runId, startedAt, workflow: name, workflowId }: RunRecord
    ): Either.Either<RunHandle<Success, Error>, WorkflowMismatch> => {
      if (name !== workflow.name) {
        return Either.left(new WorkflowMismatch({ workflowId, expected: workflow.name, actual: name }))
      }
      const run = { workflowId, runId }
      return Either.right({
        ...run,
        ...to(workflowId),
        startedAt,
        result: Effect.flatMap(lastOf(runId), (last) => workflow.exitOf({ ...run, runId: last.runId }, last.closed)),
        ownResult: Effect.flatMap(
          closed === undefined ? journal.awaitClosed(runId) : Effect.succeed(closed),
          (closed) => workflow.exitOf(run, closed)
        ),
        poll: Effect.map(journal.store.latest(workflowId), (found): RunStatus<Success, Error> => {
          const record = Option.getOrUndefined(found)
          return record?.closed === undefined
            ? { _tag: "Running", blocked: record?.blocked }
            : { _tag: "Closed", exit: workflow.exitOf(run, record.closed) }
        })
      })
    }

    return {
      start: (workflow, { id, payload }) =>
        Effect.gen(function*() {
          const encoded = yield* admitted(
            workflow.name,
            workflow.encodePayload(payload as Parameters<typeof workflow.encodePayload>[0])
          )
          const at = yield* Clock.currentTimeMillis
          const receipt = yield* Effect.catchTag(
            journal.commit({
              _tag: "Start",
              runId: yield* makeRunId(at),
              workflowId: id,
              workflow: workflow.name,
              at,
              payload: encoded,
              worker: undefined
            }),
            "StaleOwner",
            Effect.die
          )
          return yield* receipt._tag === "Started"
            ? handleOf(workflow, receipt.record)
            : Effect.dieMessage(`a start was answered by ${receipt._tag}`)
        }),
      get: (workflow, id) =>
        Effect.flatMap(
          journal.store.latest(id),
          (found): Effect.Effect<HandleOf<typeof workflow>, RunNotFound | WorkflowMismatch> =>
            Option.isNone(found) ? new RunNotFound({ workflowId: id }) : handleOf(workflow, found.value)
        ),
      signal: (id, signal, payload, options) => to(id).signal(signal, payload, options),
      cancel: (id, options) => to(id).cancel(options),
      terminate: (id, options) => to(id).terminate(options)
    }
  })
)

/**
 * Starts a run and gives its handle once the journal has it.
 *
 * Idempotent by id: when the id has a run already, of the same workflow, that run's handle is given, whatever its payload
 * and whether or not it has closed.
 *
 * Fails with {@link InvalidPayload} when the payload does not fit its schema or is too large for the journal, and with {@link WorkflowMismatch} when the
 * id belongs to a run of another workflow.
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
export const start = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  options: StartOptions<Payload>
): Effect.Effect<RunHandle<Success, Error>, InvalidPayload | WorkflowMismatch | JournalError, Client> =>
  Effect.flatMap(Client, (client) => client.start(workflow, options))

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
 * need. Only the first request counts.
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
  options?: EndOptions
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
