/**
 * A limit on how long an effect may take.
 *
 * The work runs in a fiber of its own, which starts at once and in place. Work that never suspends is over before a
 * timer would be set: it costs that fiber and nothing else. (Running it in the caller's own fiber and interrupting that
 * would need no fork, but would also interrupt every other child of the caller.)
 *
 * When the time is over the work is interrupted, and `TimedOut` comes out after its finalizers have run: they may use
 * what the caller still holds (a connection, a permit), and a retry must not start while the attempt before it is still
 * giving its resources back. Where that does not matter, `detach: true` returns at the limit, whatever the work does.
 *
 * Time and sleeps come from Effect's `Clock`. What the work changes in fiber refs is kept when it succeeds.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Runtime from "effect/Runtime"
import { stackless } from "../internal/stackless.js"
import { reader } from "../InvalidOptions.js"
import { startTimer } from "./internal/timer.js"

/**
 * The work took longer than it may, and was interrupted.
 *
 * @since 0.1.0
 * @category errors
 */
export class TimedOut extends Data.TaggedError("TimedOut")<{
  /** The time it had. */
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
 * Fails with `TimedOut` when an effect is not done after a duration. An infinite duration is no limit. Throws `InvalidOptions` when the duration is zero or negative.
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
export function after(
  duration: Duration.DurationInput,
  options?: Options
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TimedOut, R>
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
  if (Effect.isEffect(first)) return limited(first, read(second as Duration.DurationInput), third?.detach === true)
  const millis = read(first)
  const detach = (second as Options | undefined)?.detach === true
  return <A, E, R>(self: Effect.Effect<A, E, R>) => limited(self, millis, detach)
}

const read = (duration: Duration.DurationInput): number => {
  const { duration: millis, refuse } = reader("Timeout.after")
  const value = millis("duration", duration)
  return value > 0 ? value : refuse("duration", duration, "a duration above zero")
}

const limited = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  detach: boolean
): Effect.Effect<A, E | TimedOut, R> => {
  if (millis === Infinity) return self
  return Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | TimedOut, R>((caller, { runtimeFlags }) => {
      const clock = Context.get(caller.currentDefaultServices, Clock.Clock)
      const startedAt = clock.unsafeCurrentTimeMillis()
      const runtime = Runtime.make({
        // The requirements of the effect that runs here are those of the fiber that runs it.
        context: caller.currentContext as Context.Context<R>,
        runtimeFlags,
        fiberRefs: caller.getFiberRefs()
      })
      const work = Runtime.runFork(runtime, restore(self))
      const exit = work.unsafePoll()
      if (exit !== null) return finished(work, exit)

      let stopTimer = constVoid
      const first = Effect.async<Exit.Exit<A, E> | undefined>((resume) => {
        const remaining = millis - (clock.unsafeCurrentTimeMillis() - startedAt)
        stopTimer = startTimer(caller, runtime, remaining, (exit) => resume(Effect.as(exit, undefined)))
        work.addObserver((exit) => resume(Effect.succeed(exit)))
      })
      return Effect.matchCauseEffect(restore(first), {
        onSuccess: (exit): Effect.Effect<A, E | TimedOut> => {
          stopTimer()
          const ended = exit ?? work.unsafePoll()
          if (ended !== null) return finished(work, ended)
          const interrupted = detach ? Fiber.interruptAsFork(work, caller.id()) : Fiber.interruptAs(work, caller.id())
          return Effect.zipRight(interrupted, Effect.failSync(() => timedOut(millis)))
        },
        // The caller is being interrupted, or its clock has failed.
        onFailure: (cause) => {
          stopTimer()
          return Effect.zipRight(Fiber.interruptAs(work, caller.id()), Effect.failCause(cause))
        }
      })
    })
  )
}

const timedOut = (millis: number) => stackless(() => new TimedOut({ duration: Duration.millis(millis) }))

/** The work's exit as it is, and on success what it changed in fiber refs. */
const finished = <A, E>(work: Fiber.Fiber<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  Exit.isSuccess(exit) ? Effect.zipRight(work.inheritAll, exit) : exit
