import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Random, Ref } from "effect"
import { Simulation } from "holdfast/Testing"

const lostUpdate = Effect.gen(function*() {
  const counter = yield* Ref.make(0)
  const increment = Effect.flatMap(Ref.get(counter), (n) => Ref.set(counter, n + 1))
  yield* Effect.all([increment, increment], { concurrency: "unbounded" })
  return yield* Ref.get(counter)
})

const seeds = Array.from({ length: 300 }, (_, index) => index + 1)

describe("Simulation", () => {
  it("reaches orders that a plain run never shows", () => {
    const results = seeds.map((seed) => Simulation.run(lostUpdate, { seed }).exit)
    const of = (value: number) =>
      results.filter((exit) => exit !== undefined && Exit.isSuccess(exit) && exit.value === value)
    assert.isAbove(of(1).length, 0)
    assert.isAbove(of(2).length, 0)
    assert.strictEqual(of(1).length + of(2).length, seeds.length)
  })

  it("does the same again with the same seed", () => {
    const program = Effect.gen(function*() {
      const order: Array<string> = []
      yield* Effect.forEach(["a", "b", "c", "d"], (name) =>
        Effect.gen(function*() {
          yield* Effect.sleep(Math.floor((yield* Random.next) * 1000))
          order.push(`${name}@${yield* Clock.currentTimeMillis}`)
        }), { concurrency: "unbounded" })
      return order
    })
    for (const seed of seeds.slice(0, 50)) {
      const [first, second] = [Simulation.run(program, { seed }), Simulation.run(program, { seed })]
      assert.deepStrictEqual(first, second)
    }
  })

  it("takes no time for long sleeps, and starts its clock where it is told", () => {
    const program = Effect.zipRight(Effect.sleep("30 days"), Clock.currentTimeMillis)
    const { elapsedMillis, exit } = Simulation.run(program, { seed: 1, startAt: 1_000 })
    assert.strictEqual(elapsedMillis, 30 * 86_400_000)
    assert.deepStrictEqual(exit, Exit.succeed(1_000 + 30 * 86_400_000))
  })

  it("reports what waits for ever", () => {
    const program = Effect.flatMap(Deferred.make<void>(), Deferred.await)
    assert.strictEqual(Simulation.run(program, { seed: 1 }).status, "Stuck")
  })

  it("reports what never ends", () => {
    const program = Effect.forever(Effect.void)
    assert.strictEqual(Simulation.run(program, { seed: 1, maxOperations: 10_000 }).status, "Looping")
  })

  it("reports fibers that outlive the program, but not those that still have to end", () => {
    const leaking = Effect.forkDaemon(Effect.flatMap(Deferred.make<void>(), Deferred.await))
    assert.strictEqual(Simulation.run(leaking, { seed: 1 }).status, "Leaked")
    const ending = Effect.gen(function*() {
      const fiber = yield* Effect.forkDaemon(Effect.ensuring(Effect.never, Effect.sleep("1 second")))
      yield* Effect.sleep("1 second")
      yield* Fiber.interruptFork(fiber)
    })
    assert.strictEqual(Simulation.run(ending, { seed: 1 }).status, "Ended")
  })

  it.effect("names the seed with which a program fails, and that seed fails again", () =>
    Effect.gen(function*() {
      const checked = Effect.flatMap(lostUpdate, (n) => n === 2 ? Effect.void : Effect.fail("an update was lost"))
      const failure = yield* Effect.flip(Simulation.explore(checked, { seeds: 1000 }))
      assert.include(failure.message, `seed ${failure.seed}: the program failed`)
      assert.include(failure.message, "an update was lost")
      const again = Simulation.run(checked, { seed: failure.seed })
      assert.deepStrictEqual(again.exit, Exit.failCause((failure.programCause ?? Cause.empty) as Cause.Cause<string>))
    }))

  it.effect("passes over all seeds of a program that is right", () => {
    const atomic = Effect.gen(function*() {
      const counter = yield* Ref.make(0)
      const increment = Ref.update(counter, (n) => n + 1)
      yield* Effect.all([increment, increment], { concurrency: "unbounded" })
      assert.strictEqual(yield* Ref.get(counter), 2)
    })
    return Simulation.explore(atomic, { seeds: 300 })
  })
})
