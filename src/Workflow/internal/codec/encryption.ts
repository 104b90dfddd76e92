/**
 * AES-256-GCM (NIST SP 800-38D).
 *
 * ```text
 *   length of the key id (1 byte) | key id | nonce (12) | tag (16) | encrypted
 * ```
 *
 * Authenticated beside the data: the name of this form, the key id and the context, as JSON.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto"
import type { reader } from "../../../InvalidOptions.js"
import type { Encryption, Step } from "../../Codec.js"
import { CodecError } from "../../WorkflowError.js"

const cipher = "aes-256-gcm"
const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

interface Key {
  readonly secret: KeyObject
  /** What stands before the nonce. */
  readonly head: Buffer
  readonly additional: Buffer
}

export const aes = (options: Encryption, read: ReturnType<typeof reader>): Step => {
  const context = options.context ?? ""
  const keys = new Map(
    Object.entries(options.keys).map(([id, key]) => [id, keyOf(id, context, key, read)] as const)
  )
  const current = keys.get(options.current) ??
    read.refuse("current", options.current, `the id of one of the keys (${[...keys.keys()].join(", ")})`)
  return {
    id: "aes",
    encode: (plain) => Exit.succeed(seal(current, plain)),
    decode: (stored) => {
      const idLength = stored[0] ?? 0
      const id = Buffer.from(stored.subarray(1, 1 + idLength)).toString()
      if (stored.length < 1 + idLength + nonceBytes + tagBytes) {
        return Exit.fail(new CodecError({ reason: "Malformed", detail: "its encrypted data is cut short" }))
      }
      const key = keys.get(id)
      if (key === undefined) {
        return Exit.fail(
          new CodecError({
            reason: "UnknownKey",
            detail: `it is encrypted with the key ${JSON.stringify(id)}, which is not among the keys ${
              [...keys.keys()].map((known) => JSON.stringify(known)).join(", ")
            }`
          })
        )
      }
      return open(id, key, stored)
    }
  }
}

const seal = ({ additional, head, secret }: Key, plain: Uint8Array): Uint8Array => {
  const nonce = randomBytes(nonceBytes)
  const sealing = createCipheriv(cipher, secret, nonce).setAAD(additional)
  const encrypted = sealing.update(plain)
  sealing.final()
  return Buffer.concat([head, nonce, sealing.getAuthTag(), encrypted])
}

const open = (id: string, { additional, head, secret }: Key, stored: Uint8Array) => {
  const nonce = stored.subarray(head.length, head.length + nonceBytes)
  const tag = stored.subarray(head.length + nonceBytes, head.length + nonceBytes + tagBytes)
  const opening = createDecipheriv(cipher, secret, nonce, { authTagLength: tagBytes })
  opening.setAAD(additional)
  opening.setAuthTag(tag)
  const plain = opening.update(stored.subarray(head.length + nonceBytes + tagBytes))
  try {
    opening.final()
    return Exit.succeed<Uint8Array>(plain)
  } catch (cause) {
    return Exit.fail(
      new CodecError({
        reason: "Tampered",
        detail: `it cannot be authenticated with the key ${
          JSON.stringify(id)
        } and the context that the journal was given`,
        cause
      })
    )
  }
}

const keyOf = (
  id: string,
  context: string,
  given: Redacted.Redacted<Uint8Array | string>,
  read: ReturnType<typeof reader>
): Key => {
  const idBytes = Buffer.from(id)
  if (idBytes.length === 0 || idBytes.length > 255) read.refuse("keys", id, "ids of 1 to 255 bytes")
  const value = Redacted.value(given)
  const wanted = `${keyBytes} bytes, or base64 of them`
  // The error must not show the key.
  const secret = typeof value !== "string"
    ? value
    : Either.getOrElse(
      Encoding.decodeBase64(value),
      () => read.refuse(`keys.${id}`, "a text that is no base64", wanted)
    )
  if (secret.length !== keyBytes) read.refuse(`keys.${id}`, `${secret.length} bytes`, wanted)
  return {
    secret: createSecretKey(secret),
    head: Buffer.concat([Buffer.of(idBytes.length), idBytes]),
    additional: Buffer.from(JSON.stringify(["holdfast codec 1", cipher, id, context]))
  }
}
