/**
 * For how long a breaker opens.
 */
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Decision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import type { Json } from "../../../Combinator.js"
import { reader } from "../../../InvalidOptions.js"
import { isBackoff } from "../../../Schedule/Backoff.js"
import { randomOf, runWithin } from "../gate/withinStep.js"
import type * as machine from "./breakerMachine.js"

type Runner = Fiber.RuntimeFiber<unknown, unknown>

/**
 * What opened a breaker, for the function or the schedule that says for how long.
 *
 * @since 0.1.0
 * @category models
 */
export interface Break extends machine.Break {
  /** How the call ended that opened it; `undefined` when its time to be half-open was over. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
}

/**
 * For how long a breaker opens: a duration, always the same; a schedule or backoff, which goes a step further each time
 * the breaker opens again and starts anew once it was closed; or a function.
 *
 * @since 0.1.0
 * @category models
 */
export type OpenFor =
  | Duration.DurationInput
  | Schedule.Schedule<unknown, Break>
  | ((broken: Break) => Duration.DurationInput)

export interface OpenForOptions {
  readonly openFor?: OpenFor | undefined
  readonly openJitter?: number | undefined
  readonly hint?: ((exit: Exit.Exit<unknown, unknown>, now: number) => Duration.DurationInput | undefined) | undefined
  readonly hintCap?: Duration.DurationInput | undefined
}

export interface Opening {
  /** Milliseconds, for a break at a time of the wall clock, which schedules go by. Throws where the user's function does. */
  readonly millis: (broken: Break, now: number, fiber: Runner) => number
  readonly description: { readonly [name: string]: Json }
}

/** How long it opens unless told otherwise. */
export const defaultOpenForMillis = 30_000

/** Reads how long a breaker opens; each breaker has its own, since a schedule has a place it is at. */
export const makeOpening = (options: OpenForOptions, module: string): Opening => {
  const read = reader(module)
  const { hint, openFor = defaultOpenForMillis } = options
  const jitter = options.openJitter ?? 0
  if (!(jitter >= 0 && jitter <= 1)) read.refuse("openJitter", jitter, "a number from 0 to 1")
  const hintCapMillis = options.hintCap === undefined
    ? defaultHintCapMillis
    : read.positiveDuration("hintCap", options.hintCap)
  const { description, millis: own } = ownTime(openFor, read)
  return {
    millis: (broken, now, fiber) => {
      const hinted = hint === undefined || broken.exit === undefined ? 0 : hintMillis(hint(broken.exit, now))
      const millis = hinted > 0 ? Math.min(hinted, hintCapMillis) : own(broken, now, fiber)
      const spread = jitter === 0 ? millis : millis * (1 + jitter * randomOf(fiber))
      // A breaker that opens for no time at all would not be seen to be open.
      return Math.max(1, Math.min(spread, Number.MAX_SAFE_INTEGER))
    },
    description: { ...description, openJitter: jitter, hint: hint !== undefined }
  }
}

const defaultHintCapMillis = 300_000

const ownTime = (openFor: OpenFor, read: ReturnType<typeof reader>): Opening => {
  if (typeof openFor === "function") {
    return {
      millis: (broken) => reader("CircuitBreaker.make").finiteDuration("openFor", openFor(broken)),
      description: { openForMillis: null, openFor: "function" }
    }
  }
  if (Schedule.isSchedule(openFor)) {
    return {
      millis: steps(openFor),
      description: {
        openForMillis: null,
        openFor: isBackoff(openFor) ? { ...openFor.description } : "schedule"
      }
    }
  }
  const millis = read.positiveDuration("openFor", openFor)
  return { millis: () => millis, description: { openForMillis: millis, openFor: "constant" } }
}

/** The delays of a schedule, one for each break; a schedule that has ended stays with its last delay. */
const steps = (schedule: Schedule.Schedule<unknown, Break>): Opening["millis"] => {
  let state: unknown = schedule.initial
  let last = defaultOpenForMillis
  return (broken, now, fiber) => {
    if (broken.reopens === 0) state = schedule.initial
    const [next, , decision] = runWithin(fiber, schedule.step(now, broken, state))
    state = next
    if (Decision.isContinue(decision)) last = Intervals.start(decision.intervals) - now
    return last
  }
}

/** Zero where a call asks for nothing that can be kept. */
const hintMillis = (hint: Duration.DurationInput | undefined): number =>
  hint === undefined ? 0 : Option.match(Duration.decodeUnknown(hint), {
    onNone: () => 0,
    onSome: Duration.toMillis
  })
