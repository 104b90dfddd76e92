/**
 * Conditions that fibers of one run wait for. They are looked at when nothing else of the run can go on.
 */
import * as Effect from "effect/Effect"

export class Conditions {
  private readonly waiting = new Set<{ readonly holds: () => boolean; readonly resume: () => void }>()

  /** Whether anybody waits for one. */
  get isAwaited(): boolean {
    return this.waiting.size > 0
  }

  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() =>
      holds() ? Effect.void : Effect.async<void>((resume) => {
        const condition = { holds, resume: () => resume(Effect.void) }
        this.waiting.add(condition)
        return Effect.sync(() => this.waiting.delete(condition))
      })
    )
  }

  /** Resumes who waits for what holds now; true if anybody did. */
  check(): boolean {
    const met = [...this.waiting].filter(({ holds }) => holds())
    for (const condition of met) {
      this.waiting.delete(condition)
      condition.resume()
    }
    return met.length > 0
  }

  clear(): void {
    this.waiting.clear()
  }
}
