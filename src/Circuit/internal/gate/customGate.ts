/**
 * Gates of programs: their effects as a ticket.
 *
 * Reserving is the wait of the ticket. It is uninterruptible but for what makes itself interruptible, so the permit is
 * noted before anything can come in between; a call that is interrupted later finds it and refunds it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Permit } from "../../Gate.js"
import type { Admission } from "./gate.js"
import { markRejection } from "./rejection.js"

export const customAdmission = <E>(reserve: Effect.Effect<Permit, E>): Admission<E> => {
  const reserved = Effect.tapErrorCause(reserve, (cause) =>
    Effect.sync(() => {
      const error = Cause.failureOption(cause)
      if (Option.isSome(error)) markRejection(error.value)
    }))
  return () => {
    let permit: Permit | undefined
    return {
      _tag: "Ticket",
      wait: Effect.uninterruptible(Effect.map(reserved, (taken) => {
        permit = taken
      })),
      settle: (exit) => permit?.commit(exit),
      refund: () => permit?.refund
    }
  }
}
