import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import type { Gate, LoadShedder } from "holdfast/Circuit"

/** A call that is inside until it is ended. */
export const held = (shedder: Gate.Gate<unknown>) =>
  Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const end = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(end)).pipe(shedder.protect)
    )
    yield* Effect.yieldNow()
    return {
      started: Deferred.await(started),
      hasStarted: Deferred.isDone(started),
      exit: Fiber.await(fiber),
      succeed: Effect.zipRight(Deferred.succeed(end, undefined), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

/** Why a call was given up; `ran` when it was not. */
export const reasonOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? (Cause.squash(exit.cause) as LoadShedder.Shed).reason : "ran"
