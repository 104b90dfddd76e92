/**
 * Waiting for a lock that another process holds. Nobody waits inside of a driver, where the whole process would stand
 * still: an attempt that meets the lock fails, and is made again after a back-off.
 *
 * A store waits by itself, as long as `LockPatience` says. Whoever writes a time (a lease, what is due `now`) must not let
 * the store wait, since the time would be an old one when it is written at last: it makes the whole attempt again, with
 * `untilUnlocked`.
 */
import type { Clock } from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Backoff from "../../../Schedule/Backoff.js"
import { JournalError } from "../../WorkflowError.js"

/** Until when somebody waits, and since when if it was before; `undefined`: as long as the journal's `lockTimeout` says. */
export class LockPatience extends Context.Reference<LockPatience>()("holdfast/Workflow/LockPatience", {
  defaultValue: (): { readonly since: number | undefined; readonly until: number } | undefined => undefined
}) {}

export const isLocked = (error: unknown): error is JournalError =>
  error instanceof JournalError && error.reason === "Locked"

/** The error of one who has waited for too long. */
export const lockedError = (what: string, waitedMillis: number, database: string, cause: unknown): JournalError => {
  const waited = Duration.format(Duration.millis(Math.round(waitedMillis)))
  return new JournalError({
    reason: "Locked",
    detail:
      `${what} waited ${waited} for ${database}, which another process still has locked; let that one end its transaction (a backup, VACUUM, an open shell), or raise \`lockTimeout\` of the journal`,
    cause
  })
}

const backoff = Backoff.exponential("2 millis", { cap: "100 millis", jitter: "equal" })

/** The pause after an attempt, in whole milliseconds, as clocks count them; `retry` counts from 0. */
export const pauseAfter = (retry: number): Effect.Effect<number> =>
  Effect.map(Random.next, (random) => Math.ceil(Duration.toMillis(Backoff.delay(backoff, { retry, random }))))

/** One attempt, which fails at once when it meets a lock. `since` is when its caller has begun to wait. */
export const attemptOnce = <A, E, R>(effect: Effect.Effect<A, E, R>, since: number): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, LockPatience, { since, until: since })

/** Attempts until one meets no lock, without end. Between them nothing is held. */
export const untilUnlocked = <A, E, R>(effect: Effect.Effect<A, E, R>, clock: Clock): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const since = clock.unsafeCurrentTimeMillis()
    const attempt = (retry: number): Effect.Effect<A, E, R> =>
      Effect.catchAll(attemptOnce(effect, since), (error) =>
        isLocked(error)
          ? pauseAfter(retry).pipe(
            Effect.flatMap((millis) => clock.sleep(Duration.millis(millis))),
            Effect.zipRight(Effect.suspend(() => attempt(retry + 1)))
          )
          : Effect.fail(error))
    return attempt(0)
  })

/** Lets a store wait for this long. */
export const attemptFor = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  clock: Clock,
  duration: Duration.Duration
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const since = clock.unsafeCurrentTimeMillis()
    return Effect.provideService(effect, LockPatience, { since, until: since + Duration.toMillis(duration) })
  })

/** Lets a store wait for as long as it takes. */
export const withoutEnd = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, LockPatience, { since: undefined, until: Infinity })
