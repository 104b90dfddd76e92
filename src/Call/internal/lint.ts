/**
 * Looks at descriptions for combinations that defeat themselves. The rules are in `lintRules`; here they are applied.
 */
import type { Description } from "../../Combinator.js"
import type { Assumptions, Finding } from "../Policy.js"
import { rules } from "./lintRules.js"

/** Descriptions of one call, outermost first. */
export interface LintedCall extends Assumptions {
  readonly call: string
  readonly target?: string | undefined
  readonly descriptions: ReadonlyArray<Description>
}

/** What the rules find in one policy, in the order of the rules. */
export const lint = (descriptions: ReadonlyArray<Description>, assumptions: Assumptions): ReadonlyArray<Finding> =>
  rules.flatMap(({ find, id, severity }) =>
    find(descriptions, assumptions).map(({ at, message }) => ({ rule: id, severity, message, at }))
  )

/** What the rules find in each call, and then in what the calls share. */
export const lintAll = (calls: ReadonlyArray<LintedCall>): ReadonlyArray<Finding & { readonly call: string }> => [
  ...calls.flatMap(({ call, descriptions, ...assumptions }) =>
    lint(descriptions, assumptions).map((finding) => ({ ...finding, call }))
  ),
  ...breakersOfSeveralTargets(calls),
  ...namesakes(calls)
]

/** One place where an instance is used. */
interface Use {
  readonly call: LintedCall
  readonly index: number
  readonly description: Description
}

const usesOf = (calls: ReadonlyArray<LintedCall>): ReadonlyArray<Use> =>
  calls.flatMap((call) => call.descriptions.map((description, index) => ({ call, index, description })))

// An instance has one description, so it is known by that object.
const breakersOfSeveralTargets = (calls: ReadonlyArray<LintedCall>): ReadonlyArray<Finding & { call: string }> => {
  const first = new Map<Description, Use>()
  return usesOf(calls).flatMap((use) => {
    const { call, description, index } = use
    if (description.policy !== "CircuitBreaker" || call.target === undefined) return []
    const known = first.get(description)
    if (known === undefined) {
      first.set(description, use)
      return []
    }
    return known.call.target === call.target ? [] : [{
      rule: "L13",
      severity: "warning",
      call: call.call,
      at: [index],
      message:
        `circuit breaker "${description.key}" is shared by calls of "${known.call.target}" and of "${call.target}": ` +
        `when one fails, the other is cut off; give each target its own, as with CircuitBreaker.keyed`
    }]
  })
}

/** Two instances of a kind with one key: in different calls, since `lintRules` finds those in one. */
const namesakes = (calls: ReadonlyArray<LintedCall>): ReadonlyArray<Finding & { call: string }> => {
  const first = new Map<string, Use>()
  return usesOf(calls).flatMap((use) => {
    const { call, description, index } = use
    if (description.key === undefined || description.policy === "Custom") return []
    const name = `${description.policy} ${description.key}`
    const known = first.get(name)
    if (known === undefined) {
      first.set(name, use)
      return []
    }
    return known.description === description || known.call === call ? [] : [{
      rule: "L20",
      severity: "warning",
      call: call.call,
      at: [index],
      message: `two different instances are called ${description.policy} "${description.key}", here and in ` +
        `"${known.call.call}": their errors and metrics cannot be told apart; share one, or give each its own key`
    }]
  })
}
