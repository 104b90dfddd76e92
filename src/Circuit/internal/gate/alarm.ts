/**
 * One sleeper for everything that waits at a gate: it sleeps until the earliest that may have to be done, however many
 * wait. It runs only while it is set, so it belongs to those who wait and ends with them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import { nowOf } from "../../../internal/now.js"
import { sleepMillis } from "../../../internal/sleep.js"
import type { Runner } from "./gate.js"

interface Sleeper {
  fiber: Fiber.RuntimeFiber<void> | undefined
  /** When it wakes, as the clock says now. */
  wakesAt: number
}

export class Alarm {
  private sleeper: Sleeper | undefined
  constructor(private readonly ring: (fiber: Runner) => void) {}

  /**
   * Rings after so many milliseconds, or earlier if it is set to: who is woken has to look at the time. A part of a
   * millisecond counts as a whole one, so that it is never too early.
   */
  set(millis: number, by: Runner): void {
    const whole = Math.ceil(millis)
    const wakesAt = nowOf(by) + whole
    if (this.sleeper !== undefined) {
      if (this.sleeper.wakesAt <= wakesAt) return
      this.clear()
    }
    const sleeper: Sleeper = { fiber: undefined, wakesAt }
    this.sleeper = sleeper
    // The one that is ringing sleeps on.
    if (this.ringing) return
    sleeper.fiber = Runtime.runFork(
      Runtime.make({
        context: Context.empty(),
        runtimeFlags: Runtime.defaultRuntime.runtimeFlags,
        fiberRefs: by.getFiberRefs()
      }),
      this.sleep(sleeper, whole)
    )
  }

  clear(): void {
    this.sleeper?.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.sleeper = undefined
  }

  private ringing = false

  private sleep(sleeper: Sleeper, millis: number): Effect.Effect<void> {
    return Effect.matchCauseEffect(sleepMillis(millis), {
      // A clock that cannot sleep rings for nobody: who comes next, with a clock of its own, sets it anew.
      onFailure: (cause) => {
        if (this.sleeper === sleeper) this.sleeper = undefined
        return Effect.failCause(cause)
      },
      onSuccess: () => this.wake(sleeper)
    })
  }

  private wake(sleeper: Sleeper): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      // Woken and put aside in the same moment.
      if (this.sleeper !== sleeper) return Effect.void
      this.sleeper = undefined
      this.ringing = true
      try {
        this.ring(fiber as Runner)
      } finally {
        this.ringing = false
      }
      const next = this.sleeper as Sleeper | undefined
      if (next === undefined) return Effect.void
      next.fiber = fiber as Fiber.RuntimeFiber<void>
      return this.sleep(next, next.wakesAt - nowOf(fiber as Runner))
    })
  }
}
