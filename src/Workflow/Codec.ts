/**
 * What a journal makes of user data before it stores it: compression, encryption, or anything that can be undone.
 *
 * A journal stores payloads as JSON text. A codec, given to the journal as a Layer, turns that text into what is stored,
 * and back: payloads and results, messages of errors, reasons of those who end a run, and digests. Names stay as they
 * are: of workflows, activities, signals, side effects, workers and tags of errors; and so do workflow ids, signal ids,
 * and times.
 *
 * Every value says how it is to be read. So a codec may be switched on for a journal that has data, and changed: what was
 * written before stays readable for as long as the codec that wrote it is given, and what was written without one always.
 *
 * ```text
 *   value ──Schema──▶ JSON ──sizeLimit──▶ ──compression──▶ ──encryption──▶ journal
 * ```
 *
 * What cannot be read, since its key is missing or it was changed, is a `JournalError` of the reason `Codec`. It says
 * which event of which run it is, and what to do. Nothing is lost by it: the run waits, and goes on when the key is given.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { reader } from "../InvalidOptions.js"
import { deflate } from "./internal/codec/compression.js"
import { aes } from "./internal/codec/encryption.js"
import type { CodecError } from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Workflow/Codec")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * One thing that a codec does to what is stored, and how it is undone.
 *
 * A step that need not wait gives an Effect that has ended already (`Effect.succeed`, an `Either`, an `Exit`), and costs
 * nothing more than what it does. One that asks somebody, such as a key service, gives any Effect, with a time-out, since
 * the one writer of the journal waits for it. While it fails, the journal counts as one that cannot be written or read,
 * and is tried again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  /** Stands beside every value that it has made, and must never come to mean something else. */
  readonly id: string
  /** To leave a value as it is, it gives back the very same array. */
  readonly encode: (plain: Uint8Array) => Effect.Effect<Uint8Array, CodecError>
  readonly decode: (stored: Uint8Array) => Effect.Effect<Uint8Array, CodecError>
}

/**
 * How a journal stores user data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec {
  readonly [TypeId]: TypeId
  /** What is done to each value, in this order. */
  readonly steps: ReadonlyArray<Step>
  /** What can be undone: these steps, and those of {@link readOnly} codecs. */
  readonly readable: ReadonlyArray<Step>
  /**
   * Why the codec does not take a payload; `undefined`: it does. It is asked once, before the payload becomes part of a run, and
   * never again for what the journal has.
   */
  readonly refuse: (text: string) => string | undefined
}

const codec = (parts: Partial<Omit<Codec, TypeId>>): Codec => ({
  [TypeId]: TypeId,
  steps: parts.steps ?? [],
  readable: parts.readable ?? parts.steps ?? [],
  refuse: parts.refuse ?? (() => undefined)
})

/**
 * Stores everything as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Codec = codec({})

/**
 * The codec of the journal that is being built; read once, when its layer is built. Default: {@link none}.
 *
 * @since 0.1.0
 * @category references
 */
export const Codec: Context.Reference<Codec, Codec> = Context.Reference<Codec>()("holdfast/Workflow/Codec", {
  defaultValue: () => none
})

/**
 * Gives the journal a codec.
 *
 * It must be provided to the layer of the journal. Nobody else looks at it.
 *
 * @example
 * ```ts
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Config, Effect, Layer } from "effect"
 * import { Codec, Journal } from "holdfast/Workflow"
 *
 * const CodecLive = Layer.unwrapEffect(
 *   Effect.map(Config.redacted("JOURNAL_KEY"), (key) =>
 *     Codec.layer(Codec.all(
 *       Codec.sizeLimit(1_000_000),
 *       Codec.compression(),
 *       Codec.encryption({ keys: { "2026": key }, current: "2026" })
 *     )))
 * )
 *
 * const JournalLive = Journal.layerSql().pipe(
 *   Layer.provide(CodecLive),
 *   Layer.provide(SqliteClient.layer({ filename: "orders.db" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (codec: Codec): Layer.Layer<Codec> => Layer.succeed(Codec, codec)

/**
 * A codec of your own, of one step. With `refuse` it may turn payloads away; what `encode` fails with is tried again, so
 * it is no way to turn something away.
 *
 * Throws `InvalidOptions` when the id is not made of lower-case letters, digits and dashes, or belongs to this package.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Codec } from "holdfast/Workflow"
 *
 * const reversed = Codec.make({
 *   id: "reversed",
 *   encode: (plain) => Effect.succeed(plain.toReversed()),
 *   decode: (stored) => Effect.succeed(stored.toReversed())
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Step & { readonly refuse?: Codec["refuse"] | undefined }): Codec => {
  const { decode, encode, id, refuse } = options
  if (!/^[a-z0-9-]+$/.test(id) || reserved.has(id)) {
    reader("Codec.make").refuse(
      "id",
      id,
      `lower-case letters, digits and dashes, and none of ${[...reserved].join(", ")}`
    )
  }
  return codec({ steps: [{ id, encode, decode }], ...(refuse === undefined ? {} : { refuse }) })
}

const reserved: ReadonlySet<string> = new Set(["text", "deflate", "aes"])

/**
 * Compresses what is large, where that makes it smaller. What it has written is readable also without it.
 *
 * `threshold`: how many bytes a value must have to be tried; default 512. Throws `InvalidOptions` when it is no whole
 * number of at least 0.
 *
 * What is compressed together with secrets tells something of them by its length. If an attacker can choose a part of a
 * payload and see how large it is stored, do without.
 *
 * @since 0.1.0
 * @category constructors
 */
export const compression = (options?: { readonly threshold?: number | undefined }): Codec =>
  codec({ steps: [deflate(reader("Codec.compression").integer("threshold", options?.threshold ?? 512, 0))] })

/**
 * @since 0.1.0
 * @category models
 */
export interface Encryption {
  /** By their ids, which are stored beside each value: 32 bytes each, or base64 of them. */
  readonly keys: Readonly<Record<string, Redacted.Redacted<Uint8Array> | Redacted.Redacted<string>>>
  /** The id of the key that new values are encrypted with; the others only read. */
  readonly current: string
  /**
   * Where the values belong, e.g. to `orders in production`. What was written under one context cannot be read under
   * another, also with the same keys. Default: none.
   */
  readonly context?: string | undefined
}

/**
 * Encrypts every value by AES-256-GCM, with a fresh random nonce, and tells when it was changed.
 *
 * - To rotate keys, first give every process the new key beside the old one, then make it `current`. The old one must be
 *   given for as long as the journal holds values of it.
 * - A key may encrypt 2^32 values; rotate it before.
 * - The key id and the context are authenticated with each value, its place is not: who can write to the database can put
 *   one value of a journal where another one was. Lengths show, too: compressed or not, they are those of the values.
 * - Logs and error messages of the process are not encrypted.
 *
 * Throws `InvalidOptions` when a key has not 32 bytes, or `current` is none of the keys.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { Codec } from "holdfast/Workflow"
 *
 * declare const oldKey: Redacted.Redacted<Uint8Array>
 * declare const newKey: Redacted.Redacted<Uint8Array>
 *
 * const rotated = Codec.encryption({ keys: { "2025": oldKey, "2026": newKey }, current: "2026" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const encryption = (options: Encryption): Codec => codec({ steps: [aes(options, reader("Codec.encryption"))] })

/**
 * Refuses payloads of more bytes than this, in UTF-8, before they become part of a run:
 *
 * - what a run is started with, and a signal: `InvalidPayload`; nothing is written;
 * - what an activity is asked with: an `ActivityError` of the reason `Codec`; it is not scheduled;
 * - what an activity succeeds or fails with: the same; it is not tried again;
 * - what a workflow ends or continues with, and a side effect: the run fails, and says why.
 *
 * That a payload was refused is in the history, so a replay refuses it again, whatever the limit is by then. What the
 * journal has already is not looked at, nor are messages and reasons.
 *
 * Throws `InvalidOptions` when it is no whole number of at least 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sizeLimit = (bytes: number): Codec => {
  const limit = reader("Codec.sizeLimit").integer("bytes", bytes, 1)
  return codec({
    refuse: (text) => {
      // A unit of UTF-16 has at most three bytes in UTF-8, so most texts need not be counted.
      if (text.length * 3 <= limit) return undefined
      const size = Buffer.byteLength(text)
      return size <= limit ? undefined : `it has ${size} bytes, and the journal takes at most ${limit}`
    }
  })
}

/**
 * Several codecs as one: what is written goes through them in this order, and what is read in the reverse one. So a limit
 * comes first, then compression (what is encrypted cannot be compressed), then encryption.
 *
 * Throws `InvalidOptions` when two of their steps have the same id.
 *
 * @since 0.1.0
 * @category combinators
 */
export const all = (...codecs: ReadonlyArray<Codec>): Codec => {
  const readable = codecs.flatMap((each) => each.readable)
  const ids = readable.map((step) => step.id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) reader("Codec.all").refuse("codecs", twice, "codecs with different ids")
  return codec({
    steps: codecs.flatMap((each) => each.steps),
    readable,
    refuse: (text) => {
      for (const each of codecs) {
        const refusal = each.refuse(text)
        if (refusal !== undefined) return refusal
      }
      return undefined
    }
  })
}

/**
 * Reads what the codec has written, and writes nothing with it: for one that is no longer used.
 *
 * @example
 * ```ts
 * import { Codec } from "holdfast/Workflow"
 *
 * declare const old: Codec.Codec
 *
 * const now = Codec.all(Codec.compression(), Codec.readOnly(old))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const readOnly = (self: Codec): Codec => codec({ readable: self.readable })
