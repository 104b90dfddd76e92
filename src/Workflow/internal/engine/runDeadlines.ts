/**
 * When runs end whatever their code does: at their own time-outs, and at the deadline of a request to cancel them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Closing, Event, Unsequenced } from "../../Event.js"
import { DueQueue } from "../journal/dueQueue.js"
import { earliest } from "../journal/sequence.js"
import type { RunState } from "./ownedRun.js"

export interface RunDeadlines {
  /** Ends a run once its deadline has passed. */
  readonly watch: (run: RunState) => void
  /** A request to cancel may say by when the run is to have ended. */
  readonly onEvent: (run: RunState, event: Event) => void
  readonly forget: (run: RunState) => void
  /** Ends the runs whose deadlines have passed by now. */
  readonly catchUp: (now: number) => void
}

export const runDeadlines = (
  end: (run: RunState, closing: Unsequenced<Closing>) => void
): Effect.Effect<RunDeadlines, never, Scope.Scope> =>
  Effect.map(
    DueQueue.make<RunState>((run, at) =>
      end(
        run,
        run.deadline !== undefined && run.deadline <= at
          ? { _tag: "RunTimedOut", at }
          : { _tag: "RunTerminated", at, reason: "it was asked to end, and has taken too long" }
      )
    ),
    (due) => {
      const watch = (run: RunState): void => {
        const by = earliest(run.cancelBy, run.deadline)
        if (by !== undefined) due.add(run.runId, by, run)
      }
      return {
        watch,
        onEvent: (run, event) => {
          if (event._tag !== "CancelRequested" || event.by === undefined) return
          run.cancelBy = earliest(run.cancelBy, event.by)
          watch(run)
        },
        forget: (run) => due.cancel(run.runId),
        catchUp: (now) => due.catchUp(now)
      }
    }
  )
