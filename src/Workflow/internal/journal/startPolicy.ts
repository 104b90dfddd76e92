/**
 * Whether a run may be started under a workflow id that has one already.
 */
import type { Conflict, Reuse, RunRecord } from "../../Journal.js"

export interface StartPolicy {
  readonly workflow: string
  readonly conflict: Conflict
  readonly reuse: Reuse
  /** What is to be sent to the run: it must be one that can still take it. */
  readonly signal?: unknown
}

/** `Begin` a new run, `Replace` the open one by it, `Attach` to the one there is, or `Refuse`. */
export type StartDecision = "Begin" | "Replace" | "Attach" | "Refuse"

export const decideStart = (
  existing: Pick<RunRecord, "workflow" | "status" | "closed"> | undefined,
  { conflict, reuse, signal, workflow }: StartPolicy
): StartDecision => {
  if (existing === undefined) return "Begin"
  const attach = existing.workflow === workflow ? "Attach" : "Refuse"
  if (existing.closed === undefined) {
    return conflict === "attach" ? attach : conflict === "fail" || attach === "Refuse" ? "Refuse" : "Replace"
  }
  switch (reuse) {
    case "attach":
      return signal === undefined ? attach : "Begin"
    case "always":
      return "Begin"
    case "whenFailed":
      return existing.status !== "Success" ? "Begin" : signal === undefined ? attach : "Refuse"
    case "never":
      return "Refuse"
  }
}
