/**
 * The rules of `Policy.lint`: one entry each, over the descriptions of a policy, outermost first.
 */
import type { Description, Json } from "../../Combinator.js"
import type { Assumptions, RuleId } from "../Policy.js"
import { type DescribedRule, longestWait, numberOf, retryRules, settingsOf, worstCaseRetries } from "./lintSettings.js"

export interface Found {
  readonly at: ReadonlyArray<number>
  readonly message: string
}

export interface LintRule {
  readonly id: RuleId
  readonly severity: "error" | "warning"
  readonly find: (policies: ReadonlyArray<Description>, assumptions: Assumptions) => ReadonlyArray<Found>
}

/** A rule about every policy of a kind. */
const each = (
  kind: string,
  find: (policy: Description, index: number, assumptions: Assumptions) => string | undefined
): LintRule["find"] =>
(policies, assumptions) =>
  policies.flatMap((policy, index) => {
    const message = policy.policy === kind ? find(policy, index, assumptions) : undefined
    return message === undefined ? [] : [{ at: [index], message }]
  })

/** A rule about every two policies, the first outside of the second. */
const nested = (
  find: (outer: Description, inner: Description, assumptions: Assumptions) => string | undefined
): LintRule["find"] =>
(policies, assumptions) =>
  policies.flatMap((outer, index) =>
    policies.slice(index + 1).flatMap((inner, offset) => {
      const message = find(outer, inner, assumptions)
      return message === undefined ? [] : [{ at: [index, index + 1 + offset], message }]
    })
  )

/** The same for two kinds. */
const around = (
  outerKind: string,
  innerKind: string,
  find: (outer: Description, inner: Description, assumptions: Assumptions) => string | undefined
): LintRule["find"] =>
  nested((outer, inner, assumptions) =>
    outer.policy === outerKind && inner.policy === innerKind ? find(outer, inner, assumptions) : undefined
  )

/** The time that a policy gives what is inside of it; `undefined` when it gives no limit. */
const limitOf = ({ policy, settings }: Description): number | undefined =>
  policy === "Timeout"
    ? numberOf(settings["afterMillis"])
    : policy === "Deadline"
    ? numberOf(settings["withinMillis"])
    : undefined

/** A rule about a limit outside of a policy of a kind. */
const limited = (
  kind: string,
  find: (limitMillis: number, inner: Description) => string | undefined
): LintRule["find"] =>
  nested((outer, inner) => {
    const limit = limitOf(outer)
    return limit === undefined || inner.policy !== kind ? undefined : find(limit, inner)
  })

const nameOf = ({ key, policy }: Description): string => key === undefined ? policy : `${policy} "${key}"`

const millis = (value: number): string => value % 1000 === 0 ? `${value / 1000} s` : `${value} ms`

const times = (count: number): string => count === Infinity ? "without limit" : `up to ${count} times`

/** The rules of a retry that would take a rejection of an open breaker, as far as that can be seen. */
const retriesOpenCircuit = (retry: Description): DescribedRule | undefined => {
  const takes = (matcher: Json | undefined): boolean => {
    const { kind, tags } = settingsOf(matcher)
    return kind === "all" || (Array.isArray(tags) && tags.includes("CircuitOpen"))
  }
  const never = retry.settings["never"]
  if (Array.isArray(never) && never.some(takes)) return undefined
  return retryRules(retry).find(({ matcher, retries }) => retries > 0 && takes(matcher))
}

export const rules: ReadonlyArray<LintRule> = [
  {
    id: "L1",
    severity: "error",
    find: each("Retry", ({ settings }) => {
      const unreachable = Array.isArray(settings["unreachable"]) ? settings["unreachable"].map(settingsOf) : []
      return unreachable.length === 0 ?
        undefined :
        unreachable.map(({ coveredBy, rule }) =>
          `retry rule "${String(rule)}" can never decide: "${
            String(coveredBy)
          }" before it takes all of its failures; ` +
          "put it first, or drop it"
        ).join("; ")
    })
  },
  {
    id: "L2",
    severity: "warning",
    find: around("Retry", "CircuitBreaker", (retry, breaker) => {
      const rule = retriesOpenCircuit(retry)
      return rule === undefined ?
        undefined :
        `rule "${rule.label}" retries the rejections of ${nameOf(breaker)} while it ` +
        "is open; exclude CircuitOpen with `never`, or give it a rule of its own that waits for `retryAfter`"
    })
  },
  {
    id: "L3",
    severity: "warning",
    find: around("Hedge", "Retry", (hedge, retry) => {
      const attempts = 1 + (numberOf(hedge.settings["hedges"]) ?? 1)
      return `each hedged attempt retries on its own: one call may call ${
        times(attempts * (1 + worstCaseRetries(retry)))
      }; put the retry outside of the hedge`
    })
  },
  {
    id: "L4",
    severity: "error",
    find: nested((outer, inner) => {
      const [total, attempt] = [limitOf(outer), limitOf(inner)]
      return total === undefined || attempt === undefined || attempt < total ?
        undefined :
        `the inner limit of ${millis(attempt)} can never be reached: the outer one ends everything after ${
          millis(total)
        }`
    })
  },
  {
    id: "L5",
    severity: "warning",
    find: limited("Retry", (total, retry) => {
      const wait = longestWait(retry)
      return wait <= total ? undefined : wait === Infinity
        ? `the retries may wait without limit, the limit outside of them is ${millis(total)}; bound them by maxElapsed`
        : `the backoffs may add up to ${millis(wait)}, the limit outside of them is ${
          millis(total)
        }: the last retries ` +
          "never happen; lower the cap or the number of retries, or raise the limit"
    })
  },
  {
    id: "L6",
    severity: "warning",
    find: around(
      "Retry",
      "Fallback",
      () =>
        "the fallback is inside of the retry, which so never sees the failures that the fallback takes; put the fallback " +
        "outside"
    )
  },
  {
    id: "L7",
    severity: "warning",
    find: around(
      "CircuitBreaker",
      "Cache",
      (breaker) =>
        `hits of the cache count as successes of ${
          nameOf(breaker)
        } and hide the failures of what is called; put the cache ` +
        "outside of the breaker"
    )
  },
  {
    id: "L8",
    severity: "warning",
    find: around(
      "Bulkhead",
      "Retry",
      (bulkhead) =>
        `a call keeps its place in ${
          nameOf(bulkhead)
        } while it waits for its next attempt; put the bulkhead inside of the ` +
        "retry"
    )
  },
  {
    id: "L9",
    severity: "warning",
    find: around(
      "Retry",
      "Retry",
      (outer, inner) =>
        `two retries multiply: one call may call ${
          times((1 + worstCaseRetries(outer)) * (1 + worstCaseRetries(inner)))
        }; use one retry with several rules`
    )
  },
  {
    id: "L10",
    severity: "warning",
    find: around(
      "RateLimiter",
      "Retry",
      (limiter) =>
        `${nameOf(limiter)} counts a call once, however often it is retried; put the limiter inside of the retry`
    )
  },
  {
    id: "L11",
    severity: "warning",
    find: each("Retry", (retry, _, { callers = Infinity }) => {
      const without = retryRules(retry).filter(({ jitter, retries }) => retries > 0 && jitter === "none")
      return callers <= 1 || without.length === 0 ?
        undefined :
        `callers that fail together come back together: ${
          without.map(({ label }) => `"${label}"`).join(", ")
        } has no jitter; add one ("full" spreads the most)`
    })
  },
  {
    id: "L12",
    severity: "error",
    find: each("Hedge", (_policy, _index, { idempotent }) =>
      idempotent === false
        ? "a hedge calls again while the first call may still succeed, and these calls are not idempotent: do not hedge them"
        : undefined)
  },
  {
    id: "L14",
    severity: "warning",
    find: each("CircuitBreaker", (breaker) => {
      const [minimum, size] = [numberOf(breaker.settings["minimumCalls"]), numberOf(breaker.settings["windowSize"])]
      return minimum === undefined || size === undefined || minimum <= size ?
        undefined :
        `${
          nameOf(breaker)
        } asks for at least ${minimum} calls in a window of ${size}, which never holds as many; the size ` +
        "of the window is taken instead"
    })
  },
  {
    id: "L15",
    severity: "error",
    find: each("CircuitBreaker", (breaker) => {
      const [needed, sample] = [
        numberOf(breaker.settings["halfOpenSuccesses"]),
        numberOf(breaker.settings["halfOpenSample"])
      ]
      return needed === undefined || sample === undefined || needed <= sample ?
        undefined :
        `${nameOf(breaker)} can never close: it needs ${needed} successes of ${sample} probes`
    })
  },
  {
    id: "L16",
    severity: "warning",
    find: limited("Retry", (total, retry) => {
      const beyond = retryRules(retry).filter(({ hasHint, hintCapMillis, retries }) =>
        retries > 0 && hasHint && hintCapMillis > total
      )
      return beyond.length === 0 ?
        undefined :
        `${beyond.map(({ label }) => `"${label}"`).join(", ")} may be asked to wait longer than the limit of ${
          millis(total)
        } outside of it; set a hintCap below that`
    })
  },
  {
    id: "L17",
    severity: "warning",
    find: (policies) =>
      policies.flatMap((gate, index) => {
        // With a limit of its own inside, the call is limited either way, and the outer limit is for all of it.
        if (!mayWait(gate) || policies.slice(index + 1).some((inner) => limitOf(inner) !== undefined)) return []
        return policies.slice(0, index).flatMap((outer, at) => {
          const limit = limitOf(outer)
          return limit === undefined ? [] : [{
            at: [at, index],
            message:
              `the limit of ${millis(limit)} also counts the time in the line of ${nameOf(gate)}: when there is a ` +
              "line, calls have less time; put a limit inside of the gate, or limit the wait by the gate's own option"
          }]
        })
      })
  },
  {
    id: "L18",
    severity: "warning",
    find: each(
      "Retry",
      (retry) =>
        retry.settings["budget"] === null && retryRules(retry).some(({ retries }) => retries === Infinity)
          ? "unlimited retries without a budget keep up the load on what is failing; give the retry a RetryBudget"
          : undefined
    )
  },
  {
    id: "L19",
    severity: "warning",
    find: (policies) =>
      policies.flatMap((breaker, index) => {
        if (breaker.policy !== "CircuitBreaker") return []
        const outer = policies.slice(0, index).map(limitOf)
        const inside = policies.slice(index + 1).map(limitOf).filter((limit) => limit !== undefined)
        return outer.flatMap((limit, at) =>
          limit === undefined || inside.some((own) => own < limit) ? [] : [{
            at: [at, index],
            message:
              `${nameOf(breaker)} never sees calls time out: the limit of ${
                millis(limit)
              } is outside of it, and what is ` +
              "interrupted says nothing; put a shorter timeout inside of the breaker"
          }]
        )
      })
  },
  {
    id: "L20",
    severity: "warning",
    find: nested((outer, inner) =>
      outer !== inner && outer.key !== undefined && outer.policy === inner.policy && outer.key === inner.key &&
        outer.policy !== "Custom"
        ? `two different instances are called ${
          nameOf(inner)
        }: their errors and metrics cannot be told apart; share one, ` +
          "or give each its own key"
        : undefined
    )
  }
]

/** Whether a call may stand in line at a gate, as far as that is known. */
const mayWait = ({ policy, settings }: Description): boolean => {
  const longest = policy === "RateLimiter"
    ? settings["maxWaitMillis"]
    : policy === "Bulkhead"
    ? settings["queue"]
    : 0
  return longest === null || (numberOf(longest) ?? 0) > 0
}
