/**
 * Serving the last good value, exported by `Fallback`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Combinator, Description } from "../../Combinator.js"
import { makeCombinator } from "../../internal/combinator.js"
import { ageClockOf } from "../../internal/now.js"
import { observed } from "../../internal/observed.js"
import type { Call, Stage } from "../../internal/pipeline.js"
import { reader } from "../../InvalidOptions.js"
import * as matcher from "../../Schedule/internal/matcher.js"
import { describeMatcher } from "../../Schedule/internal/rule.js"
import type { Aged, LastGood } from "../LastGood.js"
import { withInstead } from "./fallback.js"
import { type Memory, memoryOf } from "./memory.js"

/**
 * A last good value was served in place of an error.
 *
 * @since 0.1.0
 * @category models
 */
export interface StaleServed {
  /** The key of the value in its memory. */
  readonly key: string
  readonly age: Duration.Duration
  /** What it stands in for. */
  readonly error: unknown
}

/**
 * How last good values are served.
 *
 * @since 0.1.0
 * @category models
 */
export interface LastGoodOptions<out R = never> {
  /** The key of the value in the memory. Default: the empty string. */
  readonly key?: string | undefined
  /** No value that is older is served. Default: no limit. */
  readonly maxStale?: Duration.DurationInput | undefined
  /**
   * The errors that a value stands in for: a tag, a class, a predicate, or a list of these. Default: an open or isolated
   * circuit breaker, and what is tagged as a time-out. Others pass.
   */
  readonly on?: On | ReadonlyArray<On> | undefined
  /** Told of every value that is served. It runs beside the call, which neither waits for it nor fails with it. */
  readonly onStale?: ((event: StaleServed) => Effect.Effect<unknown, never, R>) | undefined
}

type On = string | matcher.Class | ((error: unknown) => boolean)

/**
 * Remembers the values of an effect, and serves the last one when the effect fails by an open circuit breaker or a
 * time-out (or what `on` says), provided that it is not older than `maxStale`. Where there is no such value the error
 * comes out as it is. Throws `InvalidOptions` when an option can never work.
 *
 * Serving a value does not make it younger, and a slow call never puts an older value in the place of a newer one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback, LastGood, Timeout } from "holdfast/Call"
 *
 * declare const fetchQuote: Effect.Effect<number, Error>
 *
 * const quote = (quotes: LastGood.LastGood<number>) =>
 *   fetchQuote.pipe(
 *     Timeout.after("2 seconds"),
 *     Fallback.lastGood(quotes, {
 *       maxStale: "5 minutes",
 *       onStale: ({ age }) => Effect.logWarning("an old quote", { age })
 *     })
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function lastGood<A, R2 = never>(
  store: LastGood<A>,
  options?: LastGoodOptions<R2>
): Combinator<never, R2, never, A>
export function lastGood<A, E, R, R2 = never>(
  self: Effect.Effect<A, E, R>,
  store: LastGood<A>,
  options?: LastGoodOptions<R2>
): Effect.Effect<A, E, R | R2>
export function lastGood(...args: ReadonlyArray<unknown>): unknown {
  return Effect.isEffect(args[0])
    ? combinator("lastGood", args[1], args[2], (value) => value)(args[0])
    : combinator("lastGood", args[0], args[1], (value) => value)
}

/**
 * As `lastGood`, but says how old the value is: zero for one that the effect has just given.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Fallback, LastGood } from "holdfast/Call"
 *
 * declare const fetchQuote: Effect.Effect<number, Error>
 *
 * const quote = (quotes: LastGood.LastGood<number>) =>
 *   Effect.map(
 *     fetchQuote.pipe(Fallback.lastGoodWithAge(quotes, { on: Error })),
 *     ({ age, value }) => `${value}, ${Duration.format(age)} old`
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function lastGoodWithAge<A, R2 = never>(
  store: LastGood<A>,
  options?: LastGoodOptions<R2>
): <E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Aged<A>, E, R | R2>
export function lastGoodWithAge<A, E, R, R2 = never>(
  self: Effect.Effect<A, E, R>,
  store: LastGood<A>,
  options?: LastGoodOptions<R2>
): Effect.Effect<Aged<A>, E, R | R2>
export function lastGoodWithAge(...args: ReadonlyArray<unknown>): unknown {
  const aged = (value: unknown, age: Duration.Duration): Aged<unknown> => ({ value, age })
  return Effect.isEffect(args[0])
    ? combinator("lastGoodWithAge", args[1], args[2], aged)(args[0])
    : combinator("lastGoodWithAge", args[0], args[1], aged)
}

type Shown = (value: unknown, age: Duration.Duration) => unknown

// Called by the signatures above only; what they let through is checked here.
const combinator = (name: string, store: unknown, given: unknown, shown: Shown): Combinator => {
  const read = reader(`Fallback.${name}`)
  const options = (given ?? {}) as LastGoodOptions<unknown>
  const memory = memoryOf(store as LastGood<unknown>)
  const on = options.on === undefined ? defaults : readMatchers(options.on, read.refuse)
  const maxStaleMillis = options.maxStale === undefined ? Infinity : read.duration("maxStale", options.maxStale)
  const key = options.key ?? ""
  const description: Description = {
    policy: "Fallback",
    key: memory.key,
    settings: {
      kind: "lastGood",
      on: on.map(describeMatcher),
      key,
      maxStaleMillis: maxStaleMillis === Infinity ? null : maxStaleMillis
    }
  }
  return makeCombinator([description], [stage({ memory, key, on, maxStaleMillis, shown, onStale: options.onStale })])
}

interface Serving {
  readonly memory: Memory<unknown>
  readonly key: string
  readonly on: ReadonlyArray<matcher.Matcher>
  readonly maxStaleMillis: number
  readonly shown: Shown
  readonly onStale: LastGoodOptions<unknown>["onStale"]
}

const stage = (serving: Serving): Stage => ({
  enter: (call) => {
    call.place = serving.memory.begin()
    return undefined
  },
  leave: (call, exit) => {
    if (Exit.isFailure(exit)) return serve(serving, call, exit)
    serving.memory.remember(serving.key, call.place as number, exit.value, ageClockOf(call.fiber))
    return Exit.succeed(serving.shown(exit.value, Duration.zero))
  }
})

const serve = (serving: Serving, call: Call, exit: Exit.Exit<unknown, unknown>) => {
  const { key, maxStaleMillis, memory, on, onStale, shown } = serving
  const known = memory.recall(key, ageClockOf(call.fiber))
  if (known === undefined || known.ageMillis > maxStaleMillis) return exit
  const { age } = known
  const value = Exit.succeed(shown(known.value, age))
  return withInstead(
    call,
    exit,
    (error) => on.some(({ test }) => test(error)),
    (error) => onStale === undefined ? value : Effect.zipRight(observed(() => onStale({ key, age, error })), value)
  )
}

const readMatchers = (
  on: On | ReadonlyArray<On>,
  refuse: (option: string, actual: unknown, expected: string) => never
): ReadonlyArray<matcher.Matcher> =>
  (Array.isArray(on) ? on : [on]).map((source) =>
    matcher.compile(source) ?? refuse("on", source, "a tag, a class, a predicate, or a list of these")
  )

const defaults = ["CircuitOpen", "Isolated", "TimedOut", "DeadlineExceeded", "TimeoutException"].flatMap((tag) =>
  matcher.compile(tag) ?? []
)
