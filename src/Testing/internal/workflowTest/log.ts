/**
 * The histories of a world as a text that is the same in every run of the test: times are counted from its start, and no
 * ids but those that the test and the workflows have chosen stand in it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AttemptFailure, Event } from "../../../Workflow/Event.js"
import type { World } from "./model.js"

export const logOf = (world: World): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(world.runIds, (runId) =>
      Effect.gen(function*() {
        const { workflow, workflowId } = Option.getOrThrow(yield* world.store.run(runId))
        const events = yield* world.store.history(runId)
        return [`${workflow} ${JSON.stringify(workflowId)}`, ...linesOf(events, world.startedAt)].join("\n")
      })),
    (runs) => runs.join("\n\n")
  ).pipe(Effect.orDie)

const linesOf = (events: ReadonlyArray<Event>, start: number): ReadonlyArray<string> => {
  const names = new Map<number, string>()
  const since = (at: number) => at === start ? "0" : Duration.format(Duration.millis(at - start))
  let now = start
  return events.flatMap((event) => {
    if ("at" in event) now = event.at
    if ("command" in event) names.set(event.command, `#${event.command} ${nameOf(event)}`)
    const text = textOf(event, names, since)
    return text === undefined ? [] : [`  ${since(now).padEnd(8)} ${text}`]
  })
}

const nameOf = (event: Event): string => {
  switch (event._tag) {
    case "ActivityScheduled":
      return event.activity
    case "TimerStarted":
      return "timer"
    case "ChildScheduled":
      return `${event.workflow} ${JSON.stringify(event.workflowId)}`
    case "SignalSent":
      return `signal ${event.signal} to ${JSON.stringify(event.workflowId)}`
    case "CancelSent":
      return `request to end to ${JSON.stringify(event.workflowId)}`
    default:
      return ""
  }
}

const textOf = (
  event: Event,
  names: ReadonlyMap<number, string>,
  since: (at: number) => string
): string | undefined => {
  const given = "payload" in event && event.payload !== null ? ` ${event.payload}` : ""
  const own = "command" in event ? names.get(event.command) : undefined
  const target = "target" in event ? names.get(event.target) : undefined
  switch (event._tag) {
    case "RunStarted":
      return `${event.previous === undefined ? "starts" : "goes on"}${given}`
    case "TurnTaken":
      return undefined
    case "ActivityScheduled":
    case "ChildScheduled":
    case "SignalSent":
    case "CancelSent":
      return `${own}${given}`
    case "TimerStarted":
      return `${own} until ${since(event.fireAt)}`
    case "ActivityCancelled":
    case "TimerCancelled":
    case "ChildCancelled":
      return `${target} is cancelled`
    case "SideEffectRecorded":
      return `#${event.command} side effect ${event.label}:${given}`
    case "ActivityCompleted":
      return `${target} gives${given || " nothing"}`
    case "AttemptFailed":
      return `${target} fails, attempt ${event.attempt}: ${why(event.failure)}; again at ${since(event.retryAt)}`
    case "ActivityFailed":
      return `${target} has failed, attempt ${event.attempts}: ${why(event.failure)}`
    case "TimerFired":
      return `${target} fires`
    case "ChildClosed":
      return `${target} ends: ${event.outcome}${given}${firstLine(event.message)}`
    case "SendAnswered":
      return `${target}: ${event.outcome}`
    case "SignalReceived":
      return `signal ${event.signal}${given}`
    case "CancelRequested":
      return `is asked to end${firstLine(event.reason)}`
    case "RunClosed":
      return `ends: ${event.outcome}${given}${firstLine(event.message)}`
    case "RunTerminated":
      return `is terminated${firstLine(event.reason)}`
    case "RunTimedOut":
      return "has taken too long"
  }
}

const why = ({ message, reason }: AttemptFailure): string => `${reason}${firstLine(message)}`

/** A message may go on with a stack, which is no part of what has happened. */
const firstLine = (message: string | undefined): string => {
  const [line = ""] = (message ?? "").split("\n")
  return line === "" ? "" : ` (${line})`
}
