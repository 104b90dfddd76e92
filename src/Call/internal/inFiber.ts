/**
 * A limit on work that runs in a fiber of its own, which starts at once and in place. Work that never suspends is over
 * before a timer would be set: it costs that fiber and nothing else.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Runtime from "effect/Runtime"
import { nowOf } from "../../internal/now.js"
import { startTimer } from "./timer.js"

/**
 * Runs an effect for at most `millis`; `late` is its end when it is not done by then. `detach` does not wait for the
 * end of what was interrupted.
 */
export const inFiber = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  late: Effect.Effect<never, E2>,
  detach: boolean
): Effect.Effect<A, E | E2, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | E2, R>((caller, { runtimeFlags }) => {
      const startedAt = nowOf(caller)
      const runtime = Runtime.make({
        // The requirements of the effect that runs here are those of the fiber that runs it.
        context: caller.currentContext as Context.Context<R>,
        runtimeFlags,
        fiberRefs: caller.getFiberRefs()
      })
      const work = Runtime.runFork(runtime, restore(self))
      const exit = work.unsafePoll()
      if (exit !== null) return finished(work, exit)

      let stopTimer = constVoid
      const first = Effect.async<Exit.Exit<A, E> | undefined>((resume) => {
        const remaining = millis - (nowOf(caller) - startedAt)
        stopTimer = startTimer(caller, runtime, remaining, (exit) => resume(Effect.as(exit, undefined)))
        work.addObserver((exit) => resume(Effect.succeed(exit)))
      })
      return Effect.matchCauseEffect(restore(first), {
        onSuccess: (exit): Effect.Effect<A, E | E2> => {
          stopTimer()
          const ended = exit ?? work.unsafePoll()
          if (ended !== null) return finished(work, ended)
          return detach
            ? Effect.zipRight(Fiber.interruptAsFork(work, caller.id()), late)
            : Effect.flatMap(Fiber.interruptAs(work, caller.id()), () => Effect.zipRight(work.inheritAll, late))
        },
        // The caller is being interrupted, or its clock has failed.
        onFailure: (cause) => {
          stopTimer()
          return Effect.zipRight(Fiber.interruptAs(work, caller.id()), Effect.failCause(cause))
        }
      })
    })
  )

/** The work's exit as it is, and what it changed in fiber refs. */
const finished = <A, E>(work: Fiber.Fiber<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  Effect.zipRight(work.inheritAll, exit)
