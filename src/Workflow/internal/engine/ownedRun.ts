/**
 * A run that a worker owns: what the journal holds of it that no turn has seen, and what has arrived here.
 */
import type { Arrival, ExternalEvent, Unsequenced } from "../../Event.js"
import type { OwnedRun } from "../../Journal.js"
import type { NondeterminismError } from "../../WorkflowError.js"
import type { Execution } from "../turn/execution.js"

export interface RunState extends Omit<OwnedRun, "blocked" | "cancelBy"> {
  cancelBy: number | undefined
  /** The journal says that the run is blocked. */
  blocked: boolean
  /** Why this worker takes no turn of it: what its code does differs from what the history holds. */
  fault: NondeterminismError | undefined
  state: "idle" | "loading" | "committing" | "blocked"
  execution: Execution | undefined
  /** The number up to which this worker knows the run's events; every arrival among them is consumed or in `storedArrivals`. */
  knownSeq: number
  /** Somebody has written to the run what this worker has not seen: the journal tells what. */
  needsReload: boolean
  /** The run's activities could not be read when it was claimed: they are started from its history. */
  activitiesUnread: boolean
  /** Arrivals that are in the journal and wait for a turn. */
  storedArrivals: Array<Arrival>
  /** What this process has written to the run while its history was being read. */
  eventsWhileLoading: Array<ExternalEvent>
  /** Arrivals that will be written with the turn that consumes them. */
  pendingArrivals: Array<Unsequenced<Arrival>>
  /** Arrivals that are being written with a turn. */
  arrivalsOfTurn: ReadonlyArray<Unsequenced<Arrival>>
  /** Where the run is among those whose timers are due: it waits for others to be read, or they have been. */
  order: "waiting" | "passed" | undefined
  /** No turn is taken before this time, since those before have failed. */
  notBefore: number
  /** How many steps in a row have failed. */
  failures: number
}

/** Names a run for people. */
export const nameOfRun = (
  { runId, workflow, workflowId }: Pick<OwnedRun, "runId" | "workflow" | "workflowId">
): string => `run ${runId} of workflow ${workflow} (id ${JSON.stringify(workflowId)})`

export const ownedRun = (claimed: OwnedRun): RunState => ({
  ...claimed,
  fault: undefined,
  state: "idle",
  execution: undefined,
  knownSeq: 0,
  needsReload: false,
  activitiesUnread: false,
  storedArrivals: [],
  eventsWhileLoading: [],
  arrivalsOfTurn: [],
  pendingArrivals: [],
  order: undefined,
  notBefore: 0,
  failures: 0
})

export const hasArrivals = (run: RunState): boolean => run.storedArrivals.length + run.pendingArrivals.length > 0

/** Takes the arrivals that would be written with the next turn. */
export const takePendingArrivals = (run: RunState): ReadonlyArray<Unsequenced<Arrival>> => {
  const arrivals = run.pendingArrivals
  run.pendingArrivals = []
  return arrivals
}

/** Drops the ends of activities that somebody else has written already. */
export const dropEnded = (run: RunState, ended: (command: number) => boolean): void => {
  run.pendingArrivals = run.pendingArrivals.filter((arrival) => !("target" in arrival) || !ended(arrival.target))
}

/**
 * Notes that `count` events were written to a run, the last of them with the number `lastSeq`. A gap before them means that
 * another process has written: the run is read again before its next turn.
 */
export const noteWritten = (run: RunState, lastSeq: number, count: number): void => {
  if (lastSeq <= run.knownSeq) return
  if (lastSeq - count > run.knownSeq) run.needsReload = true
  run.knownSeq = lastSeq
}
