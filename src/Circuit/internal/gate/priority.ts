/**
 * Levels of priority, and the priority that a call carries in its context.
 *
 * There are 500 levels, 0 the first to be given up. A class is a hundred of them: fine enough that calls of one class
 * need not all be given up at once.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type { Class, Priority } from "../../Priority.js"

/** The classes, the first to be given up first. */
export const classes: ReadonlyArray<Class> = ["sheddable", "low", "normal", "high", "critical"]

/** How many levels a class has. */
export const levelsPerClass = 100

/** How many levels there are. */
export const levelCount = 500

/**
 * The priority of the calls that a fiber makes. It is inherited by the fibers it starts.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Priority } from "holdfast/Circuit"
 *
 * const call = Effect.gen(function*() {
 *   const priority = yield* Priority.Current
 *   yield* Effect.logDebug("calling", { class: priority.class })
 * })
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Current extends Context.Reference<Current>()("holdfast/Circuit/internal/priority/Current", {
  defaultValue: (): Priority => usual
}) {}

/** What calls are that say nothing about it. */
const usual: Priority = { class: "normal" }

/** The priority of the call that a fiber is making. */
export const priorityOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Priority =>
  Context.get(fiber.currentContext, Current)

/** The place of a class among the five, from 0. */
export const rankOf = (name: Class): number => classes.indexOf(name)

/** The lowest and the highest level of a class. */
export const levelsOf = (name: Class): { readonly lowest: number; readonly highest: number } => {
  const lowest = rankOf(name) * levelsPerClass
  return { lowest, highest: lowest + levelsPerClass - 1 }
}

/** The class that a level belongs to. */
export const classOf = (level: number): Class =>
  classes[Math.min(Math.max(Math.floor(level / levelsPerClass), 0), classes.length - 1)]!
