/**
 * What to do instead when a call fails.
 *
 * A fallback takes typed errors only, all of them or those that a matcher takes (a tag, a class or a predicate), and
 * removes from the type of errors what it takes. Interruptions and defects are never handled: a failure that comes
 * together with a defect lets the defect through.
 *
 * Nothing runs at the same time: the fallback starts when what it stands in for has failed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Combinator } from "../Combinator.js"
import { observed } from "../internal/observed.js"
import { stackless } from "../internal/stackless.js"
import { reader } from "../InvalidOptions.js"
import * as matcher from "../Schedule/internal/matcher.js"
import type { TypedCombinator } from "../Schedule/internal/typedCombinator.js"
import { fallbackCombinator, type Instead } from "./internal/fallback.js"

export type { TypedCombinator } from "../Schedule/internal/typedCombinator.js"
export { lastGood, type LastGoodOptions, lastGoodWithAge, type StaleServed } from "./internal/lastGood.js"

/**
 * A value in place of any error.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback } from "holdfast/Call"
 *
 * const greeting = Effect.fail("no name").pipe(Fallback.to("stranger"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function to<B>(value: B): Combinator<never, never, unknown, B>
export function to<A, E, R, B>(self: Effect.Effect<A, E, R>, value: B): Effect.Effect<A | B, never, R>
export function to(...args: ReadonlyArray<unknown>): unknown {
  return onAny("to", args, valueInstead)
}

/**
 * A value in place of the errors that a matcher takes.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "holdfast/Call"
 *
 * class NotFound extends Data.TaggedError("NotFound") {}
 * class Offline extends Data.TaggedError("Offline") {}
 *
 * declare const load: Effect.Effect<string, NotFound | Offline>
 *
 * const loaded = load.pipe(Fallback.toOn("NotFound", "")) // Effect<string, Offline>
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function toOn<E, E2 extends E, B>(
  refinement: (error: NoInfer<E>) => error is E2,
  value: B
): TypedCombinator<never, never, E2, B, E>
export function toOn<E, B>(
  predicate: (error: NoInfer<E>) => boolean,
  value: B
): TypedCombinator<never, never, never, B, E>
export function toOn<C extends matcher.Class, B>(
  errorClass: C,
  value: B
): Combinator<never, never, InstanceType<C>, B>
export function toOn<const Tag extends string, B>(
  tag: Tag,
  value: B
): Combinator<never, never, { readonly _tag: Tag }, B>
export function toOn<A, E, R, E2 extends E, B>(
  self: Effect.Effect<A, E, R>,
  refinement: (error: NoInfer<E>) => error is E2,
  value: B
): Effect.Effect<A | B, Exclude<E, E2>, R>
export function toOn<A, E, R, B>(
  self: Effect.Effect<A, E, R>,
  predicate: (error: NoInfer<E>) => boolean,
  value: B
): Effect.Effect<A | B, E, R>
export function toOn<A, E, R, C extends matcher.Class, B>(
  self: Effect.Effect<A, E, R>,
  errorClass: C,
  value: B
): Effect.Effect<A | B, Exclude<E, InstanceType<C>>, R>
export function toOn<A, E, R, const Tag extends matcher.Tags<E>, B>(
  self: Effect.Effect<A, E, R>,
  tag: Tag,
  value: B
): Effect.Effect<A | B, Exclude<E, { readonly _tag: Tag }>, R>
export function toOn(...args: ReadonlyArray<unknown>): unknown {
  return on("toOn", args, valueInstead)
}

/**
 * Another effect in place of any error: the same one always, or one made from the error.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback } from "holdfast/Call"
 *
 * declare const fromPrimary: Effect.Effect<string, Error>
 * declare const fromReplica: Effect.Effect<string, Error>
 *
 * const row = fromPrimary.pipe(Fallback.orElse(fromReplica))
 * const told = fromPrimary.pipe(Fallback.orElse((error) => Effect.succeed(`failed: ${error.message}`)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function orElse<E, B, E2, R2>(
  that: (error: E) => Effect.Effect<B, E2, R2>
): TypedCombinator<E2, R2, unknown, B, E>
export function orElse<B, E2, R2>(that: Effect.Effect<B, E2, R2>): Combinator<E2, R2, unknown, B>
export function orElse<A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  that: Effect.Effect<B, E2, R2> | ((error: E) => Effect.Effect<B, E2, R2>)
): Effect.Effect<A | B, E2, R | R2>
export function orElse(...args: ReadonlyArray<unknown>): unknown {
  return onAny("orElse", args, effectInstead)
}

/**
 * Another effect in place of the errors that a matcher takes.
 *
 * @example
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "holdfast/Call"
 *
 * class Moved extends Data.TaggedError("Moved")<{ readonly to: string }> {}
 * class Offline extends Data.TaggedError("Offline") {}
 *
 * declare const load: (url: string) => Effect.Effect<string, Moved | Offline>
 *
 * const loaded = load("/a").pipe(Fallback.orElseOn("Moved", (error) => load(error.to)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function orElseOn<E, E2 extends E, B, E3, R3>(
  refinement: (error: NoInfer<E>) => error is E2,
  that: ((error: E2) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): TypedCombinator<E3, R3, E2, B, E>
export function orElseOn<E, B, E3, R3>(
  predicate: (error: NoInfer<E>) => boolean,
  that: ((error: NoInfer<E>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): TypedCombinator<E3, R3, never, B, E>
export function orElseOn<C extends matcher.Class, B, E3, R3>(
  errorClass: C,
  that: ((error: InstanceType<C>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): Combinator<E3, R3, InstanceType<C>, B>
export function orElseOn<E, const Tag extends matcher.Tags<E>, B, E3, R3>(
  tag: Tag,
  that: ((error: matcher.WithTag<E, Tag>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): TypedCombinator<E3, R3, { readonly _tag: Tag }, B, E>
export function orElseOn<A, E, R, E2 extends E, B, E3, R3>(
  self: Effect.Effect<A, E, R>,
  refinement: (error: NoInfer<E>) => error is E2,
  that: ((error: E2) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): Effect.Effect<A | B, Exclude<E, E2> | E3, R | R3>
export function orElseOn<A, E, R, B, E3, R3>(
  self: Effect.Effect<A, E, R>,
  predicate: (error: NoInfer<E>) => boolean,
  that: ((error: NoInfer<E>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): Effect.Effect<A | B, E | E3, R | R3>
export function orElseOn<A, E, R, C extends matcher.Class, B, E3, R3>(
  self: Effect.Effect<A, E, R>,
  errorClass: C,
  that: ((error: InstanceType<C>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): Effect.Effect<A | B, Exclude<E, InstanceType<C>> | E3, R | R3>
export function orElseOn<A, E, R, const Tag extends matcher.Tags<E>, B, E3, R3>(
  self: Effect.Effect<A, E, R>,
  tag: Tag,
  that: ((error: matcher.WithTag<E, Tag>) => Effect.Effect<B, E3, R3>) | Effect.Effect<B, E3, R3>
): Effect.Effect<A | B, Exclude<E, { readonly _tag: Tag }> | E3, R | R3>
export function orElseOn(...args: ReadonlyArray<unknown>): unknown {
  return on("orElseOn", args, effectInstead)
}

/**
 * Every link of a chain has failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class ChainExhausted<E> extends Data.TaggedError("ChainExhausted")<{
  /** The error of each link, in their order. */
  readonly errors: ReadonlyArray<unknown>
}> {
  declare readonly errors: ReadonlyArray<E>
  override get message(): string {
    return `all ${this.errors.length} links of a fallback chain failed; the last with ${String(this.errors.at(-1))}`
  }
}

/**
 * A chain has gone from a failed link to the next; the first link is 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface Switched<out E> {
  readonly from: number
  readonly to: number
  readonly error: E
}

/**
 * The first of several effects that succeeds, tried one after another. When all fail, `ChainExhausted` holds their
 * errors in order.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fallback } from "holdfast/Call"
 *
 * const answer = Fallback.chain([Effect.fail("primary down"), Effect.fail("replica down"), Effect.succeed("cached")], {
 *   onSwitch: ({ error, to }) => Effect.logWarning(`going on to link ${to}`, error)
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const chain = <A, E, R, R2 = never>(
  links: readonly [Effect.Effect<A, E, R>, ...Array<Effect.Effect<A, E, R>>],
  options?: {
    /** Told of every switch. It runs beside the chain, which neither waits for it nor fails with it. */
    readonly onSwitch?: ((event: Switched<E>) => Effect.Effect<unknown, never, R2>) | undefined
    /** Told, in the same way, of the errors of a chain whose links have all failed. */
    readonly onExhausted?: ((errors: ReadonlyArray<E>) => Effect.Effect<unknown, never, R2>) | undefined
  }
): Effect.Effect<A, ChainExhausted<E>, R | R2> => {
  const { onExhausted, onSwitch } = options ?? {}
  const from = (index: number, errors: ReadonlyArray<E>): Effect.Effect<A, ChainExhausted<E>, R | R2> => {
    const link = links[index]
    if (link === undefined) {
      const exhausted = Effect.failSync(() => stackless(() => new ChainExhausted<E>({ errors })))
      return onExhausted === undefined ? exhausted : Effect.zipRight(observed(() => onExhausted(errors)), exhausted)
    }
    return orElse(link, (error: E): Effect.Effect<A, ChainExhausted<E>, R | R2> => {
      const next = from(index + 1, [...errors, error])
      return onSwitch === undefined || index + 1 === links.length
        ? next
        : Effect.zipRight(observed(() => onSwitch({ from: index, to: index + 1, error })), next)
    })
  }
  return Effect.suspend(() => from(0, []))
}

/** The arguments of `to` and `orElse`, in both orders. */
const onAny = (kind: string, args: ReadonlyArray<unknown>, instead: (given: unknown) => Instead): unknown => {
  const [self, given] = args.length > 1 ? args : [undefined, args[0]]
  const combinator = fallbackCombinator(kind, matcher.all, instead(given))
  return args.length > 1 ? combinator(self as Effect.Effect<unknown, unknown, unknown>) : combinator
}

/** The arguments of `toOn` and `orElseOn`, in both orders. */
const on = (kind: string, args: ReadonlyArray<unknown>, instead: (given: unknown) => Instead): unknown => {
  const [source, given] = args.length > 2 ? args.slice(1) : args
  const taken = matcher.compile(source) ??
    reader(`Fallback.${kind}`).refuse("matcher", source, "a tag, a class or a predicate")
  const combinator = fallbackCombinator(kind, taken, instead(given))
  return args.length > 2 ? combinator(args[0] as Effect.Effect<unknown, unknown, unknown>) : combinator
}

const valueInstead = (value: unknown): Instead => {
  const exit = Exit.succeed(value)
  return () => exit
}

// The signatures above let nothing else through.
const effectInstead = (that: unknown): Instead => Effect.isEffect(that) ? () => that : that as Instead
