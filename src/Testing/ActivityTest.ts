/**
 * Tests of one attempt of an activity: its handler runs alone, without an engine, as the attempt that the test says it is.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import { type Activity, Attempt, type Outside } from "../Workflow/Activity.js"
import { Channel } from "../Workflow/internal/activity/attempt.js"
import { encode as tokenOf, makeSecret } from "../Workflow/internal/activity/token.js"

/**
 * The attempt that the handler is told to be.
 *
 * - `attempt`: counts from 1; default 1.
 * - `workflow`, `workflowId`, `runId`: whose; default `test`.
 * - `lastHeartbeat`: the details that an attempt before it has told last; default: none has.
 *
 * @since 0.1.0
 * @category models
 */
export type Options<Payload, Details> =
  & {
    readonly attempt?: number | undefined
    readonly workflow?: string | undefined
    readonly workflowId?: string | undefined
    readonly runId?: string | undefined
    readonly lastHeartbeat?: Details | undefined
  }
  & (void extends Payload ? { readonly payload?: Payload } : { readonly payload: Payload })

/**
 * What an attempt has come to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended<out Success, out Error, out Details> {
  /** `Outside` where the handler has left the end to somebody else. */
  readonly exit: Exit.Exit<Success | Outside, Error>
  /** The details of the attempt's heartbeats, in order. */
  readonly heartbeats: ReadonlyArray<Details>
}

/**
 * Runs the handler of an activity once. Payload and heartbeats go through their schemas, as in production; what does not fit
 * dies with why.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Exit, Option, Schema } from "effect"
 * import * as ActivityTest from "holdfast/Testing/ActivityTest"
 * import { Activity } from "holdfast/Workflow"
 *
 * const Import = Activity.make("Import", { payload: Schema.Number, heartbeatDetails: Schema.Number })
 *
 * const handler = (rows: number) =>
 *   Effect.gen(function*() {
 *     const from = Option.getOrElse(yield* Import.lastHeartbeat, () => 0)
 *     for (let row = from + 1; row <= rows; row++) yield* Import.heartbeat(row)
 *   })
 *
 * it.effect("goes on where the attempt before it was", () =>
 *   Effect.gen(function*() {
 *     const { exit, heartbeats } = yield* ActivityTest.run(Import, handler, { payload: 5, attempt: 2, lastHeartbeat: 3 })
 *     assert.deepStrictEqual(exit, Exit.void)
 *     assert.deepStrictEqual(heartbeats, [4, 5])
 *   }))
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const run = <Payload, Success, Error, Details, E extends Error, R>(
  activity: Activity<Payload, Success, Error, Details>,
  handler: (payload: Payload) => Effect.Effect<Success | Outside, E, R>,
  options: Options<Payload, Details>
): Effect.Effect<Ended<Success, E, Details>, never, Exclude<Exclude<R, Attempt>, Scope.Scope>> =>
  Effect.suspend(() => {
    const { lastHeartbeat, runId = "test", workflow = "test", workflowId = "test" } = options
    const attempt = reader("ActivityTest.run").integer("attempt", options.attempt ?? 1, 1)
    const fitting = <A>(what: string, either: Either.Either<A, string>): A =>
      Either.getOrThrowWith(either, (problem) => new Error(`${what} of activity ${activity.name}: ${problem}`))
    const details = lastHeartbeat === undefined
      ? undefined
      : fitting("the last heartbeat", activity.encodeDetails(lastHeartbeat)) ?? undefined
    const payload = fitting(
      "the payload",
      Either.flatMap(activity.encodePayload(options.payload as Payload), activity.decodePayload)
    )
    const heartbeats: Array<Details> = []
    const attempted = Effect.suspend(() => handler(payload)).pipe(
      Effect.scoped,
      Effect.provideService(Attempt, {
        activity: activity.name,
        attempt,
        workflow,
        workflowId,
        runId,
        idempotencyKey: `${runId}/1`
      }),
      Effect.provideService(Channel, {
        beat: (text) => void heartbeats.push(fitting("a heartbeat", activity.decodeDetails(text))),
        details,
        token: Effect.succeed(tokenOf({ runId, command: 1, attempt }, makeSecret()))
      }),
      Effect.exit,
      Effect.map((exit) => ({ exit, heartbeats }))
    )
    // A reference is no requirement.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    return attempted as Effect.Effect<Ended<Success, E, Details>, never, Exclude<Exclude<R, Attempt>, Scope.Scope>>
  })
