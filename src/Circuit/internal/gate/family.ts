/**
 * Gates by key, such as one for each tenant: made when first used, forgotten when a new one would answer the same.
 */
import * as Effect from "effect/Effect"
import type { Description } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import type { Gate, Keyed as KeyedGate } from "../../Gate.js"
import { foundCombinator, type Runner } from "./gate.js"
import { Keyed } from "./keyed.js"

/** How many gates a family keeps unless told otherwise. */
export const defaultMaxKeys = 10_000

export interface FamilyOptions<G> {
  /** What one is made of; its `key` is that of the family. */
  readonly description: Description
  readonly maxKeys: number
  /** Makes the gate of a key; the first argument is what errors call it. */
  readonly make: (key: string) => G
  readonly isSpare: (gate: G, now: number) => boolean
}

/** A family whose gates errors call `family/key`. */
export const makeFamily = <E, G extends Gate<E>>(options: FamilyOptions<G>): KeyedGate<G, E> => {
  const { description, isSpare, make, maxKeys } = options
  const family = description.key ?? description.policy
  const gates = new Keyed<G>({ capacity: maxKeys, make: (key) => make(`${family}/${key}`), isSpare })
  const find = (key: string, fiber: Runner) => gates.get(key, nowOf(fiber))
  return {
    key: family,
    get: (key) => Effect.withFiberRuntime((fiber) => Effect.succeed(find(key, fiber as Runner))),
    protect: (key) =>
      foundCombinator<E>(
        { ...description, settings: { ...description.settings, instance: key } },
        (fiber) => find(key, fiber)
      ),
    size: Effect.sync(() => gates.size)
  }
}
