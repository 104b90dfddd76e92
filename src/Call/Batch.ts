/**
 * One call for many items that callers ask for one by one.
 *
 * Items are gathered until there are `size` of them or until `window` has passed since the first, whichever comes first;
 * then all are run together, and each caller gets its own end. A batch that fails fails only those who are in it.
 *
 * A caller that is interrupted before its batch runs takes its item out. A batch that runs goes on while anybody waits
 * for it; when nobody does, it is interrupted.
 *
 * Effect's `RequestResolver` is the better tool where one fiber asks for many things at once, in `Effect.forEach` with
 * batching: it needs no window, since it knows when all have been asked for. It does not gather what independent callers
 * ask for over time, as the requests of a server do. That is what this is for.
 *
 * @since 0.1.0
 */
import type * as Array from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NodeInspectSymbol } from "effect/Inspectable"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import { hasProperty } from "effect/Predicate"
import { reader } from "../InvalidOptions.js"
import { Gathering, type Run } from "./internal/gathering.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Call/Batch")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * Gathers items `I` and gives an `A` for each, or fails with an `E`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch<in I, out A, out E = never> extends Pipeable {
  readonly [TypeId]: TypeId
  /** The name of the batch, in messages. */
  readonly key: string
  /** Puts an item into the next batch, and waits for its end. */
  readonly submit: (item: I) => Effect.Effect<A, E>
  /** How the batch is used. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** How many items wait for their batch to be run. */
  readonly waiting: number
  /** How many batches were run. */
  readonly batches: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly key: string
  /** So many items are run at once, 1 or more. */
  readonly size: number
  /** No item waits longer than this for others. */
  readonly window: Duration.DurationInput
}

/**
 * Gathers items and runs them together. `run` gives a value for each item, in their order; when it fails, all callers
 * of the batch fail with its cause. What it requires is taken from the context in which the batch is made.
 *
 * Dies with `InvalidOptions` when the options can never work. A `run` that gives another number of values than it was
 * given items is a defect of the calls in it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Batch } from "holdfast/Call"
 *
 * declare const selectUsers: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<{ readonly name: string }>, Error>
 *
 * const program = Effect.gen(function*() {
 *   const users = yield* Batch.make({ key: "users", size: 50, window: "5 millis", run: selectUsers })
 *   // one query for both, wherever they are asked for
 *   return yield* Effect.all([users.submit("7"), users.submit("8")], { concurrency: 2 })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <I, A, E, R>(
  options: Options & {
    readonly run: (items: Array.NonEmptyReadonlyArray<I>) => Effect.Effect<ReadonlyArray<A>, E, R>
  }
): Effect.Effect<Batch<I, A, E>, never, R> =>
  gathered("Batch.make", options, (items) => Effect.map(options.run(items), (values) => values.map(Exit.succeed)))

/**
 * As `make`, but `run` gives an exit for each item: one item may fail while the others succeed.
 *
 * @example
 * ```ts
 * import { Effect, Exit } from "effect"
 * import { Batch } from "holdfast/Call"
 *
 * declare const selectUsers: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, string>, Error>
 *
 * const users = Batch.makeEach({
 *   key: "users",
 *   size: 50,
 *   window: "5 millis",
 *   run: (ids: ReadonlyArray<string>) =>
 *     Effect.map(selectUsers(ids), (found) =>
 *       ids.map((id) => {
 *         const user = found.get(id)
 *         return user === undefined ? Exit.fail("NotFound" as const) : Exit.succeed(user)
 *       }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeEach = <I, A, E, E2, R>(
  options: Options & {
    readonly run: (items: Array.NonEmptyReadonlyArray<I>) => Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>, E2, R>
  }
): Effect.Effect<Batch<I, A, E | E2>, never, R> => gathered<I, A, E | E2, R>("Batch.makeEach", options, options.run)

/**
 * Whether a value is a `Batch`.
 *
 * @example
 * ```ts
 * import { Batch } from "holdfast/Call"
 *
 * const no = Batch.isBatch("users") // false
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isBatch = (u: unknown): u is Batch<never, unknown, unknown> => hasProperty(u, TypeId)

const gathered = <I, A, E, R>(
  module: string,
  options: Options,
  run: (items: Array.NonEmptyReadonlyArray<I>) => Effect.Effect<ReadonlyArray<Exit.Exit<A, E>>, E, R>
): Effect.Effect<Batch<I, A, E>, never, R> =>
  Effect.map(Effect.context<R>(), (context) => {
    const read = reader(module)
    const { key } = options
    const checked: Run<I, A, E> = (items) =>
      Effect.flatMap(
        Effect.provide(run(items), context),
        (exits) =>
          exits.length === items.length
            ? Effect.succeed(exits)
            : Effect.dieMessage(`batch "${key}" gave ${exits.length} results for ${items.length} items`)
      )
    const gathering = new Gathering<I, A, E>(
      read.integer("size", options.size, 1),
      read.finiteDuration("window", options.window),
      checked
    )
    const snapshot = (): Snapshot => ({ waiting: gathering.waiting, batches: gathering.batches })
    const toJSON = () => ({ _id: "Batch", key, ...snapshot() })
    return {
      [TypeId]: TypeId,
      key,
      submit: (item) => gathering.submit(item),
      snapshot: Effect.sync(snapshot),
      pipe() {
        return pipeArguments(this, arguments)
      },
      toJSON,
      toString: () => JSON.stringify(toJSON()),
      [NodeInspectSymbol]: toJSON
    }
  })
