/**
 * Events told to whoever listens: each once and in order, to every listener. Telling is one synchronous step, so that
 * it happens together with the change it speaks of, and costs nothing while nobody listens.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

export class Feed<A> {
  private readonly listeners = new Set<Queue.Queue<A>>()

  tell(event: A): void {
    for (const listener of this.listeners) listener.unsafeOffer(event)
  }

  /** The events from now on, until the scope closes. */
  readonly subscribe: Effect.Effect<Queue.Dequeue<A>, never, Scope.Scope> = Effect.acquireRelease(
    Effect.tap(Queue.unbounded<A>(), (queue) => this.listeners.add(queue)),
    (queue) => {
      this.listeners.delete(queue)
      return Queue.shutdown(queue)
    }
  )
}
