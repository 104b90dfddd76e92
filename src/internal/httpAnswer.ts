/**
 * What an error says of the HTTP answer that it stands for, whichever client made it: by its own fields, or by those of
 * its `response`.
 */
import { hasProperty } from "effect/Predicate"

/** The status, if the error is an answer. */
export const statusOf = (error: unknown): number | undefined =>
  ownStatus(error) ?? (hasProperty(error, "response") ? ownStatus(error.response) : undefined)

/** A header, by its name in lower case. */
export const headerOf = (error: unknown, name: string): string | undefined =>
  ownHeader(error, name) ?? (hasProperty(error, "response") ? ownHeader(error.response, name) : undefined)

const ownStatus = (value: unknown): number | undefined =>
  hasProperty(value, "status") && typeof value.status === "number" ? value.status : undefined

const ownHeader = (value: unknown, name: string): string | undefined => {
  if (!hasProperty(value, "headers")) return undefined
  const { headers } = value
  const found = hasProperty(headers, "get") && typeof headers.get === "function"
    ? headers.get(name)
    : Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1]
  return typeof found === "string" ? found : undefined
}
