/**
 * What an error says of what went wrong below it: the codes and tags along its chain of causes. Drivers and clients wrap
 * each other's errors, so the one that knows is seldom the outermost.
 */
import { hasProperty } from "effect/Predicate"

/** The error and what it wraps, outermost first. */
export function* chainOf(error: unknown): Generator<unknown> {
  const pending = [error]
  // Chains of causes are short; the bound is for one that bites its own tail.
  for (let depth = 0; depth < 32 && pending.length > 0; depth++) {
    const current = pending.shift()
    if (typeof current !== "object" || current === null) continue
    yield current
    if (hasProperty(current, "cause")) pending.push(current.cause)
    // An AggregateError: one for each address of a host.
    if (hasProperty(current, "errors") && Array.isArray(current.errors)) pending.push(...current.errors)
  }
}

/** Whether an error, or one that it wraps, has one of these codes, numbers or strings, in one of these fields. */
export const hasCode = (
  error: unknown,
  fields: ReadonlyArray<"code" | "errno" | "_tag" | "name">,
  codes: ReadonlySet<unknown>
): boolean => {
  for (const link of chainOf(error)) {
    for (const field of fields) if (hasProperty(link, field) && codes.has(link[field])) return true
  }
  return false
}

/** The request was not sent: nobody was found, or nobody answered the connection. */
export const unreached: ReadonlySet<unknown> = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

/** The connection went away while it was in use: what was asked may have been done. */
export const brokenOff: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "UND_ERR_SOCKET"])

/** Tags, names and codes of what took too long. */
export const tooLate: ReadonlySet<unknown> = new Set([
  "TimedOut",
  "TimeoutException",
  "TimeoutError",
  "ETIMEDOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT"
])
