/**
 * Effects that are drawn: plain data that says what an effect does and when, and what is seen of it when it is run.
 */
import { Cause, Clock, Data, Effect, Exit, Fiber, TestClock, TestContext } from "effect"
import * as fc from "effect/FastCheck"
import { Simulation } from "holdfast/Testing"

export class A extends Data.TaggedError("A")<{ readonly of: string }> {}
export class B extends Data.TaggedError("B")<{ readonly of: string }> {}

/** What an effect does: waits, and ends; where it is interrupted, its finalizer takes a while. All times in milliseconds. */
export interface Script {
  readonly waits: ReadonlyArray<number>
  readonly finalizer: number
  readonly end: "succeed" | "A" | "B" | "die" | "interrupt" | "never"
}

/** Times of scripts are multiples of four, so that limits and interruptions never meet them, nor each other. */
const duration = fc.integer({ min: 0, max: 25 }).map((quarter) => 4 * quarter)

export const limit = fc.integer({ min: 0, max: 60 }).map((quarter) => 4 * quarter + 3)

/** When a program is interrupted; mostly never. */
export const interruption = fc.oneof(
  { weight: 2, arbitrary: fc.constant(9_001) },
  fc.integer({ min: 0, max: 60 }).map((quarter) => 4 * quarter + 1)
)

export const script: fc.Arbitrary<Script> = fc.record({
  waits: fc.array(duration, { maxLength: 3 }),
  finalizer: fc.constantFrom(0, 0, 4, 20),
  end: fc.constantFrom("succeed" as const, "succeed", "A", "A", "B", "die", "interrupt", "never")
})

/** What is seen of a run: what happened when, how it ended, and when. */
export interface Seen {
  readonly log: ReadonlyArray<readonly [what: string, at: number]>
  readonly end: string
  readonly at: number
}

export type Note = (what: string) => Effect.Effect<void>

/** The effect of a script; it notes its beginning, its interruption, the end of its finalizer, and its end. */
export const effectOf = ({ end, finalizer, waits }: Script, name: string, note: Note): Effect.Effect<string, A | B> =>
  Effect.gen(function*() {
    yield* note(`${name} begins`)
    for (const wait of waits) yield* Effect.sleep(wait)
    yield* note(`${name} ends`)
    switch (end) {
      case "succeed":
        return name
      case "A":
        return yield* new A({ of: name })
      case "B":
        return yield* new B({ of: name })
      case "die":
        return yield* Effect.die(`${name} is wrong`)
      case "interrupt":
        return yield* Effect.interrupt
      case "never":
        return yield* Effect.never
    }
  }).pipe(
    Effect.onInterrupt(() =>
      note(`${name} is interrupted`).pipe(
        Effect.zipRight(Effect.sleep(finalizer)),
        Effect.zipRight(note(`${name} is finalized`))
      )
    )
  )

/** An interruption says more than a failure that came before it. */
const endOf = (exit: Exit.Exit<unknown, A | B>): string =>
  Exit.match(exit, {
    onSuccess: (value) => `succeeds with ${String(value)}`,
    onFailure: (cause) =>
      Cause.isInterrupted(cause)
        ? "is interrupted"
        : [
          ...Array.from(Cause.failures(cause), (error) => `fails with ${error._tag} of ${error.of}`),
          ...Array.from(Cause.defects(cause), (defect) => `dies of ${String(defect)}`)
        ].sort().join(", ")
  })

/** A program about scripted effects, watched from a fiber that may interrupt it at a time of its own. */
const watched = (program: (note: Note) => Effect.Effect<unknown, A | B>, interruptAt: number) =>
  Effect.gen(function*() {
    const log: Array<readonly [string, number]> = []
    const note: Note = (what) => Effect.map(Clock.currentTimeMillis, (now) => void log.push([what, now]))
    const fiber = yield* Effect.fork(program(note))
    yield* Effect.forkDaemon(Effect.zipRight(Effect.sleep(interruptAt), Fiber.interruptFork(fiber)))
    const exit = yield* Fiber.await(fiber)
    const seen: Seen = { log, end: endOf(exit), at: yield* Clock.currentTimeMillis }
    // What goes on in the background is seen as well.
    yield* Effect.sleep(10_000)
    return { ...seen, log: [...log] }
  })

type Program = (note: Note) => Effect.Effect<unknown, A | B>

/** What is seen of a program in a simulation, under a drawn order of fibers. */
export const simulated = (program: Program, interruptAt: number, seed: number): Seen => {
  const { exit, status } = Simulation.run(watched(program, interruptAt), { seed })
  if (exit === undefined || Exit.isFailure(exit)) throw new Error(`seed ${seed}: ${status} ${String(exit)}`)
  return exit.value
}

/** What is seen of it under `TestClock`. */
export const underTestClock = (program: Program, interruptAt: number): Promise<Seen> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(watched(program, interruptAt))
    // Step by step, so that what is due at one time has happened before the next.
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(TestContext.TestContext), Effect.runPromise)
