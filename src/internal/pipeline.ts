/**
 * How a call runs through the stages around it, outermost first.
 *
 *     enter 0 ─▶ enter 1 ─▶ enter 2 ─▶ the effect
 *     leave 0 ◀─ leave 1 ◀─ leave 2 ◀──┘ its exit
 *
 * A stage that cannot let a call in ends it there: the call turns around and leaves every stage that it has entered, so
 * that what a stage took in `enter` it gives back in `leave`, exactly once, whatever happened in between. All stages of
 * a call share one uninterruptible region; only the effect itself, and what a stage waits for, can be interrupted. A
 * call that nothing delays runs through its stages by plain function calls.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** What a call goes through. All members run in the call's uninterruptible region, in the fiber that makes the call. */
export interface Stage {
  /**
   * Lets the call in, at once (`undefined`) or after an effect that can be interrupted. A failure of that effect, or a
   * failed exit, turns the call around; it then leaves this stage too.
   */
  readonly enter?: ((call: Call) => Effect.Effect<unknown, unknown, unknown> | undefined) | undefined
  /**
   * Takes note of the end of the call, and may put another end in its place. An effect in place of an exit is run as
   * it is, uninterruptible, and its exit goes on to the stages outside.
   */
  readonly leave?:
    | ((call: Call, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<unknown, unknown, unknown>)
    | undefined
  /**
   * Runs everything inside this stage in its own way, such as twice or in a fiber of its own: `call.inner()` is the
   * rest of the call as an effect. `undefined` leaves it to `enter` and `leave`. What it returns can be interrupted.
   */
  readonly around?: ((call: Call) => Effect.Effect<unknown, unknown, unknown> | undefined) | undefined
}

/** A call on its way through the stages. A stage keeps what belongs to this call in `place`. */
export interface Call {
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  /** What the stage that is looking at the call has kept of it. */
  place: unknown
  /** False while the call has not passed all stages: then no outcome is known of it. */
  readonly began: boolean
  /** Whether the effect may be interrupted, or an uninterruptible region surrounds the call. */
  readonly interruptible: boolean
  /** Makes an effect as interruptible as the call itself. */
  readonly restore: Restore
  /** What lies inside the stage that is looking at the call, as an effect of its own. */
  readonly inner: () => Effect.Effect<unknown, unknown, unknown>
}

type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Runs an effect through stages, the first outermost. */
export const through = (
  self: Effect.Effect<unknown, unknown, unknown>,
  stages: ReadonlyArray<Stage>,
  from = 0
): Effect.Effect<unknown, unknown, unknown> =>
  from === stages.length ?
    self :
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((fiber) => new Passage(self, stages, from, restore, fiber).enter(from))
    )

class Passage implements Call {
  began = false
  /** One place for each stage. */
  private readonly places: Array<unknown> = []
  private at: number
  constructor(
    private readonly self: Effect.Effect<unknown, unknown, unknown>,
    private readonly stages: ReadonlyArray<Stage>,
    private readonly from: number,
    readonly restore: Restore,
    readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  ) {
    this.at = from
  }

  get place(): unknown {
    return this.places[this.at - this.from]
  }

  set place(value: unknown) {
    this.places[this.at - this.from] = value
  }

  get interruptible(): boolean {
    // The mask hands out one of two functions.
    return this.restore === Effect.interruptible as unknown
  }

  inner(): Effect.Effect<unknown, unknown, unknown> {
    return through(this.self, this.stages, this.at + 1)
  }

  enter(from: number): Effect.Effect<unknown, unknown, unknown> {
    const { stages } = this
    for (let index = from; index < stages.length; index++) {
      this.at = index
      const stage = stages[index]!
      try {
        const taken = stage.around?.(this)
        if (taken !== undefined) {
          this.began = true
          return this.passOn(this.restore(taken), index - 1)
        }
        const waiting = stage.enter?.(this)
        if (waiting !== undefined) {
          return Exit.isExit(waiting) ? this.entered(index, waiting) : Effect.matchCauseEffect(this.restore(waiting), {
            onSuccess: () => this.enter(index + 1),
            onFailure: (cause) => this.leave(index, Exit.failCause(cause))
          })
        }
      } catch (defect) {
        return this.leave(index, Exit.die(defect))
      }
    }
    this.began = true
    return this.passOn(this.restore(this.self), stages.length - 1)
  }

  private entered(index: number, exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown, unknown, unknown> {
    return Exit.isSuccess(exit) ? this.enter(index + 1) : this.leave(index, exit)
  }

  private passOn(
    effect: Effect.Effect<unknown, unknown, unknown>,
    index: number
  ): Effect.Effect<unknown, unknown, unknown> {
    return index < 0 ? effect : Effect.matchCauseEffect(effect, {
      onSuccess: (value) => this.leave(index, Exit.succeed(value)),
      onFailure: (cause) => this.leave(index, Exit.failCause(cause))
    })
  }

  private leave(from: number, end: Exit.Exit<unknown, unknown>): Effect.Effect<unknown, unknown, unknown> {
    const { stages } = this
    let exit = end
    for (let index = from; index >= this.from; index--) {
      this.at = index
      const stage = stages[index]!
      if (stage.leave === undefined) continue
      try {
        const next = stage.leave(this, exit)
        if (!Exit.isExit(next)) return this.passOn(next, index - 1)
        exit = next
      } catch (defect) {
        // A mistake of one stage must not keep the others from giving back what they hold.
        exit = Exit.failCause(
          Exit.isFailure(exit) ? Cause.sequential(exit.cause, Cause.die(defect)) : Cause.die(defect)
        )
      }
    }
    return exit
  }
}
