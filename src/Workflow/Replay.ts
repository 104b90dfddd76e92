/**
 * Does the code of today still fit the histories of yesterday?
 *
 * Export histories where workflows run (`History.write`), keep them beside the code, and replay them in continuous
 * integration ({@link verifyFolder}). The layers that the application registers with its engine are replayed as they are:
 * {@link layer} takes the place of `Engine.layer`, and only notes what is registered. No activity is called, nothing is
 * printed, and nothing is written.
 *
 * A replay takes the recorded turns one by one, with their recorded times, and compares every command. What it gives is
 * the code's own: an end that the history holds and the code does not reach is a difference, never an outcome.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import { Path } from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import { Engine } from "./Engine.js"
import { type Arrival, type Command, isClosing, type Unsequenced } from "./Event.js"
import * as History from "./History.js"
import type { WorkflowRegistration } from "./internal/engine/worker.js"
import { Execution } from "./internal/turn/execution.js"
import { examine } from "./internal/turn/replay.js"
import type { Journal } from "./Journal.js"
import type { Run, RunIdentity } from "./Run.js"
import type { UseOtherServicesInAnActivity, Workflow } from "./Workflow.js"
import {
  type ActivityError,
  type JournalError,
  NondeterminismError,
  RunFailed,
  type RunNotFound
} from "./WorkflowError.js"

/**
 * The code of the workflows whose layers stand on {@link layer}.
 *
 * @since 0.1.0
 * @category services
 */
export class Code extends Context.Tag("holdfast/Workflow/Replay/Code")<Code, {
  /** The names of the workflows. */
  readonly workflows: Effect.Effect<ReadonlyArray<string>>
  /** @internal */
  readonly find: (workflow: string) => WorkflowRegistration | undefined
}>() {}

/**
 * Takes the place of `Engine.layer` where histories are replayed: the layers of workflows register their code here. Those
 * of activities may be there too, and are never called.
 *
 * Building a workflow's layer dies with `InvalidOptions` when another one of the same name is there.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { type History, Replay, Workflow } from "holdfast/Workflow"
 *
 * const Nap = Workflow.make("Nap")
 * const NapLive = Nap.toLayer(() => Effect.sleep("1 minute"))
 *
 * declare const history: History.History
 *
 * const check = Replay.registered(history).pipe(
 *   Effect.flatMap(Replay.orFail),
 *   Effect.provide(Layer.provideMerge(NapLive, Replay.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Engine | Code> = Layer.effectContext(Effect.sync(() => {
  const registrations = new Map<string, WorkflowRegistration>()
  return Context.make(Code, {
    workflows: Effect.sync(() => [...registrations.keys()]),
    find: (workflow) => registrations.get(workflow)
  }).pipe(Context.add(Engine, {
    workerId: "replay",
    blocked: Effect.succeed([]),
    addWorkflow: (registration) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const { name } = registration
          if (registrations.has(name)) {
            reader("Workflow.toLayer").refuse("name", name, "a name that no other workflow of this replay has")
          }
          registrations.set(name, registration)
        }),
        () => Effect.sync(() => registrations.delete(registration.name))
      ),
    addActivity: () => Effect.void
  }))
}))

/**
 * No code of this workflow has been registered.
 *
 * @since 0.1.0
 * @category errors
 */
export class CodeNotFound extends Schema.TaggedError<CodeNotFound>("holdfast/Workflow/CodeNotFound")("CodeNotFound", {
  workflow: Schema.String,
  /** The workflows that have code. */
  registered: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `there is no code of workflow ${this.workflow} to replay: build its layer (\`toLayer\`) on Replay.layer; ${
      this.registered.length === 0 ? "nothing is registered" : `registered: ${this.registered.join(", ")}`
    }`
  }
}

// --- replays

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * What is compared besides the kind, the number and the name of each command: `payload`, the default, also a digest of
   * its payload and of the run's result; `name` nothing more.
   */
  readonly strictness?: "payload" | "name" | undefined
  /** How many operations one turn may take. Default 1,000,000. A history may be of any length. */
  readonly opBudget?: number | undefined
}

/**
 * What a replay has found.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result<out Success = unknown, out Error = unknown> {
  readonly run: RunIdentity
  /**
   * Where the code first does not fit the history, if it does not. The number of the turn, what was expected, what the
   * code did, its fiber and its place in the source stand in it.
   */
  readonly difference: NondeterminismError | undefined
  /** How the code itself has ended, if it has. A run that goes on as another one has failed with `Continued`. */
  readonly outcome: Exit.Exit<Success, Error | ActivityError | RunFailed> | undefined
  /** How the run has ended according to its history, if it has. */
  readonly recorded: Exit.Exit<Success, Error | ActivityError | RunFailed> | undefined
  /** What has arrived and no recorded turn has consumed. */
  readonly arrivals: ReadonlyArray<Arrival>
  /**
   * What the code would ask for next: the commands of the turn that takes the `arrivals`. For open runs only, and for that
   * turn side effects are worked out, since no history holds them.
   */
  readonly newCommands: ReadonlyArray<Unsequenced<Command>>
}

/**
 * Replays a history with this code of this workflow.
 *
 * Fails when it is no history, or not one of this workflow. A difference is part of the result; {@link orFail} makes it a
 * failure.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { type History, Replay, Workflow } from "holdfast/Workflow"
 *
 * const Nap = Workflow.make("Nap", { success: Schema.String })
 *
 * declare const history: History.History
 *
 * const check = Replay.history(Nap, () => Effect.as(Effect.sleep("1 minute"), "rested"), history).pipe(
 *   Effect.flatMap(Replay.orFail)
 * )
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const history = <Payload, Success, Error, R extends Run | Scope.Scope | UseOtherServicesInAnActivity>(
  workflow: Workflow<Payload, Success, Error>,
  body: (payload: Payload) => Effect.Effect<Success, Error | ActivityError, R>,
  history: History.History,
  options?: Options
): Effect.Effect<Result<Success, Error>, History.InvalidHistory | CodeNotFound> =>
  workflow.name === history.run.workflow
    ? replayed(
      {
        name: workflow.name,
        exitOf: workflow.exitOf,
        program: workflow.program(
          // Its type has made sure that it requires nothing else.
          body as (payload: Payload) => Effect.Effect<Success, Error | ActivityError, Run | Scope.Scope>
        )
      },
      history,
      options
    ) as Effect.Effect<Result<Success, Error>, History.InvalidHistory>
    : new CodeNotFound({ workflow: history.run.workflow, registered: [workflow.name] })

/**
 * Replays a history with the code that is registered for its workflow.
 *
 * @since 0.1.0
 * @category operations
 */
export const registered = (
  history: History.History,
  options?: Options
): Effect.Effect<Result, History.InvalidHistory | CodeNotFound, Code> =>
  Effect.gen(function*() {
    const code = yield* Code
    const { workflow } = history.run
    const registration = code.find(workflow)
    if (registration === undefined) return yield* new CodeNotFound({ workflow, registered: yield* code.workflows })
    return yield* replayed(registration, history, options)
  })

/**
 * Replays what the journal holds: the newest run of a workflow id, or a run that has ended, by its own id.
 *
 * @since 0.1.0
 * @category operations
 */
export const fromJournal = (
  id: string,
  options?: Options
): Effect.Effect<Result, JournalError | RunNotFound | History.InvalidHistory | CodeNotFound, Journal | Code> =>
  Effect.flatMap(History.read(id), (history) => registered(history, options))

/**
 * Fails with the difference where there is one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const orFail = <Success, Error>(
  result: Result<Success, Error>
): Effect.Effect<Result<Success, Error>, NondeterminismError> =>
  result.difference === undefined ? Effect.succeed(result) : Effect.fail(result.difference)

const replayed = (
  { exitOf, program }: WorkflowRegistration,
  history: History.History,
  options: Options | undefined
): Effect.Effect<Result, History.InvalidHistory> =>
  Effect.flatMap(Effect.runtime(), (runtime) =>
    Either.map(History.checked(history), ({ events, run }) => {
      const { integer, refuse } = reader("Replay")
      const strictness = options?.strictness ?? "payload"
      const execution = new Execution({
        info: run,
        program,
        runtime,
        opBudget: integer("opBudget", options?.opBudget ?? 1_000_000, 1),
        strictness: strictness === "payload" || strictness === "name"
          ? strictness
          : refuse("strictness", strictness, `"payload" or "name"`),
        onFault: () => {}
      })
      try {
        const { arrivals, newCommands } = examine(execution, events)
        const { ended, fault } = execution
        const last = events.at(-1)!
        return {
          run,
          difference: fault,
          outcome: ended === undefined
            ? undefined
            : ended.outcome === "Continued"
            ? Exit.fail(
              new RunFailed({
                ...ids(run),
                reason: "Continued",
                detail: `it goes on with ${ended.payload ?? "no payload"}`
              })
            )
            : exitOf(run, { ...ended, seq: events.length }),
          recorded: isClosing(last) ? exitOf(run, last) : undefined,
          arrivals,
          newCommands
        } as Result
      } finally {
        execution.drop()
      }
    }))

const ids = ({ runId, workflowId }: RunIdentity) => ({ runId, workflowId })

// --- folders

/**
 * What has become of one file of a folder.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileResult {
  readonly file: string
  /** The result of the replay, or why the file could not be replayed. */
  readonly result: Either.Either<Result, History.InvalidHistory | CodeNotFound>
}

/**
 * Replays every history (`*.json`) of a folder, in the order of their names.
 *
 * @since 0.1.0
 * @category operations
 */
export const folder = (
  path: string,
  options?: Options
): Effect.Effect<ReadonlyArray<FileResult>, PlatformError, Code | FileSystem | Path> =>
  Effect.gen(function*() {
    const files = yield* FileSystem
    const { join } = yield* Path
    const names = (yield* files.readDirectory(path)).filter((name) => name.endsWith(".json")).sort()
    return yield* Effect.forEach(names, (name) =>
      Effect.gen(function*() {
        const file = join(path, name)
        const text = yield* files.readFileString(file)
        const result = yield* Effect.either(
          Effect.flatMap(History.fromJson(text), (history) => registered(history, options))
        )
        return { file, result }
      }))
  })

/**
 * The code does not fit the histories of a folder, or there was nothing to replay.
 *
 * @since 0.1.0
 * @category errors
 */
export class FolderMismatch
  extends Schema.TaggedError<FolderMismatch>("holdfast/Workflow/FolderMismatch")("FolderMismatch", {
    folder: Schema.String,
    /** How many histories were replayed. */
    histories: Schema.Int,
    failures: Schema.Array(
      Schema.Struct({
        file: Schema.String,
        error: Schema.Union(NondeterminismError, History.InvalidHistory, CodeNotFound)
      })
    )
  })
{
  override get message(): string {
    if (this.histories === 0) {
      return `there is no history (*.json) in ${this.folder}, so nothing was verified; write some with History.write`
    }
    return [
      `the code does not fit ${this.failures.length} of the ${this.histories} histories in ${this.folder}`,
      ...this.failures.map(({ error, file }) => `${file}: ${lines(error)}`)
    ].join("\n")
  }
}

const lines = (error: NondeterminismError | History.InvalidHistory | CodeNotFound): string =>
  error._tag !== "NondeterminismError" ? error.message : [
    `run ${error.runId} of workflow ${error.workflow}, turn ${error.turn}: ${error.reason}`,
    `  expected: ${error.expected}`,
    `  actual:   ${error.actual}`,
    ...(error.source === undefined ? [] : [`  source:   ${error.source}`])
  ].join("\n")

/**
 * Replays every history of a folder and fails, with all differences, unless each of them fits. A folder without histories
 * fails as well.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { Replay, Workflow } from "holdfast/Workflow"
 *
 * const Nap = Workflow.make("Nap")
 * const NapLive = Nap.toLayer(() => Effect.sleep("1 minute"))
 *
 * // The whole of a test.
 * const check = Replay.verifyFolder("test/histories").pipe(
 *   Effect.provide(Layer.provideMerge(NapLive, Replay.layer)),
 *   Effect.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const verifyFolder = (
  path: string,
  options?: Options
): Effect.Effect<ReadonlyArray<FileResult>, FolderMismatch | PlatformError, Code | FileSystem | Path> =>
  Effect.flatMap(folder(path, options), (results) => {
    const failures = results.flatMap(({ file, result }) => {
      const error = Either.isLeft(result) ? result.left : result.right.difference
      return error === undefined ? [] : [{ file, error }]
    })
    return failures.length === 0 && results.length > 0
      ? Effect.succeed(results)
      : new FolderMismatch({ folder: path, histories: results.length, failures })
  })
