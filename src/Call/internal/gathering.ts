/**
 * Callers that are gathered into batches.
 *
 *     first caller ─ opens a batch, starts its window ─┐
 *     others ───────────────────────────────── join it ┤ full, or window over
 *                                                      └▶ run ─▶ each caller gets its own end
 *
 * A caller that is interrupted before the batch runs takes its item with it; a batch that all have left is given up. In
 * a batch that runs its item stays, and when the last caller has left the run is interrupted. So what is under way
 * always belongs to somebody who waits.
 */
import { isNonEmptyReadonlyArray, type NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Runtime from "effect/Runtime"
import { startTimer, type Stop } from "./timer.js"

/** Runs the items of a batch; the ends are in the order of the items. */
export type Run<I, A, E> = (
  items: NonEmptyReadonlyArray<I>
) => Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>, E>

interface Member<I, A, E> {
  readonly item: I
  exit: Exit.Exit<A, E> | undefined
  notify: () => void
}

/** One batch, open or under way. */
class OneBatch<I, A, E> {
  /** Those who wait, in the order in which they came. */
  readonly members = new Set<Member<I, A, E>>()
  stopTimer: Stop = constVoid
  fiber: Fiber.RuntimeFiber<ReadonlyArray<Exit.Exit<A, E>>, E> | undefined
  constructor(readonly runtime: Runtime.Runtime<never>) {}
}

export class Gathering<I, A, E> {
  private open: OneBatch<I, A, E> | undefined
  batches = 0
  constructor(
    private readonly size: number,
    private readonly windowMillis: number,
    private readonly run: Run<I, A, E>
  ) {}

  /** How many items wait for a batch to be run. */
  get waiting(): number {
    return this.open?.members.size ?? 0
  }

  submit(item: I): Effect.Effect<A, E> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime<A, E>((caller, { runtimeFlags }) => {
        const member: Member<I, A, E> = { item, exit: undefined, notify: constVoid }
        const batch = this.open ?? this.begin(
          caller,
          Runtime.make({
            context: caller.currentContext,
            runtimeFlags,
            fiberRefs: caller.getFiberRefs()
          })
        )
        batch.members.add(member)
        if (batch.members.size >= this.size) this.flush(batch)
        const end = Effect.async<void>((resume) => {
          member.notify = () => resume(Effect.void)
          if (member.exit !== undefined) member.notify()
        })
        return Effect.matchCauseEffect(restore(end), {
          onSuccess: () => member.exit ?? Effect.dieMessage("a member of a batch goes on when it has its end"),
          onFailure: (cause) => Effect.zipRight(this.leave(batch, member, caller), Effect.failCause(cause))
        })
      })
    )
  }

  private begin(
    caller: Fiber.RuntimeFiber<unknown, unknown>,
    runtime: Runtime.Runtime<never>
  ): OneBatch<I, A, E> {
    const batch = new OneBatch<I, A, E>(runtime)
    this.open = batch
    if (this.size > 1) {
      batch.stopTimer = startTimer(caller, runtime, this.windowMillis, (exit) => {
        if (Exit.isSuccess(exit)) this.flush(batch)
        else this.land(batch, () => Exit.failCause(exit.cause))
      })
    }
    return batch
  }

  private flush(batch: OneBatch<I, A, E>): void {
    this.close(batch)
    const members = [...batch.members]
    const items = members.map(({ item }) => item)
    // The timer is stopped when the last one leaves.
    if (!isNonEmptyReadonlyArray(items)) return
    this.batches++
    const work = Effect.suspend(() => this.run(items))
    // Only who waits for it decides whether it is interrupted, not the region that one of its callers is in.
    batch.fiber = Runtime.runFork(batch.runtime, Effect.interruptible(work))
    batch.fiber.addObserver((exit) => {
      const ends = new Map(
        members.map((member, index) => [member, Exit.isSuccess(exit) ? exit.value[index]! : Exit.failCause(exit.cause)])
      )
      this.land(batch, (member) => ends.get(member)!)
    })
  }

  private land(batch: OneBatch<I, A, E>, exitOf: (member: Member<I, A, E>) => Exit.Exit<A, E>): void {
    this.close(batch)
    for (const member of batch.members) {
      member.exit = exitOf(member)
      member.notify()
    }
  }

  private leave(
    batch: OneBatch<I, A, E>,
    member: Member<I, A, E>,
    caller: Fiber.RuntimeFiber<unknown, unknown>
  ): Effect.Effect<unknown> {
    batch.members.delete(member)
    if (batch.members.size > 0) return Effect.void
    this.close(batch)
    return batch.fiber === undefined ? Effect.void : Fiber.interruptAs(batch.fiber, caller.id())
  }

  private close(batch: OneBatch<I, A, E>): void {
    batch.stopTimer()
    if (this.open === batch) this.open = undefined
  }
}
