import { Clock, Data, type Duration, Effect, type Exit, Fiber, TestClock } from "effect"
import { Backoff } from "holdfast/Schedule"

export class A extends Data.TaggedError("A")<{ readonly wait?: Duration.DurationInput }> {}
export class B extends Data.TaggedError("B") {}
export class SubA extends A {}

export const soon = Backoff.constant(0)
export const second = Backoff.constant("1 second")
export const doubling = Backoff.exponential("1 second")

/** An action that fails with each of the errors in turn, then succeeds; and the times of its attempts. */
export const failing = <E>(errors: ReadonlyArray<E>) => {
  const times: Array<number> = []
  const action: Effect.Effect<string, E> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const index = times.push(now) - 1
    return index < errors.length ? Effect.fail(errors[index]!) : Effect.succeed("done")
  })
  return { times, action }
}

/** Runs an effect for a virtual hour. */
export const ended = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.await(fiber)
  })
