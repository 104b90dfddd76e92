/**
 * A client of a journal: what it writes, what it reads, and who waits for what.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { reader } from "../../../InvalidOptions.js"
import type {
  Client,
  ListOptions,
  Refusal,
  RunHandle,
  RunStatus,
  SignalOptions,
  SignalRefusal,
  StartOptions
} from "../../Client.js"
import type { Closing, Message, SignalReceived, Unsequenced } from "../../Event.js"
import { type Entry, Journal, type Receipt, type RunRecord } from "../../Journal.js"
import type { Signal } from "../../Signal.js"
import type { Workflow } from "../../Workflow.js"
import {
  AlreadyStarted,
  InvalidPayload,
  type JournalError,
  RunEnded,
  RunNotFound,
  WorkflowMismatch
} from "../../WorkflowError.js"
import { idProblem } from "../codec/storableText.js"
import { makeRunId } from "../journal/runId.js"
import { SharedClock } from "../journal/sharedClock.js"
import { unservedOf } from "../journal/unserved.js"
import { activityEnds } from "./activityEnds.js"
import * as cursor from "./cursor.js"

type Service = Client["Type"]

export const client: Effect.Effect<Service, never, Journal> = Effect.gen(function*() {
  const journal = yield* Journal
  const { store } = journal
  const shared = yield* SharedClock

  // Only what the owner of a run writes can be stale.
  const commit = (entry: Entry) => Effect.catchTag(journal.commit(entry), "StaleOwner", Effect.die)

  const storable = (what: string, id: string) => {
    const detail = idProblem(id)
    return detail === undefined ? Effect.void : new InvalidPayload({ workflow: what, detail })
  }

  /** A payload, if it fits its schema and the journal takes it. */
  const admitted = (what: string, encoded: Either.Either<string | null, string>) =>
    Either.mapLeft(
      Either.flatMap(encoded, (text) => {
        const refusal = journal.refuse(text)
        return refusal === undefined ? Either.right(text) : Either.left(refusal)
      }),
      (detail) => new InvalidPayload({ workflow: what, detail })
    )

  const post = (
    workflowId: string,
    event: Unsequenced<Message>
  ): Effect.Effect<void, RunNotFound | RunEnded | JournalError> =>
    Effect.flatMap(
      commit({ _tag: "Post", workflowId, event }),
      (receipt): Effect.Effect<void, RunNotFound | RunEnded> =>
        receipt._tag !== "NotOpen"
          ? Effect.void
          : receipt.known
          ? new RunEnded({ workflowId })
          : new RunNotFound({ workflowId })
    )

  const received = <A>(
    signal: Signal<A>,
    payload: A,
    options: SignalOptions | undefined
  ): Effect.Effect<Unsequenced<SignalReceived>, InvalidPayload> =>
    Effect.gen(function*() {
      const { id } = options ?? {}
      if (id !== undefined) yield* storable(`signal ${signal.name}`, id)
      const text = yield* admitted(`signal ${signal.name}`, signal.encode(payload))
      const at = yield* Clock.currentTimeMillis
      return { _tag: "SignalReceived", signal: signal.name, at, ...(id === undefined ? {} : { id }), payload: text }
    })

  /** The end of a run, or of the last of those that have gone on from it. */
  const lastOf = (
    runId: string
  ): Effect.Effect<{ readonly runId: string; readonly closed: Closing }, JournalError> =>
    Effect.flatMap(journal.awaitClosed(runId), (closed) =>
      closed._tag === "RunClosed" && closed.next !== undefined
        ? lastOf(closed.next)
        : Effect.succeed({ runId, closed }))

  const to = (workflowId: string): Pick<RunHandle<never, never>, "signal" | "cancel" | "terminate"> => ({
    signal: (signal, payload, options) =>
      Effect.flatMap(received(signal, payload, options), (event) => post(workflowId, event)),
    cancel: (options) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (at) => {
          const { reason = "", timeout } = options ?? {}
          const by = timeout === undefined
            ? {}
            : { by: at + reader("Client.cancel").duration("timeout", timeout) }
          return post(workflowId, { _tag: "CancelRequested", at, reason, ...by })
        }
      ),
    terminate: (options) =>
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
      poll: Effect.map(store.run(runId), (found): RunStatus<Success, Error> => {
        const record = Option.getOrUndefined(found)
        return record?.closed === undefined
          ? { _tag: "Running", blocked: record?.blocked }
          : { _tag: "Closed", exit: workflow.exitOf(run, record.closed) }
      })
    })
  }

  const begin = <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>,
    options: StartOptions<Payload>,
    signal: Unsequenced<SignalReceived> | undefined
  ): Effect.Effect<RunHandle<Success, Error>, InvalidPayload | WorkflowMismatch | AlreadyStarted | JournalError> =>
    Effect.gen(function*() {
      const { conflict = "attach", executionTimeout, id, reuse = "attach", runTimeout } = options
      const { positiveDuration } = reader("Client.start")
      yield* storable(workflow.name, id)
      const payload = yield* admitted(workflow.name, workflow.encodePayload(options.payload as Payload))
      const at = yield* Clock.currentTimeMillis
      const receipt: Receipt = yield* commit({
        _tag: "Start",
        run: { runId: yield* makeRunId(at), worker: undefined },
        workflowId: id,
        workflow: workflow.name,
        started: {
          _tag: "RunStarted",
          at,
          ...(runTimeout === undefined ? {} : { runTimeout: positiveDuration("runTimeout", runTimeout) }),
          ...(executionTimeout === undefined
            ? {}
            : { executionDeadline: at + positiveDuration("executionTimeout", executionTimeout) }),
          payload
        },
        conflict,
        reuse,
        signal
      })
      if (receipt._tag === "Started") return yield* handleOf(workflow, receipt.record)
      if (receipt._tag !== "Exists") return yield* Effect.dieMessage(`a start was answered by ${receipt._tag}`)
      const { runId, status } = yield* Either.map(handleOf(workflow, receipt.record), () => receipt.record)
      return yield* new AlreadyStarted({ workflowId: id, runId, status })
    })

  const latest = (workflowId: string): Effect.Effect<RunRecord, RunNotFound | JournalError> =>
    Effect.flatMap(
      store.latest(workflowId),
      (found): Effect.Effect<RunRecord, RunNotFound> =>
        Option.isNone(found) ? new RunNotFound({ workflowId }) : Effect.succeed(found.value)
    )

  return {
    start: (workflow, options) => unlessRefused<Refusal<typeof options>>()(begin(workflow, options, undefined)),
    signalWithStart: (workflow, options, signal, payload, signalOptions) =>
      Effect.flatMap(
        received(signal, payload, signalOptions),
        (event) => unlessRefused<SignalRefusal<typeof options>>()(begin(workflow, options, event))
      ),
    get: (workflow, id) => Effect.flatMap(latest(id), (record) => handleOf(workflow, record)),
    signal: (id, signal, payload, options) => to(id).signal(signal, payload, options),
    cancel: (id, options) => to(id).cancel(options),
    terminate: (id, options) => to(id).terminate(options),
    ...activityEnds(journal),
    list: (options = {}) =>
      Effect.gen(function*() {
        const { cursor: text, limit: asked, ...filter } = options
        const limit = limitOf(asked)
        const after = text === undefined ? undefined : yield* cursor.decode(text)
        // One more than is asked for tells whether there is a next page.
        const runs = yield* store.list({ filter, after, limit: limit + 1 })
        const page = runs.slice(0, limit)
        const last = page.at(-1)
        return {
          runs: page,
          next: runs.length > limit && last !== undefined ? Option.some(cursor.encode(last)) : Option.none()
        }
      }),
    count: (filter = {}) => store.count(filter),
    describe: (id) =>
      Effect.gen(function*() {
        const record = yield* latest(id)
        const pending = yield* store.pending(record.runId)
        if (record.closed !== undefined) return { ...record, ...pending, unserved: [] }
        const owner = yield* store.owner(record.runId)
        const workers = yield* store.workers(shared.unsafeCurrentTimeMillis())
        return { ...record, ...pending, unserved: unservedOf({ ...record, ...pending, owner }, workers) }
      }),
    history: (id) => Effect.flatMap(latest(id), ({ runId }) => store.history(runId))
  }
})

/** A start whose policies cannot refuse is never refused. */
const unlessRefused = <Refused>() => <A, E>(start: Effect.Effect<A, E | AlreadyStarted>) =>
  Effect.mapError(start, (error) => error as Exclude<E, AlreadyStarted> | Refused)

const limitOf = (asked: ListOptions["limit"] = 100): number =>
  Math.min(reader("Client.list").integer("limit", asked, 1), 1_000)
