/**
 * The Retry-After of an HTTP answer (RFC 9110, 10.2.3).
 */
import { isNumber, isString } from "effect/Predicate"
import { headerOf } from "./httpAnswer.js"

/**
 * How long an answer asks to wait, in whole milliseconds, rounded up; `undefined` when it asks for nothing. A date counts
 * from the Date of the answer, so that the clocks of the two sides need not agree. Many answers have none, and browsers
 * do not show it across origins: then it counts from `now`, the wall clock of whoever waits.
 */
export const retryAfterMillis = (answer: unknown, now: number): number | undefined => {
  const header = headerOf(answer, "retry-after")
  if (isNumber(header)) return Number.isNaN(header) ? undefined : Math.max(0, Math.ceil(header * 1_000))
  if (!isString(header)) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1_000
  const date = dateOf(headerOf(answer, "date"))
  const wait = dateOf(text) - (Number.isNaN(date) ? now : date)
  return Number.isNaN(wait) ? undefined : Math.max(0, Math.ceil(wait))
}

/** NaN for what is no date. Every form begins with the day of the week; `Date` would take much else for one. */
const dateOf = (text: unknown): number => isString(text) && /^[a-z]/i.test(text) ? Date.parse(text) : Number.NaN
