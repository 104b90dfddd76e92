/**
 * A clock of two hands, as a machine has: one that only goes forward and one that can be set. Time passes where a test
 * says so, and sleeps end then, in their order.
 */
import { Clock, Duration, Effect } from "effect"

interface Sleep {
  readonly until: number
  readonly resume: () => void
}

export class SteppingClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private elapsed: number
  private wall: number
  private readonly sleeps = new Set<Sleep>()

  /** With `oneHand`, what is set is all there is: then no reading of the clock tells that time has passed. */
  constructor(startAt: number, private readonly oneHand = false) {
    this.elapsed = this.wall = startAt
  }

  unsafeCurrentTimeMillis(): number {
    return this.wall
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(this.oneHand ? this.wall : this.elapsed) * 1_000_000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const sleep = { until: this.elapsed + Duration.toMillis(duration), resume: () => resume(Effect.void) }
      this.sleeps.add(sleep)
      return Effect.sync(() => this.sleeps.delete(sleep))
    })
  }

  /** Lets time pass, and all that wakes meanwhile come to rest. */
  readonly pass = (millis: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const end = this.elapsed + millis
      const next = Effect.suspend((): Effect.Effect<void> => {
        const due = [...this.sleeps].filter(({ until }) => until <= end).sort((a, b) => a.until - b.until)[0]
        this.advance(due === undefined ? end : Math.max(this.elapsed, due.until))
        if (due === undefined) return settled
        this.sleeps.delete(due)
        due.resume()
        return Effect.zipRight(settled, next)
      })
      return next
    })

  /** Sets it, forward or back. */
  readonly set = (byMillis: number): Effect.Effect<void> =>
    Effect.sync(() => {
      this.wall += byMillis
    })

  private advance(to: number): void {
    this.wall += to - this.elapsed
    this.elapsed = to
  }
}

const settled = Effect.repeatN(Effect.yieldNow(), 8)
