/**
 * Something to call that behaves as a script says: how long each call takes, and how it ends.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import { sleepMillis } from "../internal/sleep.js"
import { reader } from "../InvalidOptions.js"

/**
 * How one call behaves: it takes a time, and then ends with `exit`, or never when that is `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Response<out A, out E> {
  readonly afterMillis: number
  readonly exit: Exit.Exit<A, E> | undefined
}

/**
 * A call that was made. Times are in milliseconds of the `Clock` since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallRecord {
  readonly startedAt: number
  /** When the call ended; `undefined` while it runs. */
  readonly endedAt: number | undefined
  readonly outcome: "running" | "succeeded" | "failed" | "interrupted"
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Dependency<out A, out E> {
  /** Calls the dependency: the next response of the script. */
  readonly call: Effect.Effect<A, E>
  /** All calls that were made, in the order in which they began. */
  readonly calls: Effect.Effect<ReadonlyArray<CallRecord>>
  /** How many calls are running. */
  readonly inFlight: Effect.Effect<number>
  /** The most that were running at a time. */
  readonly maxInFlight: Effect.Effect<number>
}

/**
 * More calls were made than the script has responses. A defect: it is the test that is wrong.
 *
 * @since 0.1.0
 * @category errors
 */
export class ScriptEnded extends Data.TaggedError("ScriptEnded")<{
  /** How many responses the script has. */
  readonly responses: number
}> {
  override get message(): string {
    return `the script has ${this.responses} responses, and this call is one more`
  }
}

/**
 * A response that gives a value.
 *
 * @example
 * ```ts
 * import { Dependency } from "holdfast/Testing"
 *
 * const slow = Dependency.succeed("quote", { after: "3 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const succeed = <A>(value: A, options?: After): Response<A, never> => response(Exit.succeed(value), options)

/**
 * A response that fails.
 *
 * @example
 * ```ts
 * import { Dependency } from "holdfast/Testing"
 *
 * const down = Dependency.fail("unreachable")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fail = <E>(error: E, options?: After): Response<never, E> => response(Exit.fail(error), options)

/**
 * A response that dies.
 *
 * @example
 * ```ts
 * import { Dependency } from "holdfast/Testing"
 *
 * const bug = Dependency.die(new Error("driver crashed"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const die = (defect: unknown, options?: After): Response<never, never> => response(Exit.die(defect), options)

/**
 * A call that never ends.
 *
 * @example
 * ```ts
 * import { Dependency } from "holdfast/Testing"
 *
 * const dependency = Dependency.script([Dependency.hang, Dependency.succeed("quote")])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const hang: Response<never, never> = { afterMillis: 0, exit: undefined }

/**
 * @since 0.1.0
 * @category models
 */
export interface After {
  /** How long the call takes. Default: no time. */
  readonly after?: Duration.DurationInput | undefined
}

/**
 * Gives the responses of a list, one a call.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry } from "holdfast/Schedule"
 * import { Dependency } from "holdfast/Testing"
 *
 * const test = Effect.gen(function*() {
 *   const quotes = yield* Dependency.script([Dependency.fail("busy"), Dependency.succeed(42)])
 *   const quote = yield* quotes.call.pipe(Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.constant(0) })]))
 *   const calls = yield* quotes.calls
 *   return { quote, calls } // 42, after two calls
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const script = <A, E>(
  responses: ReadonlyArray<Response<A, E>>,
  options?: {
    /**
     * What the calls get when the script is over: they die with `ScriptEnded` (`"die"`, the default), get the `"last"`
     * response again, or the script from its beginning (`"cycle"`).
     */
    readonly afterwards?: "die" | "last" | "cycle" | undefined
  }
): Effect.Effect<Dependency<A, E>> =>
  Effect.suspend(() => {
    const afterwards = options?.afterwards ?? "die"
    if (responses.length === 0 && afterwards !== "die") {
      reader("Dependency.script").refuse("responses", responses, "at least one response")
    }
    return make((index): Response<A, E> =>
      responses[afterwards === "cycle" ? index % responses.length : index] ??
        (afterwards === "last" ? responses.at(-1) : undefined) ??
        die(new ScriptEnded({ responses: responses.length }))
    )
  })

/**
 * Draws latencies and outcomes from a seed: the same seed gives the same responses, in the order of the calls. Dies with
 * `InvalidOptions` when a rate is not from 0 to 1, or the latencies are not in order.
 *
 * @example
 * ```ts
 * import { Dependency } from "holdfast/Testing"
 *
 * const flaky = Dependency.random({
 *   seed: 7,
 *   latency: ["10 millis", "200 millis"],
 *   failureRate: 0.2,
 *   succeed: (call) => `quote ${call}`,
 *   fail: () => "unreachable"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = <A, E = never>(options: {
  readonly seed: number | string
  /** The shortest and the longest time that a call takes; uniform between them. Default: no time. */
  readonly latency?: readonly [Duration.DurationInput, Duration.DurationInput] | undefined
  /** The part of calls that fail. Default 0. */
  readonly failureRate?: number | undefined
  /** The part of calls that never end. Default 0. */
  readonly hangRate?: number | undefined
  /** The value of a call; the first is 0. */
  readonly succeed: (call: number) => A
  /** The error of a call that fails. Default: none does. */
  readonly fail?: ((call: number) => E) | undefined
}): Effect.Effect<Dependency<A, E>> =>
  Effect.suspend(() => {
    const read = reader("Dependency.random")
    const rate = (name: string, value = 0) =>
      value >= 0 && value <= 1 ? value : read.refuse(name, value, "a number from 0 to 1")
    const failureRate = rate("failureRate", options.fail === undefined ? 0 : options.failureRate)
    const hangRate = rate("hangRate", options.hangRate)
    const shortest = read.finiteDuration("latency[0]", options.latency?.[0] ?? 0)
    const longest = read.finiteDuration("latency[1]", options.latency?.[1] ?? shortest)
    if (longest < shortest) read.refuse("latency", options.latency, "the shortest time, then the longest")
    const drawn = Random.make(options.seed)
    return make((index): Effect.Effect<Response<A, E>> =>
      Effect.map(Effect.all([drawn.next, drawn.next]), ([ending, latency]) => ({
        afterMillis: Math.round(shortest + latency * (longest - shortest)),
        exit: ending < hangRate
          ? undefined
          : ending < hangRate + failureRate && options.fail !== undefined
          ? Exit.fail(options.fail(index))
          : Exit.succeed(options.succeed(index))
      }))
    )
  })

const response = <A, E>(exit: Exit.Exit<A, E>, options: After | undefined): Response<A, E> => ({
  afterMillis: reader("Dependency").finiteDuration("after", options?.after ?? 0),
  exit
})

interface Running {
  startedAt: number
  endedAt: number | undefined
  outcome: CallRecord["outcome"]
}

const make = <A, E>(
  respond: (index: number) => Response<A, E> | Effect.Effect<Response<A, E>>
): Effect.Effect<Dependency<A, E>> =>
  Effect.sync(() => {
    const calls: Array<Running> = []
    let inFlight = 0
    let maxInFlight = 0
    const call = Clock.clockWith((clock) => {
      const now = () => clock.unsafeCurrentTimeMillis()
      const begin = Effect.suspend(() => {
        const running: Running = { startedAt: now(), endedAt: undefined, outcome: "running" }
        const index = calls.push(running) - 1
        maxInFlight = Math.max(maxInFlight, ++inFlight)
        const next = respond(index)
        return Effect.map(Effect.isEffect(next) ? next : Effect.succeed(next), (next) => [running, next] as const)
      })
      return Effect.acquireUseRelease(
        begin,
        ([, { afterMillis, exit }]) => Effect.zipRight(sleepMillis(afterMillis), exit ?? Effect.never),
        ([running], exit) =>
          Effect.sync(() => {
            inFlight--
            running.endedAt = now()
            running.outcome = Exit.isSuccess(exit) ? "succeeded" : Exit.isInterrupted(exit) ? "interrupted" : "failed"
          })
      )
    })
    return {
      call,
      calls: Effect.sync(() => calls.map((call) => ({ ...call }))),
      inFlight: Effect.sync(() => inFlight),
      maxInFlight: Effect.sync(() => maxInFlight)
    }
  })
