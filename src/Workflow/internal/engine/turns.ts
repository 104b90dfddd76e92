/**
 * Turns of the runs that a worker owns, and the histories that are replayed before them.
 *
 * A run has one turn out at a time. What arrives while its turn is being committed waits for the next one:
 *
 * ```text
 *   idle ──arrival──▶ turn ──▶ committing ──receipt──▶ idle
 *    │  ▲                │            │
 *    │  └── loading ◀────┼── evicted  └─ Fenced: given up
 *    │                   └─ fault ──▶ blocked: arrivals go to the journal, no turn is taken
 * ```
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import type { Command, Event, RunClosed, Unsequenced } from "../../Event.js"
import type { Journal, NextRun, PendingActivity } from "../../Journal.js"
import type { NondeterminismError } from "../../WorkflowError.js"
import { makeRunId } from "../journal/runId.js"
import type { Strictness } from "../turn/command.js"
import { type BufferedOutput, Execution, type Program } from "../turn/execution.js"
import { replay } from "../turn/replay.js"
import { boundedHistories } from "./histories.js"
import { hasArrivals, nameOfRun, type RunState, takePendingArrivals } from "./ownedRun.js"
import type { RunTable } from "./runTable.js"
import type { RunWrites } from "./runWrites.js"
import { watching } from "./watchdog.js"

export interface TurnsOptions {
  readonly journal: Journal["Type"]
  /** The workflows that this worker has the code of, by name. */
  readonly programs: ReadonlyMap<string, Program>
  readonly opBudget: number
  /** In milliseconds; infinite: turns are not watched. */
  readonly hangAfter: number
  readonly onHang: "report" | "exit"
  readonly strictness: Strictness
  readonly replayConcurrency: number
  /** The retry policy, encoded, of activities that give none. */
  readonly retry: RetryPolicy.Encoded | undefined
  readonly table: RunTable
  readonly writes: RunWrites
  /** Does what a turn has asked for, once it is committed. */
  readonly dispatch: (run: RunState, commands: ReadonlyArray<Unsequenced<Command>>) => void
  /** A history has been replayed; what it says that this worker did not know is to be taken note of. */
  readonly onReplayed: (run: RunState, activities: ReadonlyArray<PendingActivity>) => void
}

export interface Turns {
  /** Takes a turn of a run, if it has one to take; one that is not in memory is read first. */
  readonly take: (run: RunState, now: number) => void
  /** Brings a run that begins into memory. */
  readonly begin: (run: RunState, program: Program) => void
}

export const turns = (options: TurnsOptions): Effect.Effect<Turns, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { dispatch, journal, onReplayed, programs, table, writes } = options
    const runtime = yield* Effect.runtime()
    const histories = yield* boundedHistories(journal.store, options.replayConcurrency)

    const report = (message: string, cause: Cause.Cause<unknown>): void =>
      void Runtime.runFork(runtime)(Effect.logError(message, cause))

    const block = (run: RunState, fault: NondeterminismError): void => {
      table.unload(run)
      run.state = "blocked"
      run.blocked = true
      run.fault = fault
      report("holdfast: a run is blocked", Cause.fail(fault))
      const arrivals = takePendingArrivals(run)
      run.storedArrivals = []
      writes.noteBlocked(run, fault.message)
      for (const arrival of arrivals) writes.persistArrival(run, arrival)
    }

    const unblock = (run: RunState): void => {
      run.blocked = false
      run.fault = undefined
      writes.noteBlocked(run, undefined)
    }

    // --- bringing a run into memory

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
      table.keepInMemory(run, execution)
      return execution
    }

    const load = (run: RunState, program: Program): void => {
      run.state = "loading"
      histories.read(run.runId, run.activitiesUnread, (history, activities) =>
        table.contained(run, () => {
          if (table.has(run)) restore(run, program, history, activities)
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
      if (programs.get(run.workflow) !== program) return table.wake(run)
      const execution = newExecution(run, program)
      run.storedArrivals = [...replay(execution, history)]
      run.knownSeq = history.length
      run.needsReload = false
      run.activitiesUnread = false
      onReplayed(run, activities)
      if (execution.fault !== undefined) return block(run, execution.fault)
      if (run.blocked) unblock(run)
      if (!hasArrivals(run)) return
      run.order = "passed"
      table.wake(run)
    }

    // --- a turn

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
          if (!table.has(run)) return
          run.order = "passed"
          table.wake(run)
        })
      }
      return !inOrder
    }

    const take = (run: RunState, now: number): void => {
      const program = programs.get(run.workflow)
      if (run.state !== "idle" || program === undefined || run.notBefore > now) return
      if (run.needsReload) table.unload(run)
      const { execution } = run
      if (execution === undefined) return load(run, program)
      if (!hasArrivals(run) || waitsInOrder(run)) return
      const commands = execution.turn(now, [...run.storedArrivals, ...run.pendingArrivals]).map(withRetry)
      if (execution.fault !== undefined) return block(run, execution.fault)
      commit(run, program, execution, commands)
    }

    const commit = (
      run: RunState,
      program: Program,
      execution: Execution,
      commands: ReadonlyArray<Unsequenced<Command>>
    ): void => {
      const arrivals = takePendingArrivals(run)
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
      writes.append(
        run,
        [
          ...arrivals,
          turn,
          ...commands.map((command) => command._tag === "RunClosed" ? { ...command, next: next?.runId } : command)
        ],
        () =>
          table.contained(run, () => {
            if (table.has(run)) onCommitted(run, program, execution, commands)
          }),
        { next, children }
      )
    }

    const onCommitted = (
      run: RunState,
      program: Program,
      execution: Execution,
      commands: ReadonlyArray<Unsequenced<Command>>
    ): void => {
      run.state = "idle"
      flushOutput(execution.takeOutput())
      run.failures = 0
      if (execution.closed !== undefined) return table.giveUp(run)
      dispatch(run, commands)
      // Its code has been replaced.
      if (programs.get(run.workflow) !== program) table.unload(run)
      if (execution.fault !== undefined) block(run, execution.fault)
      else if (run.needsReload || hasArrivals(run)) table.wake(run)
      else table.evictIfNeeded(run)
    }

    /** A logger is user code and may throw; the run goes on. */
    const flushOutput = (prints: ReadonlyArray<BufferedOutput>): void => {
      for (const print of prints) {
        try {
          print()
        } catch (defect) {
          report("holdfast: a logger failed", Cause.die(defect))
        }
      }
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

    return { take, begin: (run, program) => void newExecution(run, program) }
  })
