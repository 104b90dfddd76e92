/**
 * Where runs live: an event-sourced, append-only journal.
 *
 * A run's events are the truth. Everything else that a journal keeps (which runs are open, which activities and timers
 * are pending, who owns a run) is an index of them. All writes of a process go through one writer that commits in groups:
 * whoever wrote goes on once the commit that holds its events has succeeded.
 *
 * - {@link layerMemory}: for tests, and for work that may die with the process.
 * - {@link layerSql}: on `@effect/sql`; today SQLite, with `@effect/sql-sqlite-node`.
 *
 * A store of your own implements {@link JournalStore}; {@link make} gives it the writer.
 *
 * @since 0.1.0
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Codec } from "./Codec.js"
import type { ActivityScheduled, Closing, Event, Posted, Unplaced } from "./Event.js"
import { codedStore } from "./internal/codec/codedStore.js"
import { groupCommit } from "./internal/groupCommit.js"
import { memoryStore } from "./internal/memoryStore.js"
import { sqlStore } from "./internal/sqlStore.js"
import { watcher } from "./internal/watcher.js"
import type { JournalError, StaleOwner } from "./WorkflowError.js"

/**
 * A run, as its journal knows it without reading its history.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunRecord {
  readonly runId: string
  readonly workflowId: string
  readonly workflow: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Why no worker can go on with it at present: the message of a `NondeterminismError`. */
  readonly blocked: string | undefined
  /** Its last event, when it has ended. */
  readonly closed: Closing | undefined
}

/**
 * A run that a worker owns.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnedRun {
  readonly runId: string
  readonly workflowId: string
  readonly workflow: string
  readonly startedAt: number
  /** The fencing epoch: counts the owners of the run. */
  readonly epoch: number
  /** Something has arrived that no turn has consumed. */
  readonly due: boolean
  /** Its last owner could not go on with it. */
  readonly blocked: boolean
}

/**
 * An activity that has been scheduled and has not ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingActivity {
  readonly runId: string
  readonly scheduled: ActivityScheduled
  /** The number of the next attempt, from 1. */
  readonly attempt: number
  /** When that attempt may start, in milliseconds since the epoch. */
  readonly notBefore: number
}

/**
 * A timer that has been started and has neither fired nor been cancelled.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingTimer {
  readonly runId: string
  readonly command: number
  readonly fireAt: number
}

/**
 * The runs that a worker has just become the owner of, and what is pending in them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claimed {
  /** Runs that the worker owned before, to which others have written what no turn has consumed: up to this number. */
  readonly due: ReadonlyArray<{ readonly runId: string; readonly dueSeq: number }>
  readonly runs: ReadonlyArray<OwnedRun>
  readonly activities: ReadonlyArray<PendingActivity>
  readonly timers: ReadonlyArray<PendingTimer>
  /** Those of the runs of which an activity cannot be read at present: it is in their history. Default: none. */
  readonly unread?: ReadonlyArray<string> | undefined
}

/**
 * One thing to write. The entries of a group are written together or not at all, but each may be refused alone.
 *
 * - `Start`: a new run, unless the workflow id has one already.
 * - `Append`: events of an open run, by its owner.
 * - `Post`: a signal, a request to end, or the end of the open run of a workflow id, by anybody.
 * - `Block`: notes why a run cannot go on, or that it can again. It is no event: the history does not change.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry =
  | {
    readonly _tag: "Start"
    readonly runId: string
    readonly workflowId: string
    readonly workflow: string
    readonly at: number
    readonly payload: string | null
    /** The worker that owns it from the start; `undefined`: whoever claims it. */
    readonly worker: string | undefined
  }
  | {
    readonly _tag: "Append"
    readonly runId: string
    readonly worker: string
    readonly epoch: number
    readonly events: ReadonlyArray<Unplaced<Event>>
    /** Where the run is closed so that another one goes on: that run, which gets the same owner. */
    readonly next?: NextRun | undefined
  }
  | {
    readonly _tag: "Post"
    readonly workflowId: string
    readonly event: Unplaced<Posted>
  }
  | {
    readonly _tag: "Block"
    readonly runId: string
    readonly worker: string
    readonly epoch: number
    readonly reason: string | undefined
  }

/**
 * A run that goes on where another one of the same workflow id has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface NextRun {
  readonly runId: string
  readonly at: number
  readonly payload: string | null
  /** What was sent to the run before, and not taken. */
  readonly posted: ReadonlyArray<Unplaced<Posted>>
}

/**
 * What became of an entry.
 *
 * - `Started`: the run of that workflow id, and whether this entry created it.
 * - `Outrun`: refused, since what the run has not seen yet would be lost: it may not continue as another run before.
 * - `Appended`: the number of the run's last event, and whether something has arrived that no turn has consumed.
 * - `Posted`: the run that it was written to, and the event with its number. `owner` is the worker that owns the run.
 * - `Known`: a signal with this id has been written before.
 * - `NotOpen`: there is no such run, or it has closed.
 * - `Stale`: refused, since the writer does not own the run, or the run has closed.
 *
 * @since 0.1.0
 * @category models
 */
export type Receipt =
  | { readonly _tag: "Started"; readonly created: boolean; readonly record: RunRecord }
  | { readonly _tag: "Appended"; readonly lastSeq: number; readonly due: boolean }
  | { readonly _tag: "Outrun" }
  | { readonly _tag: "Posted"; readonly runId: string; readonly owner: string | undefined; readonly event: Posted }
  | { readonly _tag: "Known"; readonly runId: string }
  | { readonly _tag: "NotOpen"; readonly known: boolean }
  | { readonly _tag: "Stale" }

/**
 * What a store implements. It knows nothing of workflows.
 *
 * @since 0.1.0
 * @category models
 */
export interface JournalStore {
  /**
   * Writes all entries in one transaction, in their order, and gives a receipt for each. Starts come first and posts
   * second. When it fails, nothing was written and the store is as usable as before.
   */
  readonly write: (entries: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Receipt>, JournalError>
  /** The events of a run, in order; none for an unknown run. */
  readonly history: (runId: string) => Effect.Effect<ReadonlyArray<Event>, JournalError>
  /** The newest run of a workflow id. */
  readonly latest: (workflowId: string) => Effect.Effect<Option.Option<RunRecord>, JournalError>
  /** The records of those of these runs that have closed. */
  readonly closed: (runIds: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<RunRecord>, JournalError>
  /**
   * Makes the worker, alive until `leaseUntil`, the owner of every open run of these workflows that has no owner, or one
   * whose lease is over at `now`. A worker that owns runs has a lease from its first claim or heartbeat to its release.
   */
  readonly claim: (options: {
    readonly worker: string
    readonly workflows: ReadonlyArray<string>
    readonly now: number
    readonly leaseUntil: number
  }) => Effect.Effect<Claimed, JournalError>
  /** Extends the worker's lease. */
  readonly heartbeat: (worker: string, leaseUntil: number) => Effect.Effect<void, JournalError>
  /** Gives up everything the worker owns. */
  readonly release: (worker: string) => Effect.Effect<void, JournalError>
  /** Changes when another process has written; `undefined` when no other process can. */
  readonly version: Effect.Effect<number | undefined, JournalError>
}

/**
 * A worker of this process. Runs that are started here, of a workflow that it takes, are handed to it directly.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalWorker {
  readonly worker: string
  readonly takes: (workflow: string) => boolean
  /** It owns a run that has just been started, with epoch 1. */
  readonly onStarted: (run: OwnedRun, payload: string | null) => void
  /** Somebody in this process has written to a run that it owns. Called in the order of the run's events. */
  readonly onPosted: (runId: string, event: Posted) => void
  /** Another process has written to the journal. */
  readonly onForeignWrite: () => void
}

/**
 * The journal of this process: a store, its one writer, and the news of what is written.
 *
 * @since 0.1.0
 * @category services
 */
export class Journal extends Context.Tag("holdfast/Workflow/Journal")<Journal, {
  readonly store: JournalStore
  /** Why a payload cannot become part of a run; `undefined`: it can. */
  readonly refuse: (payload: string | null) => string | undefined
  /** Writes one entry with the next group. */
  readonly commit: (
    entry: Entry
  ) => Effect.Effect<Exclude<Receipt, { readonly _tag: "Stale" }>, JournalError | StaleOwner>
  /** The same with a callback, which is called in the order of the entries. */
  readonly unsafeCommit: (entry: Entry, done: (exit: Exit.Exit<Receipt, JournalError>) => void) => void
  /** Waits until the run has closed, here or in another process. */
  readonly awaitClosed: (runId: string) => Effect.Effect<Closing, JournalError>
  /** Makes a worker of this process known for the life of a scope. */
  readonly attach: (worker: LocalWorker) => Effect.Effect<void, never, Scope.Scope>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How often to look whether another process has written, where the store can be shared by processes. Default 200 ms.
   */
  readonly pollInterval?: Duration.DurationInput | undefined
}

/**
 * A journal on a store, with the codec of the context; see `Codec`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  plain: JournalStore,
  options?: Options
): Effect.Effect<Context.Tag.Service<Journal>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const codec = yield* Codec
    const store = codedStore(plain, codec)
    const refuse = (payload: string | null) => payload === null ? undefined : codec.refuse(payload)
    const watch = yield* watcher(store, options?.pollInterval ?? "200 millis")
    const writer = yield* groupCommit(store, watch.onWritten, watch.localWorkerFor)
    return { store, refuse, ...writer, awaitClosed: watch.awaitClosed, attach: watch.attach }
  })

/**
 * A journal that dies with the process. It encodes like the others, so a payload that cannot be stored fails here too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Journal> = Layer.scoped(Journal, Effect.suspend(() => make(memoryStore())))

/**
 * A journal in a SQL database, given as a `SqlClient`. It creates and migrates its own tables, all named `holdfast_*`.
 *
 * On SQLite it sets `synchronous = FULL`: what was acknowledged survives a power cut.
 *
 * @example
 * ```ts
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Layer } from "effect"
 * import { Journal } from "holdfast/Workflow"
 *
 * const JournalLive = Journal.layerSql().pipe(Layer.provide(SqliteClient.layer({ filename: "orders.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSql = (options?: Options): Layer.Layer<Journal, JournalError, SqlClient> =>
  Layer.scoped(Journal, Effect.flatMap(sqlStore, (store) => make(store, options)))
