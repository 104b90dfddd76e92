import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { Bulkhead } from "holdfast/Circuit"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { endOf, held } from "./support/gates.js"

const options = { key: "db", capacity: 3, queue: 0 }

/** What Effect's own semaphore and a bulkhead's answer to the same program. */
const both = <A, E>(program: (semaphore: Effect.Semaphore) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const own = yield* program(yield* Effect.makeSemaphore(3))
    const bulkhead = yield* Bulkhead.make(options)
    assert.deepStrictEqual(yield* program(bulkhead.semaphore), own)
    return own
  })

describe("the semaphore of a Bulkhead", () => {
  it.effect("answers as Effect's own does (R126)", () =>
    Effect.gen(function*() {
      const answers = yield* both((semaphore) =>
        Effect.gen(function*() {
          const taken = yield* semaphore.take(2)
          const none = yield* Effect.succeed("run").pipe(semaphore.withPermitsIfAvailable(2))
          const some = yield* Effect.succeed("run").pipe(semaphore.withPermitsIfAvailable(1))
          const released = yield* semaphore.release(1)
          const inside = yield* Effect.succeed("run").pipe(semaphore.withPermits(2))
          const waiting = yield* Effect.fork(semaphore.take(3))
          yield* Effect.yieldNow()
          const polled = Option.isNone(yield* Fiber.poll(waiting))
          yield* semaphore.release(1)
          const joined = yield* Fiber.join(waiting)
          const all = yield* semaphore.releaseAll
          yield* semaphore.resize(5)
          return [taken, none, some, released, inside, polled, joined, all, yield* semaphore.release(0)]
        })
      )
      assert.deepStrictEqual(answers, [2, Option.none(), Option.some("run"), 2, "run", true, 3, 3, 5])
    }))

  it.effect("stands in the same line as the calls, and waits though they would be turned away (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ ...options, queue: 1 })
      yield* bulkhead.semaphore.take(3)
      const waiting = yield* held(bulkhead.protect)
      const behind = yield* Effect.fork(bulkhead.semaphore.take(1))
      yield* Effect.yieldNow()
      assert.strictEqual(yield* bulkhead.waiting, 2)
      yield* bulkhead.semaphore.release(1)
      yield* Effect.yieldNow()
      assert.isTrue(waiting.began)
      assert.isNull(behind.unsafePoll())
      // Though one is free, who waits goes first.
      assert.isTrue(Option.isNone(yield* Effect.void.pipe(bulkhead.semaphore.withPermitsIfAvailable(1))))
      yield* waiting.succeed
      assert.strictEqual(yield* Fiber.join(behind), 1)
      assert.strictEqual(yield* bulkhead.inUse, 3)
    }))

  it.effect("releases what it has given, and no more (R125)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make(options)
      const inside = yield* held(bulkhead.protect)
      yield* bulkhead.semaphore.take(1)
      assert.strictEqual(yield* bulkhead.semaphore.release(5), 2)
      assert.strictEqual(yield* bulkhead.semaphore.release(1), 2)
      assert.strictEqual(yield* bulkhead.semaphore.releaseAll, 2)
      assert.strictEqual(yield* bulkhead.inUse, 1)
      // What runs with permits gives them back itself.
      const running = yield* Effect.fork(Effect.never.pipe(bulkhead.semaphore.withPermits(1)))
      yield* Effect.yieldNow()
      assert.strictEqual(yield* bulkhead.semaphore.releaseAll, 1)
      yield* Fiber.interrupt(running)
      yield* inside.succeed
      assert.strictEqual(yield* bulkhead.available, 3)
    }))

  it.effect("gives permits back however the effect ends, and takes none when interrupted in line (R126)", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ ...options, capacity: 1 })
      const { semaphore } = bulkhead
      for (const effect of [Effect.void, Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
        yield* Effect.exit(effect.pipe(semaphore.withPermits(1)))
        yield* Effect.exit(effect.pipe(semaphore.withPermitsIfAvailable(1)))
        assert.strictEqual(yield* bulkhead.inUse, 0)
      }
      yield* semaphore.take(1)
      for (const waiting of [semaphore.take(1), Effect.void.pipe(semaphore.withPermits(1))]) {
        const fiber = yield* Effect.fork(waiting)
        yield* Effect.yieldNow()
        assert.strictEqual(yield* bulkhead.waiting, 1)
        assert.strictEqual(endOf(yield* Fiber.interrupt(fiber)), "interrupted")
        assert.deepStrictEqual([yield* bulkhead.waiting, yield* bulkhead.inUse], [0, 1])
      }
    }))

  it.effect("refuses what would wait for ever: more permits than there are places (R126)", () =>
    Effect.gen(function*() {
      const { semaphore } = yield* Bulkhead.make(options)
      for (
        const effect of [
          semaphore.take(4),
          semaphore.take(-1),
          Effect.void.pipe(semaphore.withPermits(4)),
          Effect.void.pipe(semaphore.withPermitsIfAvailable(0.5))
        ]
      ) {
        const exit: Exit.Exit<unknown> = yield* Effect.exit(effect)
        assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, InvalidOptions)
      }
    }))
})
