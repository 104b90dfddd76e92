/**
 * Gates as services: what the `Tag` functions of all gates share. What is missing is the layer, whose options each gate
 * has of its own.
 */
import * as Context from "effect/Context"
import type { Gate } from "../../Gate.js"
import { foundCombinator } from "./gate.js"

type RejectionOf<G> = G extends Gate<infer E> ? E : never

/**
 * A tag for gates of a kind. Its name is qualified, so that a gate of another kind, or a service of the program, may have
 * the same id.
 */
export const gateTag = <const Kind extends string, const Id extends string>(kind: Kind, id: Id) =>
<
  Self,
  G extends Gate<unknown>
>() => {
  const tag = Context.Tag(`holdfast/${kind}/${id}` as const)<Self, G>()
  return Object.assign(tag, {
    protect: foundCombinator<RejectionOf<G>, Self>(
      { policy: kind, key: id, settings: { service: true } },
      (fiber) => Context.unsafeGet(fiber.currentContext, tag) as Gate<RejectionOf<G>>
    )
  })
}
