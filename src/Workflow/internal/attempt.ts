/**
 * One attempt of an activity, seen from the engine: text in, an end out.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AttemptFailure } from "../Event.js"

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

/** How an attempt ended, encoded. An attempt that is interrupted from outside has no end. */
export type AttemptEnd = { readonly _tag: "Completed"; readonly payload: string | null } | AttemptFailed

export interface AttemptFailed {
  readonly _tag: "Failed"
  readonly failure: AttemptFailure
  readonly payload: string | null
  /** The error says that no retry can help. */
  readonly nonRetryable?: boolean
  /** The delay in milliseconds that the error asks for. */
  readonly retryAfter?: number | undefined
}

export interface ActivityRegistration {
  readonly name: string
  /** Starts an attempt in the runtime of its handler; `finish` says what is done with its end. */
  readonly launch: <A>(
    payload: string | null,
    info: AttemptInfo,
    finish: <R>(attempt: Effect.Effect<AttemptEnd, never, R>) => Effect.Effect<A, never, R>
  ) => Fiber.RuntimeFiber<A>
}
