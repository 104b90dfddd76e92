/**
 * What a worker's own lease says of those of others. Where a worker could not renew its lease in time, since somebody had
 * locked the journal, nobody else could; each then looks dead to whoever writes first afterwards. So a worker that was kept
 * from it takes nothing before the others have had the time to renew theirs.
 */
import type { Clock } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface LeaseTimes {
  /** The worker has renewed its lease, for what was asked for at that time. */
  readonly renewed: (askedAt: number) => void
  /** Whether more of the lease has passed than it takes to renew it when nothing is in the way. */
  readonly isLate: () => boolean
  /** Waits until something may be taken from workers that look dead. */
  readonly othersRenewed: Effect.Effect<void>
}

/** How long the others wait at most between two attempts to write, and some more. */
const longestPause = 500

export const leaseTimes = (clock: Clock, leaseMillis: number): LeaseTimes => {
  // Whole milliseconds, as clocks count them: of anything less a sleep may end too early by nothing, again and again.
  const pause = Math.ceil(Math.min(leaseMillis / 3, longestPause))
  let renewedAt = clock.unsafeCurrentTimeMillis()
  let takesFrom = -Infinity

  const isLate = (): boolean => clock.unsafeCurrentTimeMillis() - renewedAt > (2 / 3) * leaseMillis

  const othersRenewed: Effect.Effect<void> = Effect.suspend(() => {
    const wait = isLate() ? pause : takesFrom - clock.unsafeCurrentTimeMillis()
    return wait <= 0 ? Effect.void : Effect.zipRight(clock.sleep(Duration.millis(wait)), othersRenewed)
  })

  return {
    renewed: (askedAt) => {
      if (isLate()) takesFrom = clock.unsafeCurrentTimeMillis() + pause
      renewedAt = askedAt
    },
    isLate,
    othersRenewed
  }
}
