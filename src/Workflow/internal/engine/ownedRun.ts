/**
 * A run that a worker owns: what the journal holds of it that no turn has seen, and what has arrived here.
 */
import type { Arrival, ExternalEvent, Unsequenced } from "../../Event.js"
import type { OwnedRun } from "../../Journal.js"
import type { Execution } from "../turn/execution.js"

export interface RunState extends Omit<OwnedRun, "blocked" | "cancelBy"> {
  cancelBy: number | undefined
  /** The journal says that it is blocked. */
  blocked: boolean
  state: "idle" | "loading" | "committing" | "blocked"
  execution: Execution | undefined
  /** The number up to which this worker knows the run's events; every arrival among them is consumed or in `storedArrivals`. */
  knownSeq: number
  /** Somebody has written to the run what this worker has not seen: the journal tells what. */
  needsReload: boolean
  /** Its activities could not be read when it was claimed: they are started from its history. */
  activitiesUnread: boolean
  /** Arrivals that are in the journal and wait for a turn. */
  storedArrivals: Array<Arrival>
  /** What this process has written to the run while its history was being read. */
  eventsWhileLoading: Array<ExternalEvent>
  /** Arrivals that will be written with the turn that consumes them. */
  pendingArrivals: Array<Unsequenced<Arrival>>
  /** Those that are being written with a turn. */
  arrivalsOfTurn: ReadonlyArray<Unsequenced<Arrival>>
  /** Where it is among those whose timers are due: it waits for others to be read, or they have been. */
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
