/**
 * The clock of a run: its time is the turn's, and to sleep is to start a durable timer.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RunService } from "../../Run.js"

export class RunClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  constructor(private readonly run: Pick<RunService, "now" | "issue">) {}

  unsafeCurrentTimeMillis(): number {
    return this.run.now
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.trunc(this.run.now)) * 1_000_000n
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow()
    if (millis === Infinity) return Effect.never
    return Effect.suspend(() =>
      Effect.asVoid(this.run.issue(
        { _tag: "TimerStarted", fireAt: this.run.now + Math.ceil(millis) },
        (target) => ({ _tag: "TimerCancelled", target })
      ))
    )
  }
}
