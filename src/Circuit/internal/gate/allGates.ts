/**
 * Several gates as one. Behind it a call passes the stages of all of them in one go; reserved, it holds a permit of
 * each.
 */
import * as Effect from "effect/Effect"
import { pipeArguments } from "effect/Pipeable"
import type { Combinator, Description } from "../../../Combinator.js"
import { makeCombinator, stagesOf } from "../../../internal/combinator.js"
import type { Gate, Permit } from "../../Gate.js"
import { TypeId } from "./gate.js"

export class AllGates<E> implements Gate<E> {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly key: string
  readonly description: Description
  readonly protect: Combinator<E>
  readonly reserve: Effect.Effect<Permit, E>

  constructor(gates: ReadonlyArray<Gate<E>>) {
    const protects = gates.map(({ protect }) => protect)
    this.key = gates.map(({ key }) => key).join(" + ")
    this.description = {
      policy: "Gate.all",
      key: this.key,
      settings: {
        gates: gates.map(({ description: { key, policy, settings } }) => ({ policy, key: key ?? null, settings }))
      }
    }
    this.protect = makeCombinator<E>(
      protects.flatMap(({ descriptions }) => descriptions),
      protects.flatMap((protect) => stagesOf(protect))
    )
    this.reserve = Effect.uninterruptible(reserveFrom(gates, 0, []))
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}

/** Reserves at the gates from an index on. `held` are the permits of those before it, the last first. */
const reserveFrom = <E>(
  gates: ReadonlyArray<Gate<E>>,
  index: number,
  held: ReadonlyArray<Permit>
): Effect.Effect<Permit, E> => {
  const gate = gates[index]
  return gate === undefined ? Effect.sync(() => all(held)) : Effect.matchCauseEffect(gate.reserve, {
    onSuccess: (permit) => reserveFrom(gates, index + 1, [permit, ...held]),
    onFailure: (cause) => Effect.zipRight(all(held).refund, Effect.failCause(cause))
  })
}

/** Permits as one, handed back in their order; once, as each of them is. */
const all = (permits: ReadonlyArray<Permit>): Permit => {
  let open = true
  const once = (give: (permit: Permit) => Effect.Effect<boolean>): Effect.Effect<boolean> =>
    Effect.uninterruptible(Effect.suspend(() => {
      if (!open) return Effect.succeed(false)
      open = false
      // One that dies must not keep the others from being handed back.
      const exits = Effect.forEach(permits, (permit) => Effect.exit(give(permit)))
      return Effect.as(Effect.flatMap(exits, Effect.forEach((exit) => exit)), true)
    }))
  return {
    commit: (exit) => once((permit) => permit.commit(exit)),
    refund: once((permit) => permit.refund)
  }
}
