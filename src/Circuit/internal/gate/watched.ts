/**
 * What a gate shows of itself: read as an effect, and watched by whoever wants to know when it has changed. While nobody
 * watches, a change costs the look at whether anybody does.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Watched } from "../../Gate.js"

export class WatchedValue<A> extends Effectable.Class<A> implements Watched<A> {
  private readonly watchers = new Set<Queue.Queue<void>>()

  constructor(readonly get: Effect.Effect<A>) {
    super()
  }

  override commit(): Effect.Effect<A> {
    return this.get
  }

  // One that has not been taken yet stands for all that come after it.
  readonly changed: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope> = Effect.acquireRelease(
    Effect.tap(Queue.dropping<void>(1), (queue) => this.watchers.add(queue)),
    (queue) => {
      this.watchers.delete(queue)
      return Queue.shutdown(queue)
    }
  )

  /** Whether anybody watches: what is watched is not to be forgotten. */
  get isWatched(): boolean {
    return this.watchers.size > 0
  }

  /** Something has changed; in the same step as the change, so that none is missed. */
  touch(): void {
    if (this.watchers.size === 0) return
    for (const watcher of this.watchers) watcher.unsafeOffer(undefined)
  }
}
