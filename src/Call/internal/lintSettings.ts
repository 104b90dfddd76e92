/**
 * Reads the settings of descriptions for the lint rules. A description may come from JSON, so nothing is taken for
 * granted: what is not there is not found fault with.
 */
import * as Option from "effect/Option"
import type { Description, Json } from "../../Combinator.js"
import * as curve from "../../Schedule/internal/curve.js"
import { parse } from "../../Schedule/internal/description.js"

export interface DescribedRule {
  readonly label: string
  readonly matcher: Json | undefined
  /** Infinity for no limit. */
  readonly retries: number
  readonly jitter: Json | undefined
  readonly hasHint: boolean
  /** Infinity for no cap. */
  readonly hintCapMillis: number
  /** The delays before its retries at their longest, one after another; none where they are not known. */
  readonly longestDelays: () => Iterable<number>
}

/** The fields of a setting that is an object. */
export const settingsOf = (value: Json | undefined): { readonly [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as { readonly [name: string]: Json } : {}

export const numberOf = (value: Json | undefined): number | undefined => typeof value === "number" ? value : undefined

/** The rules of a retry. */
export const retryRules = ({ settings }: Description): ReadonlyArray<DescribedRule> =>
  (Array.isArray(settings["rules"]) ? settings["rules"] : []).map(settingsOf).map((rule) => ({
    label: String(rule["label"]),
    matcher: rule["matcher"],
    retries: rule["retries"] === "unlimited" ? Infinity : numberOf(rule["retries"]) ?? 0,
    jitter: settingsOf(rule["backoff"])["jitter"],
    hasHint: rule["hasHint"] === true,
    hintCapMillis: numberOf(rule["hintCapMillis"]) ?? Infinity,
    longestDelays: () => longestDelays(rule["backoff"])
  }))

/** How many retries one call may make. */
export const worstCaseRetries = (retry: Description): number =>
  retryRules(retry).reduce((sum, { retries }) => sum + retries, 0)

/** How long the backoffs of one call may be together, as far as that is known. */
export const longestWait = (retry: Description): number => {
  let sum = 0
  for (const { longestDelays, retries } of retryRules(retry)) {
    let left = retries
    for (const delay of longestDelays()) {
      if (left-- <= 0) break
      sum += delay
      if (sum > curve.longest || retries === Infinity) {
        sum = Infinity
        break
      }
      // A curve is at its cap long before so many retries, so the rest need not be added one by one.
      if (retries - left === 1000) {
        sum += left * delay
        break
      }
    }
  }
  return Math.min(sum, numberOf(retry.settings["maxElapsedMillis"]) ?? Infinity)
}

function* longestDelays(backoff: Json | undefined): Generator<number> {
  const description = described(backoff)
  if (description === undefined) return
  let before = curve.nothingDrawn
  for (let retry = 0;; retry++) {
    // The highest draw gives the longest delay.
    const millis = curve.delayMillis({ description }, retry, 1, before)
    before = { millis, random: 1 }
    yield millis
  }
}

/** The curve of a backoff; `undefined` for one that has no JSON form, as that of a function. */
const described = (backoff: Json | undefined) =>
  Option.getOrUndefined(
    Option.liftThrowable(() =>
      parse(backoff, "", (path) => {
        throw new RangeError(path)
      })
    )()
  )
