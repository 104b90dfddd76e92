/**
 * One breaker for each key.
 */
import { reader } from "../../../InvalidOptions.js"
import type { CircuitBreaker, Family, Options, Transition } from "../../CircuitBreaker.js"
import { defaultMaxKeys, makeFamily } from "../gate/family.js"
import { Feed } from "../gate/feed.js"
import { Breaker } from "./breaker.js"
import { readParts } from "./breakerOptions.js"
import type { CircuitOpen, Isolated } from "./circuitOpen.js"

export const makeBreakers = (options: Options & { readonly maxKeys?: number | undefined }): Family => {
  const module = "CircuitBreaker.keyed"
  const partsFor = readParts(module, options)
  const feed = new Feed<Transition>()
  const family = makeFamily<CircuitOpen | Isolated, CircuitBreaker>({
    description: partsFor(options.key).description,
    maxKeys: reader(module).integer("maxKeys", options.maxKeys ?? defaultMaxKeys, 1),
    make: (key) => new Breaker({ ...partsFor(key), family: feed }),
    isSpare: (breaker) => (breaker as Breaker).isSpare
  })
  return { ...family, changes: feed.subscribe }
}
