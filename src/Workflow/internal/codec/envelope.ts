/**
 * What a codec makes of a text, in a form that says how to read it.
 *
 * ```text
 *   ~hf1:aes:BASE64           1: the version of this form; aes: the id of the last step
 *            └─▶ bytes: 0x01 "deflate" 0x00 DATA      a step before it
 *                                      └─▶ bytes: the text in UTF-8
 * ```
 *
 * JSON text begins neither with `~` nor with 0x01, so a payload that was written without a codec is never taken for an
 * envelope, nor an envelope for a payload. Other texts may begin with either; a codec puts those into an envelope in any
 * case, with the id `text` and no step at all.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type { Codec, Step } from "../../Codec.js"
import { CodecError } from "../../WorkflowError.js"
import { deflateId, inflate } from "./compression.js"
import { newerFormat } from "./formats.js"

const formVersion = 1
const prefix = `~hf${formVersion}:`
const mark = 1
const verbatim = "text"

/** Whether something else than this text itself must be meant by it. */
export const isEnvelope = (kind: "json" | "text", stored: string): boolean =>
  kind === "json" ? stored.startsWith("~") : /^~hf\d+:/.test(stored)

/** What is to be stored for a text. */
export const encode = (codec: Codec, text: string): Effect.Effect<string, CodecError> => {
  const bytes = Buffer.from(text)
  const ambiguous = bytes[0] === mark || text.startsWith("~")
  const first: Coded = ambiguous ? { id: verbatim, data: bytes } : { id: undefined, data: bytes }
  return next(
    through(codec.steps, 0, first),
    (coded) => Exit.succeed(coded.id === undefined ? text : `${prefix}${coded.id}:${base64(coded.data)}`)
  )
}

/** The text that was stored so. Reads what any of the codec's steps has made, in any order. */
export const decode = (codec: Codec, stored: string): Effect.Effect<string, CodecError> => {
  // One of a later version may look otherwise.
  const version = Number(/^~hf(\d+):/.exec(stored)?.[1] ?? formVersion)
  if (version > formVersion) {
    return new CodecError({
      reason: "Version",
      detail: newerFormat("its envelope has version", version, formVersion)
    })
  }
  const [, id, data] = /^~hf1:([^:]*):([A-Za-z0-9+/]*={0,2})$/.exec(stored) ?? []
  if (id === undefined || data === undefined || data.length % 4 !== 0) {
    return malformed("it begins like an envelope and is none, so it was cut short or changed")
  }
  return peel(codec, id, Buffer.from(data, "base64"))
}

interface Coded {
  /** The step that it has come from; none: it is the text. */
  readonly id: string | undefined
  readonly data: Uint8Array
}

const through = (steps: ReadonlyArray<Step>, from: number, coded: Coded): Effect.Effect<Coded, CodecError> => {
  const step = steps[from]
  if (step === undefined) return Exit.succeed(coded)
  const bytes = coded.id === undefined ? coded.data : frame(coded.id, coded.data)
  return next(settle(step, () => step.encode(bytes)), (data) =>
    // What a step leaves as it is goes without its frame.
    through(steps, from + 1, data === bytes ? coded : { id: step.id, data }))
}

const peel = (codec: Codec, id: string, data: Uint8Array): Effect.Effect<string, CodecError> => {
  if (id === verbatim) return Exit.succeed(textOf(data))
  const step = codec.readable.find((step) => step.id === id) ?? (id === deflateId ? inflate : undefined)
  if (step === undefined) {
    return new CodecError({
      reason: "UnknownCodec",
      detail: `it was written by a codec with the id ${JSON.stringify(id)}, which the journal was not given`
    })
  }
  return next(settle(step, () => step.decode(data)), (bytes) => {
    if (bytes[0] !== mark) return Exit.succeed(textOf(bytes))
    const end = bytes.indexOf(0)
    return end < 0
      ? malformed(`what the codec ${id} gave is cut short`)
      : peel(codec, textOf(bytes.subarray(1, end)), bytes.subarray(end + 1))
  })
}

const frame = (id: string, data: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.of(mark), Buffer.from(`${id}\0`), data])

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()

const malformed = (detail: string) => new CodecError({ reason: "Malformed", detail })

/** How an effect has ended, where it need not be run to know. */
export const endOf = <A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | undefined => {
  if (Exit.isExit(effect)) return effect as Exit.Exit<A, E>
  if (!Either.isEither(effect)) return undefined
  const either: Either.Either<unknown, unknown> = effect
  // An Either that is an Effect of these types has no others.
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  return Exit.fromEither(either) as Exit.Exit<A, E>
}

/** `flatMap` that goes on at once after what has ended already, so that steps which never wait need no fiber. */
const next = <A, B>(
  effect: Effect.Effect<A, CodecError>,
  f: (value: A) => Effect.Effect<B, CodecError>
): Effect.Effect<B, CodecError> => {
  const end = endOf(effect)
  return end === undefined ? Effect.flatMap(effect, f) : Exit.isSuccess(end) ? f(end.value) : Exit.failCause(end.cause)
}

/** A step may be the code of somebody else, and die: what waits for it is to see an error. */
const settle = <A>(step: Step, run: () => Effect.Effect<A, CodecError>): Effect.Effect<A, CodecError> => {
  const broken = (cause: unknown) =>
    new CodecError({ reason: "Failed", detail: `the codec ${step.id} died: ${cause}`, cause })
  try {
    const effect = run()
    const end = endOf(effect)
    return end === undefined || Exit.isFailure(end) ? Effect.catchAllDefect(effect, broken) : end
  } catch (defect) {
    return broken(defect)
  }
}
