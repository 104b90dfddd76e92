/**
 * Reads a backoff's description from a value of unknown shape, such as JSON that was stored by another process.
 */
import type { Description, Jitter } from "../Backoff.js"

/** Told where a value is wrong; never returns. */
export type Refuse = (path: string, actual: unknown, expected: string) => never

/** The description that `value` is, without any other properties it may have. */
export const parse = (value: unknown, path: string, refuse: Refuse): Description => {
  const fields = record(value, path, refuse)
  const at = (name: string) => path === "" ? name : `${path}.${name}`
  const millis = (name: string) => nonNegative(fields[name], at(name), refuse)
  const positive = (name: string) => {
    const actual = millis(name)
    return actual > 0 ? actual : refuse(at(name), actual, "a number of milliseconds above zero")
  }
  const cap = () => fields["capMillis"] === null ? null : positive("capMillis")
  const jitter = (): Jitter => {
    const actual = fields["jitter"]
    return actual === "none" || actual === "full" || actual === "equal"
      ? actual
      : refuse(at("jitter"), actual, "\"none\", \"full\" or \"equal\"")
  }
  switch (fields["_tag"]) {
    case "Constant":
      return { _tag: "Constant", delayMillis: millis("delayMillis"), jitter: jitter() }
    case "Linear":
      return {
        _tag: "Linear",
        initialMillis: millis("initialMillis"),
        stepMillis: millis("stepMillis"),
        capMillis: cap(),
        jitter: jitter()
      }
    case "Exponential":
      return {
        _tag: "Exponential",
        initialMillis: positive("initialMillis"),
        factor: atLeastOne(fields["factor"], at("factor"), refuse),
        capMillis: cap(),
        jitter: jitter()
      }
    case "Decorrelated":
      return { _tag: "Decorrelated", initialMillis: positive("initialMillis"), capMillis: cap() }
    default:
      return refuse(at("_tag"), fields["_tag"], "\"Constant\", \"Linear\", \"Exponential\" or \"Decorrelated\"")
  }
}

/** The fields of an object that is not an array. */
export const record = (value: unknown, path: string, refuse: Refuse): { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as { readonly [name: string]: unknown }
    : refuse(path, value, "an object")

/** A finite number of zero or more. */
export const nonNegative = (value: unknown, path: string, refuse: Refuse): number =>
  typeof value === "number" && value >= 0 && value < Infinity
    ? value
    : refuse(path, value, "a finite number of milliseconds, zero or more")

const atLeastOne = (value: unknown, path: string, refuse: Refuse): number =>
  typeof value === "number" && value >= 1 && value < Infinity ? value : refuse(path, value, "a finite number from 1 up")
