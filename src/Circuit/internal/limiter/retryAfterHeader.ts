/**
 * What an answer asks of a limiter: to take no calls for a while (RFC 6585, 4 for status 429).
 */
import { statusOf } from "../../../internal/httpAnswer.js"
import { retryAfterMillis } from "../../../internal/retryAfter.js"

/** What a 429 asks for that does not say how long. */
const untoldMillis = 60_000

/** For how many milliseconds an answer asks to wait; zero when it does not ask. */
export const askedMillis = (answer: unknown, now: number): number => {
  const status = statusOf(answer)
  if (status !== 429 && status !== 503) return 0
  return retryAfterMillis(answer, now) ?? (status === 429 ? untoldMillis : 0)
}
