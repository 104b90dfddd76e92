/**
 * The calls of a world, with their data as the caller and the stub saw them.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type { ActivityFailed, Event } from "../../../Workflow/Event.js"
import type { Workflow } from "../../../Workflow/Workflow.js"
import type { ActivityError, RunFailed } from "../../../Workflow/WorkflowError.js"
import type { ActivityDefinition, AttemptRecord, Call, ChildCall } from "../../WorkflowTest.js"
import type { Launch, Made, World } from "./model.js"

export const callsOf = <Payload, Success, Error>(
  world: World,
  activity: ActivityDefinition<Payload, Success, Error>
): Effect.Effect<ReadonlyArray<Call<Payload, Success, Error>>> =>
  Effect.forEach(madeOf(world, "activity", activity.name), (made) =>
    Effect.gen(function*() {
      const events = yield* Effect.orDie(world.store.history(made.runId))
      const attempts = yield* Effect.forEach(made.launches, (launch): Effect.Effect<AttemptRecord<Success, Error>> =>
        Effect.map(exitOf(activity, launch, events), (exit) => ({
          attempt: launch.attempt,
          at: launch.at,
          endedAt: launch.endedAt,
          exit
        })))
      const { command, workflowId } = made
      const ended = events.some((event) =>
        "target" in event && event.target === command && event._tag !== "AttemptFailed"
      )
      return {
        payload: decoded(activity, made),
        workflowId,
        at: made.at,
        attempts,
        exit: ended ? attempts.at(-1)?.exit : undefined
      }
    }))

const exitOf = <Payload, Success, Error>(
  activity: ActivityDefinition<Payload, Success, Error>,
  { attempt, command, endedAt }: Launch,
  events: ReadonlyArray<Event>
): Effect.Effect<Exit.Exit<Success, Error | ActivityError> | undefined> => {
  for (const event of events) {
    if (!("target" in event) || event.target !== command) continue
    if (event._tag === "AttemptFailed" && event.attempt === attempt) {
      const { at, failure, payload, seq, target } = event
      const failed: ActivityFailed = { _tag: "ActivityFailed", at, attempts: attempt, failure, payload, seq, target }
      return Effect.exit(activity.resultOf(failed))
    }
    if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") {
      return Effect.exit(activity.resultOf(event))
    }
  }
  // It has ended, and its run has not been told: nobody waited for it any more.
  return Effect.succeed(endedAt === undefined ? undefined : Exit.interrupt(FiberId.none))
}

export const childCallsOf = <Payload, Success, Error>(
  world: World,
  workflow: Workflow<Payload, Success, Error>
): Effect.Effect<ReadonlyArray<ChildCall<Payload, Success, Error>>> =>
  Effect.forEach(
    madeOf(world, "workflow", workflow.name),
    (made) =>
      Effect.map(Effect.orDie(world.store.history(made.runId)), (events) => {
        const { at, command, workflowId } = made
        const closed = events.find((event) => event._tag === "ChildClosed" && event.target === command)
        const left = events.some((event) => event._tag === "ChildCancelled" && event.target === command)
        return {
          payload: decoded(workflow, made),
          workflowId,
          at,
          exit: closed?._tag === "ChildClosed"
            ? workflow.exitOf({ workflowId, runId: closed.runId }, closed)
            : left
            ? Exit.interrupt(FiberId.none) as Exit.Exit<Success, Error | ActivityError | RunFailed>
            : undefined
        }
      })
  )

export const madeOf = (world: World, kind: Made["kind"], name: string): ReadonlyArray<Made> =>
  world.made.filter((made) => made.kind === kind && made.name === name)

const decoded = <Payload>(
  { decodePayload, name }: {
    readonly name: string
    readonly decodePayload: (text: string | null) => Either.Either<Payload, string>
  },
  { payload }: Made
): Payload =>
  Either.getOrThrowWith(
    decodePayload(payload),
    (problem) => new Error(`the payload of a call of ${name} does not fit its schema: ${problem}`)
  )
