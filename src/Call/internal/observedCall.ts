/**
 * Tells observers of a call and its attempts. The call is outermost and the attempts innermost of all stages, so each
 * is told once, whatever lies between.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import { nowOf, wallClockOf } from "../../internal/now.js"
import { type Stage, through } from "../../internal/pipeline.js"
import type { CallEvent, Observer } from "../Observer.js"

/** The call that an attempt belongs to: also where a hedge runs the attempt in a fiber of its own. */
class CurrentCall extends Context.Reference<CurrentCall>()("holdfast/Call/internal/observedCall/CurrentCall", {
  defaultValue: (): Counted => ({ id: 0, attempts: 0 })
}) {}

interface Counted {
  readonly id: number
  attempts: number
}

const calls = globalValue(Symbol.for("holdfast/Call/observedCalls"), () => ({ count: 0 }))

/** The outermost stage. */
export const observeCalls = (observers: ReadonlyArray<Observer>): Stage => ({
  around: (call) => {
    const counted: Counted = { id: ++calls.count, attempts: 0 }
    return through(Effect.provideService(call.inner(), CurrentCall, counted), [told(counted, observers)])
  }
})

const told = (counted: Counted, observers: ReadonlyArray<Observer>): Stage => ({
  enter: (call) => {
    call.place = nowOf(call.fiber)
    tell(observers, { _tag: "CallStarted", call: counted.id, at: wallClockOf(call.fiber) })
    return undefined
  },
  leave: (call, exit) => {
    const at = wallClockOf(call.fiber)
    const durationMillis = nowOf(call.fiber) - (call.place as number)
    tell(observers, { _tag: "CallEnded", call: counted.id, attempts: counted.attempts, at, durationMillis, exit })
    return exit
  }
})

/** The innermost stage. */
export const observeAttempts = (observers: ReadonlyArray<Observer>): Stage => ({
  enter: (call) => {
    const counted = Context.get(call.fiber.currentContext, CurrentCall)
    const attempt = ++counted.attempts
    const which = { call: counted.id, attempt }
    call.place = { which, startedAt: nowOf(call.fiber) } satisfies Attempt
    tell(observers, { _tag: "AttemptStarted", ...which, at: wallClockOf(call.fiber) })
    return undefined
  },
  leave: (call, exit) => {
    const { startedAt, which } = call.place as Attempt
    const durationMillis = nowOf(call.fiber) - startedAt
    tell(observers, { _tag: "AttemptEnded", ...which, at: wallClockOf(call.fiber), durationMillis, exit })
    return exit
  }
})

interface Attempt {
  readonly which: { readonly call: number; readonly attempt: number }
  readonly startedAt: number
}

const tell = (observers: ReadonlyArray<Observer>, event: CallEvent): void => {
  for (const observer of observers) observer.notify(event)
}
