/**
 * What code that knows an error says about retrying it. Kept beside the error, not in it: the error stays the same
 * object with the same type, and may be frozen.
 */
import { globalValue } from "effect/GlobalValue"

interface Mark {
  readonly nonRetryable: boolean
  readonly retryAfterMillis: number
}

const marks = globalValue(Symbol.for("holdfast/Schedule/markers"), () => new WeakMap<object, Mark>())

const unmarked: Mark = { nonRetryable: false, retryAfterMillis: 0 }

/** Adds to what is known about an error. */
export const mark = <E extends object>(error: E, change: Partial<Mark>): E => {
  marks.set(error, { ...(marks.get(error) ?? unmarked), ...change })
  return error
}

/** What is known about an error, or about any error it wraps; the outermost delay counts. */
export const read = (error: unknown): Mark => {
  let found = unmarked
  let current = error
  // Chains of causes are short; the bound is for one that bites its own tail.
  for (let depth = 0; depth < 32 && typeof current === "object" && current !== null; depth++) {
    const here = marks.get(current)
    if (here !== undefined) {
      found = {
        nonRetryable: found.nonRetryable || here.nonRetryable,
        retryAfterMillis: found.retryAfterMillis > 0 ? found.retryAfterMillis : here.retryAfterMillis
      }
    }
    current = "cause" in current ? current.cause : undefined
  }
  return found
}
