/**
 * How the code of a run ended, as its history holds it.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { RunClosed } from "../../Event.js"
import type { Cancellation } from "../../Run.js"

/** How a run ended, before it is a command. */
export type Outcome = Pick<RunClosed, "outcome" | "message" | "payload">

/** An interruption of a run that was asked to end is its cancellation. */
export const outcomeOf = (exit: Exit.Exit<Outcome>, cancellation: Cancellation | undefined): Outcome => {
  const ended: Outcome = Exit.isSuccess(exit) ? exit.value : {
    outcome: Cause.isInterruptedOnly(exit.cause) ? "Interrupted" : "Defect",
    message: Cause.pretty(exit.cause),
    payload: null
  }
  return ended.outcome === "Interrupted" && cancellation !== undefined
    ? { outcome: "Cancelled", message: cancellation.reason, payload: null }
    : ended
}

/** The end of a run whose payload the journal does not take, for this reason. */
export const refusedOutcome = ({ outcome }: Outcome, workflow: string, refusal: string): Outcome => ({
  outcome: "Defect",
  message: `${payloadOf[outcome] ?? "the payload"} of workflow ${workflow} is refused: ${refusal}`,
  payload: null
})

/** What the payload of an outcome is. */
const payloadOf: Partial<Record<Outcome["outcome"], string>> = {
  Success: "the success",
  Failure: "the error",
  Continued: "the payload to continue with"
}
