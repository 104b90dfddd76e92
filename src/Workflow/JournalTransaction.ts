/**
 * The decisions of a store, for whoever writes one: which entries are written and which are refused, the numbers of events,
 * and what follows in other runs. A store brings the rows: it reads what a transaction wants to know, and writes what the
 * transaction has changed. Neither Effect nor a database is in it.
 *
 * ```text
 *   entries ──▶ what they find is read ──▶ receipts and changes ──▶ what they lead to, in other runs
 *                        ▲                                                     │
 *                        └──────────────── until nothing follows ──────────────┘
 * ```
 *
 * @since 0.1.0
 */
import type { ActivityScheduled, AttemptFailed, ChildScheduled, Closing, Event, Status, TimerStarted } from "./Event.js"
import * as internal from "./internal/journal/transaction.js"
import type { Entry, Written } from "./Journal.js"

/**
 * A run as a transaction knows and changes it: a store gives an object of its own for each transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunState {
  /** The number by which the store knows the run: of two runs of a workflow id, that of the newer one is higher. */
  readonly id: number
  readonly runId: string
  readonly workflowId: string
  readonly workflow: string
  readonly startedAt: number
  readonly deadline: number | undefined
  cancelBy: number | undefined
  readonly owner: string | undefined
  readonly epoch: number
  ownerCrashes: number
  status: Status
  blocked: string | undefined
  position: Position
  /** How many of the run's activities without a queue are pending: a store may keep no row for each of these. */
  localActivities: number
  closedSeq: number | undefined
  /** The event at `closedSeq`, where it has been read. */
  closed: Closing | undefined
}

/**
 * How far the events of a run go.
 *
 * @since 0.1.0
 * @category models
 */
export interface Position {
  readonly lastSeq: number
  /** The last arrival that no turn has consumed; 0: none. */
  readonly dueSeq: number
}

/**
 * A child, and the run that has asked for it or whose it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkState {
  /** The number by which the store knows the link; absent: it has not been written yet. */
  readonly id: number | undefined
  child: number
  parent: number
  /** Absent: nobody waits for the child, since the parent has gone on as another run. */
  command: number | undefined
  readonly parentClose: ChildScheduled["parentClose"]
}

/**
 * A pending activity, as far as a transaction looks at it.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingState {
  /** The activity goes to a queue. */
  readonly queued: boolean
  readonly attempt: number
  readonly worker: string | undefined
  readonly started: boolean
}

/**
 * An activity or a timer, by its run and the number of the command that asked for it.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandKey = readonly [run: number, command: number]

/**
 * What became of the pending attempt of an activity without its having ended. One that has `Failed` is followed by the next,
 * of which nothing is known but its details: worker, start, beat and secret go.
 *
 * @since 0.1.0
 * @category models
 */
export type AttemptChange =
  | { readonly _tag: "Failed"; readonly run: number; readonly event: AttemptFailed }
  | {
    readonly _tag: "Beat"
    readonly run: number
    readonly command: number
    readonly at: number
    readonly outside: boolean
    readonly details: string | undefined
    readonly secret: string | undefined
  }

/**
 * What a transaction has to know before it can go on. What is not found needs no word, but for the newest run of an id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wanted {
  /** How many numbers for runs that may begin: `knowNewRuns`. */
  readonly newRuns: number
  /** Runs by their run ids: `knowRun`. */
  readonly runIds: ReadonlyArray<string>
  /** The newest run of each of these workflow ids, with its last event where it has closed: `knowLatest`. */
  readonly workflowIds: ReadonlyArray<string>
  /** Which of these signals these runs have: `knowSignal`. */
  readonly signals: ReadonlyArray<readonly [run: number, id: string]>
  /** Which of these activities are pending, and how: `knowPending`. */
  readonly activities: ReadonlyArray<CommandKey>
  /** The links of which one of these runs is the child or the parent, with both runs: `knowRun`, then `knowLink`. */
  readonly linked: ReadonlyArray<number>
}

/**
 * What the store tells of what it has found.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  /** Numbers that no run has or gets but these: each higher than those of all runs that have begun. */
  readonly knowNewRuns: (ids: ReadonlyArray<number>) => void
  /** Gives the state that the transaction has of the run: what it has changed already stays. */
  readonly knowRun: (found: RunState) => RunState
  readonly knowLatest: (workflowId: string, found: RunState | undefined) => void
  readonly knowSignal: (run: number, id: string) => void
  readonly knowPending: (run: number, command: number, pending: PendingState) => void
  readonly knowLink: (link: LinkState & { readonly id: number }) => void
  /** A run that the transaction knows already, by its number. */
  readonly runOf: (id: number) => RunState | undefined
}

/**
 * Everything that one transaction changes, gathered over its entries. A store writes all of it, or nothing, in the order of
 * the members. That a run id is not taken already, only the store can see: where one of `begun` is, it fails as a whole,
 * with a `JournalError` of the reason `Write`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Changes {
  /** What was written to a run at once, in order. The last of the events has the run's `lastSeq`. */
  readonly batches: ReadonlyArray<readonly [run: RunState, events: ReadonlyArray<Event>]>
  /** By `run/command`. */
  readonly activities: ReadonlyMap<string, readonly [run: number, scheduled: ActivityScheduled]>
  /**
   * In the order in which they happened, after the activities have been scheduled. One of an activity that has ended since,
   * or that the store keeps no row of, changes nothing.
   */
  readonly attempts: ReadonlyArray<AttemptChange>
  readonly endedActivities: ReadonlyArray<CommandKey>
  /** By `run/command`. */
  readonly timers: ReadonlyMap<string, readonly [run: number, started: TimerStarted]>
  readonly endedTimers: ReadonlyArray<CommandKey>
  readonly signals: ReadonlyArray<readonly [run: number, id: string]>
  /** Runs that were there before and of which `dueSeq`, `localActivities` or `ownerCrashes` has changed. */
  readonly moved: ReadonlySet<RunState>
  /** Runs that were there before and whose status or deadline of a cancellation is another. */
  readonly restated: ReadonlySet<RunState>
  /** Runs that have closed: `closedSeq` and `status`. What is pending in them, and their signals, go. */
  readonly closing: ReadonlySet<RunState>
  /** Runs that begin, after those that they go on from have closed. They are written with what they are at the end. */
  readonly begun: ReadonlySet<RunState>
  /** Runs whose `blocked` is another. */
  readonly blocked: ReadonlySet<RunState>
  readonly links: ReadonlySet<LinkState>
  readonly movedLinks: ReadonlySet<LinkState>
  readonly endedLinks: ReadonlyArray<number>
}

/**
 * One transaction of entries.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  readonly known: Known
  /** What the store has to write, once the last step is done. */
  readonly changes: Changes
  /** The steps of the transaction: each says what has to be read, and the last gives what `JournalStore.write` returns. */
  readonly run: () => Generator<Wanted, Written, void>
}

/**
 * A transaction of entries that nothing has been read for. An entry that cannot be decided (a turn without a run for a child
 * that it asks for) throws as the transaction is run.
 *
 * @example
 * ```ts
 * import { JournalTransaction } from "holdfast/Workflow"
 * import type { Journal } from "holdfast/Workflow"
 *
 * // What a store has to do with its rows.
 * declare const read: (known: JournalTransaction.Known, wanted: JournalTransaction.Wanted) => void
 * declare const apply: (changes: JournalTransaction.Changes) => void
 *
 * const write = (entries: ReadonlyArray<Journal.Entry>): Journal.Written => {
 *   const transaction = JournalTransaction.make(entries)
 *   const steps = transaction.run()
 *   let step = steps.next()
 *   while (step.done !== true) {
 *     read(transaction.known, step.value)
 *     step = steps.next()
 *   }
 *   apply(transaction.changes)
 *   return step.value
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (entries: ReadonlyArray<Entry>): Transaction => new internal.Transaction(entries)
