/**
 * A backoff as plain data, exported by `Backoff`; and how it is read from a value of unknown shape, such as JSON that was
 * stored by another process.
 */

/**
 * How a delay v is spread:
 *
 * - `none`: v;
 * - `full`: anywhere in [0, v);
 * - `equal`: anywhere in [v/2, v);
 * - `{ proportional: p }`: anywhere in [v·(1 − p), v·(1 + p)), but not above the cap, unless `exceedCap` is set;
 * - `grpc`: `{ proportional: 0.2 }`.
 *
 * @since 0.1.0
 * @category models
 */
export type Jitter = "none" | "full" | "equal" | "grpc" | {
  /** From 0 to 1. */
  readonly proportional: number
  /** Whether a delay at the cap is spread to both sides of it. Default false. */
  readonly exceedCap?: boolean | undefined
}

/**
 * A jitter as plain data.
 *
 * @since 0.1.0
 * @category models
 */
export type Spread = "none" | "full" | "equal" | "grpc" | {
  readonly proportional: number
  readonly exceedCap: boolean
}

/**
 * A backoff as plain data, safe to store as JSON. Times are in milliseconds; a cap of `null` is no cap.
 *
 * A `Custom` curve is a function, of which this says no more than its name: it can be shown, but not made again.
 *
 * @since 0.1.0
 * @category models
 */
export type Description =
  | { readonly _tag: "Constant"; readonly delayMillis: number; readonly jitter: Spread }
  | {
    readonly _tag: "Linear"
    readonly initialMillis: number
    readonly stepMillis: number
    readonly capMillis: number | null
    readonly jitter: Spread
  }
  | {
    readonly _tag: "Exponential"
    readonly initialMillis: number
    readonly factor: number
    readonly capMillis: number | null
    readonly jitter: Spread
  }
  | {
    readonly _tag: "Fibonacci"
    readonly initialMillis: number
    readonly capMillis: number | null
    readonly jitter: Spread
  }
  | {
    readonly _tag: "List"
    readonly delaysMillis: ReadonlyArray<number>
    readonly after: "last" | "cycle"
    readonly jitter: Spread
  }
  | { readonly _tag: "Decorrelated"; readonly initialMillis: number; readonly capMillis: number | null }
  | { readonly _tag: "DecorrelatedV2"; readonly initialMillis: number; readonly capMillis: number | null }
  | {
    readonly _tag: "Custom"
    readonly label: string
    readonly capMillis: number | null
    readonly jitter: Spread
  }

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
  const jitter = () => parseSpread(fields["jitter"], at("jitter"), refuse)
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
    case "Fibonacci":
      return { _tag: "Fibonacci", initialMillis: positive("initialMillis"), capMillis: cap(), jitter: jitter() }
    case "List":
      return {
        _tag: "List",
        delaysMillis: delays(fields["delaysMillis"], at("delaysMillis"), refuse),
        after: parseAfter(fields["after"], at("after"), refuse),
        jitter: jitter()
      }
    case "Decorrelated":
    case "DecorrelatedV2":
      return { _tag: fields["_tag"], initialMillis: positive("initialMillis"), capMillis: cap() }
    case "Custom":
      return refuse(at("_tag"), "Custom", "a curve that has a JSON form, which that of a function has not")
    default:
      return refuse(
        at("_tag"),
        fields["_tag"],
        "\"Constant\", \"Linear\", \"Exponential\", \"Fibonacci\", \"List\", \"Decorrelated\" or \"DecorrelatedV2\""
      )
  }
}

/** A jitter in its described form. */
export const parseSpread = (value: unknown, path: string, refuse: Refuse): Spread => {
  if (value === "none" || value === "full" || value === "equal" || value === "grpc") return value
  const expected = "\"none\", \"full\", \"equal\", \"grpc\" or { proportional: a number from 0 to 1 }"
  if (typeof value !== "object" || value === null) return refuse(path, value, expected)
  const { exceedCap, proportional } = value as { readonly [name: string]: unknown }
  return typeof proportional === "number" && proportional >= 0 && proportional <= 1
    ? { proportional, exceedCap: exceedCap === true }
    : refuse(path, proportional, expected)
}

/** What follows the end of a list. */
export const parseAfter = (value: unknown, path: string, refuse: Refuse): "last" | "cycle" =>
  value === "last" || value === "cycle" ? value : refuse(path, value, "\"last\" or \"cycle\"")

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

const delays = (value: unknown, path: string, refuse: Refuse): ReadonlyArray<number> =>
  Array.isArray(value) && value.length > 0
    ? value.map((delay, index) => nonNegative(delay, `${path}.${index}`, refuse))
    : refuse(path, value, "a list of at least one delay")

const atLeastOne = (value: unknown, path: string, refuse: Refuse): number =>
  typeof value === "number" && value >= 1 && value < Infinity ? value : refuse(path, value, "a finite number from 1 up")
