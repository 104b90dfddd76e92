/**
 * A run that a worker owns: what the journal holds of it that no turn has seen, and what has arrived here.
 */
import type { Arrival, Posted, Unplaced } from "../../Event.js"
import type { OwnedRun } from "../../Journal.js"
import type { Execution } from "../turn/execution.js"

export interface Owned extends Omit<OwnedRun, "blocked" | "cancelBy"> {
  cancelBy: number | undefined
  /** The journal says that it is blocked. */
  blocked: boolean
  state: "idle" | "loading" | "committing" | "blocked"
  execution: Execution | undefined
  /** The number up to which this worker knows the run's events; every arrival among them is consumed or `placed`. */
  known: number
  /** Somebody has written to the run what this worker has not seen: the journal tells what. */
  outdated: boolean
  /** Its activities could not be read when it was claimed: they are started from its history. */
  unread: boolean
  /** Arrivals that are in the journal and wait for a turn. */
  placed: Array<Arrival>
  /** What this process has written to the run while its history was being read. */
  posted: Array<Posted>
  /** Arrivals that will be written with the turn that consumes them. */
  inbox: Array<Unplaced<Arrival>>
  /** Those that are being written with a turn. */
  carried: ReadonlyArray<Unplaced<Arrival>>
  /** No turn is taken before this time, since those before have failed. */
  heldUntil: number
  /** How many steps in a row have failed. */
  failures: number
}

/** Names a run for people. */
export const nameOfRun = (
  { runId, workflow, workflowId }: Pick<OwnedRun, "runId" | "workflow" | "workflowId">
): string => `run ${runId} of workflow ${workflow} (id ${JSON.stringify(workflowId)})`

export const ownedRun = (claimed: OwnedRun): Owned => ({
  ...claimed,
  state: "idle",
  execution: undefined,
  known: 0,
  outdated: false,
  unread: false,
  placed: [],
  posted: [],
  carried: [],
  inbox: [],
  heldUntil: 0,
  failures: 0
})
