/**
 * Ready-made rules and those of the user.
 */
import type { Rule } from "../../Schedule/Retry.js"

/**
 * The rules of a set with those of the user: one with the label of a rule of the set takes its place, the others come
 * first.
 */
export const withRules = (
  set: ReadonlyArray<Rule<unknown>>,
  own: ReadonlyArray<Rule<unknown>> = []
): ReadonlyArray<Rule<unknown>> => {
  const labels = new Set(set.map(({ label }) => label))
  return [
    ...own.filter(({ label }) => !labels.has(label)),
    ...set.map((rule) => own.find(({ label }) => label === rule.label) ?? rule)
  ]
}
