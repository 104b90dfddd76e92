/**
 * What a value says of the HTTP answer that it is, or holds, whichever client made it: by its own fields, or by those of
 * its `response`. Headers may be a `Headers` object or a record.
 */
import { hasProperty, isFunction, isNumber, isRecord } from "effect/Predicate"

/** The status, if it is an answer. */
export const statusOf = (answer: unknown): number | undefined => ownStatus(responseOf(answer))

/** A header, by its name in lower case. */
export const headerOf = (answer: unknown, name: string): unknown => {
  const response = responseOf(answer)
  if (!hasProperty(response, "headers")) return undefined
  const { headers } = response
  if (hasProperty(headers, "get") && isFunction(headers.get)) return headers.get(name) ?? undefined
  if (!isRecord(headers)) return undefined
  const key = Object.keys(headers).find((key) => key.toLowerCase() === name)
  return key === undefined ? undefined : headers[key]
}

const responseOf = (answer: unknown): unknown =>
  ownStatus(answer) === undefined && hasProperty(answer, "response") ? answer.response : answer

const ownStatus = (value: unknown): number | undefined =>
  hasProperty(value, "status") && isNumber(value.status) ? value.status : undefined
