/**
 * What the owner of a run writes to the journal: turns, arrivals that no turn will consume soon, and why a run is blocked.
 */
import type { Arrival, Event, Unsequenced } from "../../Event.js"
import type { Entry, Receipt } from "../../Journal.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import { noteWritten, type RunState, takePendingArrivals } from "./ownedRun.js"
import type { RunTable } from "./runTable.js"

type Append = Extract<Entry, { readonly _tag: "Append" }>

export interface RunWrites {
  /** Appends events; calls back once they are in the journal and known to the run. */
  readonly append: (
    run: RunState,
    events: ReadonlyArray<Unsequenced<Event>>,
    then?: () => void,
    more?: Pick<Append, "next" | "children">
  ) => void
  /** Tells clients why a run does not go on; without a reason, that it does. */
  readonly noteBlocked: (run: RunState, reason: string | undefined) => void
  /** Writes an arrival without a turn. */
  readonly persistArrival: (run: RunState, arrival: Unsequenced<Arrival>) => void
  /** Writes the arrivals of these runs without a turn, where none is being written. */
  readonly persistArrivals: (which: (run: RunState) => boolean) => void
}

export const runWrites = ({ table, workerId, writes }: {
  readonly table: RunTable
  readonly workerId: string
  readonly writes: PersistentWrites
}): RunWrites => {
  const commit = (entry: Append | Extract<Entry, { readonly _tag: "Block" }>, then: (receipt: Receipt) => void): void =>
    writes.commit(entry.runId, entry, (receipt) => {
      if (receipt._tag === "Recorded" || receipt._tag === "Appended") return then(receipt)
      const run = table.get(entry.runId)
      // It may have been lost meanwhile, and come back in another epoch.
      if (run === undefined || run.epoch !== entry.epoch) return
      if (receipt._tag === "Conflict") takeAgain(run)
      else table.giveUp(run)
    })

  /** Something was sent to a run that was about to continue as another: it takes the turn again, and sees that too. */
  const takeAgain = (run: RunState): void => {
    table.unload(run)
    run.state = "idle"
    run.pendingArrivals = [...run.arrivalsOfTurn, ...run.pendingArrivals]
    run.needsReload = true
    table.wake(run)
  }

  const append: RunWrites["append"] = (run, events, then, more) =>
    commit({ _tag: "Append", runId: run.runId, worker: workerId, epoch: run.epoch, events, ...more }, (receipt) => {
      if (receipt._tag === "Appended") noteWritten(run, receipt.lastSeq, events.length)
      then?.()
    })

  const persistArrival = (run: RunState, arrival: Unsequenced<Arrival>): void => {
    if (arrival._tag !== "ActivityCompleted" && arrival._tag !== "ActivityFailed") return append(run, [arrival])
    // Somebody else may have ended the activity before.
    const report: Entry = {
      _tag: "Report",
      runId: run.runId,
      attempt: undefined,
      worker: undefined,
      event: arrival
    }
    writes.commit(run.runId, report, () => {})
  }

  return {
    append,
    noteBlocked: (run, reason) =>
      commit({ _tag: "Block", runId: run.runId, worker: workerId, epoch: run.epoch, reason }, () => {}),
    persistArrival,
    persistArrivals: (which) => {
      for (const run of table.all()) {
        if (run.state === "committing" || !which(run)) continue
        for (const arrival of takePendingArrivals(run)) persistArrival(run, arrival)
      }
    }
  }
}
