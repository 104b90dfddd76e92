/**
 * What takes the place of activities and children.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Activity from "../../../Workflow/Activity.js"
import { Run } from "../../../Workflow/Run.js"
import type { Workflow } from "../../../Workflow/Workflow.js"
import type { ActivityError, RunFailed } from "../../../Workflow/WorkflowError.js"
import type { ActivityDefinition, Answer, ChildStubInfo, StubInfo } from "../../WorkflowTest.js"
import type { Hooks, Stub } from "./model.js"
import { AnswersEnded } from "./problems.js"

export const activityStub = <Payload, Success, Error, R>(
  activity: ActivityDefinition<Payload, Success, Error>,
  answer: Answer<Payload, StubInfo, Success, Error, R>
): Stub<Exclude<R, Activity.Attempt | Scope.Scope>> => ({
  kind: "activity",
  name: activity.name,
  layer: (hooks) =>
    activity.toLayer((payload: Payload) =>
      Effect.flatMap(Activity.Attempt, (info) => {
        const call = hooks.callNumber(activity.name, info.idempotencyKey)
        return observed(hooks, () => given(answer, payload, { ...info, call }))
      })
    )
})

export const childStub = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  answer: Answer<Payload, ChildStubInfo, Success, Error | ActivityError | RunFailed, Run | Scope.Scope>
): Stub<never> => ({
  kind: "workflow",
  name: workflow.name,
  layer: (hooks) =>
    workflow.toLayer((payload) =>
      Effect.flatMap(Run, ({ info }) => {
        const call = hooks.callNumber(workflow.name, info.runId)
        return observed(hooks, () => given(answer, payload, { ...info, call }))
      })
    )
})

const given = <Payload, Info, Success, Error, R>(
  answer: Answer<Payload, Info, Success, Error, R>,
  payload: Payload,
  info: Info
): Effect.Effect<Success, Error, R> => Effect.isEffect(answer) ? answer : answer(payload, info)

/** The answer with this number, from 1. */
export const answers = <Payload, Info, Success, Error, R>(
  list: ReadonlyArray<Answer<Payload, Info, Success, Error, R>>,
  called: string,
  counted: AnswersEnded["counted"],
  number: number,
  payload: Payload,
  info: Info
): Effect.Effect<Success, Error, R> => {
  const answer = list[number - 1]
  return answer === undefined
    ? Effect.die(new AnswersEnded({ called, counted, answers: list.length }))
    : given(answer, payload, info)
}

/** What is wrong with the test itself ends it, and is not only a defect of the activity. */
const observed = <A, E, R>(hooks: Hooks, answer: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapErrorCause(Effect.suspend(answer), (cause) =>
    Effect.sync(() => {
      const defect = Option.getOrUndefined(Cause.dieOption(cause))
      if (defect instanceof AnswersEnded) hooks.raise(defect)
      else if (hasProperty(defect, "name") && defect.name === "AssertionError") hooks.raiseDefect(defect)
    }))
