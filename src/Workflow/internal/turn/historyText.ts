/**
 * What makes a list of events the history of a run.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import { type Event, isClosing } from "../../Event.js"
import type { History, InvalidHistory } from "../../History.js"
import { isKnownKind, newerFormat, unknownKind } from "../codec/formats.js"

/** Why it is none. */
export type Problem = Pick<InvalidHistory, "reason" | "detail">

const problem = (reason: Problem["reason"], detail: string): Either.Either<never, Problem> =>
  Either.left({ reason, detail })

const formatVersion = 1

/** A history from what its text holds. */
export const decode = (schema: typeof History, value: unknown): Either.Either<History, Problem> => {
  if (hasProperty(value, "format") && value.format !== formatVersion) {
    const isNewer = typeof value.format === "number" && value.format > formatVersion
    return problem(isNewer ? "Version" : "Format", newerFormat("its format is", value.format, formatVersion))
  }
  if (hasProperty(value, "events") && Array.isArray(value.events)) {
    const events: ReadonlyArray<unknown> = value.events
    for (let i = 0; i < events.length; i++) {
      const event = events[i]
      if (hasProperty(event, "_tag") && typeof event._tag === "string" && !isKnownKind(event._tag)) {
        return problem("UnknownEvent", unknownKind(i + 1, event._tag))
      }
    }
  }
  return Schema.decodeUnknownEither(schema)(value).pipe(
    Either.mapLeft((error): Problem => ({
      reason: "Format",
      detail: ParseResult.TreeFormatter.formatErrorSync(error)
    })),
    Either.flatMap((history) => Either.map(whole(history.events), () => history))
  )
}

/** Whether these are all events of a run from its start, in their order. */
export const whole = (events: ReadonlyArray<Event>): Either.Either<void, Problem> => {
  const [first] = events
  if (first === undefined) return problem("Empty", "it has no events")
  if (first._tag !== "RunStarted") return problem("NotStarted", `it begins with ${first._tag} instead of RunStarted`)
  for (let i = 0; i < events.length; i++) {
    const event = events[i]!
    if (event.seq !== i + 1) return problem("Numbers", `event ${i + 1} has the number ${event.seq}`)
    if (isClosing(event) && i + 1 < events.length) {
      return problem("Ended", `${events[i + 1]!._tag} stands after ${event._tag}`)
    }
  }
  return Either.void
}
