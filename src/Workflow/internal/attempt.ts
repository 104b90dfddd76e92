/**
 * One attempt of an activity, seen from the engine: text in, an end out.
 */
import type * as Effect from "effect/Effect"
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
export type AttemptEnd =
  | { readonly _tag: "Completed"; readonly payload: string | null }
  | { readonly _tag: "Failed"; readonly failure: AttemptFailure; readonly payload: string | null }

export interface ActivityRegistration {
  readonly name: string
  readonly attempt: (payload: string | null, info: AttemptInfo) => Effect.Effect<AttemptEnd>
}
