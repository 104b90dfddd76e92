/**
 * Asks a dependency how it is while its breaker is open.
 */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { sleepMillis } from "../../../internal/sleep.js"
import { reader } from "../../../InvalidOptions.js"
import type { CircuitBreaker, Transition } from "../../CircuitBreaker.js"

export const startHealthCheck = <E, R>(
  breaker: CircuitBreaker,
  options: {
    readonly check: Effect.Effect<unknown, E, R>
    readonly every: Duration.DurationInput
    readonly successes?: number | undefined
  }
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    const read = reader("CircuitBreaker.healthCheck")
    const everyMillis = read.positiveDuration("every", options.every)
    const successes = read.integer("successes", options.successes ?? 1, 1)
    const isHealthy = options.check.pipe(
      Effect.timeout(Duration.millis(everyMillis)),
      Effect.matchCause({ onSuccess: () => true, onFailure: () => false })
    )

    return Effect.gen(function*() {
      const changes = yield* breaker.changes
      const { _tag, generation } = yield* breaker.state
      // The generation in which the breaker is open, as far as is known; half-open, it may be open for nobody has come.
      let open = _tag === "Open" || _tag === "HalfOpen" ? generation : undefined
      let inARow = 0
      const learn = (news: Transition) => {
        open = news.to === "Open" ? news.generation : undefined
        inARow = 0
      }
      const watch = Effect.gen(function*() {
        if (open === undefined) return learn(yield* Queue.take(changes))
        yield* sleepMillis(everyMillis)
        const news = Option.getOrUndefined(Chunk.last(yield* Queue.takeAll(changes)))
        if (news !== undefined) return learn(news)
        const healthy = yield* isHealthy
        inARow = healthy ? inARow + 1 : 0
        if (healthy && inARow < successes) return
        if (!(yield* breaker.reportHealth(healthy, open))) open = undefined
      })
      yield* Effect.forkScoped(Effect.interruptible(Effect.forever(watch)))
    })
  })
