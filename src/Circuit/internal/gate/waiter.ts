/**
 * A call that stands in line at a gate. It is let in or turned away once; what comes later finds that it has ended.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Limited } from "./deadlines.js"
import type { Runner, Ticket } from "./gate.js"
import type { Linked } from "./line.js"

export abstract class Waiter<Self, E> implements Ticket<E>, Linked<Self>, Limited {
  readonly _tag = "Ticket"
  before: Self | undefined = undefined
  after: Self | undefined = undefined
  heapIndex = -1
  private end: Exit.Exit<void, E> | undefined = undefined
  private resume: ((exit: Exit.Exit<void, E>) => void) | undefined = undefined

  constructor(
    /** When it came. */
    readonly arrivedAt: number,
    readonly deadline: number
  ) {}

  readonly wait: Effect.Effect<void, E> = Effect.async((resume) => {
    if (this.end === undefined) this.resume = resume
    else resume(this.end)
  })

  get waits(): boolean {
    return this.end === undefined
  }

  get isIn(): boolean {
    return this.end !== undefined && Exit.isSuccess(this.end)
  }

  /** Lets it in, or turns it away. */
  finish(end: Exit.Exit<void, E>): void {
    this.end = end
    this.resume?.(end)
  }

  abstract settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void
  abstract refund(fiber: Runner): void
}
