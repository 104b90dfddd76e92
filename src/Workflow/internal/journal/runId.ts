/**
 * Ids of runs: UUID version 7 (RFC 9562), so that newer runs sort after older ones and land beside each other in an index.
 * Time and randomness come from Effect's services.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

export const makeRunId = (millis: number): Effect.Effect<string> =>
  Effect.map(Effect.all([bits(12), bits(30), bits(32)]), ([a, b, c]) => {
    const time = hex(Math.max(0, Math.trunc(millis)), 12)
    const variant = hex(0x80000000 + b, 8)
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(a, 3)}-${variant.slice(0, 4)}-${variant.slice(4)}${hex(c, 8)}`
  })

const bits = (count: number): Effect.Effect<number> => Random.nextIntBetween(0, 2 ** count)

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")
