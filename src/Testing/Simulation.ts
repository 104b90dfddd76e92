/**
 * Runs a program under a seeded scheduler and a virtual clock, to try out the orders in which its fibers may run.
 *
 * What runs next is drawn from all that can run, and a fiber may be overtaken between any two of its operations. Time
 * stands still while anything can run, and then goes to the next moment at which something is due; sleeps of any length
 * take no time. The same seed gives the same run. A program that waits for what will never come is reported, and so are
 * fibers that outlive it.
 *
 * It reaches what goes through Effect: fibers, `Clock`, `Random`. A promise or a socket is not simulated; stand in for
 * it with an effect.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import { LiveFibers } from "./internal/liveFibers.js"
import { DrawnScheduler, makeRandom, outOfOperations, SimulatedClock } from "./internal/simulatedTime.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the order of the fibers, and Effect's `Random`, are drawn from. */
  readonly seed: number
  /** Where the virtual clock starts, in milliseconds since the epoch. Default 0. */
  readonly startAt?: number | undefined
  /** More operations than this are taken for a loop without end. Default 1,000,000. */
  readonly maxOperations?: number | undefined
}

/**
 * What a simulated run came to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome<out A, out E> {
  readonly seed: number
  /** How the program ended; `undefined` when it has not. */
  readonly exit: Exit.Exit<A, E> | undefined
  /**
   * - `Ended`: with `exit`, and nothing of it is left.
   * - `Stuck`: it waits for what will never come.
   * - `Looping`: it did not end within `maxOperations`.
   * - `Leaked`: it ended, but `alive` fibers have not.
   */
  readonly status: "Ended" | "Stuck" | "Looping" | "Leaked"
  /** Fibers, other than the program's own, that have not ended. */
  readonly alive: number
  /** How often one fiber was let run for a while. */
  readonly steps: number
  /** The virtual time that has passed, in milliseconds. */
  readonly elapsedMillis: number
}

/**
 * A seed with which a program failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class SimulationFailed extends Data.TaggedError("SimulationFailed")<{
  readonly seed: number
  readonly status: Outcome<unknown, unknown>["status"]
  readonly alive: number
  /** Why the program failed, where it ended at all. */
  readonly programCause: Cause.Cause<unknown> | undefined
}> {
  override get message(): string {
    const what = this.programCause !== undefined
      ? `the program failed: ${Cause.pretty(this.programCause, { renderErrorCause: true })}`
      : this.status === "Stuck"
      ? "the program waits for what will never come"
      : this.status === "Looping"
      ? "the program does not come to an end"
      : `the program ended, but ${this.alive} of its fibers have not`
    return `seed ${this.seed}: ${what}\nTo run it again: Simulation.run(program, { seed: ${this.seed} })`
  }
}

/**
 * Runs a program once. Synchronous: no real time passes but that of the computation.
 *
 * @example
 * ```ts
 * import { Effect, Ref } from "effect"
 * import { Simulation } from "holdfast/Testing"
 *
 * const program = Effect.gen(function*() {
 *   const counter = yield* Ref.make(0)
 *   const increment = Effect.flatMap(Ref.get(counter), (n) => Ref.set(counter, n + 1))
 *   yield* Effect.all([increment, increment], { concurrency: "unbounded" })
 *   return yield* Ref.get(counter)
 * })
 *
 * // 2 with some seeds, 1 with others: the increment is no single step
 * const { exit } = Simulation.run(program, { seed: 1 })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const run = <A, E>(program: Effect.Effect<A, E>, options: Options): Outcome<A, E> => {
  const { maxOperations = 1_000_000, seed, startAt = 0 } = options
  const scheduler = new DrawnScheduler(makeRandom(seed), maxOperations)
  const clock = new SimulatedClock(startAt)
  const fibers = new LiveFibers()
  const fiber = Effect.runFork(
    program.pipe(Effect.withRandom(Random.make(seed)), Effect.withClock(clock), Effect.supervised(fibers)),
    { scheduler, immediate: false }
  )
  let steps = 0
  const outcome = (status: Outcome<A, E>["status"]): Outcome<A, E> => ({
    seed,
    exit: fiber.unsafePoll() ?? undefined,
    status,
    alive: fibers.alive,
    steps,
    elapsedMillis: clock.unsafeCurrentTimeMillis() - startAt
  })
  try {
    // The program first, then what it has left behind: an interruption in the background needs a moment to end.
    for (;;) {
      if (fiber.unsafePoll() !== null && fibers.alive === 0) return outcome("Ended")
      steps++
      if (!scheduler.step() && !clock.advance()) return outcome(fiber.unsafePoll() === null ? "Stuck" : "Leaked")
    }
  } catch (error) {
    if (error === outOfOperations) return outcome(fiber.unsafePoll() === null ? "Looping" : "Leaked")
    throw error
  }
}

/**
 * Runs a program with many seeds, and fails with the first that the program fails with, is stuck with, or leaves fibers
 * behind with.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "holdfast/Circuit"
 * import { Simulation } from "holdfast/Testing"
 *
 * const program = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ key: "db", capacity: 2, queue: 10 })
 *   let inside = 0
 *   const call = Effect.sleep("1 second").pipe(
 *     Effect.tap(() => Effect.dieMessage("too many").pipe(Effect.when(() => inside > 2))),
 *     Bulkhead.protect(bulkhead)
 *   )
 *   yield* Effect.all([call, call, call], { concurrency: "unbounded" })
 * })
 *
 * const test = Simulation.explore(program, { seeds: 1000 })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const explore = <A, E>(
  program: Effect.Effect<A, E> | ((seed: number) => Effect.Effect<A, E>),
  options: Omit<Options, "seed"> & {
    /** How many, from 1 up; or which. */
    readonly seeds: number | ReadonlyArray<number>
  }
): Effect.Effect<void, SimulationFailed> =>
  Effect.suspend(() => {
    const { seeds } = options
    for (const seed of typeof seeds === "number" ? Array.from({ length: seeds }, (_, index) => index + 1) : seeds) {
      const { alive, exit, status } = run(Effect.isEffect(program) ? program : program(seed), { ...options, seed })
      const programCause = exit !== undefined && Exit.isFailure(exit) ? exit.cause : undefined
      if (status !== "Ended" || programCause !== undefined) {
        return new SimulationFailed({ seed, status, alive, programCause })
      }
    }
    return Effect.void
  })
