/**
 * What gates share: how a call is let in, and how its ticket is handed back.
 *
 * A gate implements `Admission`: one synchronous step that gives a ticket or a rejection. The rest (the combinator, the
 * two-phase `reserve`, what counts as an end without an outcome) is here, once for all gates.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Combinator, Description } from "../../Combinator.js"
import { makeCombinator } from "../../internal/combinator.js"
import type { Stage } from "../../internal/pipeline.js"
import type { Permit } from "../Gate.js"
import { isRejection } from "./rejection.js"

type Runner = Fiber.RuntimeFiber<unknown, unknown>

/**
 * A place that a call has, or stands in line for. Exactly one of `settle` and `refund` is called, once. An effect that
 * they return is run before the call goes on; a gate whose state is in memory returns none.
 */
export interface Ticket<out E> {
  readonly _tag: "Ticket"
  /** Where the call has to wait: ends when its turn has come, fails when it comes no more. Can be interrupted. */
  readonly wait?: Effect.Effect<void, E> | undefined
  /** The call has run, and ended like this. */
  readonly settle: (exit: Exit.Exit<unknown, unknown>, fiber: Runner) => Effect.Effect<unknown> | void
  /** The call has not run, or another gate has rejected it; its wait may not be over. */
  readonly refund: (fiber: Runner) => Effect.Effect<unknown> | void
}

/** Lets a call in, or fails with the gate's rejection. Synchronous: nothing happens between looking and taking. */
export type Admission<E> = (fiber: Runner) => Ticket<E> | Exit.Exit<never, E>

/** The stage of a gate. `admission` may depend on the fiber, as where the gate is a service. */
export const gateStage = (admission: Admission<unknown>): Stage => ({
  enter: (call) => {
    const ticket = admission(call.fiber)
    if (ticket._tag !== "Ticket") return ticket
    call.place = ticket
    return ticket.wait
  },
  leave: (call, exit) => {
    const ticket = call.place as Ticket<unknown> | undefined
    if (ticket === undefined) return exit
    const returned = call.began && !isRejected(exit) ? ticket.settle(exit, call.fiber) : ticket.refund(call.fiber)
    return returned === undefined ? exit : Effect.zipRight(returned, exit)
  }
})

/** The combinator of a gate. */
export const gateCombinator = <E, R = never>(
  description: Description,
  admission: Admission<E>
): Combinator<E, R> => makeCombinator([description], [gateStage(admission)])

/** The two-phase form of a gate: a permit that can be handed back once, and says so when it was before. */
export const reserve = <E>(admission: Admission<E>): Effect.Effect<Permit, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const ticket = admission(fiber)
      if (ticket._tag !== "Ticket") return ticket
      const permit = makePermit(ticket)
      return ticket.wait === undefined
        ? Effect.succeed(permit)
        : Effect.matchCauseEffect(restore(ticket.wait), {
          onSuccess: () => Effect.succeed(permit),
          onFailure: (cause) => Effect.zipRight(permit.refund, Effect.failCause(cause))
        })
    })
  )

const makePermit = (ticket: Ticket<unknown>): Permit => {
  let open = true
  const once = (handBack: (fiber: Runner) => Effect.Effect<unknown> | void): Effect.Effect<boolean> =>
    Effect.withFiberRuntime((fiber) => {
      if (!open) return Effect.succeed(false)
      open = false
      return Effect.as(handBack(fiber) ?? Effect.void, true)
    })
  return {
    commit: (exit) => Effect.uninterruptible(once((fiber) => ticket.settle(exit, fiber))),
    refund: Effect.uninterruptible(once((fiber) => ticket.refund(fiber)))
  }
}

/** Whether a call ended because a gate inside rejected it: then it says nothing about what is called. */
const isRejected = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" && isRejection(exit.cause.error)
