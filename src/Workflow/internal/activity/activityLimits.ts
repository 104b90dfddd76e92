/**
 * The time-outs of which the owner of a run is the judge: how long an activity may wait for its first attempt, how long it
 * may take as a whole, and when an attempt that is made by nobody here has to be looked at.
 *
 * The first two count from when the activity was asked for, so they are the same for whoever owns the run.
 */
import type { DueQueue } from "../journal/dueQueue.js"
import { keyOfTask, type Task } from "./attempt.js"
import { closeBy, startBy } from "./decideAfterFailure.js"

export interface ActivityLimits {
  readonly arm: (task: Task, hasStarted: boolean) => void
  /** Its first attempt has started. */
  readonly onStarted: (task: Task) => void
  /** Looks at it at this time, unless another look takes the place of this one. */
  readonly look: (task: Task, at: number) => void
  readonly disarm: (task: Task) => void
}

export const activityLimits = (due: DueQueue<(now: number) => void>, on: {
  readonly onUnstarted: (task: Task, now: number) => void
  readonly onExceeded: (task: Task, now: number) => void
  readonly onLook: (task: Task) => void
}): ActivityLimits => {
  const startKey = (task: Task) => `${keyOfTask(task)}/start`
  const closeKey = (task: Task) => `${keyOfTask(task)}/close`
  const lookKey = (task: Task) => `${keyOfTask(task)}/look`
  const isLookedAt = ({ scheduled }: Task) => scheduled.startToClose !== undefined || scheduled.heartbeat !== undefined
  return {
    arm: (task, hasStarted) => {
      const { scheduled } = task
      // In this order they are due where they are due at once.
      if (scheduled.scheduleToClose !== undefined) {
        due.add(closeKey(task), closeBy(scheduled), (now) => on.onExceeded(task, now))
      }
      if (scheduled.scheduleToStart !== undefined && task.attempt === 1 && !hasStarted) {
        due.add(startKey(task), startBy(scheduled), (now) => on.onUnstarted(task, now))
      }
    },
    onStarted: (task) => {
      if (task.scheduled.scheduleToStart !== undefined) due.cancel(startKey(task))
    },
    look: (task, at) => {
      if (at < Infinity) due.add(lookKey(task), at, () => on.onLook(task))
    },
    disarm: (task) => {
      const { scheduled } = task
      if (scheduled.scheduleToClose !== undefined) due.cancel(closeKey(task))
      if (scheduled.scheduleToStart !== undefined) due.cancel(startKey(task))
      if (isLookedAt(task)) due.cancel(lookKey(task))
    }
  }
}
