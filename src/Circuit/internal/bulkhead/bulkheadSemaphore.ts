/**
 * The places of a bulkhead as Effect's own `Semaphore`. What takes permits here stands in the same line as the calls,
 * and waits for as long as it takes: a semaphore turns nobody away.
 *
 * Only permits that `take` has given can be released, so that a release too many neither makes places nor takes away
 * those that calls hold.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { makeCombinator } from "../../../internal/combinator.js"
import { reader } from "../../../InvalidOptions.js"
import { gateStage, type Runner } from "../gate/gate.js"
import type { BulkheadImpl } from "./bulkhead.js"

export class PlacesSemaphore implements Effect.Semaphore {
  /** Permits that `take` has given and that are not released. */
  private taken = 0
  constructor(private readonly bulkhead: BulkheadImpl) {}

  resize(permits: number): Effect.Effect<void> {
    return this.bulkhead.resize(permits)
  }

  take(permits: number): Effect.Effect<number> {
    const took = Effect.sync(() => {
      this.taken += permits
      return permits
    })
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((fiber) => {
        const ticket = this.enter(permits, fiber)
        return ticket.wait === undefined ? took : Effect.matchCauseEffect(restore(Effect.orDie(ticket.wait)), {
          onSuccess: () => took,
          onFailure: (cause) => {
            ticket.refund(fiber)
            return Effect.failCause(cause)
          }
        })
      })
    )
  }

  release(permits: number): Effect.Effect<number> {
    return Effect.sync(() => this.giveBack(Math.min(permits, this.taken)))
  }

  readonly releaseAll: Effect.Effect<number> = Effect.sync(() => this.giveBack(this.taken))

  withPermits(permits: number): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return makeCombinator([], [gateStage((fiber) => this.enter(permits, fiber))])
  }

  withPermitsIfAvailable(
    permits: number
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Option.Option<A>, E, R> {
    const give = Effect.sync(() => this.bulkhead.give(permits))
    return (self) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          checkPermits(permits, this.bulkhead.limit)
          return this.bulkhead.take(permits) ? Effect.ensuring(restore(Effect.asSome(self)), give) : Effect.succeedNone
        })
      )
  }

  private enter(permits: number, fiber: Runner) {
    checkPermits(permits, this.bulkhead.limit)
    return this.bulkhead.enterLine(permits, fiber)
  }

  private giveBack(permits: number): number {
    this.taken -= permits
    this.bulkhead.give(permits)
    return this.bulkhead.free
  }
}

/** More than there are would hold up the line for ever. */
const checkPermits = (permits: number, capacity: number): void => {
  if (!Number.isSafeInteger(permits) || permits < 0 || permits > capacity) {
    reader("Bulkhead.semaphore").refuse("permits", permits, `a whole number from 0 to ${capacity}`)
  }
}
