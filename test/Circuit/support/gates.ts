import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import type * as Combinator from "holdfast/Combinator"

/** A call that is behind a gate until it is ended. It has begun, is waiting in line, or was turned away. */
export const held = <E>(protect: Combinator.Combinator<E>) =>
  Effect.gen(function*() {
    let began = false
    const end = yield* Deferred.make<string, "failed">()
    const fiber = yield* Effect.fork(
      Effect.suspend(() => {
        began = true
        return Deferred.await(end)
      }).pipe(protect)
    )
    // Runs it up to where it has to wait.
    yield* Effect.yieldNow()
    const ended = Effect.yieldNow()
    return {
      fiber,
      get began() {
        return began
      },
      get exit() {
        return fiber.unsafePoll()
      },
      succeed: Effect.zipRight(Deferred.succeed(end, "ended"), Effect.zipLeft(Fiber.await(fiber), ended)),
      fail: Effect.zipRight(Deferred.fail(end, "failed"), Effect.zipLeft(Fiber.await(fiber), ended)),
      die: Effect.zipRight(Deferred.die(end, "bug"), Effect.zipLeft(Fiber.await(fiber), ended)),
      interrupt: Effect.zipLeft(Fiber.interrupt(fiber), ended)
    }
  })

export type Held = Effect.Effect.Success<ReturnType<typeof held>>

/** What a call comes to: its value, the tag of its error, or the word for how else it ended. */
export const endOf = <A, E>(exit: Exit.Exit<A, E>): string =>
  Exit.match(exit, {
    onSuccess: String,
    onFailure: (cause) => {
      if (Cause.isInterruptedOnly(cause)) return "interrupted"
      if (Cause.isDie(cause)) return "died"
      const error = Cause.squash(cause)
      return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
    }
  })

export const outcome = <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(call), endOf)
