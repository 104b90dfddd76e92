/**
 * What every store of a journal has to do, as tests: for whoever writes a `JournalStore`.
 *
 * It is a subpath of its own, `holdfast/Testing/JournalConformance`, since it needs the peers of `holdfast/Workflow`. It
 * knows nothing of the framework that runs the tests; each is an Effect with a name, which fails when the store is wrong:
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import * as JournalConformance from "holdfast/Testing/JournalConformance"
 * import type { Journal } from "holdfast/Workflow"
 *
 * declare const myStore: Effect.Effect<Journal.JournalStore>
 *
 * describe("my store", () => {
 *   for (const { name, run } of JournalConformance.suite(myStore)) it.live(name, () => run)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import { memoryStore } from "../Workflow/internal/memory/memoryStore.js"
import { Journal, type JournalStore } from "../Workflow/Journal.js"
import type { JournalError } from "../Workflow/WorkflowError.js"
import { steps } from "./internal/journalConformance/arbitrary.js"
import type { Checked, Mismatch } from "./internal/journalConformance/expect.js"
import { compare } from "./internal/journalConformance/model.js"
import { sharing } from "./internal/journalConformance/shared.js"
import { themes } from "./internal/journalConformance/themes.js"

/**
 * A store does not do what the contract of `JournalStore` says.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{
  /** What the store should do. */
  readonly behaviour: string
  /** What was looked at, with the path to the first thing that differs. */
  readonly expectation: string
  readonly expected: unknown
  readonly actual: unknown
  /** The steps that led there, as few as were found, where they were drawn at random; and the seed that draws them. */
  readonly counterexample?: { readonly steps: string; readonly seed: number } | undefined
}> {
  override get message(): string {
    const { actual, behaviour, counterexample, expectation, expected } = this
    return [
      behaviour,
      `  ${expectation}`,
      `  expected: ${text(expected)}`,
      `  found:    ${text(actual)}`,
      ...counterexample === undefined
        ? []
        : [`  after these steps (seed ${counterexample.seed}):`, counterexample.steps]
    ].join("\n")
  }
}

const text = (value: unknown): string => {
  const written = JSON.stringify(value) ?? String(value)
  return written.length > 1_000 ? `${written.slice(0, 1_000)}…` : written
}

/**
 * One behaviour of every store. `run` needs a store that holds nothing yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  /** What the behaviour is about: "starts", "claims", "lists" and so on. */
  readonly theme: string
  readonly name: string
  readonly run: (store: JournalStore) => Effect.Effect<void, ConformanceFailure | JournalError>
}

/**
 * A test to register with a framework. It makes its own store, and closes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Test<out E = never, out R = never> {
  readonly theme: string
  /** The theme of the behaviour and what it shows: no two tests have the same. */
  readonly name: string
  readonly run: Effect.Effect<void, ConformanceFailure | JournalError | E, R>
}

/**
 * How to make a store that holds nothing yet: an Effect that does, or the Layer of a journal on one. It is used once for
 * each test, in a scope of the test's own.
 *
 * @since 0.1.0
 * @category models
 */
export type Source<E = never, R = never> = Effect.Effect<JournalStore, E, R> | Layer.Layer<Journal, E, R>

/**
 * How much is drawn at random.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many random journals are written. Default 100. */
  readonly runs?: number | undefined
  /** Draws the same ones each time. Absent: `fast-check`'s own, which a program may set for all of its tests. */
  readonly seed?: number | undefined
}

/**
 * All behaviours, without the random part: for a runner of your own. {@link suite} makes tests of them.
 *
 * @example
 * ```ts
 * import * as JournalConformance from "holdfast/Testing/JournalConformance"
 *
 * const names = JournalConformance.cases.map(({ name, theme }) => `${theme}: ${name}`)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const cases: ReadonlyArray<Case> = themes.flatMap(({ behaviours, name: theme }) =>
  behaviours.map(({ name, run }): Case => ({
    theme,
    name,
    run: (store) => explained(`${theme}: ${name}`, run(store))
  }))
)

/**
 * All behaviours as tests, and last the comparison with the store in memory, {@link random}. A store that passes them can
 * carry the engine of one process; one that several processes share has to pass {@link sharedSuite} as well.
 *
 * Nothing in it waits for time to pass. A store that does (a pool that tries again, say) is best run under the live clock.
 *
 * @example
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import * as JournalConformance from "holdfast/Testing/JournalConformance"
 * import { Journal } from "holdfast/Workflow"
 *
 * describe("the store in memory", () => {
 *   for (const { name, run } of JournalConformance.suite(Journal.layerMemory)) it.effect(name, () => run)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const suite = <E, R>(
  source: Source<E, R>,
  options?: Options
): ReadonlyArray<Test<E, Exclude<R, Scope.Scope>>> => [
  ...cases.map(({ name, run, theme }) => ({
    theme,
    name: `${theme}: ${name}`,
    run: Effect.scoped(Effect.flatMap(storeOf(source), run))
  })),
  { theme: "random", name: `random: ${randomBehaviour}`, run: random(source, options) }
]

/**
 * Writes random journals to a store and to the one in memory, which both must take in the same way: starts, turns, reports,
 * messages, children and what follows from them, by owners and by strangers, with claims, leases and releases in between.
 * The failure has the shortest journal that was found to differ.
 *
 * @since 0.1.0
 * @category operations
 */
export const random = <E, R>(
  source: Source<E, R>,
  options?: Options
): Effect.Effect<void, ConformanceFailure | JournalError | E, Exclude<R, Scope.Scope>> => {
  const { runs: numRuns, seed } = read(options)
  return Effect.flatMap(Effect.runtime<Exclude<R, Scope.Scope>>(), (runtime) => {
    let last: Effect.Effect<void, ConformanceFailure | JournalError | E> = Effect.void
    const property = fc.asyncProperty(steps, (drawn) =>
      Runtime.runPromise(runtime)(
        Effect.scoped(
          Effect.flatMap(
            storeOf(source),
            (store) => explained(`random: ${randomBehaviour}`, compare(store, memoryStore(), drawn))
          )
        ).pipe(
          Effect.exit,
          Effect.map((exit) => {
            if (exit._tag === "Failure") last = exit
            return exit._tag === "Success"
          })
        )
      ))
    return Effect.flatMap(
      Effect.promise(() => fc.check(property, { numRuns, ...(seed === undefined ? {} : { seed }) })),
      (details) => {
        if (!details.failed) return Effect.void
        const shortest = (details.counterexample?.[0] ?? []).map((step) => `    ${JSON.stringify(step)}`).join("\n")
        return Effect.mapError(last, (error) =>
          error instanceof ConformanceFailure
            ? new ConformanceFailure({ ...error, counterexample: { steps: shortest, seed: details.seed } })
            : error)
      }
    )
  })
}

const randomBehaviour = "a store holds the same as the one in memory after the same writes"

/**
 * What is left to show of a store that several processes share: both of a pair of stores, opened over the same empty data,
 * see what the other has written. An in-process store cannot be shared, and has a `version` of `undefined`.
 *
 * @example
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import * as JournalConformance from "holdfast/Testing/JournalConformance"
 * import type { Journal } from "holdfast/Workflow"
 *
 * declare const open: (database: string) => Effect.Effect<Journal.JournalStore>
 * declare const emptyDatabase: Effect.Effect<string>
 *
 * const pair = Effect.flatMap(emptyDatabase, (database) => Effect.all([open(database), open(database)]))
 *
 * describe("my store, shared", () => {
 *   for (const { name, run } of JournalConformance.sharedSuite(pair)) it.live(name, () => run)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const sharedSuite = <E, R>(
  pair: Effect.Effect<readonly [one: JournalStore, other: JournalStore], E, R>
): ReadonlyArray<Test<E, Exclude<R, Scope.Scope>>> =>
  sharing.map(({ name, run }) => ({
    theme: "shared",
    name: `shared: ${name}`,
    run: Effect.scoped(Effect.flatMap(pair, ([one, other]) => explained(`shared: ${name}`, run(one, other))))
  }))

const storeOf = <E, R>(source: Source<E, R>): Effect.Effect<JournalStore, E, R | Scope.Scope> =>
  Layer.isLayer(source)
    ? Effect.map(Layer.build(source as Layer.Layer<Journal, E, R>), (context) => Context.get(context, Journal).store)
    : source as Effect.Effect<JournalStore, E, R>

const explained = (
  behaviour: string,
  checked: Checked
): Effect.Effect<void, ConformanceFailure | JournalError> =>
  Effect.mapError(checked, (error) => error._tag === "Mismatch" ? failure(behaviour, error) : error)

const failure = (behaviour: string, { actual, expectation, expected }: Mismatch): ConformanceFailure =>
  new ConformanceFailure({ behaviour, expectation, expected, actual })

const read = ({ runs = 100, seed }: Options = {}) => {
  const { integer } = reader("JournalConformance.random")
  return {
    runs: integer("runs", runs, 1),
    seed: seed === undefined ? undefined : integer("seed", seed, -(2 ** 31))
  }
}
