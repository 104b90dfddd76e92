/**
 * User data to JSON text and back, through its schema. `undefined` is `null` in the journal, so that `Schema.Void` needs
 * no text. What JSON would change is refused; whether a schema can have such values at all is decided once.
 */
import * as Either from "effect/Either"
import { type ParseError, TreeFormatter } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { checkedStringify, isAlwaysJson } from "./json.js"

export interface JsonCodec<A> {
  /** The text, or why the value does not fit its schema. */
  readonly encode: (value: A) => Either.Either<string | null, string>
  /** The value, or why the text does not fit the schema. */
  readonly decode: (text: string | null) => Either.Either<A, string>
}

export const make = <A, I>(schema: Schema.Schema<A, I>): JsonCodec<A> => {
  const encode = Schema.encodeEither(schema)
  const stringify: (encoded: I) => string = isAlwaysJson(schema.ast) ? JSON.stringify : checkedStringify
  const decode = Schema.decodeUnknownEither(schema)
  return {
    encode: (value) =>
      Either.flatMap(
        formatted(() => encode(value)),
        (encoded) => attempt(() => encoded === undefined ? null : stringify(encoded))
      ),
    decode: (text) =>
      Either.flatMap(
        attempt((): unknown => text === null ? undefined : JSON.parse(text)),
        (encoded) => formatted(() => decode(encoded))
      )
  }
}

/** A transformation of the user's may throw, too. */
const formatted = <A>(evaluate: () => Either.Either<A, ParseError>): Either.Either<A, string> =>
  Either.flatMap(attempt(evaluate), Either.mapLeft(TreeFormatter.formatErrorSync))

const attempt = <A>(evaluate: () => A): Either.Either<A, string> =>
  Either.try({ try: evaluate, catch: (cause) => cause instanceof Error ? cause.message : String(cause) })
