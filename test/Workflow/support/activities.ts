/** Orders whose body is one activity: what most tests of activities look at. */
import { Cause, Effect, Exit, Fiber, Layer, Option, type Scope } from "effect"
import { Activity, Client, type Engine, type Journal, WorkflowError } from "holdfast/Workflow"
import type { Event } from "../../../src/Workflow/Event.js"
import { Declined, historyOf, Order, order, started } from "./orders.js"
import { adjust } from "./settling.js"

export type ChargeLike<Details = void> = Activity.Activity<number, string, Declined, Details>

type Handler<R = never> = (
  cents: number,
  attempt: number
) => Effect.Effect<string | Activity.Outside, Declined, Activity.Attempt | Scope.Scope | R>

export const handled = <Details>(activity: ChargeLike<Details>, handler: Handler) =>
  activity.toLayer((cents) => Effect.flatMap(Activity.info, ({ attempt }) => handler(cents, attempt)))

/** An engine with the workflow and, unless it is left out, the handler. */
export const engineWith = <Details>(
  activity: ChargeLike<Details>,
  handler: Handler | undefined,
  options?: Engine.Options
) =>
  started(
    handler === undefined
      ? Order.toLayer(activity.execute)
      : Layer.mergeAll(Order.toLayer(activity.execute), handled(activity, handler)),
    options
  ).engine

export interface Watched {
  readonly runId: string
  readonly exit: Effect.Effect<Exit.Exit<string, unknown> | undefined>
  readonly history: Effect.Effect<ReadonlyArray<Event>, WorkflowError.JournalError, Journal.Journal>
}

/** Starts the order, and tells its result as soon as there is one. */
export const watchedOrder = Effect.gen(function*() {
  const run = yield* order
  const fiber = yield* Effect.fork(Effect.exit(run.result))
  yield* adjust(0)
  const watched: Watched = {
    runId: run.runId,
    exit: Effect.map(Fiber.poll(fiber), (done) => Option.getOrUndefined(done)?.pipe(Exit.flatten)),
    history: historyOf(run.runId)
  }
  return watched
})

export const failureOf = (exit: Exit.Exit<unknown, unknown> | undefined): unknown =>
  exit !== undefined && Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

/** What an activity that was out of time says. */
export const timedOut = (exit: Exit.Exit<unknown, unknown> | undefined) => {
  const error = failureOf(exit)
  return error instanceof WorkflowError.ActivityError
    ? { reason: error.reason, timeout: error.timeout, attempts: error.attempts }
    : error
}

export const describeOrder = Client.describe("order")

export const ends = (history: ReadonlyArray<Event>) =>
  history.filter(({ _tag }) => _tag === "ActivityCompleted" || _tag === "ActivityFailed")

export const failedAttempts = (history: ReadonlyArray<Event>) =>
  history.flatMap((event) => event._tag === "AttemptFailed" ? [[event.attempt, event.at, event.retryAt]] : [])
