/**
 * Tells observers of a call and its attempts. The call is outermost and the attempts innermost of all stages, so each
 * is told once, whatever lies between.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import { nowOf } from "../../internal/now.js"
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
    const at = nowOf(call.fiber)
    call.place = at
    tell(observers, { _tag: "CallStarted", call: counted.id, at })
    return undefined
  },
  leave: (call, exit) => {
    const at = nowOf(call.fiber)
    const durationMillis = at - (call.place as number)
    tell(observers, { _tag: "CallEnded", call: counted.id, attempts: counted.attempts, at, durationMillis, exit })
    return exit
  }
})

/** The innermost stage. */
export const observeAttempts = (observers: ReadonlyArray<Observer>): Stage => ({
  enter: (call) => {
    const counted = Context.get(call.fiber.currentContext, CurrentCall)
    const attempt = ++counted.attempts
    const at = nowOf(call.fiber)
    call.place = { call: counted.id, attempt, at } satisfies Attempt
    tell(observers, { _tag: "AttemptStarted", call: counted.id, attempt, at })
    return undefined
  },
  leave: (call, exit) => {
    const { at: startedAt, ...which } = call.place as Attempt
    const at = nowOf(call.fiber)
    tell(observers, { _tag: "AttemptEnded", ...which, at, durationMillis: at - startedAt, exit })
    return exit
  }
})

interface Attempt {
  readonly call: number
  readonly attempt: number
  readonly at: number
}

const tell = (observers: ReadonlyArray<Observer>, event: CallEvent): void => {
  for (const observer of observers) observer.notify(event)
}
