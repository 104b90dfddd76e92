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
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
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
import type { ActivityScheduled, AttemptFailure } from "./Event.js"
import { type AttemptEnd, type AttemptFailed, type AttemptInfo, Channel } from "./internal/activity/attempt.js"
import * as jsonCodec from "./internal/codec/jsonCodec.js"
import { checkName } from "./internal/codec/storableText.js"
import type { Resolution } from "./internal/turn/command.js"
import { digest } from "./internal/turn/digest.js"
import { originInReplay } from "./internal/turn/guards.js"
import { Run } from "./Run.js"
import { ActivityError } from "./WorkflowError.js"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  AttemptInfo
} from "./internal/activity/attempt.js"

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
 * What a handler gives whose activity ends from outside: see {@link outside}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outside {
  readonly [OutsideTypeId]: typeof OutsideTypeId
}

const OutsideTypeId: unique symbol = Symbol.for("holdfast/Workflow/Activity/Outside")

/**
 * How an activity is run. All durations are positive.
 *
 * - `retry`: what to do when an attempt fails, dies, takes too long or falls silent; omitted: one attempt. An error that is
 *   marked with `Retry.nonRetryable` or `Retry.retryAfter` has its say. A crash of the process is no failed attempt: it is
 *   made again, under the same number.
 * - `startToClose`: how long one attempt may take. What takes longer is interrupted, and counts as a failed attempt.
 * - `heartbeat`: how long an attempt may go without a heartbeat; what is silent for longer counts as a failed attempt too.
 * - `scheduleToStart`: how long it may wait for its first attempt to start. Then it fails for good.
 * - `scheduleToClose`: how long all its attempts and the waits between them may take. Then it fails for good, and so it does
 *   at once when the next attempt would start too late. It says why the last attempt failed.
 * - `queue`: where its attempts are made: by any engine that serves this queue and has a handler; omitted: by the worker
 *   that owns the run.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions {
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly startToClose?: Duration.DurationInput | undefined
  readonly heartbeat?: Duration.DurationInput | undefined
  readonly scheduleToStart?: Duration.DurationInput | undefined
  readonly scheduleToClose?: Duration.DurationInput | undefined
  readonly queue?: string | undefined
}

/**
 * The definition of an activity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Activity<in out Payload, in out Success, in out Error, in out Details = void> {
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
   * The same activity, run otherwise: what is given here takes the place of what its definition says. Throws
   * `InvalidOptions` when an option can never work.
   */
  readonly withOptions: (options: RunOptions) => Activity<Payload, Success, Error, Details>
  /**
   * Tells that the attempt is alive, and how far it has come; to be used in the handler. It does not wait: every heartbeat
   * counts at once, and about one per second is written, but those that a failed attempt has given last always are.
   *
   * The attempt is interrupted when it turns out that nobody waits for it any more. Details that do not fit their schema end
   * the attempt with the reason `Codec`.
   */
  readonly heartbeat: (details: Details) => Effect.Effect<void, never, Attempt>
  /**
   * The details of the last heartbeat of the attempts before this one, for going on where they were; to be used in the
   * handler.
   */
  readonly lastHeartbeat: Effect.Effect<Option.Option<Details>, never, Attempt>
  /**
   * The code of the activity, registered with the {@link Engine} for as long as the layer lives. It may leave the end to
   * somebody {@link outside}.
   */
  readonly toLayer: <R>(
    handler: (payload: Payload) => Effect.Effect<Success, Error, R> | Effect.Effect<Success | Outside, Error, R>
  ) => Layer.Layer<never, never, Engine | Exclude<R, Attempt | Scope.Scope>>
  /** @internal */
  readonly encodeSuccess: (value: Success) => Either.Either<string | null, string>
  /** @internal */
  readonly encodeError: (error: Error) => Either.Either<AttemptFailed, string>
  /** @internal */
  readonly encodeDetails: (details: Details) => Either.Either<string | null, string>
  /** @internal */
  readonly decodeDetails: (text: string | null) => Either.Either<Details, string>
  /** @internal */
  readonly encodePayload: (payload: Payload) => Either.Either<string | null, string>
  /** @internal */
  readonly decodePayload: (text: string | null) => Either.Either<Payload, string>
  /** @internal */
  readonly resultOf: (answer: Resolution) => Effect.Effect<Success, Error | ActivityError>
}

/**
 * Defines an activity.
 *
 * - `payload`, `success`: stored as JSON through their schemas; omitted: `void`.
 * - `error`: how it may fail; omitted: `never`.
 * - `heartbeatDetails`: what its heartbeats tell; omitted: nothing.
 * - the rest: how it is run, see {@link RunOptions}. This travels with the command, so that a later change of the code does
 *   not change what was asked for.
 *
 * @example
 * ```ts
 * import { Effect, Option, Schema } from "effect"
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
 *
 * // Goes on where the attempt before was.
 * const Import = Activity.make("Import", {
 *   heartbeatDetails: Schema.Struct({ line: Schema.Number }),
 *   heartbeat: "1 minute",
 *   retry: RetryPolicy.make({ retries: 5, backoff: Backoff.exponential("1 second") })
 * })
 *
 * const ImportLive = Import.toLayer(() =>
 *   Effect.gen(function*() {
 *     const last = yield* Import.lastHeartbeat
 *     const from = Option.match(last, { onNone: () => 0, onSome: ({ line }) => line })
 *     for (let line = from; line < 1_000; line++) yield* Import.heartbeat({ line })
 *   })
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
  ErrorI = Error,
  Details = void,
  DetailsI = Details
>(
  name: string,
  options?: RunOptions & {
    readonly payload?: Schema.Schema<Payload, PayloadI> | undefined
    readonly success?: Schema.Schema<Success, SuccessI> | undefined
    readonly error?: Schema.Schema<Error, ErrorI> | undefined
    readonly heartbeatDetails?: Schema.Schema<Details, DetailsI> | undefined
  }
): Activity<Payload, Success, Error, Details> => {
  const read = reader("Activity.make")
  checkName(read, "name", name)
  const terms = termsOf(read, options ?? {})
  const codecs: Codecs<Payload, Success, Error, Details> = {
    payload: jsonCodec.make((options?.payload ?? Schema.Void) as Schema.Schema<Payload, unknown>),
    success: jsonCodec.make((options?.success ?? Schema.Void) as Schema.Schema<Success, unknown>),
    error: jsonCodec.make((options?.error ?? Schema.Never) as Schema.Schema<Error, unknown>),
    details: jsonCodec.make((options?.heartbeatDetails ?? Schema.Void) as Schema.Schema<Details, unknown>)
  }
  return activity(name, codecs, terms)
}

type Terms = Pick<
  ActivityScheduled,
  "retry" | "scheduleToStart" | "startToClose" | "scheduleToClose" | "heartbeat" | "queue"
>

interface Codecs<Payload, Success, Error, Details> {
  readonly payload: jsonCodec.JsonCodec<Payload>
  readonly success: jsonCodec.JsonCodec<Success>
  readonly error: jsonCodec.JsonCodec<Error>
  readonly details: jsonCodec.JsonCodec<Details>
}

const limits = ["scheduleToStart", "startToClose", "scheduleToClose", "heartbeat"] as const

const termsOf = (read: ReturnType<typeof reader>, options: RunOptions): Terms => {
  const { queue, retry } = options
  if (queue !== undefined) checkName(read, "queue", queue)
  const durations = limits.flatMap((limit) => {
    const duration = options[limit]
    return duration === undefined ? [] : [[limit, read.positiveDuration(limit, duration)] as const]
  })
  return {
    ...(retry === undefined ? {} : { retry: RetryPolicy.encode(retry) }),
    ...Object.fromEntries(durations),
    ...(queue === undefined ? {} : { queue })
  }
}

/** What a handler did wrong that ends its attempt for good. */
class Unfit {
  constructor(readonly message: string) {}
}

const activity = <Payload, Success, Error, Details>(
  name: string,
  codecs: Codecs<Payload, Success, Error, Details>,
  terms: Terms
): Activity<Payload, Success, Error, Details> => {
  const { details, error, payload, success } = codecs
  const unfit = (attempts: number, detail: string) =>
    new ActivityError({ reason: "Codec", activity: name, attempts, detail })

  const resultOf = (answer: Resolution): Effect.Effect<Success, Error | ActivityError> => {
    if (answer._tag === "ActivityCompleted") {
      return Either.mapLeft(success.decode(answer.payload), (problem) => unfit(1, `its stored success: ${problem}`))
    }
    if (answer._tag !== "ActivityFailed") return Effect.dieMessage(`activity ${name} was answered by ${answer._tag}`)
    const { attempts, failure: { message: detail, reason, timeout } } = answer
    return reason === "Failure"
      ? Either.match(error.decode(answer.payload), {
        onLeft: (problem) => Effect.fail(unfit(attempts, `its stored error: ${problem}`)),
        onRight: Effect.fail
      })
      : Effect.fail(new ActivityError({ reason, timeout, activity: name, attempts, detail }))
  }

  const failed = (failure: AttemptFailure, payload: string | null = null): AttemptFailed => ({
    _tag: "Failed",
    failure,
    payload
  })

  const encodeError = (value: Error): Either.Either<AttemptFailed, string> =>
    Either.map(error.encode(value), (payload) => {
      const tag = hasProperty(value, "_tag") && typeof value._tag === "string" ? { tag: value._tag } : {}
      return {
        ...failed({ reason: "Failure", ...tag, message: Cause.pretty(Cause.fail(value)) }, payload),
        nonRetryable: Retry.isNonRetryable(value),
        retryAfter: Option.getOrUndefined(Option.map(Retry.retryAfterOf(value), Duration.toMillis))
      }
    })

  const endOf = (exit: Exit.Exit<Success | Outside, Error>): AttemptEnd => {
    if (Exit.isSuccess(exit)) {
      return isOutside(exit.value) ? { _tag: "Outside" } : Either.match(success.encode(exit.value), {
        onLeft: (problem) => failed({ reason: "Codec", message: `its success does not fit the schema: ${problem}` }),
        onRight: (payload): AttemptEnd => ({ _tag: "Completed", payload })
      })
    }
    const unfit = Option.filter(Cause.dieOption(exit.cause), (defect) => defect instanceof Unfit)
    if (Option.isSome(unfit)) return failed({ reason: "Codec", message: unfit.value.message })
    const failure = Cause.failureOption(exit.cause)
    if (Option.isNone(failure)) return failed({ reason: "Defect", message: Cause.pretty(exit.cause) })
    return Either.getOrElse(
      encodeError(failure.value),
      (problem) => failed({ reason: "Codec", message: `its error does not fit the schema: ${problem}` })
    )
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
              run.issue(
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
    withOptions: (options) => activity(name, codecs, { ...terms, ...termsOf(reader("Activity.withOptions"), options) }),
    heartbeat: (value) =>
      Effect.zipRight(
        Attempt,
        Effect.flatMap(Channel, (channel) =>
          Either.match(details.encode(value), {
            onLeft: (problem) => Effect.die(new Unfit(`its heartbeat details do not fit the schema: ${problem}`)),
            onRight: (text) => Effect.sync(() => channel.beat(text))
          }))
      ),
    lastHeartbeat: Effect.zipRight(
      Attempt,
      Effect.flatMap(Channel, (channel) =>
        channel.details === undefined
          ? Effect.succeedNone
          : Either.match(details.decode(channel.details), {
            onLeft: (problem) => Effect.die(new Unfit(`the last heartbeat details do not fit the schema: ${problem}`)),
            onRight: Effect.succeedSome
          }))
    ),
    toLayer: <R>(
      handler: (payload: Payload) => Effect.Effect<Success, Error, R> | Effect.Effect<Success | Outside, Error, R>
    ) =>
      Layer.scopedDiscard(
        Effect.gen(function*() {
          const engine = yield* Engine
          const runtime = yield* Effect.runtime<Exclude<R, Attempt | Scope.Scope>>()
          yield* engine.addActivity({
            name,
            scheduler: FiberRefs.getOrDefault(runtime.fiberRefs, FiberRef.currentScheduler),
            launcher: (scheduler) => {
              const fiberRefs = Runtime.setFiberRef(runtime, FiberRef.currentScheduler, scheduler).fiberRefs
              return (text, info, channel) => {
                // Made here, so that the fiber starts with it: `Effect.scoped` would provide it to a fiber that runs already.
                const scope = Effect.runSync(Scope.make())
                const attempt: Effect.Effect<AttemptEnd, never, R> = Either.match(payload.decode(text), {
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
                // One copy of the services, where each `Context.add` would make one.
                const services = new Map<string, unknown>(runtime.context.unsafeMap)
                services.set(Attempt.key, info).set(Scope.Scope.key, scope).set(Channel.key, channel)
                const context = Context.unsafeMake<R>(services)
                return Runtime.runFork(Runtime.make({ ...runtime, fiberRefs, context }))(attempt, { immediate: false })
              }
            }
          })
        })
      ),
    encodeSuccess: success.encode,
    encodeError,
    encodeDetails: details.encode,
    decodeDetails: details.decode
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

/**
 * The token of this attempt: a secret that lets its holder end the attempt from {@link outside}. Hand it to whoever is to do
 * that, in a row of a table, a link in a mail, a parameter of a callback, and to nobody else: whoever has it can complete the
 * activity with any value. It is no part of a history, and nothing here logs it; it is worth nothing once the attempt has
 * ended. Asked again, also by the same attempt after a crash, it is the same.
 *
 * @since 0.1.0
 * @category accessors
 */
export const token: Effect.Effect<string, never, Attempt> = Effect.zipRight(
  Attempt,
  Effect.flatMap(Channel, (channel) => channel.token)
)

const handedOver: Outside = { [OutsideTypeId]: OutsideTypeId }

const isOutside = (value: unknown): value is Outside => value === handedOver

/**
 * The result of a handler that has done its part, and whose activity will be ended by somebody else: with its {@link token},
 * by `Client.completeActivity` or `Client.failActivity`, from any process, now or in a year. Until then no fiber runs. Its
 * time-outs go on, and `Client.heartbeatActivity` gives its heartbeats.
 *
 * @example
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { Activity, Client } from "holdfast/Workflow"
 *
 * const Approval = Activity.make("Approval", { payload: Schema.String, success: Schema.Boolean })
 *
 * const ApprovalLive = Approval.toLayer((order) =>
 *   Effect.gen(function*() {
 *     yield* Console.log(`Please approve ${order}: ${yield* Activity.token}`)
 *     return yield* Activity.outside
 *   })
 * )
 *
 * const onClick = (token: string) => Client.completeActivity(Approval, token, true)
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const outside: Effect.Effect<Outside> = Effect.succeed(handedOver)
