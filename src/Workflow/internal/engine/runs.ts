/**
 * The runs that a worker owns: what it is told of them, and where that goes.
 *
 * ```text
 *   claims, starts ─▶ runTable ─▶ turns ─▶ runWrites ─▶ the journal
 *                        ▲                    │ receipt
 *   external events,     │                    ▼
 *   ends, timers ────────┴──────────────── commands: activities and timers
 * ```
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Arrival, type Event, type ExternalEvent, isArrival, type Unsequenced } from "../../Event.js"
import type { Claimed, OwnedRun, PendingActivity } from "../../Journal.js"
import type { NondeterminismError } from "../../WorkflowError.js"
import type { AttemptRunner } from "../activity/attemptRunner.js"
import type { Attempts } from "../activity/attempts.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import * as guards from "../turn/guards.js"
import { type Commands, commands } from "./commands.js"
import { dropEnded, noteWritten, type RunState } from "./ownedRun.js"
import { type RunDeadlines, runDeadlines } from "./runDeadlines.js"
import { runTable } from "./runTable.js"
import { runWrites } from "./runWrites.js"
import { turns, type TurnsOptions } from "./turns.js"

export interface RunsOptions extends Omit<TurnsOptions, "table" | "writes" | "dispatch" | "onReplayed"> {
  readonly workerId: string
  readonly residentRuns: number
  readonly alwaysReplay: boolean
  readonly activityConcurrency: number
  readonly runner: AttemptRunner
  readonly writes: PersistentWrites
}

export interface Runs {
  /** Goes on with runs that the worker has become the owner of. */
  readonly onClaimed: (claimed: Claimed) => void
  /** Goes on with a run that has just been begun here. */
  readonly begin: (run: OwnedRun, events: ReadonlyArray<Event>) => void
  /** Somebody in this process has written to one of the runs. */
  readonly onPosted: (runId: string, event: ExternalEvent) => void
  /** The code of a workflow has come, or come back: its runs are looked at again. */
  readonly onProgram: (workflow: string) => void
  /** The code of a workflow has gone: its runs leave memory. */
  readonly onProgramGone: (workflow: string) => void
  readonly blocked: () => ReadonlyArray<NondeterminismError>
  /** The activities of the runs that wait for a handler, and how many calls of each. */
  readonly parked: Attempts["parked"]
  /** The worker's lease may have been over for a while: gives up runs with activities that it does not own any more. */
  readonly checkOwnership: () => void
  /** Looks for ends of activities that others may have written and nobody has told of. */
  readonly checkActivities: () => void
  /** Writes the arrivals that no turn will be taken for any more. */
  readonly persistAll: () => void
  /** Forgets all runs. */
  readonly clear: () => void
}

/** Takes turns, fires timers and runs activities for as long as the scope lives. */
export const runs = (options: RunsOptions): Effect.Effect<Runs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { journal, programs, runner, workerId } = options
    const clock = yield* Effect.clock

    const table = yield* runTable({
      residentRuns: options.residentRuns,
      alwaysReplay: options.alwaysReplay,
      onGivenUp: (run) => {
        deadlines.forget(run)
        activities.cancelRun(run.runId)
      }
    })

    const writes = runWrites({ table, workerId, writes: options.writes })

    const deadlines: RunDeadlines = yield* runDeadlines((run, closing) => {
      // Its code takes no further turn.
      table.unwake(run)
      writes.append(run, [closing], () => {
        if (table.has(run)) table.giveUp(run)
      })
    })

    const deliver = (runId: string, arrival: Unsequenced<Arrival>): void => {
      const run = table.get(runId)
      if (run === undefined) return
      // No turn will consume it soon, so it goes to the journal alone.
      if (run.state === "blocked" || !programs.has(run.workflow)) return writes.persistArrival(run, arrival)
      run.pendingArrivals.push(arrival)
      table.wake(run)
    }

    const { activities, dispatch, resumeTimers }: Commands = yield* commands({
      activityConcurrency: options.activityConcurrency,
      runner,
      store: journal.store,
      writes: options.writes,
      deliver,
      onRetry: (runId, event, recorded) => {
        const run = table.get(runId)
        if (run !== undefined) writes.append(run, [event], recorded)
      }
    })

    /** Takes note of what somebody in this process has written to a run, in the order of the run's events. */
    const onExternalEvent = (run: RunState, event: ExternalEvent): void => {
      if (event.seq <= run.knownSeq) return
      noteWritten(run, event.seq, 1)
      if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") {
        dropEnded(run, (command) => command === event.target)
      }
      if (run.execution !== undefined && isArrival(event)) run.storedArrivals.push(event)
      table.wake(run)
    }

    /** Takes note of what another process may have written, which the history holds. */
    const onReplayed = (run: RunState, pending: ReadonlyArray<PendingActivity>): void => {
      for (const activity of pending) activities.resume(activity)
      const ended = new Set(run.storedArrivals.map((arrival) => "target" in arrival ? arrival.target : undefined))
      dropEnded(run, (command) => ended.has(command))
      for (const arrival of run.storedArrivals) deadlines.onEvent(run, arrival)
      for (const target of ended) if (target !== undefined) activities.cancel(run.runId, target)
      const posted = run.eventsWhileLoading
      run.eventsWhileLoading = []
      for (const event of posted) onExternalEvent(run, event)
    }

    const { begin, take } = yield* turns({ ...options, table, writes, dispatch, onReplayed })

    const own = (claimed: OwnedRun): RunState => {
      const run = table.own(claimed)
      deadlines.watch(run)
      return run
    }

    yield* table.untilAwake.pipe(
      Effect.map(() => {
        const now = clock.unsafeCurrentTimeMillis()
        deadlines.catchUp(now)
        const awake = table.takeAwake()
        guards.installedOnce(() => {
          for (const run of awake) table.contained(run, () => take(run, now))
        })
      }),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    return {
      onClaimed: (claimed) => {
        for (const { dueSeq, runId } of claimed.due) {
          const run = table.get(runId)
          if (run === undefined || run.knownSeq >= dueSeq) continue
          run.needsReload = true
          table.wake(run)
        }
        for (const each of claimed.runs) {
          const run = own(each)
          // A blocked run is tried again at once: the code may have been mended.
          if (run.due || run.blocked) table.wake(run)
        }
        const unread = new Set(claimed.unread)
        for (const runId of unread) {
          const run = table.get(runId)!
          run.activitiesUnread = true
          table.wake(run)
        }
        for (const activity of claimed.activities) if (!unread.has(activity.runId)) activities.resume(activity)
        resumeTimers(claimed.timers)
      },
      begin: (started, events) => {
        const run = own(started)
        run.knownSeq = events.length
        run.storedArrivals = events.filter(isArrival)
        const program = programs.get(run.workflow)
        if (program !== undefined) begin(run, program)
        table.wake(run)
      },
      onPosted: (runId, event) => {
        const run = table.get(runId)
        if (run === undefined) return
        if (event._tag === "RunTerminated") return table.giveUp(run)
        if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") {
          activities.cancel(runId, event.target)
        }
        if (event._tag === "AttemptFailed") activities.onFailed(runId, event)
        // Whatever becomes of its history.
        deadlines.onEvent(run, event)
        if (run.state === "loading") run.eventsWhileLoading.push(event)
        else if (run.state !== "blocked") table.contained(run, () => onExternalEvent(run, event))
      },
      onProgram: (workflow) => {
        for (const run of table.all()) {
          if (run.workflow !== workflow) continue
          if (run.state === "blocked") run.state = "idle"
          table.wake(run)
        }
      },
      onProgramGone: (workflow) => {
        for (const run of table.all()) if (run.workflow === workflow && run.state === "idle") table.unload(run)
        writes.persistArrivals((run) => run.workflow === workflow)
      },
      blocked: () => [...table.all()].flatMap(({ fault }) => fault === undefined ? [] : [fault]),
      parked: activities.parked,
      checkOwnership: () => {
        for (const runId of activities.runIds()) {
          const run = table.get(runId)
          // A note that changes nothing is refused when somebody else owns the run.
          if (run !== undefined && !run.blocked) writes.noteBlocked(run, undefined)
        }
      },
      checkActivities: activities.reviewOutside,
      persistAll: () => writes.persistArrivals(() => true),
      clear: table.clear
    }
  })
