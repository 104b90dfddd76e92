/**
 * What follows a failed attempt: the retry policy and the time-outs, which travel with the command, decide.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import type { ActivityFailed, ActivityScheduled, AttemptFailed, AttemptFailure, Unsequenced } from "../../Event.js"
import type { AttemptFailed as FailedAttempt, Task } from "./attempt.js"

type Scheduled = Unsequenced<ActivityScheduled>

/** The end of the activity, or the failure of the attempt and when the next one starts. */
export const decideAfterFailure = (
  { attempt, previousDelay, scheduled }: Pick<Task, "attempt" | "previousDelay" | "scheduled">,
  { failure, nonRetryable, payload, refusal, retryAfter }: FailedAttempt,
  at: number,
  random: number
): Unsequenced<ActivityFailed> | Unsequenced<AttemptFailed> => {
  const target = scheduled.command
  const stop = (failure: AttemptFailure): Unsequenced<ActivityFailed> => ({
    _tag: "ActivityFailed",
    target,
    at,
    attempts: attempt,
    failure: refusal === undefined ? failure : { reason: "Codec", message: `its error is refused: ${refusal}` },
    payload
  })
  if (scheduled.retry === undefined) return stop(failure)
  const policy = RetryPolicy.decode(scheduled.retry)
  if (Either.isLeft(policy)) {
    return stop({ ...failure, message: `${failure.message}; not retried, since ${policy.left.message}` })
  }
  const next = RetryPolicy.next(policy.right, {
    failures: attempt,
    errorTag: failure.tag,
    // What does not fit its schema will not fit it the next time.
    nonRetryable: failure.reason === "Codec" || nonRetryable,
    retryAfterMillis: retryAfter,
    elapsedMillis: at - scheduled.at,
    random,
    previousDelayMillis: previousDelay
  })
  if (next._tag === "Stop") return stop(failure)
  const retryAt = at + next.delayMillis
  // Limits are inclusive: an attempt that began at the deadline would be out of time at once.
  return retryAt >= closeBy(scheduled)
    ? exceeded(scheduled, "scheduleToClose", attempt, at, failure)
    : { _tag: "AttemptFailed", target, at, attempt, failure, retryAt, payload }
}

/** When the first attempt must have started, in milliseconds since the epoch. */
export const startBy = ({ at, scheduleToStart = Infinity }: Scheduled): number => at + scheduleToStart

/** When the activity must have ended, in milliseconds since the epoch. */
export const closeBy = ({ at, scheduleToClose = Infinity }: Scheduled): number => at + scheduleToClose

export interface AttemptLimit {
  readonly at: number
  readonly timeout: "startToClose" | "heartbeat"
}

/** When an attempt is out of time, and by which limit, as far as is known now. */
export const attemptLimit = (
  { heartbeat = Infinity, startToClose = Infinity }: Scheduled,
  startedAt: number,
  beatAt: number
): AttemptLimit => {
  const end = startedAt + startToClose
  const silence = beatAt + heartbeat
  return end <= silence ? { at: end, timeout: "startToClose" } : { at: silence, timeout: "heartbeat" }
}

/** An attempt that is out of time. */
export const attemptTimedOut = (scheduled: Scheduled, timeout: AttemptLimit["timeout"]): FailedAttempt => {
  const limit = Duration.format(Duration.millis(scheduled[timeout]!))
  const message = timeout === "startToClose" ? `it took longer than ${limit}` : `it gave no heartbeat for ${limit}`
  return { _tag: "Failed", failure: { reason: "TimedOut", timeout, message }, payload: null }
}

/** An activity that is out of time for good; `last` is why its last attempt failed. */
export const exceeded = (
  scheduled: Scheduled,
  timeout: "scheduleToStart" | "scheduleToClose",
  attempts: number,
  at: number,
  last?: AttemptFailure
): Unsequenced<ActivityFailed> => {
  const limit = Duration.format(Duration.millis(scheduled[timeout]!))
  const message = timeout === "scheduleToStart"
    ? `no attempt of it started within ${limit}`
    : `it did not end within ${limit}, over all its attempts`
  return {
    _tag: "ActivityFailed",
    target: scheduled.command,
    at,
    attempts,
    failure: {
      reason: "TimedOut",
      timeout,
      message: last === undefined ? message : `${message}; the last one failed: ${last.message}`
    },
    payload: null
  }
}
