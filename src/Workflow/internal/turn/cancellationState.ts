/**
 * The request to cancel a run: it interrupts the run, unless a shield is up or somebody has seen it, who then answers
 * for what follows. Only the first request counts.
 */
import * as Effect from "effect/Effect"
import type { CancelRequested, Unsequenced } from "../../Event.js"
import type { Cancellation } from "../../Run.js"

export class CancellationState {
  cancellation: Cancellation | undefined
  private seen = false
  private shields = 0
  private readonly waits = new Set<(cancellation: Cancellation) => void>()
  constructor(private readonly interrupt: () => void) {}

  /** Whether anybody waits for it. */
  get isAwaited(): boolean {
    return this.waits.size > 0
  }

  /** Somebody has asked for it. */
  deliver(cancellation: Cancellation): void {
    if (this.cancellation !== undefined) return
    this.cancellation = cancellation
    for (const wait of this.waits) wait(cancellation)
    this.waits.clear()
    this.takeEffect()
  }

  /** The same where the run has ended already. */
  keep(cancellation: Cancellation): void {
    this.cancellation ??= cancellation
  }

  readonly awaited: Effect.Effect<Cancellation> = Effect.suspend(() =>
    this.cancellation !== undefined
      ? this.shown(this.cancellation)
      : Effect.async<Cancellation>((resume) => {
        const wait = (cancellation: Cancellation) => resume(this.shown(cancellation))
        this.waits.add(wait)
        return Effect.sync(() => this.waits.delete(wait))
      })
  )

  shielded<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.shields++
      return Effect.ensuring(
        self,
        Effect.sync(() => {
          this.shields--
          this.takeEffect()
        })
      )
    })
  }

  clear(): void {
    this.waits.clear()
  }

  private takeEffect(): void {
    if (this.cancellation !== undefined && this.shields === 0 && !this.seen) this.interrupt()
  }

  private shown(cancellation: Cancellation): Effect.Effect<Cancellation> {
    return Effect.sync(() => {
      this.seen = true
      return cancellation
    })
  }
}

/** The cancellation that an event asks for. */
export const cancellationIn = ({ at, by, reason }: Unsequenced<CancelRequested>): Cancellation => ({
  at,
  reason,
  ...(by === undefined ? {} : { by })
})
