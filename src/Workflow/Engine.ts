/**
 * The engine: one worker of a journal. It takes the turns of the workflows that are registered with it, runs their
 * activities and fires their timers.
 *
 * Workflows and activities are registered by their layers (`Order.toLayer`, `Charge.toLayer`), which require the engine;
 * the engine requires a journal. An activity runs beside its workflow, and waits for a handler when there is none; with a
 * queue it runs on any engine that serves that queue and has a handler for it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { RetryPolicy } from "../Schedule/RetryPolicy.js"
import * as Client from "./Client.js"
import type { ActivityRegistration } from "./internal/activity/attempt.js"
import { worker, type WorkflowRegistration } from "./internal/engine/worker.js"
import type { Journal } from "./Journal.js"
import type { JournalError, NondeterminismError } from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category services
 */
export class Engine extends Context.Tag("holdfast/Workflow/Engine")<Engine, {
  /** The name under which this worker owns runs. */
  readonly workerId: string
  /** The runs that this worker cannot go on with, and why. */
  readonly blocked: Effect.Effect<ReadonlyArray<NondeterminismError>>
  /** @internal */
  readonly addWorkflow: (registration: WorkflowRegistration) => Effect.Effect<void, never, Scope.Scope>
  /** @internal */
  readonly addActivity: (registration: ActivityRegistration) => Effect.Effect<void, never, Scope.Scope>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The retry policy of activities that give none of their own; `RetryPolicy.none` counts as one of their own. A policy is
   * fixed when an activity is asked for, so that a later change of this option leaves what is under way alone. Default:
   * one attempt.
   */
  readonly retry?: RetryPolicy | undefined
  /** How many attempts of activities without a queue run at once; further ones wait in order. Default 1,000. */
  readonly activityConcurrency?: number | undefined
  /**
   * The queues that this engine serves, with the handlers that are registered with it, and how many attempts of each run
   * here at once, default 100. A worker may serve queues alone, without the code of any workflow. Default: none.
   */
  readonly queues?: { readonly [name: string]: { readonly concurrency?: number | undefined } } | undefined
  /** How many runs are kept in memory; those that wait longest leave it, and are replayed when they wake. Default 5,000. */
  readonly residentRuns?: number | undefined
  /**
   * Replay a run for each of its turns, instead of keeping it in memory: slow, and it finds code that cannot be replayed
   * the first time that it runs. For tests and staging. Default false.
   */
  readonly alwaysReplay?: boolean | undefined
  /** How many histories are read and replayed at once; further runs wait in order. Default 16. */
  readonly replayConcurrency?: number | undefined
  /** How long running activities may go on when the engine stops. Default 5 seconds; none under a virtual clock. */
  readonly gracePeriod?: Duration.DurationInput | undefined
  /**
   * How long another worker waits, when this one has died, before it takes over its runs. Default 10 seconds. The lease
   * goes by real time, under whatever clock the program runs.
   */
  readonly lease?: Duration.DurationInput | undefined
  /** How many operations one turn may take before it counts as one that never ends. Default 1,000,000. */
  readonly opBudget?: number | undefined
  /**
   * How long one turn of a run may hold up the process before a thread of its own reports the run on standard error: code
   * of a workflow that loops without a durable wait keeps everything else in the process from running, timers and logs
   * too. The same thread reports an activity that holds up the process for longer than the lease, as far as the work is in
   * its Effect; what it does behind a promise is not seen. `Infinity`: no thread. Default 10 seconds.
   */
  readonly hangAfter?: Duration.DurationInput | undefined
  /**
   * What to do about a turn that has been reported: `report`, the default, nothing more; `exit` kills the process with
   * SIGKILL, since nothing gentler can reach it. Whoever starts the process again goes on with its runs, and the run that
   * has killed three owners is claimed after all others.
   */
  readonly onHang?: "report" | "exit" | undefined
  /**
   * What a replay compares besides the kind, the number and the name of each command: `payload`, the default, also a
   * digest of its payload; `name` nothing more.
   */
  readonly strictness?: "payload" | "name" | undefined
}

/**
 * An engine, and a client of the same journal.
 *
 * When its scope closes it stops claiming, lets running activities end within the grace period, commits what is under
 * way, and gives up its runs for another worker to take at once. A workflow is never interrupted by that.
 *
 * Dies with `InvalidOptions` when an option can never work.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Client, Engine, Journal, Workflow } from "holdfast/Workflow"
 *
 * const Nap = Workflow.make("Nap")
 * const NapLive = Nap.toLayer(() => Effect.sleep("1 minute"))
 *
 * const Live = NapLive.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* Client.start(Nap, { id: "after-lunch" })
 *   yield* run.result
 * }).pipe(Effect.provide(Live))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Engine | Client.Client, JournalError, Journal> =>
  Layer.merge(Layer.scoped(Engine, worker(options ?? {})), Client.layer)
