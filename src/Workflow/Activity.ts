/**
 * Activities: the steps of a workflow that touch the world.
 *
 * An activity runs at least once: it runs again when its process dies before its end is in the journal. Give the world its
 * {@link idempotencyKey}, which is the same in every attempt, and it happens once.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import * as Retry from "../Schedule/Retry.js"
import * as RetryPolicy from "../Schedule/RetryPolicy.js"
import { Engine } from "./Engine.js"
import type { AttemptFailure } from "./Event.js"
import type { AttemptEnd, AttemptFailed, AttemptInfo } from "./internal/attempt.js"
import type { Answer } from "./internal/command.js"
import { digest } from "./internal/digest.js"
import { originInReplay } from "./internal/guards.js"
import * as jsonCodec from "./internal/jsonCodec.js"
import { Run } from "./Run.js"
import { ActivityError } from "./WorkflowError.js"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  AttemptInfo
} from "./internal/attempt.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Workflow/Activity")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The attempt that the current fiber is. Only the handler of an activity has one.
 *
 * @since 0.1.0
 * @category services
 */
export class Attempt extends Context.Tag("holdfast/Workflow/Activity/Attempt")<Attempt, AttemptInfo>() {}

/**
 * The definition of an activity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Activity<in out Payload, in out Success, in out Error> {
  readonly [TypeId]: TypeId
  readonly name: string
  /**
   * Asks for the activity and waits for its end; to be used in the body of a workflow. Interrupting it (a lost race, a
   * time-out) cancels the activity.
   *
   * Fails with the activity's own error, or with an {@link ActivityError} when it timed out, died, or does not fit its
   * schemas.
   */
  readonly execute: (payload: Payload) => Effect.Effect<Success, Error | ActivityError, Run>
  /**
   * The code of the activity, registered with the {@link Engine} for as long as the layer lives.
   */
  readonly toLayer: <R>(
    handler: (payload: Payload) => Effect.Effect<Success, Error, R>
  ) => Layer.Layer<never, never, Engine | Exclude<R, Attempt | Scope.Scope>>
  /** @internal */
  readonly encodePayload: (payload: Payload) => Either.Either<string | null, string>
  /** @internal */
  readonly decodePayload: (text: string | null) => Either.Either<Payload, string>
  /** @internal */
  readonly resultOf: (answer: Answer) => Effect.Effect<Success, Error | ActivityError>
}

/**
 * Defines an activity.
 *
 * - `payload`, `success`: stored as JSON through their schemas; omitted: `void`.
 * - `error`: how it may fail; omitted: `never`.
 * - `retry`: what to do when an attempt fails, dies or times out; omitted: one attempt. An error that is marked with
 *   `Retry.nonRetryable` or `Retry.retryAfter` has its say. A crash of the process is no failed attempt: the activity
 *   simply runs again.
 * - `startToClose`: how long one attempt may take; omitted: as long as it likes.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Backoff, RetryPolicy } from "holdfast/Schedule"
 * import { Activity } from "holdfast/Workflow"
 *
 * class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {}) {}
 *
 * const Charge = Activity.make("Charge", {
 *   payload: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
 *   success: Schema.String,
 *   error: CardDeclined,
 *   startToClose: "30 seconds",
 *   retry: RetryPolicy.make({ retries: 5, backoff: Backoff.exponential("1 second"), nonRetryable: ["CardDeclined"] })
 * })
 *
 * const ChargeLive = Charge.toLayer(({ cents, order }) =>
 *   Effect.map(Activity.idempotencyKey, (key) => `${key} ${order} ${cents}`)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <
  Payload = void,
  PayloadI = Payload,
  Success = void,
  SuccessI = Success,
  Error = never,
  ErrorI = Error
>(
  name: string,
  options?: {
    readonly payload?: Schema.Schema<Payload, PayloadI> | undefined
    readonly success?: Schema.Schema<Success, SuccessI> | undefined
    readonly error?: Schema.Schema<Error, ErrorI> | undefined
    readonly retry?: RetryPolicy.RetryPolicy | undefined
    readonly startToClose?: Duration.DurationInput | undefined
  }
): Activity<Payload, Success, Error> => {
  const read = reader("Activity.make")
  if (name === "") read.refuse("name", name, "a non-empty text")
  const payload = jsonCodec.make((options?.payload ?? Schema.Void) as Schema.Schema<Payload, unknown>)
  const success = jsonCodec.make((options?.success ?? Schema.Void) as Schema.Schema<Success, unknown>)
  const error = jsonCodec.make((options?.error ?? Schema.Never) as Schema.Schema<Error, unknown>)
  const terms = {
    ...(options?.retry === undefined ? {} : { retry: RetryPolicy.encode(options.retry) }),
    ...(options?.startToClose === undefined
      ? {}
      : { startToClose: read.positiveDuration("startToClose", options.startToClose) })
  }
  const unfit = (attempts: number, detail: string) =>
    new ActivityError({ reason: "Codec", activity: name, attempts, detail })

  const resultOf = (answer: Answer): Effect.Effect<Success, Error | ActivityError> => {
    if (answer._tag === "ActivityCompleted") {
      return Either.mapLeft(success.decode(answer.payload), (problem) => unfit(1, `its stored success: ${problem}`))
    }
    if (answer._tag !== "ActivityFailed") return Effect.dieMessage(`activity ${name} was answered by ${answer._tag}`)
    const { attempts, failure } = answer
    return failure.reason === "Failure"
      ? Either.match(error.decode(answer.payload), {
        onLeft: (problem) => Effect.fail(unfit(attempts, `its stored error: ${problem}`)),
        onRight: Effect.fail
      })
      : Effect.fail(new ActivityError({ reason: failure.reason, activity: name, attempts, detail: failure.message }))
  }

  const failed = (failure: AttemptFailure, payload: string | null = null): AttemptFailed => ({
    _tag: "Failed",
    failure,
    payload
  })

  const endOf = (exit: Exit.Exit<Success, Error>): AttemptEnd => {
    if (Exit.isSuccess(exit)) {
      return Either.match(success.encode(exit.value), {
        onLeft: (problem) => failed({ reason: "Codec", message: `its success does not fit the schema: ${problem}` }),
        onRight: (payload): AttemptEnd => ({ _tag: "Completed", payload })
      })
    }
    const failure = Cause.failureOption(exit.cause)
    if (Option.isNone(failure)) return failed({ reason: "Defect", message: Cause.pretty(exit.cause) })
    const { value } = failure
    return Either.match(error.encode(value), {
      onLeft: (problem) => failed({ reason: "Codec", message: `its error does not fit the schema: ${problem}` }),
      onRight: (payload) => {
        const tag = hasProperty(value, "_tag") && typeof value._tag === "string" ? { tag: value._tag } : {}
        return {
          ...failed({ reason: "Failure", ...tag, message: Cause.pretty(Cause.fail(value)) }, payload),
          nonRetryable: Retry.isNonRetryable(value),
          retryAfter: Option.getOrUndefined(Option.map(Retry.retryAfterOf(value), Duration.toMillis))
        }
      }
    })
  }

  return {
    [TypeId]: TypeId,
    name,
    encodePayload: payload.encode,
    decodePayload: payload.decode,
    resultOf,
    execute: (value) => {
      const origin = originInReplay()
      return Effect.flatMap(Run, (run) =>
        Either.match(payload.encode(value), {
          onLeft: (problem) => Effect.fail(unfit(0, `its payload does not fit the schema: ${problem}`)),
          onRight: (text) => {
            const refusal = run.refusal(`activity ${name}`, text)
            if (refusal !== undefined) return Effect.fail(unfit(0, `its payload is refused: ${refusal}`))
            return Effect.flatMap(
              run.ask(
                {
                  _tag: "ActivityScheduled",
                  activity: name,
                  at: run.now,
                  digest: digest(text),
                  ...terms,
                  payload: text
                },
                (target) => ({ _tag: "ActivityCancelled", target }),
                origin
              ),
              resultOf
            )
          }
        }))
    },
    toLayer: <R>(handler: (payload: Payload) => Effect.Effect<Success, Error, R>) =>
      Layer.scopedDiscard(
        Effect.gen(function*() {
          const engine = yield* Engine
          const runtime = yield* Effect.runtime<Exclude<R, Attempt | Scope.Scope>>()
          yield* engine.addActivity({
            name,
            launch: (text, info, finish) => {
              // Made here, so that the fiber starts with it: `Effect.scoped` would provide it to a fiber that runs already.
              const scope = Effect.runSync(Scope.make())
              const attempt = Either.match(payload.decode(text), {
                onLeft: (problem) =>
                  Effect.succeed(
                    failed({ reason: "Codec", message: `its payload does not fit the schema: ${problem}` })
                  ),
                onRight: (value) =>
                  Effect.map(
                    Effect.exit(
                      Effect.onExit(Effect.suspend(() => handler(value)), (exit) => Scope.close(scope, exit))
                    ),
                    endOf
                  )
              })
              const context = runtime.context.pipe(
                Context.add(Attempt, info),
                Context.add(Scope.Scope, scope)
              ) as Context.Context<R>
              return Runtime.runFork(Runtime.make({ ...runtime, context }))(finish(attempt), { immediate: false })
            }
          })
        })
      )
  }
}

/**
 * Which attempt of which activity this is.
 *
 * @since 0.1.0
 * @category accessors
 */
export const info: Effect.Effect<AttemptInfo, never, Attempt> = Attempt

/**
 * A text that is the same in every attempt of this activity, and in no other activity of any run.
 *
 * @since 0.1.0
 * @category accessors
 */
export const idempotencyKey: Effect.Effect<string, never, Attempt> = Effect.map(Attempt, (info) => info.idempotencyKey)
