/**
 * Durable workflows: ordinary Effects that outlive their process.
 *
 * The body of a workflow is an Effect like any other. What it waits for is journaled: activities, and time. So
 * `Effect.sleep`, `timeout`, `retry` with any Schedule, `race`, `all`, `fork`, `Queue`, `Deferred` and this package's own
 * combinators are durable inside it without being rewritten. What it must not do is reach outside: a body that requires
 * a service does not compile, and one that calls `fetch` or waits for a promise is stopped with an error that says so.
 * Such work belongs in an activity.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"
import { Engine } from "./Engine.js"
import type { ChildClosed, ChildScheduled, Closing } from "./Event.js"
import * as jsonCodec from "./internal/codec/jsonCodec.js"
import { checkName, idProblem } from "./internal/codec/storableText.js"
import type { Draft, Resolution } from "./internal/turn/command.js"
import { delivered } from "./internal/turn/delivered.js"
import { digest } from "./internal/turn/digest.js"
import type { Program } from "./internal/turn/execution.js"
import { originInReplay } from "./internal/turn/guards.js"
import type { Outcome } from "./internal/turn/outcome.js"
import { type Cancellation, Run, type RunInfo, type RunService } from "./Run.js"
import type { Signal } from "./Signal.js"
import { ActivityError, type InvalidPayload, type RunEnded, RunFailed, type RunNotFound } from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Workflow/Workflow")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * No service is one of these. It stands in the type of {@link Workflow.toLayer} so that the compile error of a body that
 * requires a database or an HTTP client says where that belongs.
 *
 * @since 0.1.0
 * @category models
 */
export interface UseOtherServicesInAnActivity {
  readonly [NoService]: never
}

declare const NoService: unique symbol

/**
 * The definition of a workflow: its name and the schemas of what goes in and comes out. Clients need only this.
 *
 * @since 0.1.0
 * @category models
 */
export interface Workflow<in out Payload, in out Success, in out Error> {
  readonly [TypeId]: TypeId
  readonly name: string
  /**
   * The code of the workflow, registered with the {@link Engine} for as long as the layer lives.
   *
   * The body may fail with the workflow's own error, or let an {@link ActivityError} pass, or the {@link RunFailed} of a
   * child.
   */
  readonly toLayer: <R extends Run | Scope.Scope | UseOtherServicesInAnActivity>(
    body: (payload: Payload) => Effect.Effect<Success, Error | ActivityError | RunFailed, R>
  ) => Layer.Layer<never, never, Engine>
  /**
   * Ends the run, and has another one of the same id go on with this payload and an empty history: for a workflow that
   * lives long. To be used in the body of this workflow; its finalizers run first. Signals that nobody has taken go along.
   */
  readonly continueAsNew: (payload: Payload) => Effect.Effect<never, never, Run>
  /** @internal */
  readonly encodePayload: (payload: Payload) => Either.Either<string | null, string>
  /** @internal */
  readonly decodePayload: (text: string | null) => Either.Either<Payload, string>
  /** @internal */
  readonly exitOf: (
    run: { readonly workflowId: string; readonly runId: string },
    closed: Closing | ChildClosed
  ) => Exit.Exit<Success, Error | ActivityError | RunFailed>
  /** @internal */
  readonly program: (
    body: (payload: Payload) => Effect.Effect<Success, Error | ActivityError | RunFailed, Run | Scope.Scope>
  ) => Program
}

/**
 * Defines a workflow.
 *
 * The name is what its histories are stored under: it must not change while runs are open, and no two workflows of one
 * engine may share it. Payload, success and error are stored as JSON through their schemas. An omitted payload or success
 * is `void`, an omitted error is `never`.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Activity, Workflow } from "holdfast/Workflow"
 *
 * const Charge = Activity.make("Charge", {
 *   payload: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
 *   success: Schema.String
 * })
 *
 * const Order = Workflow.make("Order", {
 *   payload: Schema.Struct({ id: Schema.String, cents: Schema.Number }),
 *   success: Schema.String
 * })
 *
 * const OrderLive = Order.toLayer((order) =>
 *   Effect.gen(function*() {
 *     const receipt = yield* Charge.execute({ order: order.id, cents: order.cents })
 *     yield* Effect.sleep("7 days")
 *     return receipt
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
  ErrorI = Error
>(
  name: string,
  options?: {
    readonly payload?: Schema.Schema<Payload, PayloadI> | undefined
    readonly success?: Schema.Schema<Success, SuccessI> | undefined
    readonly error?: Schema.Schema<Error, ErrorI> | undefined
  }
): Workflow<Payload, Success, Error> => {
  checkName(reader("Workflow.make"), "name", name)
  const payload = jsonCodec.make((options?.payload ?? Schema.Void) as Schema.Schema<Payload, unknown>)
  const success = jsonCodec.make((options?.success ?? Schema.Void) as Schema.Schema<Success, unknown>)
  const error = jsonCodec.make(
    Schema.Union((options?.error ?? Schema.Never) as Schema.Schema<Error, unknown>, ActivityError, RunFailed)
  )

  const outcomeOf = (exit: Exit.Exit<Success, Error | ActivityError | RunFailed>): Outcome => {
    const encoded = Exit.match(exit, {
      onSuccess: (value): Either.Either<Outcome, string> =>
        Either.map(success.encode(value), (payload) => ({ outcome: "Success", payload })),
      onFailure: (cause) => {
        const continued = Cause.dieOption(cause).pipe(Option.filter((defect) => defect instanceof Continue))
        if (Option.isSome(continued)) {
          return Either.right<Outcome>({ outcome: "Continued", payload: continued.value.payload })
        }
        return Option.match(Cause.failureOption(cause), {
          onSome: (failure): Either.Either<Outcome, string> =>
            Either.map(error.encode(failure), (payload) => ({ outcome: "Failure", payload })),
          onNone: (): Either.Either<Outcome, string> =>
            Either.right({
              outcome: Cause.isInterruptedOnly(cause) ? "Interrupted" : "Defect",
              message: Cause.pretty(cause),
              payload: null
            })
        })
      }
    })
    return Either.getOrElse(encoded, (problem): Outcome => ({
      outcome: "Defect",
      message: `the ${
        Exit.isSuccess(exit) ? "success" : "error"
      } of workflow ${name} does not fit its schema: ${problem}`,
      payload: null
    }))
  }

  const self: Workflow<Payload, Success, Error> = {
    [TypeId]: TypeId,
    name,
    encodePayload: payload.encode,
    decodePayload: payload.decode,
    continueAsNew: (value) =>
      Effect.flatMap(Run, (run) =>
        run.info.workflow !== name
          ? Effect.dieMessage(`a run of workflow ${run.info.workflow} cannot continue as one of ${name}`)
          : Either.match(payload.encode(value), {
            onLeft: (problem) =>
              Effect.dieMessage(`the payload to continue with does not fit the schema of workflow ${name}: ${problem}`),
            onRight: (text) => Effect.die(new Continue(text))
          })),
    program: (body) => (text) =>
      Either.match(payload.decode(text), {
        onLeft: (problem) =>
          Effect.succeed<Outcome>({
            outcome: "Defect",
            message: `the payload of workflow ${name} does not fit its schema: ${problem}`,
            payload: null
          }),
        onRight: (value) => Effect.map(Effect.exit(Effect.scoped(body(value))), outcomeOf)
      }),
    toLayer: (body) =>
      Layer.scopedDiscard(
        Effect.flatMap(Engine, (engine) =>
          engine.addWorkflow({
            name,
            exitOf: self.exitOf,
            // The type of `body` has made sure that it requires nothing else.
            program: self.program(
              body as (payload: Payload) => Effect.Effect<Success, Error | ActivityError | RunFailed, Run | Scope.Scope>
            )
          }))
      ),
    exitOf: (run, closed) => {
      const failed = (reason: RunFailed["reason"], detail: string) =>
        Exit.fail(new RunFailed({ reason, workflowId: run.workflowId, runId: run.runId, detail }))
      if (closed._tag === "RunTerminated") return failed("Terminated", closed.reason)
      if (closed._tag === "RunTimedOut") return failed("TimedOut", "it took longer than it may")
      switch (closed.outcome) {
        case "Success":
          return Either.match(success.decode(closed.payload), {
            onLeft: (problem) => failed("Codec", `its success does not fit the schema: ${problem}`),
            onRight: Exit.succeed
          })
        case "Failure":
          return Either.match(error.decode(closed.payload), {
            onLeft: (problem) => failed("Codec", `its error does not fit the schema: ${problem}`),
            onRight: Exit.fail
          })
        case "Continued":
          return failed("Continued", `it goes on as run ${closed.next}`)
        default:
          return failed(closed.outcome, closed.message ?? "")
      }
    }
  }
  return self
}

/**
 * How a child is started.
 *
 * - `id`: its workflow id; what makes starting it idempotent.
 * - `parentClose`: what becomes of it when the parent ends before it: it is terminated (the default), asked to end, or
 *   abandoned.
 * - `conflict`, `reuse`: what to do when the id has a run already: one that is open (`attach` to it, the default) or one
 *   that has closed (`always` begin a new one, the default).
 * - `runTimeout`: how long it, and each run that goes on from it, may take.
 * - `executionTimeout`: how long all of these may take together.
 *
 * @since 0.1.0
 * @category models
 */
export type ChildOptions<Payload> =
  & {
    readonly id: string
    readonly parentClose?: ChildScheduled["parentClose"] | undefined
    readonly conflict?: ChildScheduled["conflict"] | undefined
    readonly reuse?: ChildScheduled["reuse"] | undefined
    readonly runTimeout?: Duration.DurationInput | undefined
    readonly executionTimeout?: Duration.DurationInput | undefined
  }
  & (void extends Payload ? { readonly payload?: Payload } : { readonly payload: Payload })

/**
 * A child that has been asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Child<out Success, out Error> {
  readonly workflowId: string
  /** Waits until the child has ended, or the last of the runs that have gone on from it. To interrupt this cancels nothing. */
  readonly result: Effect.Effect<Success, Error | ActivityError | RunFailed>
  /** Asks the child to end; succeeds once that is in its journal. */
  readonly cancel: (options?: {
    readonly reason?: string | undefined
  }) => Effect.Effect<void, RunNotFound | RunEnded, Run>
  /** Sends the child a signal. */
  readonly signal: <Payload>(
    signal: Signal<Payload>,
    payload: Payload,
    options?: { readonly id?: string | undefined }
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded, Run>
}

/**
 * Starts another workflow as a child, and goes on; to be used in the body of a workflow.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const Shipment = Workflow.make("Shipment")
 *
 * const body = Effect.gen(function*() {
 *   const shipment = yield* Workflow.startChild(Shipment, { id: "shipment-7", parentClose: "abandon" })
 *   yield* Effect.sleep("1 hour")
 *   yield* shipment.result
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const startChild = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  options: ChildOptions<Payload>
): Effect.Effect<Child<Success, Error>, RunFailed, Run> =>
  Effect.flatMap(Run, (run) =>
    Effect.map(scheduled(run, workflow, options), (draft) => {
      const answer = Deferred.unsafeMake<Resolution>(FiberId.none)
      run.begin(draft, (given) => Deferred.unsafeDone(answer, Effect.succeed(given)))
      const { id } = options
      return {
        workflowId: id,
        result: Effect.flatMap(Deferred.await(answer), (given) => exitOfChild(workflow, id, given)),
        cancel: (why) => cancel(id, why),
        signal: (signal, payload, more) => signal.send(id, payload, more)
      }
    }))

/**
 * Runs another workflow as a child and waits for its end; to be used in the body of a workflow. Interrupting it (a lost
 * race, a time-out) asks the child to end, unless its `parentClose` is `abandon`.
 *
 * Fails with the child's own error, or with {@link RunFailed} when it ended without a result.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const Shipment = Workflow.make("Shipment", { payload: Schema.String, success: Schema.String })
 *
 * const body = Effect.forEach(
 *   ["lamp", "chair"],
 *   (item) => Workflow.executeChild(Shipment, { id: `shipment-${item}`, payload: item }),
 *   { concurrency: "unbounded" }
 * )
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const executeChild = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  options: ChildOptions<Payload>
): Effect.Effect<Success, Error | ActivityError | RunFailed, Run> =>
  Effect.flatMap(Run, (run) =>
    scheduled(run, workflow, options).pipe(
      Effect.flatMap((draft) => run.issue(draft, (target) => ({ _tag: "ChildCancelled", target, at: run.now }))),
      Effect.flatMap((given) => exitOfChild(workflow, options.id, given))
    ))

/**
 * Asks the run of another workflow id to end; to be used in the body of a workflow.
 *
 * @since 0.1.0
 * @category operations
 */
export const cancel = (
  id: string,
  options?: { readonly reason?: string | undefined }
): Effect.Effect<void, RunNotFound | RunEnded, Run> =>
  Effect.flatMap(Run, (run) =>
    Effect.flatMap(
      run.issue({ _tag: "CancelSent", workflowId: id, at: run.now, reason: options?.reason ?? "" }, () => undefined),
      (given) => delivered(id, given)
    ))

const scheduled = <Payload, Success, Error>(
  run: RunService,
  workflow: Workflow<Payload, Success, Error>,
  options: ChildOptions<Payload>
): Effect.Effect<Draft, RunFailed> => {
  const { positiveDuration } = reader("Workflow.executeChild")
  const {
    conflict = "attach",
    executionTimeout,
    id,
    parentClose = "terminate",
    payload,
    reuse = "always",
    runTimeout
  } = options
  const unfit = (detail: string) => new RunFailed({ reason: "Codec", workflowId: id, runId: "", detail })
  const badId = idProblem(id)
  if (badId !== undefined) return unfit(badId)
  return Either.match(workflow.encodePayload(payload as Payload), {
    onLeft: (problem) => unfit(`its payload does not fit the schema: ${problem}`),
    onRight: (text) => {
      const refusal = run.refusal(`child ${workflow.name}`, text)
      if (refusal !== undefined) return unfit(`its payload is refused: ${refusal}`)
      return Effect.sync((): Draft => ({
        _tag: "ChildScheduled",
        workflow: workflow.name,
        workflowId: id,
        at: run.now,
        parentClose,
        conflict,
        reuse,
        ...(runTimeout === undefined ? {} : { runTimeout: positiveDuration("runTimeout", runTimeout) }),
        ...(executionTimeout === undefined
          ? {}
          : { executionDeadline: run.now + positiveDuration("executionTimeout", executionTimeout) }),
        digest: digest(text),
        payload: text
      }))
    }
  })
}

const exitOfChild = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  workflowId: string,
  answer: Resolution
): Effect.Effect<Success, Error | ActivityError | RunFailed> =>
  answer._tag === "ChildClosed"
    ? workflow.exitOf({ workflowId, runId: answer.runId }, answer)
    : Effect.dieMessage(`child ${workflowId} was answered by ${answer._tag}`)

/**
 * Who the current run is.
 *
 * @since 0.1.0
 * @category accessors
 */
export const info: Effect.Effect<RunInfo, never, Run> = Effect.map(Run, (run) => run.info)

/**
 * Waits until somebody wants the run to end, and tells why. By itself such a wish interrupts the workflow, and its
 * finalizers run as compensation; inside of `uncancellable` whoever waits for it decides what follows.
 *
 * @since 0.1.0
 * @category accessors
 */
export const cancellation: Effect.Effect<Cancellation, never, Run> = Effect.flatMap(
  Run,
  (run) => run.cancellationState.awaited
)

/**
 * While this runs, a wish that the run should end interrupts nothing. Code that has seen it, by `cancellation`, answers
 * for what follows, and may still give a result; a wish that nobody has seen interrupts the run afterwards.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * declare const deliver: Effect.Effect<string>
 *
 * const body = Workflow.uncancellable(
 *   Effect.raceFirst(deliver, Effect.map(Workflow.cancellation, ({ reason }) => `called off: ${reason}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const uncancellable = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Run> =>
  Effect.flatMap(Run, (run) => run.cancellationState.shielded(self))

/**
 * Waits until a condition holds that other fibers of the run, or signals, bring about. It is looked at whenever nothing
 * else of the run can go on, and must change nothing.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const body = Effect.gen(function*() {
 *   let delivered = 0
 *   yield* Effect.fork(Effect.delay(Effect.sync(() => delivered++), "1 day"))
 *   yield* Workflow.until(() => delivered === 1)
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const until = (holds: () => boolean): Effect.Effect<void, never, Run> =>
  Effect.flatMap(Run, (run) => run.conditions.until(holds))

/**
 * Works something out that cannot be repeated, such as a random id or what the process's environment says, and keeps it in
 * the journal: a replay gives the same value without working it out again. It is for what is short and cannot fail;
 * anything that touches the world is an activity.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const body = Effect.gen(function*() {
 *   const token = yield* Workflow.sideEffect("token", Schema.String, () => crypto.randomUUID())
 *   return token
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const sideEffect = <A, I>(
  label: string,
  schema: Schema.Schema<A, I>,
  compute: () => A
): Effect.Effect<A, never, Run> => {
  const origin = originInReplay()
  const codec = jsonCodec.make(schema as Schema.Schema<A, unknown>)
  const orDie = <B>(either: Either.Either<B, string>): B =>
    Either.getOrThrowWith(
      either,
      (problem) => new Error(`side effect ${label} gave a value that does not fit its schema: ${problem}`)
    )
  return Effect.map(Run, (run) => orDie(codec.decode(run.record(label, () => orDie(codec.encode(compute())), origin))))
}

/**
 * Whether the run may go the way of a change in its code: `false` for a run that has come by here before the change was
 * deployed, `true` for every other. The answer is kept in the journal, and is the same wherever the run asks again. It lets
 * open runs go on while the code of their workflow changes; the old way may be removed when no such run is open.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Workflow } from "holdfast/Workflow"
 *
 * declare const chargeTwice: Effect.Effect<void>
 * declare const chargeOnce: Effect.Effect<void>
 *
 * const body = Effect.if(Workflow.patched("charge-once"), {
 *   onTrue: () => chargeOnce,
 *   onFalse: () => chargeTwice
 * })
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const patched = (id: string): Effect.Effect<boolean, never, Run> => Effect.map(Run, (run) => run.patched(id))

/** How `continueAsNew` leaves the body: no error of its own, so that nothing but the end of the run takes it. */
class Continue {
  constructor(readonly payload: string | null) {}
}
