/**
 * What a response asks for when it asks to wait: status 429 or 503 with a Retry-After (RFC 9110, 10.2.3; RFC 6585, 4).
 *
 * It reads whatever looks like a response, or like an error that holds one: `status` and `headers` of the value or of
 * its `response`. Headers may be a `Headers` object or a record.
 */
import { hasProperty, isFunction, isNumber, isRecord, isString } from "effect/Predicate"

/** What a 429 asks for that does not say how long. */
const untoldMillis = 60_000

/** For how many milliseconds a response asks to wait; zero when it does not ask. */
export const askedMillis = (answer: unknown, now: number): number => {
  const response = statusOf(answer) === undefined && hasProperty(answer, "response") ? answer.response : answer
  const status = statusOf(response)
  if (status !== 429 && status !== 503) return 0
  const told = hasProperty(response, "headers") ? parse(headerOf(response.headers), now) : undefined
  return told ?? (status === 429 ? untoldMillis : 0)
}

const statusOf = (value: unknown): number | undefined =>
  hasProperty(value, "status") && isNumber(value.status) ? value.status : undefined

const headerOf = (headers: unknown): unknown => {
  if (hasProperty(headers, "get") && isFunction(headers.get)) return headers.get("retry-after")
  if (!isRecord(headers)) return undefined
  const key = Object.keys(headers).find((key) => key.toLowerCase() === "retry-after")
  return key === undefined ? undefined : headers[key]
}

/** Seconds, or a date; `undefined` when it is neither. What lies in the past asks for nothing. */
const parse = (header: unknown, now: number): number | undefined => {
  if (isNumber(header)) return Number.isNaN(header) ? undefined : Math.max(0, header * 1_000)
  if (!isString(header)) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1_000
  // Every form of date begins with the day of the week; `Date` would take much else for one.
  const date = /^[a-z]/i.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
