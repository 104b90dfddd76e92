/**
 * Trouble on purpose, to see what a program makes of it: latency, failures, wrong values, anything else.
 *
 * Off, unless `Chaos.Enabled` is true in the context of the call: provide `Chaos.layer` in a test, or in production for
 * the time of an experiment. While it is off it costs a look at the context. What happens is drawn from Effect's
 * `Random`, so that a seed repeats it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Combinator, Json } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { sleepMillis } from "../internal/sleep.js"
import { reader } from "../InvalidOptions.js"

/**
 * Whether there is any chaos. Default false.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * const slow = Effect.succeed("answer").pipe(Chaos.latency({ probability: 0.1, delay: "5 seconds" }))
 *
 * const experiment = Effect.provideService(slow, Chaos.Enabled, true)
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Enabled extends Context.Reference<Enabled>()("holdfast/Call/Chaos/Enabled", {
  defaultValue: () => false
}) {}

/**
 * Turns chaos on for all that is provided with it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * const shaky = Effect.succeed("answer").pipe(Chaos.fault({ probability: 0.1, error: () => new Error("chaos") }))
 *
 * const experiment = Effect.provide(shaky, Chaos.layer)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Enabled> = Layer.succeed(Enabled, true)

/**
 * How often.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The share of calls that are met, from 0 to 1. */
  readonly probability: number
}

/**
 * Makes a share of the calls wait before they run. Throws `InvalidOptions` when an option can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * const slow = Effect.succeed("answer").pipe(Chaos.latency({ probability: 0.1, delay: "5 seconds" }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const latency = (
  options: Options & {
    /** How long, or the longest of a span from which each wait is drawn. */
    readonly delay: Duration.DurationInput
    /** The shortest of the span. Default: `delay`, so that all waits are the same. */
    readonly from?: Duration.DurationInput | undefined
  }
): Combinator => {
  const read = reader("Chaos.latency")
  const most = read.finiteDuration("delay", options.delay)
  const least = options.from === undefined ? most : read.finiteDuration("from", options.from)
  if (least > most) read.refuse("from", options.from, "at most the delay")
  const wait = least === most
    ? sleepMillis(most)
    : Effect.flatMap(Random.next, (u) => sleepMillis(least + u * (most - least)))
  return chaos(
    "latency",
    read,
    options,
    { fromMillis: least, delayMillis: most },
    (inner) => Effect.zipRight(wait, inner)
  )
}

/**
 * Makes a share of the calls fail, without running them. Throws `InvalidOptions` when an option can never work.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * class Unavailable extends Data.TaggedError("Unavailable") {}
 *
 * const shaky = Effect.succeed("answer").pipe(Chaos.fault({ probability: 0.1, error: () => new Unavailable() }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const fault = <E>(
  options: Options & {
    readonly error: () => E
  }
): Combinator<E> => chaos("fault", reader("Chaos.fault"), options, {}, () => Effect.failSync(options.error))

/**
 * Gives a value in place of a share of the calls, without running them. Throws `InvalidOptions` when an option can
 * never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * const odd = Effect.succeed("answer").pipe(Chaos.outcome({ probability: 0.1, value: () => "" }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const outcome = <B>(
  options: Options & {
    readonly value: () => B
  }
): Combinator<never, never, never, B> =>
  chaos("outcome", reader("Chaos.outcome"), options, {}, () => Effect.sync(options.value))

/**
 * Runs an effect before a share of the calls: one that fills the disk, restarts a service, or clears a cache. When it
 * fails, the call fails with it, and does not run. Throws `InvalidOptions` when an option can never work.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Chaos } from "holdfast/Call"
 *
 * declare const restartReplica: Effect.Effect<void>
 *
 * const tried = Effect.succeed("answer").pipe(Chaos.behaviour({ probability: 0.01, run: restartReplica }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const behaviour = <E, R>(
  options: Options & {
    readonly run: Effect.Effect<unknown, E, R>
  }
): Combinator<E, R> =>
  chaos("behaviour", reader("Chaos.behaviour"), options, {}, (inner) => Effect.zipRight(options.run, inner))

type Rest = Effect.Effect<unknown, unknown, unknown>

const chaos = <E, R, A>(
  kind: string,
  read: ReturnType<typeof reader>,
  { probability }: Options,
  settings: { readonly [name: string]: Json },
  met: (inner: Rest) => Rest
): Combinator<E, R, never, A> => {
  if (!(probability >= 0 && probability <= 1)) read.refuse("probability", probability, "a number from 0 to 1")
  return makeCombinator([{ policy: "Chaos", settings: { kind, probability, ...settings } }], [{
    around: (call) => {
      if (!Context.get(call.fiber.currentContext, Enabled)) return undefined
      const inner = call.inner()
      return Effect.flatMap(Random.next, (u) => u < probability ? met(inner) : inner)
    }
  }])
}
