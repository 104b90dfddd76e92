/**
 * What an open run waits for, in words, for the error of a test that waits for it in vain.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ChildScheduled, Event } from "../../../Workflow/Event.js"
import type { JournalStore } from "../../../Workflow/Journal.js"
import type { RunService } from "../../../Workflow/Run.js"
import type { JournalError } from "../../../Workflow/WorkflowError.js"

export const waitsOf = (
  store: JournalStore,
  executions: ReadonlyMap<string, RunService>,
  runId: string
): Effect.Effect<ReadonlyArray<string>, JournalError> =>
  Effect.gen(function*() {
    const record = Option.getOrUndefined(yield* store.run(runId))
    if (record === undefined || record.closed !== undefined) return []
    const { activities, timers } = yield* store.pending(runId)
    const events = yield* store.history(runId)
    const execution = executions.get(runId)
    const children = yield* Effect.forEach(openChildren(events), (child) =>
      Effect.gen(function*() {
        const latest = Option.getOrUndefined(yield* store.latest(child.workflowId))
        const itself = latest === undefined ? [] : yield* waitsOf(store, executions, latest.runId)
        return `child ${child.workflow} ${JSON.stringify(child.workflowId)}${
          itself.length === 0 ? "" : `, which waits for ${itself.join(", and for ")}`
        }`
      }))
    const waits = [
      ...(execution?.mailbox.awaited ?? []).map((signal) => `signal ${signal}`),
      ...activities.map(({ attempt, notBefore, scheduled }) =>
        `activity ${scheduled.activity}, attempt ${attempt}${
          notBefore > 0 ? `, at ${iso(notBefore)} or later` : ""
        }, called with ${scheduled.payload ?? "no payload"}`
      ),
      ...timers.map(({ fireAt }) => `the time ${iso(fireAt)}`),
      ...children,
      ...(execution?.conditions.isAwaited === true ? ["a condition (Workflow.until)"] : []),
      ...(execution?.cancellationState.isAwaited === true ? ["a request to end (Workflow.cancellation)"] : [])
    ]
    return waits.length > 0 ? waits : ["a request to end: it waits for ever (Effect.never)"]
  })

const iso = (millis: number): string => DateTime.formatIso(DateTime.unsafeMake(millis))

const openChildren = (events: ReadonlyArray<Event>): ReadonlyArray<ChildScheduled> => {
  const ended = new Set(
    events.map((event) => event._tag === "ChildClosed" || event._tag === "ChildCancelled" ? event.target : undefined)
  )
  return events.filter((event) => event._tag === "ChildScheduled").filter(({ command }) => !ended.has(command))
}
