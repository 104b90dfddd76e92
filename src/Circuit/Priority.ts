/**
 * How important a call is. It is ambient: set once where a request comes in, it holds for every call made on its
 * behalf, and gates that must turn some calls away turn the less important ones away first.
 *
 * There are five classes. A class spans a hundred levels, `critical` from 400 to 499, so that a gate can give up a part
 * of a class; where a call has no level of its own the gate chooses one within its class.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Combinator, Json } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { reader } from "../InvalidOptions.js"
import { bothForms } from "./internal/gate/forms.js"
import * as internal from "./internal/gate/priority.js"

export { Current } from "./internal/gate/priority.js"

/**
 * The class of a call, from the first to be turned away to the last.
 *
 * @since 0.1.0
 * @category models
 */
export type Class = "sheddable" | "low" | "normal" | "high" | "critical"

/**
 * What a gate can know about the importance of a call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Priority {
  readonly class: Class
  /** A level within the class, from 0 to 499. Default: the gate chooses. */
  readonly level?: number | undefined
  /** On whose behalf the call is made: gates that track usage turn heavy users away first. */
  readonly user?: string | undefined
}

/**
 * All classes, the first to be turned away first.
 *
 * @since 0.1.0
 * @category models
 */
export const classes: ReadonlyArray<Class> = internal.classes

/**
 * Makes the calls of an effect belong to a class. Throws `InvalidOptions` when there is no such class.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Priority } from "holdfast/Circuit"
 *
 * declare const refreshCache: Effect.Effect<void>
 *
 * const inTheBackground = refreshCache.pipe(Priority.withClass("sheddable"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withClass: {
  (name: Class): Combinator
  <A, E, R>(self: Effect.Effect<A, E, R>, name: Class): Effect.Effect<A, E, R>
} = bothForms((name: Class): Combinator => {
  if (!internal.classes.includes(name)) {
    reader("Priority.withClass").refuse("name", name, `one of ${internal.classes.join(", ")}`)
  }
  // A level of another class would no longer fit.
  return change({ class: name }, ({ user }) => user === undefined ? { class: name } : { class: name, user })
})

/**
 * Makes the calls of an effect have one level from 0 to 499, and the class that it belongs to: for a service that was
 * told the level by the one that called it. Throws `InvalidOptions` when there is no such level.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Priority } from "holdfast/Circuit"
 *
 * declare const handle: Effect.Effect<string>
 *
 * const asTold = (header: string) => handle.pipe(Priority.withLevel(Number(header)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withLevel: {
  (level: number): Combinator
  <A, E, R>(self: Effect.Effect<A, E, R>, level: number): Effect.Effect<A, E, R>
} = bothForms((level: number): Combinator => {
  if (!Number.isSafeInteger(level) || level < 0 || level >= internal.levelCount) {
    reader("Priority.withLevel").refuse("level", level, `a whole number from 0 to ${internal.levelCount - 1}`)
  }
  return change({ level }, (outer) => ({ ...outer, class: internal.classOf(level), level }))
})

/**
 * Says on whose behalf the calls of an effect are made; their class stays.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Priority } from "holdfast/Circuit"
 *
 * declare const handle: Effect.Effect<string>
 *
 * const forTenant = (tenant: string) => handle.pipe(Priority.withUser(tenant))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withUser: {
  (user: string): Combinator
  <A, E, R>(self: Effect.Effect<A, E, R>, user: string): Effect.Effect<A, E, R>
} = bothForms((user: string): Combinator => change({ user }, (outer) => ({ ...outer, user })))

/**
 * The place of a class among the five: 0 for `sheddable`, 4 for `critical`.
 *
 * @example
 * ```ts
 * import { Priority } from "holdfast/Circuit"
 *
 * const two = Priority.rank("normal") // 2
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const rank = (name: Class): number => internal.rankOf(name)

/**
 * The lowest and the highest level of a class.
 *
 * @example
 * ```ts
 * import { Priority } from "holdfast/Circuit"
 *
 * const { lowest, highest } = Priority.levels("critical") // 400 and 499
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const levels = (name: Class): { readonly lowest: number; readonly highest: number } => internal.levelsOf(name)

/**
 * The class that a level belongs to.
 *
 * @example
 * ```ts
 * import { Priority } from "holdfast/Circuit"
 *
 * const high = Priority.classOf(312) // "high"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const classOf = (level: number): Class => internal.classOf(level)

const change = (settings: { readonly [name: string]: Json }, by: (outer: Priority) => Priority): Combinator =>
  makeCombinator([{ policy: "Priority", settings }], [{
    around: (call) => Effect.provideService(call.inner(), internal.Current, by(internal.priorityOf(call.fiber)))
  }])
