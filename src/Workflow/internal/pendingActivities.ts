/**
 * The activities of a run that have not ended, as its history tells: for where the journal's index of them cannot be used.
 */
import type { Event } from "../Event.js"
import type { PendingActivity } from "../Journal.js"

export const pendingActivities = (runId: string, history: ReadonlyArray<Event>): ReadonlyArray<PendingActivity> => {
  const pending = new Map<number, PendingActivity>()
  for (const event of history) {
    switch (event._tag) {
      case "ActivityScheduled":
        pending.set(event.command, { runId, scheduled: event, attempt: 1, notBefore: 0 })
        break
      case "AttemptFailed": {
        const failed = pending.get(event.target)
        if (failed !== undefined) {
          pending.set(event.target, { ...failed, attempt: event.attempt + 1, notBefore: event.retryAt })
        }
        break
      }
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        pending.delete(event.target)
        break
    }
  }
  return [...pending.values()]
}
