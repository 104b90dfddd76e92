/**
 * The run that a workflow's code belongs to, and what it may ask of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { CancellationState } from "./internal/turn/cancellationState.js"
import type { Draft, Resolution } from "./internal/turn/command.js"
import type { Conditions } from "./internal/turn/conditions.js"
import type { Mailbox } from "./internal/turn/mailbox.js"

/**
 * The names of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunIdentity {
  /** The name of the workflow. */
  readonly workflow: string
  /** The id that the starter of the run chose. */
  readonly workflowId: string
  /** The id of this run of it; unique in the journal. */
  readonly runId: string
  /** When the run was started, in milliseconds since the epoch. */
  readonly startedAt: number
}

/**
 * Who a run is.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunInfo extends RunIdentity {
  /** The first of the runs that have gone on from each other, of which this one is the latest. */
  readonly firstRunId: string
  /** The run that has asked for it as a child. */
  readonly parent: { readonly workflowId: string; readonly runId: string } | undefined
}

/**
 * Somebody wants the run to end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cancellation {
  readonly reason: string
  /** When the cancellation was asked for, in milliseconds since the epoch. */
  readonly at: number
  /** When the run is ended without a further word to its code; absent: never. */
  readonly by?: number | undefined
}

/**
 * A command that has been issued, whose answer is told to a callback.
 *
 * @since 0.1.0
 * @category models
 */
export interface Issued {
  readonly command: number
  /**
   * Stops waiting, and issues this command instead, unless it has been answered.
   *
   * @internal
   */
  readonly abandon: (abandoned: Draft | undefined) => void
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
   * Its signals.
   *
   * @internal
   */
  readonly mailbox: Mailbox
  /**
   * Whether somebody wants the run to end.
   *
   * @internal
   */
  readonly cancellationState: CancellationState
  /**
   * What the run's fibers wait for of each other.
   *
   * @internal
   */
  readonly conditions: Conditions
  /**
   * What `compute` gives, or gave when the run came by here first.
   *
   * @internal
   */
  readonly record: (label: string, compute: () => string | null, origin?: Error | undefined) => string | null
  /**
   * Why the journal refuses this payload, or refused it when the run came by here first; `undefined`: it takes it.
   *
   * @internal
   */
  readonly refusal: (what: string, payload: string | null) => string | undefined
  /**
   * Whether the run came by here first with this change in its code.
   *
   * @internal
   */
  readonly patched: (id: string) => boolean
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
  readonly issue: (
    draft: Draft,
    abandon: (command: number) => Draft | undefined,
    origin?: Error | undefined
  ) => Effect.Effect<Resolution>
  /**
   * Issues a command, and tells its answer to `answered`.
   *
   * @internal
   */
  readonly begin: (draft: Draft, answered: (answer: Resolution) => void, origin?: Error | undefined) => Issued
}
