/**
 * What became of something that a run has sent to the run of another workflow id.
 */
import * as Effect from "effect/Effect"
import { RunEnded, RunNotFound } from "../../WorkflowError.js"
import type { Resolution } from "./command.js"

export const delivered = (workflowId: string, answer: Resolution): Effect.Effect<void, RunNotFound | RunEnded> => {
  if (answer._tag !== "SendAnswered") return Effect.dieMessage(`what was sent was answered by ${answer._tag}`)
  switch (answer.outcome) {
    case "Delivered":
      return Effect.void
    case "Ended":
      return new RunEnded({ workflowId })
    case "NotFound":
      return new RunNotFound({ workflowId })
  }
}
