/**
 * Events as rows, and back: what was written to a run at once is one row. What comes back is checked: what is not an event is
 * a corrupt journal, by its number.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { TreeFormatter } from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import { Event } from "../../Event.js"
import { JournalError } from "../../WorkflowError.js"
import { isKnownKind, runNewer, unknownKind } from "../codec/formats.js"
import type { Row } from "./statement.js"

/** How `events` are to be read: 1 is a JSON array of them, with all their fields. */
const format = 1

export interface BatchRow {
  /** The number of the last of the events, which have the numbers up to it. */
  readonly last_seq: number
  readonly format: number
  readonly events: string
}

/** `[run, last_seq, format, events]` */
export const rowOf = (run: number, events: ReadonlyArray<Event>): Row => [
  run,
  events.at(-1)!.seq,
  format,
  JSON.stringify(events)
]

/** An event as it is stored, which nobody has checked. */
export interface StoredEvent {
  readonly seq: number
  readonly _tag: string
  readonly [field: string]: unknown
}

/** What is in a row, as far as numbers and names go. */
export const storedEvents = (row: BatchRow): Either.Either<ReadonlyArray<StoredEvent>, JournalError> => {
  if (row.format > format) {
    return Either.left(
      new JournalError({
        reason: "Version",
        detail: `the events up to ${row.last_seq} have the format ${row.format}; ${runNewer}`
      })
    )
  }
  return Either.flatMap(
    Either.try({
      try: () => JSON.parse(row.events) as unknown,
      catch: (cause) => corrupt(`the events up to ${row.last_seq}: ${String(cause)}`)
    }),
    (events) => {
      const sound = Array.isArray(events) && events.length > 0 &&
        events.every((event, i) =>
          hasProperty(event, "seq") && event.seq === row.last_seq - events.length + 1 + i &&
          hasProperty(event, "_tag") && typeof event._tag === "string"
        )
      return sound
        ? Either.right(events as ReadonlyArray<StoredEvent>)
        : Either.left(corrupt(`the events up to ${row.last_seq} are no list of events with these numbers`))
    }
  )
}

const corrupt = (detail: string): JournalError => new JournalError({ reason: "Corrupt", detail })

export const eventOf = (stored: StoredEvent): Either.Either<Event, JournalError> => {
  const { _tag: kind, seq } = stored
  if (!isKnownKind(kind)) {
    return Either.left(new JournalError({ reason: "Version", detail: `${unknownKind(seq, kind)}; ${runNewer}` }))
  }
  return Either.flatMap(
    Either.mapLeft(
      decode(stored),
      (error) => corrupt(`event ${seq} (${kind}): ${TreeFormatter.formatErrorSync(error)}`)
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

/** The events of a whole history, which have all numbers from 1. */
export const eventsOf = (rows: ReadonlyArray<BatchRow>): Effect.Effect<ReadonlyArray<Event>, JournalError> =>
  Effect.suspend(() => {
    const events: Array<Event> = []
    for (const row of rows) {
      const stored = storedEvents(row)
      if (Either.isLeft(stored)) return Effect.fail(stored.left)
      const first = stored.right[0]!.seq
      if (first !== events.length + 1) {
        return Effect.fail(corrupt(`the events from ${events.length + 1} to ${first - 1} are not there`))
      }
      for (const each of stored.right) {
        const event = eventOf(each)
        if (Either.isLeft(event)) return Effect.fail(event.left)
        events.push(event.right)
      }
    }
    return Effect.succeed(events)
  })
