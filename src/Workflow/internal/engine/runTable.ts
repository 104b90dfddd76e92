/**
 * The runs that a worker owns: which of them are in memory, which have something to do, and which rest after a failure.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { OwnedRun } from "../../Journal.js"
import { DueQueue } from "../journal/dueQueue.js"
import { backoffMillis } from "../journal/quarantine.js"
import type { Execution } from "../turn/execution.js"
import { hasArrivals, ownedRun, type RunState } from "./ownedRun.js"

export interface RunTable {
  readonly get: (runId: string) => RunState | undefined
  /** Whether this is still the state of a run that the worker owns. */
  readonly has: (run: RunState) => boolean
  readonly all: () => Iterable<RunState>
  /** Adds a run that the worker has become the owner of, whatever it knew of that run before. */
  readonly own: (claimed: OwnedRun) => RunState
  /** Forgets a run: it has closed, or somebody else owns it. */
  readonly giveUp: (run: RunState) => void
  /** Has a run looked at: something has arrived for it. */
  readonly wake: (run: RunState) => void
  /** Has a run not looked at, whatever has arrived for it. */
  readonly unwake: (run: RunState) => void
  /** Waits until runs are to be looked at. */
  readonly untilAwake: Effect.Effect<void>
  /** Takes the runs that are to be looked at, in the order in which they were woken. */
  readonly takeAwake: () => ReadonlyArray<RunState>
  readonly keepInMemory: (run: RunState, execution: Execution) => void
  readonly unload: (run: RunState) => void
  /** Unloads the runs that have waited longest, where more are in memory than may be; `moved` has just moved. */
  readonly evictIfNeeded: (moved: RunState) => void
  /** Runs a step of a run. When it fails the run leaves memory, rests, and is replayed: the others go on. */
  readonly contained: (run: RunState, step: () => void) => void
  /** Forgets all runs. */
  readonly clear: () => void
}

export const runTable = (options: {
  readonly residentRuns: number
  readonly alwaysReplay: boolean
  readonly onGivenUp: (run: RunState) => void
}): Effect.Effect<RunTable, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const clock = yield* Effect.clock
    const owned = new Map<string, RunState>()
    /** Runs whose execution is in memory, those that waited longest first. */
    const resident = new Set<RunState>()
    const awake = new Set<RunState>()
    const someAwake = yield* Effect.makeLatch(false)

    const has = (run: RunState): boolean => owned.get(run.runId) === run

    const wake = (run: RunState): void => {
      awake.add(run)
      someAwake.unsafeOpen()
    }

    const backedOff = yield* DueQueue.make<RunState>(wake)

    const unload = (run: RunState): void => {
      run.execution?.drop()
      run.execution = undefined
      resident.delete(run)
    }

    const giveUp = (run: RunState): void => {
      unload(run)
      owned.delete(run.runId)
      awake.delete(run)
      backedOff.cancel(run.runId)
      options.onGivenUp(run)
    }

    const backOff = (run: RunState): void => {
      const millis = backoffMillis(++run.failures)
      if (millis === 0) return wake(run)
      run.notBefore = clock.unsafeCurrentTimeMillis() + millis
      backedOff.add(run.runId, run.notBefore, run)
    }

    return {
      get: (runId) => owned.get(runId),
      has,
      all: () => owned.values(),
      own: (claimed) => {
        const lost = owned.get(claimed.runId)
        if (lost !== undefined) giveUp(lost)
        const run = ownedRun(claimed)
        owned.set(run.runId, run)
        return run
      },
      giveUp,
      wake,
      unwake: (run) => void awake.delete(run),
      untilAwake: someAwake.await,
      takeAwake: () => {
        someAwake.unsafeClose()
        const runs = [...awake]
        awake.clear()
        return runs
      },
      keepInMemory: (run, execution) => {
        run.execution = execution
        resident.add(run)
      },
      unload,
      evictIfNeeded: (moved) => {
        if (options.alwaysReplay) return unload(moved)
        resident.delete(moved)
        resident.add(moved)
        for (const oldest of resident) {
          if (resident.size <= options.residentRuns) return
          if (oldest.state === "idle" && !hasArrivals(oldest)) unload(oldest)
        }
      },
      contained: (run, step) => {
        try {
          step()
        } catch (defect) {
          if (has(run)) {
            unload(run)
            run.state = "idle"
            backOff(run)
          }
          Runtime.runFork(runtime)(
            Effect.logError(`holdfast: run ${run.runId} leaves memory, since a step of it failed`, Cause.die(defect))
          )
        }
      },
      clear: () => {
        for (const run of owned.values()) unload(run)
        owned.clear()
      }
    }
  })
