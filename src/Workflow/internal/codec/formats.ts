/**
 * What is said of something stored that only a newer version of this package can read.
 */
import * as Schema from "effect/Schema"
import { Event } from "../../Event.js"

/** `found` and `known` are versions of the same format, named by `what`. */
export const newerFormat = (what: string, found: unknown, known: number): string =>
  `${what} ${String(found)}, and this version of holdfast reads ${known}`

export const unknownKind = (seq: number, kind: string): string =>
  `event ${seq} is a ${kind}, which this version of holdfast does not know`

export const isKnownKind: (kind: string) => boolean = Schema.is(Schema.typeSchema(Schema.pluck(Event, "_tag")))

/** What to do, of something in a journal. */
export const runNewer = "run the version that wrote it, or a later one"
