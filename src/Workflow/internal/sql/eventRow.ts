/**
 * An event as a row, and back. What comes back is checked: a row that is not an event is a corrupt journal, by its number.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { TreeFormatter } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import { Event } from "../../Event.js"
import { JournalError } from "../../WorkflowError.js"
import { isKnownKind, runNewer, unknownKind } from "../codec/formats.js"
import type { Value } from "./statement.js"

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
  if (!isKnownKind(kind)) {
    return new JournalError({ reason: "Version", detail: `${unknownKind(seq, kind)}; ${runNewer}` })
  }
  return Either.flatMap(
    Either.mapLeft(
      Either.flatMap(
        Either.try({ try: () => JSON.parse(body) as object, catch: (cause) => String(cause) }),
        (fields) => Either.mapLeft(decode({ _tag: kind, seq, payload, ...fields }), TreeFormatter.formatErrorSync)
      ),
      (problem) => new JournalError({ reason: "Corrupt", detail: `event ${seq} (${kind}): ${problem}` })
    ),
    withPolicy
  )
}

/** A curve of delays that a newer version knows is no reason to let the activity fail: that version goes on with it. */
const withPolicy = (event: Event): Either.Either<Event, JournalError> => {
  if (event._tag !== "ActivityScheduled" || event.retry === undefined) return Either.right(event)
  const policy = RetryPolicy.decode(event.retry)
  return Either.isLeft(policy) && policy.left.path === "backoff._tag"
    ? Either.left(
      new JournalError({
        reason: "Version",
        detail: `event ${event.seq} (${event._tag}): ${policy.left.message}; ${runNewer}`
      })
    )
    : Either.right(event)
}

const decode = Schema.decodeUnknownEither(Event)
