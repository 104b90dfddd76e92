/**
 * What gates share: how a call is let in, and how its ticket is handed back.
 *
 * A gate implements `Admission`: one synchronous step that gives a ticket or a rejection. The rest (the combinator, the
 * two-phase `reserve`, what counts as an end without an outcome) is here, once for all gates.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { NodeInspectSymbol } from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import type { Combinator, Description } from "../../../Combinator.js"
import { makeCombinator, stagesOf } from "../../../internal/combinator.js"
import type { Stage } from "../../../internal/pipeline.js"
import type { Gate, Permit } from "../../Gate.js"
import { isRejection } from "./rejection.js"

export type Runner = Fiber.RuntimeFiber<unknown, unknown>

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
export type Admission<out E> = (fiber: Runner) => Ticket<E> | Exit.Exit<never, E>

/** Marks gates, and nothing else; exported by `Gate`. */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/Gate")

export type TypeId = typeof TypeId

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
    const returned = call.began ? handBack(ticket, exit, call.fiber) : ticket.refund(call.fiber)
    return returned === undefined ? exit : followedBy(exit, returned)
  }
})

/** The combinator of a gate. */
export const gateCombinator = <E, R = never>(
  description: Description,
  admission: Admission<E>
): Combinator<E, R> => makeCombinator([description], [gateStage(admission)])

/**
 * The combinator of a gate that is looked up for each call, such as a service or one of a family. The gate is one of
 * this package's, or made with `Gate.make`: those have one stage.
 */
export const foundCombinator = <E, R = never>(
  description: Description,
  find: (fiber: Runner) => { readonly protect: Combinator<E> }
): Combinator<E, R> =>
  makeCombinator([description], [{
    ...gateStage(neverAsked),
    enter: (call) => stagesOf(find(call.fiber).protect)[0]!.enter!(call)
  }])

/**
 * The two-phase form of a gate: a permit that can be handed back once, and says so when it was before. It is meant to
 * be run uninterruptibly, as what acquires is; the wait in it can be interrupted even so.
 */
export const reserve = <E>(admission: Admission<E>): Effect.Effect<Permit, E> =>
  Effect.uninterruptible(Effect.withFiberRuntime((fiber) => {
    const ticket = admission(fiber)
    if (ticket._tag !== "Ticket") return ticket
    const permit = makePermit(ticket)
    return ticket.wait === undefined
      ? Effect.succeed(permit)
      : Effect.matchCauseEffect(Effect.interruptible(ticket.wait), {
        onSuccess: () => Effect.succeed(permit),
        onFailure: (cause) => Effect.zipRight(permit.refund, Effect.failCause(cause))
      })
  }))

/** A gate as a value. What is missing is how it admits. */
export abstract class GateValue<E> implements Gate<E> {
  readonly protect: Combinator<E>
  readonly reserve: Effect.Effect<Permit, E>
  constructor(readonly key: string, readonly description: Description) {
    const admission: Admission<E> = (fiber) => this.admit(fiber)
    this.protect = gateCombinator(description, admission)
    this.reserve = reserve(admission)
  }
  abstract admit(fiber: Runner): Ticket<E> | Exit.Exit<never, E>
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  pipe() {
    return pipeArguments(this, arguments)
  }
  toJSON(): unknown {
    return { _id: this.description.policy, key: this.key }
  }
  toString(): string {
    return JSON.stringify(this.toJSON())
  }
  [NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

/** A gate that is only another way into one that exists, such as for heavier calls. */
export class GateView<E> extends GateValue<E> {
  constructor(key: string, description: Description, readonly admit: Admission<E>) {
    super(key, description)
  }
}

const makePermit = (ticket: Ticket<unknown>): Permit => {
  let open = true
  const once = (give: (fiber: Runner) => Effect.Effect<unknown> | void): Effect.Effect<boolean> =>
    Effect.uninterruptible(Effect.withFiberRuntime((fiber) => {
      if (!open) return Effect.succeed(false)
      open = false
      return Effect.as(give(fiber) ?? Effect.void, true)
    }))
  return {
    commit: (exit) => once((fiber) => handBack(ticket, exit, fiber)),
    refund: once((fiber) => ticket.refund(fiber))
  }
}

/** Hands back the ticket of a call that has ended. One that a gate inside has rejected has not run. */
const handBack = (ticket: Ticket<unknown>, exit: Exit.Exit<unknown, unknown>, fiber: Runner) =>
  isRejected(exit) ? ticket.refund(fiber) : ticket.settle(exit, fiber)

/** Whether a call ended because a gate inside rejected it: then it says nothing about what is called. */
const isRejected = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" && isRejection(exit.cause.error)

/** The end of a call, after an effect: what that dies of comes after the cause of the call. */
const followedBy = <A, E>(exit: Exit.Exit<A, E>, next: Effect.Effect<unknown>): Effect.Effect<A, E> =>
  Effect.matchCauseEffect(next, {
    onSuccess: () => exit,
    onFailure: (cause) => Effect.failCause(Exit.isFailure(exit) ? Cause.sequential(exit.cause, cause) : cause)
  })

const neverAsked: Admission<never> = () => Exit.die("a gate that is looked up admits by its own stage")
