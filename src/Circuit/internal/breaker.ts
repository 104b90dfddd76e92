/**
 * The effects around the breaker's state machine: read the clock, change the state in one step, tell the subscribers.
 *
 * A closed breaker without failures is the usual case: it is only looked at, before and after the call, and the clock
 * is left alone.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NodeInspectSymbol } from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import type { CircuitBreaker, CircuitOpen, Classify, Permit, Transition, TypeId } from "../CircuitBreaker.js"
import * as machine from "./consecutive.js"

/** What one breaker is made of. */
export interface Parts {
  readonly typeId: TypeId
  readonly key: string
  readonly settings: machine.Settings
  readonly classify: Classify
  /** Whether `classify` takes every value for a success, so that it need not be asked. */
  readonly valuesSucceed: boolean
  readonly current: Ref.Ref<machine.State>
  readonly transitions: PubSub.PubSub<Transition>
  readonly rejection: (state: "Open" | "HalfOpen", retryAfterMillis: number) => CircuitOpen
}

/** A call that was let in. */
interface Admitted {
  readonly generation: number
  readonly phase: "Closed" | "HalfOpen"
}

/** Makes the breaker. */
export const makeBreaker = (parts: Parts): CircuitBreaker => {
  const { classify, current, rejection, settings, transitions, valuesSucceed } = parts

  const step = (event: machine.Event): Effect.Effect<machine.Decision> =>
    Clock.clockWith((clock) =>
      Ref.modify(current, (state) => {
        const now = clock.unsafeCurrentTimeMillis()
        const [next, decision] = machine.transition(settings, state, event, now)
        // Told in the same step as the change, or two fibers could tell theirs in the wrong order.
        if (next._tag !== state._tag) {
          transitions.unsafeOffer({ breaker: parts.key, from: state._tag, to: next._tag, at: now })
        }
        return [decision, next]
      })
    )

  const admitSlowly = Effect.flatMap(step({ _tag: "Admit" }), (decision): Effect.Effect<Admitted, CircuitOpen> => {
    switch (decision._tag) {
      case "Admitted":
        return Effect.succeed(decision)
      case "Rejected":
        return Effect.suspend(() => Effect.fail(rejection(decision.state, decision.retryAfterMillis)))
      default:
        return Effect.dieMessage("a breaker answers an admission with a permit or a rejection")
    }
  })

  const admit = Effect.flatMap(
    Ref.get(current),
    (state): Effect.Effect<Admitted, CircuitOpen> =>
      state._tag === "Closed" ? Effect.succeed({ generation: state.generation, phase: "Closed" }) : admitSlowly
  )

  const settle = ({ generation }: Admitted, outcome: machine.Outcome): Effect.Effect<boolean> =>
    Effect.map(step({ _tag: "Settle", generation, outcome }), (decision) => decision._tag === "Settled")

  /** Settles whatever happens: a classifier that throws is a bug of its own, and must not keep the place. */
  const settleExit = (admitted: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<boolean> =>
    Effect.flatMap(
      Effect.tapErrorCause(
        Effect.sync(() => classify(exit, admitted.phase)),
        () => settle(admitted, "neutral")
      ),
      (outcome) => settle(admitted, outcome)
    )

  const succeeded = <A>(admitted: Admitted, value: A): Effect.Effect<A> =>
    valuesSucceed
      ? Effect.flatMap(Ref.get(current), (state) =>
        state._tag === "Closed" && state.failures === 0
          ? Effect.succeed(value)
          : Effect.as(settle(admitted, "success"), value))
      : Effect.as(settleExit(admitted, Exit.succeed(value)), value)

  const failed = <E>(admitted: Admitted, cause: Cause.Cause<E>): Effect.Effect<never, E> =>
    Effect.zipRight(settleExit(admitted, Exit.failCause(cause)), Effect.failCause(cause))

  return {
    [parts.typeId]: parts.typeId,
    key: parts.key,
    protect: (self) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(admit, (admitted) =>
          Effect.matchCauseEffect(restore(self), {
            onSuccess: (value) => succeeded(admitted, value),
            onFailure: (cause) => failed(admitted, cause)
          }))
      ),
    reserve: Effect.map(admit, (admitted): Permit => {
      let open = true
      return {
        phase: admitted.phase,
        settle: (outcome) =>
          Effect.suspend(() => {
            if (!open) return Effect.succeed(false)
            open = false
            return settle(admitted, outcome)
          })
      }
    }),
    state: Clock.clockWith((clock) =>
      Effect.map(Ref.get(current), (state) => machine.view(settings, state, clock.unsafeCurrentTimeMillis()))
    ),
    reset: Effect.asVoid(step({ _tag: "Reset" })),
    changes: PubSub.subscribe(transitions),
    pipe() {
      return pipeArguments(this, arguments)
    },
    ...inspectable(parts)
  }
}

const inspectable = ({ current, key }: Parts) => {
  const toJSON = () => ({ _id: "CircuitBreaker", key, state: Effect.runSync(Ref.get(current)) })
  return { toJSON, toString: () => JSON.stringify(toJSON()), [NodeInspectSymbol]: toJSON }
}
