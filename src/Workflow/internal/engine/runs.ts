/**
 * The runs that a worker owns, and the turns it takes for them.
 *
 * A run has one turn out at a time. What arrives while its turn is being committed waits for the next one:
 *
 * ```text
 *   idle ──arrival──▶ turn ──▶ committing ──receipt──▶ idle
 *    │  ▲                │            │
 *    │  └── loading ◀────┼── evicted  └─ Stale: given up
 *    │                   └─ fault ──▶ blocked: arrivals go to the journal, no turn is taken
 * ```
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import {
  type Arrival,
  type Closing,
  type Command,
  type Event,
  type ExternalEvent,
  isArrival,
  type RunClosed,
  type Unsequenced
} from "../../Event.js"
import type { Claimed, Entry, Journal, NextRun, OwnedRun, PendingActivity, Receipt } from "../../Journal.js"
import type { NondeterminismError } from "../../WorkflowError.js"
import type { AttemptRunner } from "../activity/attemptRunner.js"
import { type Attempts, attempts } from "../activity/attempts.js"
import { DueQueue } from "../journal/dueQueue.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import { backoffMillis } from "../journal/quarantine.js"
import { makeRunId } from "../journal/runId.js"
import { earliest } from "../journal/sequence.js"
import type { Strictness } from "../turn/command.js"
import { type BufferedOutput, Execution, type Program } from "../turn/execution.js"
import * as guards from "../turn/guards.js"
import { replay } from "../turn/replay.js"
import { boundedHistories } from "./histories.js"
import { nameOfRun, ownedRun, type RunState } from "./ownedRun.js"
import { watching } from "./watchdog.js"

export interface RunsOptions {
  readonly journal: Journal["Type"]
  readonly workerId: string
  /** The workflows that this worker has the code of, by name. */
  readonly programs: ReadonlyMap<string, Program>
  readonly opBudget: number
  /** In milliseconds; infinite: turns are not watched. */
  readonly hangAfter: number
  readonly onHang: "report" | "exit"
  readonly strictness: Strictness
  readonly residentRuns: number
  readonly alwaysReplay: boolean
  readonly replayConcurrency: number
  readonly activityConcurrency: number
  /** The retry policy, encoded, of activities that give none. */
  readonly retry: RetryPolicy.Encoded | undefined
  readonly runner: AttemptRunner
  readonly writes: PersistentWrites
}

export interface Runs {
  /** Goes on with runs that it has become the owner of. */
  readonly onClaimed: (claimed: Claimed) => void
  /** Goes on with a run that has just been begun here. */
  readonly begin: (run: OwnedRun, events: ReadonlyArray<Event>) => void
  /** Somebody in this process has written to one of its runs. */
  readonly onPosted: (runId: string, event: ExternalEvent) => void
  /** The code of a workflow has come, or come back: its runs are looked at again. */
  readonly onProgram: (workflow: string) => void
  /** The code of a workflow has gone: its runs leave memory. */
  readonly onProgramGone: (workflow: string) => void
  readonly blocked: () => ReadonlyArray<NondeterminismError>
  /** The activities of its runs that wait for a handler, and how many calls of each. */
  readonly parked: Attempts["parked"]
  /** Its lease may have been over for a while: gives up those with activities that it does not own any more. */
  readonly checkOwnership: () => void
  /** Looks for what others may have written that nobody has told. */
  readonly checkActivities: () => void
  /** Writes what no turn will be taken for any more, once it is known. */
  readonly persistAll: () => void
  /** Forgets them all. */
  readonly clear: () => void
}

/** Takes turns, fires timers and runs activities for as long as the scope lives. */
export const runs = (options: RunsOptions): Effect.Effect<Runs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { journal, programs, runner, workerId, writes } = options
    const { store } = journal
    const runtime = yield* Effect.runtime()
    const clock: Clock.Clock = yield* Effect.clock

    const owned = new Map<string, RunState>()
    /** Runs whose execution is in memory, those that waited longest first. */
    const resident = new Set<RunState>()
    const blocked = new Map<string, NondeterminismError>()
    const ready = new Set<RunState>()
    const somethingReady = yield* Effect.makeLatch(false)

    const fork = (effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> => Runtime.runFork(runtime)(effect)

    const wake = (run: RunState): void => {
      ready.add(run)
      somethingReady.unsafeOpen()
    }

    /** What goes wrong with one run must not stop the others: it leaves memory, and is replayed when it wakes. */
    const contained = (run: RunState, step: () => void): void => {
      try {
        step()
      } catch (defect) {
        if (owned.get(run.runId) === run) {
          unload(run)
          run.state = "idle"
          const rest = backoffMillis(++run.failures)
          if (rest > 0) backOff(run, rest)
          else wake(run)
        }
        fork(Effect.logError(`holdfast: run ${run.runId} leaves memory, since a step of it failed`, Cause.die(defect)))
      }
    }

    // --- writing

    /** Writes what only the owner of a run may write. */
    const commit = (
      entry: Extract<Entry, { readonly _tag: "Append" | "Block" }>,
      onReceipt: (receipt: Receipt) => void
    ): void =>
      writes.commit(entry.runId, entry, (receipt) => {
        if (receipt._tag === "Recorded" || receipt._tag === "Appended") return onReceipt(receipt)
        const run = owned.get(entry.runId)
        if (run === undefined) return
        if (receipt._tag === "Conflict") onConflict(run)
        else giveUp(run)
      })

    const append = (
      run: RunState,
      events: ReadonlyArray<Unsequenced<Event>>,
      then: () => void = () => {},
      more?: Pick<Extract<Entry, { readonly _tag: "Append" }>, "next" | "children">
    ): void =>
      commit({ _tag: "Append", runId: run.runId, worker: workerId, epoch: run.epoch, events, ...more }, (receipt) => {
        if (receipt._tag === "Appended") follow(run, receipt.lastSeq, events.length)
        then()
      })

    /** Notes that events were written, the last with this number. What was written in between, was by somebody else. */
    const follow = (run: RunState, lastSeq: number, count: number): void => {
      if (lastSeq <= run.knownSeq) return
      if (lastSeq - count > run.knownSeq) run.needsReload = true
      run.knownSeq = lastSeq
    }

    // --- runs

    const own = (claimed: OwnedRun): RunState => {
      const lost = owned.get(claimed.runId)
      if (lost !== undefined) giveUp(lost)
      const run = ownedRun(claimed)
      owned.set(run.runId, run)
      watch(run)
      return run
    }

    /** Ends it in time, whatever its code does. */
    const watch = (run: RunState): void => {
      const { cancelBy, deadline } = run
      const by = earliest(cancelBy, deadline)
      if (by !== undefined) deadlines.add(run.runId, by, run)
    }

    /** A request to end may say by when. */
    const applyCancelDeadline = (run: RunState, event: Event): void => {
      if (event._tag !== "CancelRequested" || event.by === undefined) return
      run.cancelBy = earliest(run.cancelBy, event.by)
      watch(run)
    }

    const unload = (run: RunState): void => {
      run.execution?.drop()
      run.execution = undefined
      resident.delete(run)
    }

    /** Forgets a run: it has closed, or somebody else owns it. */
    const giveUp = (run: RunState): void => {
      unload(run)
      owned.delete(run.runId)
      ready.delete(run)
      blocked.delete(run.runId)
      deadlines.cancel(run.runId)
      backedOff.cancel(run.runId)
      tasks.cancelRun(run.runId)
    }

    /** Lets a run rest whose steps fail, so that it does not take all the worker's time. */
    const backOff = (run: RunState, millis: number): void => {
      run.notBefore = clock.unsafeCurrentTimeMillis() + millis
      backedOff.add(run.runId, run.notBefore, run)
    }

    const deliver = (runId: string, arrival: Unsequenced<Arrival>): void => {
      const run = owned.get(runId)
      if (run === undefined) return
      // No turn will consume it soon, so it goes to the journal alone.
      if (run.state === "blocked" || !programs.has(run.workflow)) persistArrival(run, arrival)
      else {
        run.pendingArrivals.push(arrival)
        wake(run)
      }
    }

    /** Writes an arrival that no turn will consume soon. */
    const persistArrival = (run: RunState, arrival: Unsequenced<Arrival>): void => {
      if (arrival._tag !== "ActivityCompleted" && arrival._tag !== "ActivityFailed") return append(run, [arrival])
      // Somebody else may have ended it before.
      const report: Entry = {
        _tag: "Report",
        runId: run.runId,
        attempt: undefined,
        worker: undefined,
        event: arrival
      }
      writes.commit(run.runId, report, () => {})
    }

    /** Writes what has arrived and waits for turns that will not be taken here. */
    const persistArrivals = (which: (run: RunState) => boolean): void => {
      for (const run of owned.values()) {
        if (run.pendingArrivals.length === 0 || run.state === "committing" || !which(run)) continue
        const arrivals = run.pendingArrivals
        run.pendingArrivals = []
        for (const arrival of arrivals) persistArrival(run, arrival)
      }
    }

    /** Takes note of what somebody in this process has written to a run, in the order of the run's events. */
    const onExternalEvent = (run: RunState, event: ExternalEvent): void => {
      if (event.seq <= run.knownSeq) return
      follow(run, event.seq, 1)
      applyCancelDeadline(run, event)
      if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") {
        run.pendingArrivals = run.pendingArrivals.filter((arrival) =>
          !("target" in arrival) || arrival.target !== event.target
        )
      }
      if (run.execution !== undefined && isArrival(event)) run.storedArrivals.push(event)
      wake(run)
    }

    const block = (run: RunState, error: NondeterminismError): void => {
      unload(run)
      run.state = "blocked"
      run.blocked = true
      blocked.set(run.runId, error)
      fork(Effect.logError("holdfast: a run is blocked", Cause.fail(error)))
      const arrivals = run.pendingArrivals
      run.pendingArrivals = []
      run.storedArrivals = []
      note(run, error.message)
      for (const arrival of arrivals) persistArrival(run, arrival)
    }

    const unblock = (run: RunState): void => {
      run.blocked = false
      blocked.delete(run.runId)
      note(run, undefined)
    }

    /** Tells clients why a run does not go on, or that it does again. */
    const note = (run: RunState, reason: string | undefined): void =>
      commit({ _tag: "Block", runId: run.runId, worker: workerId, epoch: run.epoch, reason }, () => {})

    const newExecution = (run: RunState, program: Program): Execution => {
      const { runId, startedAt, workflow, workflowId } = run
      const execution = new Execution({
        info: { workflow, workflowId, runId, startedAt },
        program,
        runtime,
        opBudget: options.opBudget,
        strictness: options.strictness,
        refuse: journal.refuse,
        watch: options.hangAfter === Infinity
          ? undefined
          : watching(`a turn of ${nameOfRun(run)}`, options.hangAfter, options.onHang === "exit"),
        onFault: (error) => {
          // While a turn is being committed, its receipt finds the fault.
          if (run.state === "idle" && run.execution === execution) block(run, error)
        }
      })
      run.execution = execution
      resident.add(run)
      return execution
    }

    const load = (run: RunState, program: Program): void => {
      run.state = "loading"
      histories.read(run.runId, run.activitiesUnread, (history, activities) =>
        contained(run, () => {
          if (owned.get(run.runId) === run) restore(run, program, history, activities)
        }))
    }

    const restore = (
      run: RunState,
      program: Program,
      history: ReadonlyArray<Event>,
      activities: ReadonlyArray<PendingActivity>
    ): void => {
      run.state = "idle"
      // The code has been replaced in the meantime.
      if (programs.get(run.workflow) !== program) return wake(run)
      const execution = newExecution(run, program)
      run.storedArrivals = [...replay(execution, history)]
      run.knownSeq = history.length
      run.needsReload = false
      run.activitiesUnread = false
      for (const activity of activities) tasks.resume(activity)
      // What somebody else has ended meanwhile is not to be ended again.
      const ended = new Set(run.storedArrivals.map((arrival) => "target" in arrival ? arrival.target : undefined))
      run.pendingArrivals = run.pendingArrivals.filter((arrival) =>
        !("target" in arrival) || !ended.has(arrival.target)
      )
      // Another process may have asked for it.
      for (const arrival of run.storedArrivals) {
        if (arrival._tag === "CancelRequested") applyCancelDeadline(run, arrival)
      }
      for (const target of ended) if (target !== undefined) tasks.cancel(run.runId, target)
      const { eventsWhileLoading: posted } = run
      run.eventsWhileLoading = []
      for (const event of posted) onExternalEvent(run, event)
      if (execution.fault !== undefined) return block(run, execution.fault)
      if (run.blocked) unblock(run)
      if (run.storedArrivals.length + run.pendingArrivals.length === 0) return
      run.order = "passed"
      wake(run)
    }

    /**
     * Whether a run in memory lets those go first that were due before it and have to be read. Only what a clock makes due has
     * an order; who has something else to do does it at once.
     */
    const waitsInOrder = (run: RunState): boolean => {
      const inOrder = run.order === "passed" || !histories.isCrowded() || run.storedArrivals.length > 0 ||
        run.pendingArrivals.some(({ _tag }) => _tag !== "TimerFired")
      if (inOrder) {
        run.order = undefined
      } else if (run.order === undefined) {
        run.order = "waiting"
        histories.follow(() => {
          if (owned.get(run.runId) !== run) return
          run.order = "passed"
          wake(run)
        })
      }
      return !inOrder
    }

    const takeTurn = (run: RunState, now: number): void => {
      const program = programs.get(run.workflow)
      if (run.state !== "idle" || program === undefined || run.notBefore > now) return
      if (run.needsReload) unload(run)
      const { execution } = run
      if (execution === undefined) return load(run, program)
      if (run.storedArrivals.length + run.pendingArrivals.length === 0 || waitsInOrder(run)) return
      const arrivals = run.pendingArrivals
      const commands = execution.turn(now, [...run.storedArrivals, ...arrivals]).map(withRetry)
      if (execution.fault !== undefined) return block(run, execution.fault)
      run.pendingArrivals = []
      run.storedArrivals = []
      run.arrivalsOfTurn = arrivals
      run.state = "committing"
      const next = execution.closed?.outcome === "Continued" ? nextRun(execution, execution.closed) : undefined
      const children = commands.filter((command) => command._tag === "ChildScheduled").map(() => ({
        runId: newRunId(execution.now),
        worker: undefined
      }))
      const turn = {
        _tag: "TurnTaken" as const,
        at: execution.now,
        consumedUpTo: run.knownSeq,
        inlineArrivals: arrivals.length
      }
      append(
        run,
        [
          ...arrivals,
          turn,
          ...commands.map((command) => command._tag === "RunClosed" ? { ...command, next: next?.runId } : command)
        ],
        () =>
          contained(run, () => {
            if (owned.get(run.runId) !== run) return
            run.state = "idle"
            flushOutput(execution.takeOutput())
            run.failures = 0
            if (execution.closed !== undefined) return giveUp(run)
            dispatch(run, commands)
            // Its code has been replaced.
            if (programs.get(run.workflow) !== program) unload(run)
            if (execution.fault !== undefined) block(run, execution.fault)
            else if (run.needsReload || run.storedArrivals.length + run.pendingArrivals.length > 0) wake(run)
            else evictIfNeeded(run)
          }),
        { next, children }
      )
    }

    /** Something was sent to a run that was about to continue as another: it takes the turn again, and sees that too. */
    const onConflict = (run: RunState): void => {
      unload(run)
      run.state = "idle"
      run.pendingArrivals = [...run.arrivalsOfTurn, ...run.pendingArrivals]
      run.needsReload = true
      wake(run)
    }

    const withRetry = (command: Unsequenced<Command>): Unsequenced<Command> =>
      options.retry !== undefined && command._tag === "ActivityScheduled" && command.retry === undefined
        ? { ...command, retry: options.retry }
        : command

    const newRunId = (at: number): string => Runtime.runSync(runtime)(makeRunId(at))

    const nextRun = (execution: Execution, { payload }: Unsequenced<RunClosed>): NextRun => ({
      runId: newRunId(execution.now),
      started: {
        ...execution.started!,
        at: execution.now,
        previous: execution.info.runId,
        first: execution.info.firstRunId,
        payload
      },
      posted: execution.unread
    })

    const begin = (started: OwnedRun, events: ReadonlyArray<Event>): void => {
      const run = own(started)
      run.knownSeq = events.length
      run.storedArrivals = events.filter(isArrival)
      const program = programs.get(run.workflow)
      if (program !== undefined) newExecution(run, program)
      wake(run)
    }

    /** A logger is user code and may throw; the run goes on. */
    const flushOutput = (prints: ReadonlyArray<BufferedOutput>): void => {
      for (const print of prints) {
        try {
          print()
        } catch (defect) {
          fork(Effect.logError("holdfast: a logger failed", Cause.die(defect)))
        }
      }
    }

    /** Keeps the number of runs in memory bounded. */
    const evictIfNeeded = (run: RunState): void => {
      if (options.alwaysReplay) return unload(run)
      resident.delete(run)
      resident.add(run)
      for (const oldest of resident) {
        if (resident.size <= options.residentRuns) return
        if (oldest.state === "idle" && oldest.pendingArrivals.length + oldest.storedArrivals.length === 0) {
          unload(oldest)
        }
      }
    }

    // --- what commands do

    const histories = yield* boundedHistories(store, options.replayConcurrency)

    const deadlines = yield* DueQueue.make<RunState>((run, at) => {
      const late: Unsequenced<Closing> = run.deadline !== undefined && run.deadline <= at
        ? { _tag: "RunTimedOut", at }
        : { _tag: "RunTerminated", at, reason: "it was asked to end, and has taken too long" }
      // Its code takes no further turn.
      ready.delete(run)
      append(run, [late], () => {
        if (owned.get(run.runId) === run) giveUp(run)
      })
    })

    const backedOff = yield* DueQueue.make<RunState>(wake)

    const timers = yield* DueQueue.make<{ readonly runId: string; readonly command: number }>(
      ({ command, runId }, at) => deliver(runId, { _tag: "TimerFired", target: command, at })
    )

    const tasks = yield* attempts({
      concurrency: options.activityConcurrency,
      runner,
      store,
      writes,
      onEnd: (runId, end) => {
        // What was due before this end comes before it, also where no timer could fire in between.
        timers.catchUp(clock.unsafeCurrentTimeMillis())
        deliver(runId, end)
      },
      onRetry: (runId, event, recorded) => {
        const run = owned.get(runId)
        if (run !== undefined) append(run, [event], recorded)
      }
    })

    const timerKey = (runId: string, command: number) => `${runId}/${command}`

    const dispatch = (run: RunState, commands: ReadonlyArray<Unsequenced<Command>>): void => {
      const abandoned = new Set(commands.map((command) => "target" in command ? command.target : undefined))
      for (const command of commands) {
        switch (command._tag) {
          case "ActivityScheduled":
            if (!abandoned.has(command.command)) tasks.start({ run, scheduled: command, attempt: 1 })
            break
          case "ActivityCancelled":
            tasks.cancel(run.runId, command.target)
            break
          case "TimerStarted":
            if (!abandoned.has(command.command)) {
              timers.add(timerKey(run.runId, command.command), command.fireAt, {
                runId: run.runId,
                command: command.command
              })
            }
            break
          case "TimerCancelled":
            timers.cancel(timerKey(run.runId, command.target))
            break
        }
      }
    }

    yield* somethingReady.await.pipe(
      Effect.zipRight(Effect.sync(() => {
        somethingReady.unsafeClose()
        const now = clock.unsafeCurrentTimeMillis()
        deadlines.catchUp(now)
        const turns = [...ready]
        ready.clear()
        guards.installedOnce(() => {
          for (const run of turns) contained(run, () => takeTurn(run, now))
        })
      })),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    return {
      onClaimed: (claimed) => {
        for (const { dueSeq, runId } of claimed.due) {
          const run = owned.get(runId)
          if (run === undefined || run.knownSeq >= dueSeq) continue
          run.needsReload = true
          wake(run)
        }
        for (const each of claimed.runs) {
          const run = own(each)
          // A blocked run is tried again at once: the code may have been mended.
          if (run.due || run.blocked) wake(run)
        }
        const unread = new Set(claimed.unread)
        for (const runId of unread) {
          const run = owned.get(runId)!
          run.activitiesUnread = true
          wake(run)
        }
        for (const activity of claimed.activities) if (!unread.has(activity.runId)) tasks.resume(activity)
        for (const { command, fireAt, runId } of claimed.timers) {
          timers.add(timerKey(runId, command), fireAt, { runId, command })
        }
      },
      begin,
      onPosted: (runId, event) => {
        const run = owned.get(runId)
        if (run === undefined) return
        if (event._tag === "RunTerminated") return giveUp(run)
        if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") tasks.cancel(runId, event.target)
        if (event._tag === "AttemptFailed") tasks.onFailed(runId, event)
        if (run.state === "loading") run.eventsWhileLoading.push(event)
        else if (run.state !== "blocked") contained(run, () => onExternalEvent(run, event))
      },
      onProgram: (workflow) => {
        for (const run of owned.values()) {
          if (run.workflow !== workflow) continue
          if (run.state === "blocked") run.state = "idle"
          wake(run)
        }
      },
      onProgramGone: (workflow) => {
        for (const run of owned.values()) if (run.workflow === workflow && run.state === "idle") unload(run)
        persistArrivals((run) => run.workflow === workflow)
      },
      blocked: () => [...blocked.values()],
      parked: tasks.parked,
      checkOwnership: () => {
        for (const runId of tasks.runIds()) {
          const run = owned.get(runId)
          // A note that changes nothing is refused when somebody else owns the run.
          if (run !== undefined && !run.blocked) note(run, undefined)
        }
      },
      checkActivities: tasks.reviewOutside,
      persistAll: () => persistArrivals(() => true),
      clear: () => {
        for (const run of owned.values()) unload(run)
        owned.clear()
      }
    }
  })
