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
 * A store of your own implements {@link JournalStore}; {@link make} gives it the writer. `JournalConformance`, of
 * `holdfast/Testing/JournalConformance`, says whether it does all that is asked of it here.
 *
 * @since 0.1.0
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import { Codec } from "./Codec.js"
import type {
  ActivityScheduled,
  AttemptReport,
  ChildScheduled,
  Closing,
  Event,
  ExternalEvent,
  Message,
  RunStarted,
  SignalReceived,
  Status,
  Unsequenced
} from "./Event.js"
import { codedStore } from "./internal/codec/codedStore.js"
import { groupCommit } from "./internal/journal/groupCommit.js"
import { whileOpen } from "./internal/journal/openStore.js"
import { watcher } from "./internal/journal/watcher.js"
import { memoryStore } from "./internal/memory/memoryStore.js"
import { sqlStore } from "./internal/sql/sqlStore.js"
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
  readonly status: Status
  /** How many events the run's history has. */
  readonly events: number
  /** Why no worker can go on with it at present: the message of a `NondeterminismError`. */
  readonly blocked: string | undefined
  /** The last event of the run, when it has ended. */
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
  /** When the run times out: the earlier of its start and `runTimeout`, and of `executionDeadline`, of its first event. */
  readonly deadline: number | undefined
  /** The deadline of a cancellation, after which the run is terminated: the earliest such time. */
  readonly cancelBy: number | undefined
  /** The fencing epoch: counts the owners of the run. 0: it has had none; who owns it from its start has 1. */
  readonly epoch: number
  /** Something has arrived that no turn has consumed; see {@link JournalStore}. */
  readonly due: boolean
  /** The last owner of the run could not go on with it. */
  readonly blocked: boolean
}

/**
 * An activity that has been scheduled and has not ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingActivity {
  readonly workflow: string
  readonly workflowId: string
  readonly runId: string
  readonly scheduled: ActivityScheduled
  /** The number of the attempt that is under way, or comes next; from 1. */
  readonly attempt: number
  /** When that attempt may start, in milliseconds since the epoch: the `retryAt` of the last that failed, or 0. */
  readonly notBefore: number
  /** When it was noted that this attempt has started: only of one from a queue, or one that is completed from outside. */
  readonly startedAt: number | undefined
  /** The handler has returned, and the end of the attempt will come from outside. */
  readonly outside: boolean
  /** When this attempt has given its last heartbeat. */
  readonly beatAt: number | undefined
  /** The encoded details of the last heartbeat of any attempt; absent: there was none with details. */
  readonly details: string | undefined
}

/**
 * Which attempt of which activity.
 *
 * @since 0.1.0
 * @category models
 */
export interface AttemptId {
  readonly runId: string
  /** The number of the command that asked for the activity. */
  readonly command: number
  readonly attempt: number
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
 * The runs that a worker has just become the owner of, and what is pending in them. Runs may stand in any order; the
 * activities of a run stand in the order of their commands, and so do its timers of one time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claimed {
  /** Runs of any workflow that the worker owned before and that are due, with the number of the last arrival. */
  readonly due: ReadonlyArray<{ readonly runId: string; readonly dueSeq: number }>
  /** More runs in quarantine may be claimed. */
  readonly moreQuarantined: boolean
  readonly runs: ReadonlyArray<OwnedRun>
  readonly activities: ReadonlyArray<PendingActivity>
  readonly timers: ReadonlyArray<PendingTimer>
  /** Those of the runs of which an activity cannot be read at present: it is in their history. Default: none. */
  readonly unread?: ReadonlyArray<string> | undefined
}

/**
 * What a worker has the code of, and which queues it serves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Services {
  readonly workflows: ReadonlyArray<string>
  readonly activities: ReadonlyArray<string>
  readonly queues: ReadonlyArray<string>
}

/**
 * A worker that is alive, as its journal knows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerRecord {
  readonly worker: string
  readonly services: Services
}

/**
 * What waits for a worker: open runs that no live worker owns, by their workflow, and attempts in queues that no live
 * worker has taken, by queue and activity. Names are in the order of their bytes; a store may stop counting at 1,000.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backlog {
  readonly runs: ReadonlyArray<{ readonly workflow: string; readonly count: number }>
  readonly attempts: ReadonlyArray<{ readonly queue: string; readonly activity: string; readonly count: number }>
}

/**
 * What to do when a run is to be started under a workflow id that has an open run already: go on with that one, refuse,
 * or terminate it and start a new one.
 *
 * @since 0.1.0
 * @category models
 */
export type Conflict = ChildScheduled["conflict"]

/**
 * What to do when a run is to be started under a workflow id whose last run has closed: go on with that one, start a new
 * one always, or only when the last did not succeed, or refuse.
 *
 * @since 0.1.0
 * @category models
 */
export type Reuse = ChildScheduled["reuse"]

/**
 * A run to be started. A group that begins a run under a run id that is known already fails as a whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewRun {
  readonly runId: string
  /** The worker that owns the run from the start; `undefined`: whoever claims it. */
  readonly worker: string | undefined
}

/**
 * One thing to write. The entries of a group are written together or not at all, but each may be refused alone.
 *
 * - `Start`: a new run, as far as `conflict` and `reuse` allow, and a signal to it, or to the open run of that id. A run
 *   of another workflow is neither gone on with nor terminated, but refused. A run that is terminated for the new one ends
 *   at the time of `started`, with the reason "replaced by a new run of its id". A signal never goes to a run that has
 *   closed: `attach` then begins a new run, and where `whenFailed` would go on with one that has succeeded, it is refused.
 * - `Append`: events of an open run, by its owner in its epoch, who ends no activity that it has seen not to be pending, and
 *   writes ends before the turn that consumes them. It is refused as `Conflict`, and nothing of it written, in
 *   two cases: it has `next`, and the run would still be due after it; or it has a `TurnTaken` whose `consumedUpTo` is before the
 *   last event of the run, and before that turn the end of an activity that is not pending.
 * - `Post`: a signal, a request to end, or the end of the open run of a workflow id, by anybody. A signal whose `id` the
 *   run has already is `Duplicate`, whatever else it says.
 * - `Report`: what became of an attempt, by whoever runs it and does not own its run. Refused when another attempt, or
 *   none, of that activity is pending, or another `worker` has taken it; with `unstarted` also when it has started.
 * - `Heartbeat`: an attempt is alive. It is no event: only the last one is kept. With `outside` it is noted that its
 *   end will come from outside, and that it has started if it had not; this cannot be taken back. A `secret` is kept with
 *   the attempt, unless it has one already. Refused like a report.
 * - `Block`: notes why a run cannot go on, or that it can again. It is no event either. By the owner in its epoch.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry =
  | {
    readonly _tag: "Start"
    readonly run: NewRun
    readonly workflowId: string
    readonly workflow: string
    readonly started: Unsequenced<RunStarted>
    readonly conflict: Conflict
    readonly reuse: Reuse
    readonly signal?: Unsequenced<SignalReceived> | undefined
  }
  | {
    readonly _tag: "Append"
    readonly runId: string
    readonly worker: string
    readonly epoch: number
    readonly events: ReadonlyArray<Unsequenced<Event>>
    /** Where the run is closed so that another one goes on: that run, which gets the same owner. */
    readonly next?: NextRun | undefined
    /** For each `ChildScheduled` among the events, in their order, the run that it begins where one is begun. */
    readonly children?: ReadonlyArray<NewRun> | undefined
  }
  | {
    readonly _tag: "Post"
    readonly workflowId: string
    readonly event: Unsequenced<Message>
  }
  | {
    readonly _tag: "Report"
    readonly runId: string
    /** Absent: whichever is pending. */
    readonly attempt: number | undefined
    readonly worker: string | undefined
    readonly unstarted?: boolean | undefined
    readonly event: Unsequenced<AttemptReport>
  }
  | {
    readonly _tag: "Heartbeat"
    readonly id: AttemptId
    readonly worker: string | undefined
    readonly at: number
    readonly outside?: boolean | undefined
    /** Encoded; absent: the last ones stay. */
    readonly details?: string | undefined
    /** What somebody outside has to know to end the attempt. */
    readonly secret?: string | undefined
  }
  | {
    readonly _tag: "Block"
    readonly runId: string
    readonly worker: string
    readonly epoch: number
    readonly reason: string | undefined
  }

/**
 * A run that goes on where another one of the same workflow id has ended. It has the workflow of that run, begins with
 * `started` and then what was `posted`, and is owned by who has written it.
 *
 * @since 0.1.0
 * @category models
 */
export interface NextRun {
  readonly runId: string
  readonly started: Unsequenced<RunStarted>
  /** What was sent to the run before, and not taken. */
  readonly posted: ReadonlyArray<Unsequenced<Message>>
}

/**
 * What has been written to a run by somebody else than its owner.
 *
 * - `RunCreated`: a run that has been begun, and its events.
 * - `Posted`: an event of a run that has been begun before.
 *
 * `owner` is the worker that owns the run.
 *
 * @since 0.1.0
 * @category models
 */
export type Notification =
  | {
    readonly _tag: "RunCreated"
    readonly owner: string | undefined
    readonly run: OwnedRun
    readonly events: ReadonlyArray<Event>
  }
  | {
    readonly _tag: "Posted"
    readonly owner: string | undefined
    readonly runId: string
    readonly event: ExternalEvent
  }

/**
 * What became of a group of entries. A turn may ask for children, and for something to be sent; a run that closes is told
 * to whoever waits for it as a child, and ends its own children as they were scheduled. All that is written in the same
 * transaction, after the entries themselves: the `consequences`, in the order in which they were written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Written {
  readonly receipts: ReadonlyArray<Receipt>
  readonly consequences: ReadonlyArray<Notification>
}

/**
 * What became of an entry; `notifications` tell what it has written to runs that its writer does not own.
 *
 * - `Started`: the run of that workflow id, and whether this entry created it.
 * - `Exists`: refused, since the workflow id has this run and the entry's policies do not allow another one.
 * - `Conflict`: refused, since somebody else has written to the run what its turn must see first.
 * - `Appended`: the number of the last event of the entry.
 * - `Posted`: the run that it was written to.
 * - `Duplicate`: a signal with this id has been written before.
 * - `NotOpen`: there is no such run, or it has closed.
 * - `Recorded`: a heartbeat, or why a run is blocked.
 * - `NotPending`: that attempt is not, or no longer, the one that is pending.
 * - `Fenced`: refused, since the writer does not own the run, or the run has closed.
 *
 * @since 0.1.0
 * @category models
 */
export type Receipt =
  | {
    readonly _tag: "Started"
    readonly created: boolean
    readonly record: RunRecord
    readonly notifications: ReadonlyArray<Notification>
  }
  | { readonly _tag: "Exists"; readonly record: RunRecord }
  | { readonly _tag: "Appended"; readonly lastSeq: number; readonly notifications: ReadonlyArray<Notification> }
  | { readonly _tag: "Conflict" }
  | { readonly _tag: "Posted"; readonly runId: string; readonly notifications: ReadonlyArray<Notification> }
  | { readonly _tag: "Duplicate"; readonly runId: string }
  | { readonly _tag: "NotOpen"; readonly known: boolean }
  | { readonly _tag: "Recorded" }
  | { readonly _tag: "NotPending" }
  | { readonly _tag: "Fenced" }

/**
 * Which runs to list. All that is given must hold.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunFilter {
  readonly workflow?: string | undefined
  readonly workflowId?: string | undefined
  readonly status?: Status | undefined
  /** Started at this time or later, in milliseconds since the epoch. */
  readonly startedFrom?: number | undefined
  /** Started before this time. */
  readonly startedBefore?: number | undefined
}

/**
 * Where a run stands in a list: by its start, then its workflow id, then its run id.
 *
 * @since 0.1.0
 * @category models
 */
export type RunPosition = Pick<RunRecord, "startedAt" | "workflowId" | "runId">

/**
 * What a store implements. It knows nothing of workflows, and waits for nothing: who wants to know asks, or is told by the
 * receipts. What `write` has to decide is in `JournalTransaction`, for any store; what is left are rows. Whether a store does
 * all of this, `JournalConformance` of `holdfast/Testing` finds out.
 *
 * **Values.** Ids and names are any text without NUL, told apart by their bytes. Times are whole milliseconds up to 2^53,
 * and always given by the caller; a lease may also end at `Infinity`. What is written, and what is given back, is the
 * caller's to change afterwards: the store keeps its own. An absent field is the same as an undefined one.
 *
 * **Due.** A run is due from an arrival (`isArrival` of `Event`) to a `TurnTaken` whose `consumedUpTo` is its number or more. What
 * arrives by an append that has a turn is carried by this turn, and makes nobody due.
 *
 * **Pending.** An activity is pending from its `ActivityScheduled` until it is completed, failed or cancelled; an
 * `AttemptFailed` makes the next attempt pending, which nobody has taken, which has not started, and of which nothing is
 * known but the `details` of the last heartbeat. A timer is pending from its `TimerStarted` until it is fired or cancelled.
 *
 * **Closed.** A run closes with `RunClosed`, `RunTerminated` or `RunTimedOut`. From then on nothing is pending in it,
 * nothing is written to it, and nobody claims it.
 *
 * **What follows.** When all entries are written, what they lead to is written in the same transaction, one thing after
 * another, and last what that leads to in turn:
 *
 * - `ChildScheduled` begins a run as a `Start` would, with the parent in its `RunStarted`; or the parent gets a
 *   `ChildClosed`, at the time of the command: `Refused`, in which case its message is `workflow id "…" has a run of …
 *   already (…)`, also where it names the parent itself; or with the end of the closed run that it goes on with. The
 *   parent waits for the run that was begun or that is open. Nothing is begun where the same append has the command's
 *   `ChildCancelled`, unless the child was to be abandoned.
 * - `ChildCancelled`: the parent waits no more, and its end does nothing to the child. The child gets a `CancelRequested`
 *   ("its parent has stopped waiting for it"), unless it was to be abandoned.
 * - `SignalSent` and `CancelSent` reach the open run of the workflow id as a `Post` would, which may be the sender. The
 *   sender gets a `SendAnswered` at the time of the command; a signal that the run has already counts as delivered.
 * - A run that closes without a `next`: whoever waits for it gets a `ChildClosed`, at the time of its end, in the order in
 *   which they asked. Its own children that are open get, in their order, a `RunTerminated` or a `CancelRequested` ("its
 *   parent has ended"), as they were scheduled, or nothing.
 * - A run that closes with a `next`: who waits for it waits for the next one, which has its children from now on, and waits
 *   for none of them.
 *
 * A run that has closed meanwhile gets nothing of all this.
 *
 * A method that finds the store locked by another process fails soon with a `JournalError` of the reason `Locked`, or waits
 * without blocking. Writes, claims and heartbeats that fail so are made again.
 *
 * @since 0.1.0
 * @category models
 */
export interface JournalStore {
  /**
   * Writes all entries in one transaction, in their order, and gives a receipt for each; an entry finds what the entries
   * before it have written. When it fails, nothing was written and the store is as usable as before.
   */
  readonly write: (entries: ReadonlyArray<Entry>) => Effect.Effect<Written, JournalError>
  /** The events of a run, in order; none for an unknown run. */
  readonly history: (runId: string) => Effect.Effect<ReadonlyArray<Event>, JournalError>
  /** A run by its id. */
  readonly run: (runId: string) => Effect.Effect<Option.Option<RunRecord>, JournalError>
  /** The run of a workflow id that was begun last, whatever its time. At most one is open, and it is this one. */
  readonly latest: (workflowId: string) => Effect.Effect<Option.Option<RunRecord>, JournalError>
  /**
   * At most `limit` runs, from the last position to the first: newest first, then by workflow id and run id, both from the
   * end of the alphabet (by UTF-8 bytes). With `after`, those that come after that position in this order.
   */
  readonly list: (options: {
    readonly filter: RunFilter
    readonly after: RunPosition | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<RunRecord>, JournalError>
  /** How many runs there are. */
  readonly count: (filter: RunFilter) => Effect.Effect<number, JournalError>
  /** What is pending in a run: activities in the order of their commands, timers by time, then by command. */
  readonly pending: (
    runId: string
  ) => Effect.Effect<
    { readonly activities: ReadonlyArray<PendingActivity>; readonly timers: ReadonlyArray<PendingTimer> },
    JournalError
  >
  /** The records of those of these runs that have closed, in any order. */
  readonly closed: (runIds: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<RunRecord>, JournalError>
  /**
   * Makes the worker, alive until `leaseUntil` (which is after `now`), the owner of every open run of these workflows that
   * has no owner, or one whose lease is over at `now`: it ends at that time or before. A worker that owns runs has a lease
   * from its first claim or heartbeat to its release; one without a lease counts as alive.
   *
   * A run counts the owners that died while they had something to do for it (it is due, or an activity is pending), until
   * an owner appends to it: each claim from a dead owner is one. From three on it is in quarantine: at most `quarantined` of
   * these are claimed from dead owners, those with the fewest deaths first; and from six on it rests after each such claim,
   * for a second and then twice as long each time, up to 256 seconds. A run that rests is not among `moreQuarantined`.
   */
  readonly claim: (options: {
    readonly worker: string
    readonly workflows: ReadonlyArray<string>
    readonly now: number
    readonly leaseUntil: number
    readonly quarantined: number
  }) => Effect.Effect<Claimed, JournalError>
  /**
   * Takes up to `limit` attempts from a queue that may start, of these activities: those that no worker has taken, or one
   * whose lease is over at `now`, and that are not completed from outside. First scheduled (by the `at` of the command),
   * first taken; those of one time by the age of the run and then by command. They start `now`, without a heartbeat.
   * `next` is the time at which the next one may start, where fewer than `limit` could be taken and it is known.
   */
  readonly takeAttempts: (options: {
    readonly worker: string
    readonly queue: string
    readonly activities: ReadonlyArray<string>
    readonly limit: number
    readonly now: number
  }) => Effect.Effect<
    { readonly attempts: ReadonlyArray<PendingActivity>; readonly next: number | undefined },
    JournalError
  >
  /** The attempts that the worker has taken from queues, that are still pending, and that nobody else has taken since. */
  readonly taken: (worker: string) => Effect.Effect<ReadonlyArray<AttemptId>, JournalError>
  /** Sets the worker's lease, and with `services` what the worker has the code of. */
  readonly heartbeat: (worker: string, leaseUntil: number, services?: Services) => Effect.Effect<void, JournalError>
  /** The workers that have said what they have the code of and whose lease is not over at `now`, by the bytes of their ids. */
  readonly workers: (now: number) => Effect.Effect<ReadonlyArray<WorkerRecord>, JournalError>
  /** What waits for a worker at `now`. */
  readonly backlog: (now: number) => Effect.Effect<Backlog, JournalError>
  /** The secret of a pending attempt; `undefined`: it has none, or is not pending. */
  readonly secret: (id: AttemptId) => Effect.Effect<string | undefined, JournalError>
  /** The worker that owns an open run, alive or not; `undefined`: there is none. */
  readonly owner: (runId: string) => Effect.Effect<string | undefined, JournalError>
  /**
   * Gives up everything the worker owns, and its lease. What it has taken has not started then, except what is completed
   * from outside. Does nothing where it owns nothing.
   */
  readonly release: (worker: string) => Effect.Effect<void, JournalError>
  /** Changes when another process has written; `undefined` when no other process can. */
  readonly version: Effect.Effect<number | string | undefined, JournalError>
}

/**
 * Attempts that nobody waits for any more: one, those of an activity, or those of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dropped {
  readonly runId: string
  /** Absent: all of the run. */
  readonly command?: number | undefined
  /** Absent: whichever is pending. */
  readonly attempt?: number | undefined
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
  /** It owns a run that has just been begun. */
  readonly onBegun: (run: OwnedRun, events: ReadonlyArray<Event>) => void
  /** Somebody in this process has asked for an attempt that goes to this queue; `undefined`: to one that is not known. */
  readonly onQueued: (queue: string | undefined) => void
  /** Something in this process has led to attempts being dropped. */
  readonly onDropped: (dropped: Dropped) => void
  /** Something in this process has led to an event of a run that it owns. Called in the order of the run's events. */
  readonly onPosted: (runId: string, event: ExternalEvent) => void
  /** Another process has written to the journal. */
  readonly onForeignWrite: () => void
}

/**
 * The journal of this process: a store, its one writer, and the notifications of what is written.
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
  ) => Effect.Effect<Exclude<Receipt, { readonly _tag: "Fenced" }>, JournalError | StaleOwner>
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
  /**
   * How long what a client asks for, and the opening and closing of the journal, wait for a database that another process
   * has locked, before they fail with a `JournalError` of the reason `Locked`. It goes by real time. An engine that runs
   * waits for as long as it takes. Default 30 seconds.
   */
  readonly lockTimeout?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SqlOptions extends Options {
  /**
   * The schema that the tables are in, on PostgreSQL; it is created where it is not there. Letters, digits and underscores.
   * Default `holdfast`.
   */
  readonly schema?: string | undefined
}

/**
 * A journal on a store, with the codec of the context; see `Codec`. When its scope closes, what has been handed to it is
 * written; whoever waits for a run to close then, or asks anything later, gets a `JournalError` with the reason `Closed`. Dies
 * with `InvalidOptions` when an option can never work.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  plain: JournalStore,
  options?: Options
): Effect.Effect<Context.Tag.Service<Journal>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { lockTimeout, pollInterval } = read("Journal.make", options)
    const codec = yield* Codec
    const store = codedStore(plain, codec)
    const refuse = (payload: string | null) => payload === null ? undefined : codec.refuse(payload)
    const watch = yield* watcher(store, pollInterval)
    const { isOpen, ...writer } = yield* groupCommit(
      store,
      watch.onWritten,
      watch.onNotification,
      watch.localWorkerFor,
      lockTimeout
    )
    return {
      store: whileOpen(store, isOpen),
      refuse,
      ...writer,
      awaitClosed: watch.awaitClosed,
      attach: watch.attach
    }
  })

/**
 * A journal that dies with the process. It encodes like the others, so a payload that cannot be stored fails here too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Journal> = Layer.scoped(Journal, Effect.suspend(() => make(memoryStore())))

/**
 * A journal in a SQL database, given as a `SqlClient`. It creates and migrates its own tables, all named `holdfast_*`. The
 * view `holdfast_events` is for whoever wants to look: a row for each event, with `run_id`, `workflow_id`, `workflow`, `seq`
 * (its number in the run, by which to sort), `kind`, `at` (milliseconds since the epoch), `payload`, and `event` (all of it,
 * as JSON, with the fields of `Event`). Where a codec encrypts, it shows what is stored. The tables themselves may change with
 * any version.
 *
 * On PostgreSQL (`@effect/sql-pg`) they are in a schema of their own, without the prefix: `holdfast.events`. Any number
 * of processes share it. Another one's writes are noticed by looking (`pollInterval`), and leases go by the clocks of the
 * machines, which have to agree within a part of the lease.
 *
 * On SQLite it sets `synchronous = FULL`: what was acknowledged survives a power cut. And it sets `busy_timeout` to a few
 * milliseconds: while SQLite waits for a lock, nothing else runs in the process, so a lock of another process is waited for
 * outside of it. Statements of your own on the same client then fail soon with `SQLITE_BUSY` where they would have stopped
 * the process; give them a client of their own if they should not.
 *
 * The client itself waits up to five seconds, and dies, where it cannot switch the file to WAL mode as it opens it: when
 * the file is not in that mode yet and locked, or locked by a process with `locking_mode = EXCLUSIVE`. A file stays in the
 * mode that it is in, so for one that is in WAL mode already `disableWAL: true` leaves that out and changes nothing else.
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
export const layerSql = (options?: SqlOptions): Layer.Layer<Journal, JournalError, SqlClient> =>
  Layer.scoped(
    Journal,
    Effect.suspend(() =>
      Effect.flatMap(sqlStore(readSql("Journal.layerSql", options)), (store) => make(store, options))
    )
  )

const readSql = (module: string, options: SqlOptions | undefined) => {
  const schema = options?.schema ?? "holdfast"
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema)) {
    reader(module).refuse("schema", schema, "a name of letters, digits and underscores, of at most 63")
  }
  return { schema, lockTimeout: read(module, options).lockTimeout }
}

const read = (module: string, options: Options | undefined) => {
  const { positiveDuration, duration } = reader(module)
  return {
    pollInterval: Duration.millis(positiveDuration("pollInterval", options?.pollInterval ?? "200 millis")),
    lockTimeout: duration("lockTimeout", options?.lockTimeout ?? "30 seconds")
  }
}
