/**
 * One attempt of an activity, seen from the engine: text in, an end out, and a channel between the two.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Scheduler } from "effect/Scheduler"
import type { ActivityScheduled, AttemptFailure, Unsequenced } from "../../Event.js"
import type { PendingActivity } from "../../Journal.js"
import type { RunIdentity } from "../../Run.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface AttemptInfo {
  readonly activity: string
  /** Counts from 1. */
  readonly attempt: number
  readonly workflow: string
  readonly workflowId: string
  readonly runId: string
  /** The same in every attempt, and in no other activity of any run. */
  readonly idempotencyKey: string
}

/** An attempt that is to be made. */
export interface Task {
  readonly run: Omit<RunIdentity, "startedAt">
  readonly scheduled: Unsequenced<ActivityScheduled>
  readonly attempt: number
  /** What the last back-off was, for curves that go by it. */
  readonly previousDelay?: number | undefined
  /** Why the attempt before failed, as far as this worker has seen it. */
  readonly lastFailure?: AttemptFailure | undefined
  /** The encoded details of the last heartbeat of any attempt before. */
  readonly details?: string | undefined
}

export const taskOf = ({ attempt, details, runId, scheduled, workflow, workflowId }: PendingActivity): Task => ({
  run: { workflow, workflowId, runId },
  scheduled,
  attempt,
  details
})

/** Names an activity among those of all runs. */
export const keyOf = (runId: string, command: number): string => `${runId}/${command}`

export const keyOfTask = ({ run, scheduled }: Task): string => keyOf(run.runId, scheduled.command)

/**
 * How an attempt ended, encoded; `Outside`: it has not, but its handler has done its part. An attempt that is interrupted
 * has no end.
 */
export type AttemptEnd =
  | { readonly _tag: "Completed"; readonly payload: string | null }
  | { readonly _tag: "Outside" }
  | AttemptFailed

export interface AttemptFailed {
  readonly _tag: "Failed"
  readonly failure: AttemptFailure
  readonly payload: string | null
  /** Why the journal does not take the payload, which is left out then. */
  readonly refusal?: string
  /** The error says that no retry can help. */
  readonly nonRetryable?: boolean
  /** The delay in milliseconds that the error asks for. */
  readonly retryAfter?: number | undefined
}

/** Starts an attempt in the runtime of its handler. */
export type Launch = (
  payload: string | null,
  info: AttemptInfo,
  channel: AttemptChannel
) => Fiber.RuntimeFiber<AttemptEnd>

export interface ActivityRegistration {
  readonly name: string
  /** The scheduler of the handler's runtime. */
  readonly scheduler: Scheduler
  /** How attempts are started on this scheduler: made once, since to give each fiber its own costs more than the fiber. */
  readonly launcher: (scheduler: Scheduler) => Launch
}

/** What a handler can tell its engine while it runs. */
export interface AttemptChannel {
  /** It is alive, and has come this far. */
  readonly beat: (details: string | null) => void
  /** The encoded details of the last heartbeat of any attempt before. */
  readonly details: string | undefined
  /** The token of the attempt, once the journal has its secret; somebody else may end the attempt from then on. */
  readonly token: Effect.Effect<string>
}

/** A handler that runs without an engine, in a test, tells nobody. */
export class Channel extends Context.Reference<Channel>()("holdfast/Workflow/Activity/Channel", {
  defaultValue: (): AttemptChannel => ({ beat: () => {}, details: undefined, token: Effect.never })
}) {}
