/**
 * Effects within one synchronous step: for the few that a decision needs and that are synchronous themselves, such as a
 * number of `Random` or a step of a schedule. They run with the services of the fiber whose step it is.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"

type Runner = Fiber.RuntimeFiber<unknown, unknown>

/** The value of a synchronous effect. Throws what it fails with, and when it turns out to be asynchronous. */
export const runWithin = <A>(fiber: Runner, effect: Effect.Effect<A>): A =>
  Runtime.runSync(
    Runtime.make({
      context: fiber.currentContext,
      runtimeFlags: Runtime.defaultRuntime.runtimeFlags,
      fiberRefs: fiber.getFiberRefs()
    }),
    effect
  )

/** A number in [0, 1) of the fiber's `Random`. */
export const randomOf = (fiber: Runner): number =>
  Effect.runSync(Context.get(fiber.currentDefaultServices, Random.Random).next)
