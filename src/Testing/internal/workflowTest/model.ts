/**
 * What a world is made from, what it keeps, and what can be done with it.
 */
import type * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Client } from "../../../Workflow/Client.js"
import type * as Engine from "../../../Workflow/Engine.js"
import type * as Journal from "../../../Workflow/Journal.js"
import type { Problem } from "./problems.js"

/** What a stub is given of its world. */
export interface Hooks {
  /** The number of the call with this key, among those of one name; from 1. */
  readonly callNumber: (name: string, key: string) => number
  /** Ends the test. */
  readonly raise: (problem: Problem) => void
  /** Ends the test with what an assertion of its own has thrown. */
  readonly raiseDefect: (defect: unknown) => void
}

/** Something that takes the place of an activity or a child. */
export interface Stub<out R> {
  readonly kind: "activity" | "workflow"
  readonly name: string
  readonly layer: (hooks: Hooks) => Layer.Layer<never, never, Engine.Engine | R>
}

export interface WorldOptions {
  readonly startAt?: DateTime.DateTime.Input | undefined
  readonly seed?: number | string | undefined
  readonly replay?: boolean | undefined
  readonly maxSteps?: number | undefined
  readonly patience?: Duration.DurationInput | undefined
  readonly engine?: Engine.Options | undefined
}

export interface Spec<out E, out R> {
  readonly live: Layer.Layer<never, E, R | Engine.Engine | Client | Journal.Journal>
  readonly stubs: ReadonlyArray<Stub<R>>
  /** Values of side effects, encoded, by their labels. */
  readonly sideEffects: ReadonlyMap<string, () => string | null>
  readonly options: WorldOptions
}

/** An attempt of an activity that has been begun. */
export interface Launch {
  readonly runId: string
  readonly workflowId: string
  readonly command: number
  readonly attempt: number
  readonly at: number
  endedAt: number | undefined
  /** Real time was spent on waiting for it. */
  waited: boolean
}

/** A call of an activity, with its attempts, or of a child workflow. */
export interface Made {
  readonly kind: "activity" | "workflow"
  readonly name: string
  readonly payload: string | null
  readonly at: number
  readonly runId: string
  readonly command: number
  /** Of the child, or of the caller of the activity. */
  readonly workflowId: string
  readonly launches: Array<Launch>
}

export interface World {
  readonly client: Context.Tag.Service<Client>
  readonly store: Journal.JournalStore
  readonly made: ReadonlyArray<Made>
  readonly startedAt: number
  readonly now: () => number
  /** The ids of all runs, in the order in which they were begun. */
  readonly runIds: ReadonlyArray<string>
  readonly hasWorkflow: (name: string) => boolean
  readonly workflows: () => ReadonlyArray<string>
  /** Runs an effect on the time and the scheduler of the world. */
  readonly inside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Runs an effect beside the test for as long as the world is there. */
  readonly fork: <E, R>(effect: Effect.Effect<void, E, R>) => Effect.Effect<void, never, R>
  /** Waits until nothing can go on without time, and fails if something has gone wrong by then. */
  readonly settle: Effect.Effect<void, Problem>
  /** Goes on by this much. */
  readonly advance: (millis: number) => Effect.Effect<void, Problem>
  /** Goes to the next time at which something is due; false when nothing is. */
  readonly skip: Effect.Effect<boolean, Problem>
  readonly maxSteps: number
  /** Replays all that has been run since it was replayed last. */
  readonly verify: Effect.Effect<void, Problem>
  readonly waitsFor: (runId: string) => Effect.Effect<ReadonlyArray<string>>
}
