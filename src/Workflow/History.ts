/**
 * The history of a run as a file: out of the journal, and back.
 *
 * What is exported where workflows run is replayed where code is tested, with `Replay`.
 *
 * Files are read and written through the `FileSystem` of `@effect/platform`, which this room needs anyway, so that a test
 * may give one of its own.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import { Path } from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Event } from "./Event.js"
import * as historyText from "./internal/turn/historyText.js"
import { Journal } from "./Journal.js"
import { type JournalError, RunNotFound } from "./WorkflowError.js"

/**
 * The history of one run, as it is exported: who the run is, and its events. Payloads stand in it as the journal holds
 * them, readable for whoever can read the file.
 *
 * @since 0.1.0
 * @category models
 */
export const History = Schema.Struct({
  format: Schema.Literal(1),
  run: Schema.Struct({
    workflow: Schema.String,
    workflowId: Schema.String,
    runId: Schema.String,
    startedAt: Schema.Number
  }),
  events: Schema.Array(Event)
})

/**
 * @since 0.1.0
 * @category models
 */
export type History = typeof History.Type

/**
 * This is not the history of a run.
 *
 * - `Json`: it is no JSON.
 * - `Format`: it has another shape.
 * - `Version`: it has a later version of the format.
 * - `Empty`: it has no events.
 * - `UnknownEvent`: it holds an event of a kind that this version does not know.
 * - `Numbers`: its events are not numbered from 1 without gaps.
 * - `NotStarted`: it does not begin with `RunStarted`.
 * - `Ended`: something stands after the end of the run.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidHistory
  extends Schema.TaggedError<InvalidHistory>("holdfast/Workflow/InvalidHistory")("InvalidHistory", {
    reason: Schema.Literal("Json", "Format", "Version", "Empty", "UnknownEvent", "Numbers", "NotStarted", "Ended"),
    detail: Schema.String
  })
{
  override get message(): string {
    const isNewer = this.reason === "Version" || this.reason === "UnknownEvent"
    return isNewer
      ? `this history is of a newer version (${this.reason}): ${this.detail}; replay it with the version of holdfast that has exported it, or a later one`
      : `this is not the history of a run (${this.reason}): ${this.detail}; export it again with History.write`
  }
}

/**
 * As JSON text, one event on each line, so that a change of one is a change of one line.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = (history: History): string => {
  const { events, ...head } = Schema.encodeSync(History)(history)
  const body = events.map((event) => `    ${JSON.stringify(event)}`).join(",\n")
  return `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "events": [\n${body}\n  ]\n}\n`
}

/**
 * From JSON text. An `Either` is an Effect, too.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { History } from "holdfast/Workflow"
 *
 * declare const text: string
 *
 * const program = Effect.gen(function*() {
 *   const history = yield* History.fromJson(text)
 *   return history.events.length
 * })
 * ```
 *
 * @since 0.1.0
 * @category encoding
 */
export const fromJson = (text: string): Either.Either<History, InvalidHistory> =>
  Either.try(() => JSON.parse(text) as unknown).pipe(
    Either.mapLeft((error) => new InvalidHistory({ reason: "Json", detail: String(error) })),
    Either.flatMap((value) => refused(historyText.decode(History, value)))
  )

/**
 * The same history, if these are all events of a run from its start, in their order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checked = (history: History): Either.Either<History, InvalidHistory> =>
  refused(Either.map(historyText.whole(history.events), () => history))

const refused = <A>(either: Either.Either<A, historyText.Problem>): Either.Either<A, InvalidHistory> =>
  Either.mapLeft(either, (problem) => new InvalidHistory(problem))

/**
 * The history of a run in the journal: of the newest run of a workflow id, or of a run that has ended, by its own id.
 *
 * @since 0.1.0
 * @category operations
 */
export const read = (id: string): Effect.Effect<History, JournalError | RunNotFound, Journal> =>
  Effect.gen(function*() {
    const { store } = yield* Journal
    const newest = yield* store.latest(id)
    const [record] = Option.isSome(newest) ? [newest.value] : yield* store.closed([id])
    if (record === undefined) return yield* new RunNotFound({ workflowId: id })
    const { runId, startedAt, workflow, workflowId } = record
    return { format: 1 as const, run: { workflow, workflowId, runId, startedAt }, events: yield* store.history(runId) }
  })

/**
 * Writes the histories of these runs into a folder, one file each, and gives the paths of the files. An id is a workflow
 * id, which stands for its newest run, or that of a run that has ended.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import { History } from "holdfast/Workflow"
 *
 * const files = History.write(["order-1", "order-2"], "test/histories").pipe(Effect.provide(NodeContext.layer))
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const write = (
  ids: ReadonlyArray<string>,
  folder: string
): Effect.Effect<
  ReadonlyArray<string>,
  JournalError | RunNotFound | PlatformError,
  Journal | FileSystem | Path
> =>
  Effect.gen(function*() {
    const files = yield* FileSystem
    const path = yield* Path
    yield* files.makeDirectory(folder, { recursive: true })
    return yield* Effect.forEach(ids, (id) =>
      Effect.gen(function*() {
        const history = yield* read(id)
        const { runId, workflow } = history.run
        const file = path.join(folder, `${`${workflow}-${runId}`.replace(/[^\w.-]+/g, "-")}.json`)
        yield* files.writeFileString(file, toJson(history))
        return file
      }))
  })
