/**
 * zlib's deflate. Its checksum tells a value that was damaged, which Brotli's form has no place for.
 */
import * as Exit from "effect/Exit"
import { deflateSync, inflateSync } from "node:zlib"
import type { Step } from "../../Codec.js"
import { CodecError } from "../../WorkflowError.js"

export const deflateId = "deflate"

export const deflate = (threshold: number): Step => ({
  id: deflateId,
  encode: (plain) => {
    if (plain.length < threshold) return Exit.succeed(plain)
    const smaller = deflateSync(plain)
    return Exit.succeed(smaller.length < plain.length ? smaller : plain)
  },
  decode: (stored) => {
    try {
      return Exit.succeed(inflateSync(stored))
    } catch (cause) {
      return Exit.fail(new CodecError({ reason: "Malformed", detail: "its compressed data is damaged", cause }))
    }
  }
})

/** Reading needs no options. */
export const inflate: Step = deflate(0)
