/**
 * What fallbacks share: a stage that looks at the end of the call, and puts something in the place of a typed error.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Combinator, Json } from "../../Combinator.js"
import { makeCombinator } from "../../internal/combinator.js"
import type { Call } from "../../internal/pipeline.js"
import type { Matcher } from "../../Schedule/internal/matcher.js"
import { describeMatcher } from "../../Schedule/internal/rule.js"

/** What comes in place of an error. */
export type Instead = (error: unknown) => Effect.Effect<unknown, unknown, unknown>

/**
 * What a call comes to when the errors that `takes` tells are handled. A failure that comes together with a defect lets
 * the defect through, and no error that was handled beside it.
 */
export const withInstead = (
  call: Call,
  exit: Exit.Exit<unknown, unknown>,
  takes: (error: unknown) => boolean,
  instead: Instead
): Effect.Effect<unknown, unknown, unknown> => {
  if (Exit.isSuccess(exit)) return exit
  const error = Cause.failureOption(exit.cause)
  if (Option.isNone(error) || !takes(error.value)) return exit
  if (Cause.isDie(exit.cause)) return Exit.failCause(Cause.stripFailures(exit.cause))
  const next = instead(error.value)
  return Exit.isExit(next) ? next : call.restore(next)
}

/** The combinator of a fallback of one kind. */
export const fallbackCombinator = (kind: string, matcher: Matcher, instead: Instead): Combinator =>
  makeCombinator(
    [{ policy: "Fallback", settings: { kind, on: describeMatcher(matcher) } satisfies { [name: string]: Json } }],
    [{ leave: (call, exit) => withInstead(call, exit, matcher.test, instead) }]
  )
