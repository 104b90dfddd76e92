/**
 * The loop of a retried call: one loop, whatever the number of rules.
 *
 *     attempt ── success ───────────────────────────────▶ its value
 *        ▲ └──── failure ─▶ first rule that matches ─ no ─▶ the failure, untouched
 *        │                     │ yes, has retries left, and the next attempt would start in time
 *        └──────── sleep ◀─────┘
 *
 * Attempts and sleeps can be interrupted, what lies between them cannot: so the failure that came before an
 * interruption is not lost, and an interrupted sleep is followed by no attempt. Counters live as long as one call and
 * are made at its first failure; a call that succeeds at once pays for none of this.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { observed } from "../../internal/observed.js"
import { sleepMillis } from "../../internal/sleep.js"
import type { RetryEvent } from "../Retry.js"
import { CurrentAttempt, CurrentDeadline } from "./current.js"
import * as curve from "./curve.js"
import * as markers from "./markers.js"
import { type CompiledRule, type Failure, failureOf } from "./rule.js"

/** Everything that is the same for all calls. */
export interface Plan<R> {
  readonly rules: ReadonlyArray<CompiledRule>
  readonly maxElapsedMillis: number
  /** Delays of a curve are shortened to leave an attempt this much time. */
  readonly minAttemptMillis: number | undefined
  readonly onRetry: ((event: RetryEvent<unknown>) => Effect.Effect<unknown, never, R>) | undefined
}

/** Runs an effect under a plan. */
export const run = <A, E, R, R2>(self: Effect.Effect<A, E, R>, plan: Plan<R2>): Effect.Effect<A, E, R | R2> =>
  Effect.withFiberRuntime((fiber) => {
    const startedAt = plan.maxElapsedMillis < Infinity ? now(fiber) : 0
    let counters: Counters | undefined
    return Effect.uninterruptibleMask((restore) => {
      const attempt = (effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | R2> =>
        Effect.catchAllCause(restore(effect), (cause) =>
          Cause.isInterrupted(cause)
            // Was it the attempt that interrupted itself, or is the caller being interrupted?
            ? Effect.matchCauseEffect(restore(Effect.void), {
              onSuccess: () => failed(cause),
              onFailure: () => Effect.failCause(beforeInterrupt(cause))
            })
            : failed(cause))

      const failed = (cause: Cause.Cause<E>): Effect.Effect<A, E, R | R2> =>
        Effect.flatMap(
          next(plan, counters ??= makeCounters(plan), fiber, startedAt, failureOf(cause)),
          (retry): Effect.Effect<A, E, R | R2> => {
            const { onRetry } = plan
            return retry === undefined
              ? Effect.failCause(cause)
              : onRetry === undefined
              ? again(cause, retry)
              : Effect.zipRight(observed(() => onRetry(retry)), again(cause, retry))
          }
        )

      const again = (cause: Cause.Cause<E>, retry: RetryEvent<unknown>): Effect.Effect<A, E, R | R2> =>
        Effect.matchCauseEffect(restore(sleepMillis(Duration.toMillis(retry.delay))), {
          onSuccess: () => attempt(numbered(self, retry.attempt + 1)),
          // Leaving this region adds the interruption to the failure.
          onFailure: (ended) =>
            Effect.failCause(Cause.isInterruptedOnly(ended) ? cause : Cause.sequential(cause, ended))
        })

      // Inside an attempt of an outer retry the count starts again.
      return attempt(Context.get(fiber.currentContext, CurrentAttempt) === 1 ? self : numbered(self, 1))
    })
  })

/** What one call has used up. All but `attempts` are per rule. */
interface Counters {
  attempts: number
  readonly used: Array<number>
  readonly steps: Array<number>
  readonly previous: Array<number | undefined>
}

const makeCounters = (plan: Plan<unknown>): Counters => ({
  attempts: 0,
  used: plan.rules.map(() => 0),
  steps: plan.rules.map(() => 0),
  previous: plan.rules.map(() => undefined)
})

/** What follows a failed attempt: a retry, or `undefined`. */
const next = (
  plan: Plan<unknown>,
  counters: Counters,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  startedAt: number,
  failure: Failure
): Effect.Effect<RetryEvent<unknown> | undefined> => {
  counters.attempts++
  const mark = markers.read(Option.getOrUndefined(failure.error))
  const index = mark.nonRetryable ? -1 : choose(plan.rules, counters, failure)
  const rule = plan.rules[index]
  if (rule === undefined) return Effect.succeed(undefined)
  const asked = mark.retryAfterMillis > 0 ? mark.retryAfterMillis : rule.hintMillis(failure)
  return Effect.map(wait(rule, index, counters, asked), (wanted) => {
    const millis = inTime(plan, fiber, startedAt, wanted, asked > 0)
    if (millis === undefined) return undefined
    counters.used[index] = (counters.used[index] ?? 0) + 1
    return { rule: rule.label, attempt: counters.attempts, delay: Duration.millis(millis), cause: failure.cause }
  })
}

/** The index of the rule that decides, if it allows a retry; -1 otherwise. */
const choose = (rules: ReadonlyArray<CompiledRule>, counters: Counters, failure: Failure): number => {
  for (const [index, rule] of rules.entries()) {
    if (!rule.matches(failure)) continue
    if ((counters.used[index] ?? 0) < rule.retries) return index
    if (rule.exhausted === "stop") return -1
  }
  return -1
}

/** The delay in milliseconds. What was asked for takes the place of the curve, which then stays where it is. */
const wait = (rule: CompiledRule, index: number, counters: Counters, asked: number): Effect.Effect<number> => {
  if (!(asked > 0)) return fromCurve(rule, index, counters)
  const hinted = rule.hintJitterMillis > 0
    ? Effect.map(Random.next, (u) => Math.min(rule.hintCapMillis, asked + u * rule.hintJitterMillis))
    : Effect.succeed(Math.min(rule.hintCapMillis, asked))
  return rule.combine === "max" ? Effect.zipWith(fromCurve(rule, index, counters), hinted, Math.max) : hinted
}

const fromCurve = (rule: CompiledRule, index: number, counters: Counters): Effect.Effect<number> => {
  const delay = (random: number): number => {
    const step = counters.steps[index] ?? 0
    const millis = curve.delayMillis(rule.curve, step, random, counters.previous[index])
    counters.steps[index] = step + 1
    counters.previous[index] = millis
    return millis
  }
  return curve.needsRandom(rule.curve) ? Effect.map(Random.next, delay) : Effect.sync(() => delay(0))
}

/**
 * The delay, shortened where that is wanted; `undefined` when the next attempt would start too late. A delay that was
 * asked for is a minimum, and is not shortened.
 */
const inTime = (
  plan: Plan<unknown>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  startedAt: number,
  wanted: number,
  asked: boolean
): number | undefined => {
  const deadline = Context.get(fiber.currentContext, CurrentDeadline)
  if (deadline === undefined && plan.maxElapsedMillis === Infinity) return wanted
  const time = now(fiber)
  const untilDeadline = deadline === undefined ? Infinity : deadline - time
  const untilMaxElapsed = startedAt + plan.maxElapsedMillis - time
  if (wanted < untilDeadline && wanted <= untilMaxElapsed) return wanted
  if (plan.minAttemptMillis === undefined || asked) return undefined
  // Without a wait that is left, one attempt would follow the other until the time is over.
  const room = Math.min(untilDeadline, untilMaxElapsed) - plan.minAttemptMillis
  return room > 0 ? room : undefined
}

const now = (fiber: Fiber.RuntimeFiber<unknown, unknown>): number =>
  Context.get(fiber.currentDefaultServices, Clock.Clock).unsafeCurrentTimeMillis()

const numbered = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: number): Effect.Effect<A, E, R> =>
  Effect.provideService(self, CurrentAttempt, attempt)

/** The failure of an attempt that ended while its fiber was being interrupted, without that interruption. */
const beforeInterrupt = <E>(cause: Cause.Cause<E>): Cause.Cause<E> =>
  cause._tag === "Sequential" && Cause.isInterruptedOnly(cause.right) ? cause.left : cause
