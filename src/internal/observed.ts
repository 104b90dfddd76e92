/**
 * Observers of a call: they run beside it, so that whatever they do it neither waits for them nor fails with them.
 */
import * as Effect from "effect/Effect"

/** Starts an observer. */
export const observed = <R>(observer: () => Effect.Effect<unknown, never, R>): Effect.Effect<unknown, never, R> =>
  Effect.forkDaemon(Effect.interruptible(
    Effect.catchAllCause(Effect.suspend(observer), (cause) => Effect.logDebug("An observer failed", cause))
  ))
