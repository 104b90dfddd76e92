/**
 * The Retry-After of an HTTP answer (RFC 9110, 10.2.3).
 */
import { isNumber, isString } from "effect/Predicate"
import { headerOf } from "./httpAnswer.js"

/**
 * How long an answer asks to wait, in milliseconds; `undefined` when it asks for nothing. A date counts from `now`; where
 * that is not given from the Date of the answer, so that the clocks of the two sides need not agree.
 */
export const retryAfterMillis = (answer: unknown, now?: number): number | undefined => {
  const header = headerOf(answer, "retry-after")
  if (isNumber(header)) return Number.isNaN(header) ? undefined : Math.max(0, header * 1_000)
  if (!isString(header)) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1_000
  const wait = dateOf(text) - (now ?? dateOf(headerOf(answer, "date")))
  return Number.isNaN(wait) ? undefined : Math.max(0, wait)
}

/** NaN for what is no date. Every form begins with the day of the week; `Date` would take much else for one. */
const dateOf = (text: unknown): number => isString(text) && /^[a-z]/i.test(text) ? Date.parse(text) : Number.NaN
