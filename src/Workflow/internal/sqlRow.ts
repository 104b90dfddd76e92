/**
 * An event as a row, and back. What comes back is checked: a row that is not an event is a corrupt journal, by its number.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { TreeFormatter } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { Event } from "../Event.js"
import { JournalError } from "../WorkflowError.js"
import type { Value } from "./sqlStatement.js"

export interface EventRow {
  readonly seq: number
  readonly kind: string
  readonly body: string
  readonly payload: string | null
}

/** `[run, seq, kind, body, payload]`; the body is what the other columns do not hold. */
export const rowOf = (run: number, event: Event): ReadonlyArray<Value> => {
  const { _tag, payload, seq, ...body } = { payload: null, ...event }
  return [run, seq, _tag, JSON.stringify(body), payload]
}

export const eventOf = (row: EventRow): Effect.Effect<Event, JournalError> => {
  const { body, kind, payload, seq } = row
  return Either.mapLeft(
    Either.flatMap(
      Either.try({ try: () => JSON.parse(body) as object, catch: (cause) => String(cause) }),
      (fields) => Either.mapLeft(decode({ _tag: kind, seq, payload, ...fields }), TreeFormatter.formatErrorSync)
    ),
    (problem) => new JournalError({ reason: "Corrupt", detail: `event ${seq} (${kind}): ${problem}` })
  )
}

const decode = Schema.decodeUnknownEither(Event)
