/**
 * The Retry-After of an HTTP answer (RFC 9110 section 10.2.3).
 */
import { headerOf } from "./httpAnswer.js"

/**
 * How long an answer asks to wait, in milliseconds; `undefined` when it asks for nothing. A date counts from the Date of
 * the answer, so that the clocks of the two sides need not agree; `now` stands in where it has none.
 */
export const retryAfterMillis = (error: unknown, now?: number): number | undefined => {
  const value = headerOf(error, "retry-after")?.trim()
  if (value === undefined || value === "") return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const until = Date.parse(value)
  const date = headerOf(error, "date")
  const from = date === undefined ? now : Date.parse(date)
  return from === undefined || Number.isNaN(until) || Number.isNaN(from) ? undefined : Math.max(0, until - from)
}
