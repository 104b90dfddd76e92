/**
 * The run that a workflow's code belongs to, and what it may ask of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Answer, Draft } from "./internal/command.js"

/**
 * Who a run is.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunInfo {
  /** The name of the workflow. */
  readonly workflow: string
  /** The id that its starter chose. */
  readonly workflowId: string
  /** The id of this run of it; unique in the journal. */
  readonly runId: string
  /** When it was started, in milliseconds since the epoch. */
  readonly startedAt: number
}

/**
 * Somebody wants the run to end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cancellation {
  readonly reason: string
  /** When it was asked for, in milliseconds since the epoch. */
  readonly at: number
}

/**
 * The run that the current fiber belongs to. Only the body of a workflow has one.
 *
 * @since 0.1.0
 * @category services
 */
export class Run extends Context.Tag("holdfast/Workflow/Run")<Run, RunService>() {}

/**
 * @since 0.1.0
 * @category services
 */
export interface RunService {
  readonly info: RunInfo
  /**
   * Waits until somebody wants the run to end.
   *
   * @internal
   */
  readonly cancelled: Effect.Effect<Cancellation>
  /**
   * Keeps that wish from interrupting the run while an effect runs.
   *
   * @internal
   */
  readonly shielded: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /**
   * Waits for a signal that nobody else has taken.
   *
   * @internal
   */
  readonly receive: (signal: string) => Effect.Effect<string | null>
  /**
   * Takes a signal that has arrived, if there is one.
   *
   * @internal
   */
  readonly poll: (signal: string) => readonly [] | readonly [{ readonly payload: string | null }]
  /**
   * Waits until a condition holds.
   *
   * @internal
   */
  readonly until: (holds: () => boolean) => Effect.Effect<void>
  /**
   * What `compute` gives, or gave when the run came by here first.
   *
   * @internal
   */
  readonly record: (label: string, compute: () => string | null) => string | null
  /**
   * The time of the current turn, in milliseconds since the epoch.
   *
   * @internal
   */
  readonly now: number
  /**
   * Issues a command and waits for its answer. When the wait is interrupted first, issues what `abandon` gives. `origin`
   * carries the stack of whoever asked, for the error of a replay that finds another command.
   *
   * @internal
   */
  readonly ask: (
    draft: Draft,
    abandon: (command: number) => Draft,
    origin?: Error | undefined
  ) => Effect.Effect<Answer>
}
