/**
 * A command on its way between the code of a workflow and its run.
 */
import * as DateTime from "effect/DateTime"
import type { Arrival, Command, Unsequenced } from "../../Event.js"

/** A command before the run gives it its number. */
export type Draft = Command extends infer C ? C extends Command ? Omit<Unsequenced<C>, "command"> : never : never

/** What answers a command. */
export type Resolution = Extract<Arrival, { readonly target: number }>

/** What a turn is checked against. `payload` compares digests too, `name` only what was asked for. */
export type Strictness = "payload" | "name"

/** Whether code that is replayed has asked for what the history holds. */
export const isSame = (
  recorded: Unsequenced<Command>,
  issued: Unsequenced<Command>,
  strictness: Strictness
): boolean => {
  const sameData = (a: { readonly digest: string }, b: { readonly digest: string }) =>
    strictness === "name" || a.digest === b.digest
  if (recorded._tag !== issued._tag || recorded.command !== issued.command) return false
  switch (recorded._tag) {
    case "ActivityScheduled": {
      const other = issued as typeof recorded
      return recorded.activity === other.activity && sameData(recorded, other)
    }
    case "ActivityCancelled":
    case "TimerCancelled":
    case "ChildCancelled":
      return recorded.target === (issued as typeof recorded).target
    case "ChildScheduled": {
      const other = issued as typeof recorded
      return recorded.workflow === other.workflow && recorded.workflowId === other.workflowId &&
        sameData(recorded, other)
    }
    case "SignalSent": {
      const other = issued as typeof recorded
      return recorded.workflowId === other.workflowId && recorded.signal === other.signal &&
        sameData(recorded, other)
    }
    case "CancelSent":
      return recorded.workflowId === (issued as typeof recorded).workflowId
    case "TimerStarted":
      return recorded.fireAt === (issued as typeof recorded).fireAt
    case "SideEffectRecorded":
      return recorded.label === (issued as typeof recorded).label
    case "RunClosed": {
      const other = issued as typeof recorded
      return recorded.outcome === other.outcome && sameData(recorded, other)
    }
  }
}

/** A command in words. */
export const describe = (command: Unsequenced<Command>): string => {
  const number = `command ${command.command}`
  switch (command._tag) {
    case "ActivityScheduled":
      return `${number}: activity ${command.activity} with ${command.payload ?? "no payload"}`
    case "ActivityCancelled":
      return `${number}: cancel the activity of command ${command.target}`
    case "TimerStarted":
      return `${number}: a timer for ${DateTime.formatIso(DateTime.unsafeMake(command.fireAt))}`
    case "TimerCancelled":
      return `${number}: cancel the timer of command ${command.target}`
    case "ChildScheduled":
      return `${number}: child ${command.workflow} ${JSON.stringify(command.workflowId)} with ${
        command.payload ?? "no payload"
      }`
    case "ChildCancelled":
      return `${number}: cancel the child of command ${command.target}`
    case "SignalSent":
      return `${number}: signal ${command.signal} to ${JSON.stringify(command.workflowId)} with ${
        command.payload ?? "no payload"
      }`
    case "CancelSent":
      return `${number}: ask ${JSON.stringify(command.workflowId)} to end`
    case "SideEffectRecorded":
      return `${number}: side effect ${command.label}`
    case "RunClosed":
      return `${number}: end with ${command.outcome} ${command.message ?? command.payload ?? ""}`.trimEnd()
  }
}
