/**
 * A limit on how long an effect may take.
 *
 * When the time is over the work is interrupted, and `TimedOut` comes out after its finalizers have run: they may use
 * what the caller still holds (a connection, a permit), and a retry must not start while the attempt before it is still
 * giving its resources back. Where that does not matter, `detach: true` returns at the limit, whatever the work does.
 *
 * Time and sleeps come from Effect's `Clock`. What the work changes in fiber refs is kept. Fibers that it has started
 * and that are still running when it ends are interrupted with it.
 *
 * Work that holds up the thread past the limit, and then ends, has ended: no timer could fire meanwhile, as with
 * `Effect.timeout`.
 *
 * Under the live clock the work runs in the caller's own fiber where it can, which costs a timer and nothing else.
 * Elsewhere it runs in a fiber that starts at once and in place; work that never suspends is then over before a timer
 * would be set.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Combinator } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { longestTimer } from "../internal/liveClock.js"
import type { Stage } from "../internal/pipeline.js"
import { stackless } from "../internal/stackless.js"
import { reader } from "../InvalidOptions.js"
import { inFiber } from "./internal/inFiber.js"
import { Limit, runsInPlace } from "./internal/inPlace.js"

/**
 * The work took longer than it may, and was interrupted.
 *
 * @since 0.1.0
 * @category errors
 */
export class TimedOut extends Data.TaggedError("TimedOut")<{
  /** The time that the effect had. */
  readonly duration: Duration.Duration
}> {
  override get message(): string {
    return `timed out after ${Duration.format(this.duration)}; the work was interrupted`
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Fail at the limit, without waiting for the finalizers of the interrupted work. They run on in the background, so
   * they must not need anything that the caller gives back. Default false.
   */
  readonly detach?: boolean | undefined
}

/**
 * Fails with `TimedOut` when an effect is not done after a duration. An infinite duration is no limit. Throws
 * `InvalidOptions` when the duration is zero or negative.
 *
 * Inside a retry it limits each attempt, outside of it the whole.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Timeout } from "holdfast/Call"
 *
 * const call = Effect.sleep("3 seconds").pipe(
 *   Timeout.after("2 seconds"),
 *   Effect.catchTag("TimedOut", (late) => Effect.logWarning(late.message))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function after(duration: Duration.DurationInput, options?: Options): Combinator<TimedOut>
export function after<A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput,
  options?: Options
): Effect.Effect<A, E | TimedOut, R>
export function after<A, E, R>(
  first: Effect.Effect<A, E, R> | Duration.DurationInput,
  second?: Duration.DurationInput | Options,
  third?: Options
): unknown {
  return Effect.isEffect(first)
    ? limit(second as Duration.DurationInput, third)(first)
    : limit(first, second as Options | undefined)
}

const limit = (duration: Duration.DurationInput, options: Options | undefined): Combinator<TimedOut> => {
  const { duration: millisOf, refuse } = reader("Timeout.after")
  const millis = millisOf("duration", duration)
  if (!(millis > 0)) refuse("duration", duration, "a duration above zero")
  const detach = options?.detach === true
  return makeCombinator([{
    policy: "Timeout",
    settings: { afterMillis: millis === Infinity ? null : millis, detach }
  }], millis === Infinity ? [] : [stageOf(millis, detach)])
}

const stageOf = (millis: number, detach: boolean): Stage => {
  const late = Effect.suspend(() => stackless(() => new TimedOut({ duration: Duration.millis(millis) })))
  const fits = !detach && millis <= longestTimer
  return {
    around: (call) => fits && runsInPlace(call) ? undefined : inFiber(call.inner(), millis, late, detach),
    enter: (call) => {
      call.place = new Limit(call.fiber, millis)
      return undefined
    },
    leave: (call, exit) => call.place instanceof Limit ? call.place.end(exit, late) : exit
  }
}
