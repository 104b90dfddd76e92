/**
 * Where a page of a list has ended, as a text that clients hand back.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Schema from "effect/Schema"
import type { RunPosition } from "../../Journal.js"
import { InvalidCursor } from "../../WorkflowError.js"

const Position = Schema.parseJson(Schema.Tuple(Schema.Number, Schema.String, Schema.String))

export const encode = ({ runId, startedAt, workflowId }: RunPosition): string =>
  Encoding.encodeBase64Url(JSON.stringify([startedAt, workflowId, runId]))

export const decode = (cursor: string): Either.Either<RunPosition, InvalidCursor> =>
  Encoding.decodeBase64UrlString(cursor).pipe(
    Either.flatMap(Schema.decodeUnknownEither(Position)),
    Either.mapBoth({
      onLeft: () => new InvalidCursor({ cursor }),
      onRight: ([startedAt, workflowId, runId]) => ({ startedAt, workflowId, runId })
    })
  )
