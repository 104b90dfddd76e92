import { Cause, Data, Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { CircuitBreaker } from "holdfast/Circuit"

export class Down extends Data.TaggedError("Down") {}
export class Http extends Data.TaggedError("Http")<{ readonly status: number }> {}

export const fail = Effect.fail(new Down())
export const options = { key: "payments" }

export const tag = (breaker: CircuitBreaker.CircuitBreaker) => Effect.map(breaker.state, ({ _tag }) => _tag)

/** What a call comes to: its value, the tag of its error, or the word for how else it ended. */
export const outcome = <A, E extends { readonly _tag: string }>(call: Effect.Effect<A, E>) =>
  Effect.map(
    Effect.exit(call),
    Exit.match({
      onSuccess: String,
      onFailure: (cause) =>
        Cause.isInterruptedOnly(cause) ? "interrupted" : Cause.isDie(cause) ? "died" : (Cause.squash(cause) as E)._tag
    })
  )

export const times = <E, R>(count: number, call: Effect.Effect<unknown, E, R>) =>
  Effect.repeatN(Effect.exit(call), count - 1)

/** A breaker that has been open for a number of milliseconds. */
export const opened = (millis: number, more?: Partial<CircuitBreaker.Options>) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.make({ ...options, failures: 1, ...more })
    yield* times(1, fail.pipe(breaker.protect))
    yield* TestClock.adjust(millis)
    return breaker
  })

/** A call that is in the breaker until it is ended. */
export const held = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const end = yield* Deferred.make<string, Down>()
    const fiber = yield* Effect.fork(
      Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(end)).pipe(
        breaker.protect,
        Effect.onError(() => Deferred.succeed(started, undefined))
      )
    )
    yield* Deferred.await(started)
    return {
      fiber,
      succeed: Effect.zipRight(Deferred.succeed(end, "late"), Fiber.await(fiber)),
      fail: Effect.zipRight(Deferred.fail(end, new Down()), Fiber.await(fiber)),
      die: Effect.zipRight(Deferred.die(end, "bug"), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

/** The rejection of a call by a breaker that takes no calls. */
export const rejectionOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.flip(call),
    (error) =>
      error instanceof CircuitBreaker.CircuitOpen
        ? Effect.succeed(error as CircuitBreaker.CircuitOpen)
        : Effect.dieMessage(`not turned away by an open breaker: ${String(error)}`)
  )
