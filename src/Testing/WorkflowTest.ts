/**
 * Tests of workflows: the layers of production run on the real engine, with stubs in place of the activities and children
 * that they call, and time goes by as fast as the workflow can follow.
 *
 * Nothing of the engine is imitated, so retries, back-off, time-outs, races, signals, cancellation and compensation are
 * the real ones. Time has its own clock, which moves when nothing else can go on, to the next thing that is due: a timer, the
 * end of a back-off, a stub that takes its time, something that the test has planned. Nothing waits in real time. The
 * `TestClock` has no part in it, so tests look the same under any runner.
 *
 * After a run its history is replayed over the same code, and a difference fails the test: so does a workflow that reads a
 * variable of its module. What is called and has neither a stub nor a layer fails the test as well, and names it.
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Schema } from "effect"
 * import { Backoff, RetryPolicy } from "holdfast/Schedule"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Activity, Signal, Workflow } from "holdfast/Workflow"
 *
 * class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
 *
 * const Charge = Activity.make("Charge", {
 *   payload: Schema.Number,
 *   success: Schema.String,
 *   error: Declined,
 *   retry: RetryPolicy.make({ retries: 2, backoff: Backoff.constant("1 minute") })
 * })
 * const Refund = Activity.make("Refund", { payload: Schema.String })
 * const Approved = Signal.make("Approved", { payload: Schema.String })
 * const Order = Workflow.make("Order", { payload: Schema.Number, success: Schema.String, error: Declined })
 *
 * const OrderLive = Order.toLayer((cents) =>
 *   Effect.gen(function*() {
 *     const receipt = yield* Charge.execute(cents)
 *     yield* Effect.addFinalizer((exit) => exit._tag === "Failure" ? Effect.orDie(Refund.execute(receipt)) : Effect.void)
 *     const by = yield* Effect.orDie(Approved.receive)
 *     return `${receipt}, approved by ${by}`
 *   })
 * )
 *
 * const test = WorkflowTest.make(OrderLive).pipe(
 *   WorkflowTest.stub(Charge, WorkflowTest.byAttempt([new Declined(), Effect.succeed("receipt")])),
 *   WorkflowTest.stub(Refund, Effect.void)
 * )
 *
 * it.scoped("an order is approved", () =>
 *   Effect.gen(function*() {
 *     const order = yield* test.start(Order, { payload: 100 })
 *     yield* order.after("3 days", order.signal(Approved, "Ada"))
 *     assert.strictEqual(yield* order.result, "receipt, approved by Ada")
 *     yield* order.expectCalled(Charge, { times: 1, with: 100 })
 *     yield* order.expectNotCalled(Refund)
 *   }))
 *
 * it.scoped("an order that is called off is refunded", () =>
 *   Effect.gen(function*() {
 *     const order = yield* test.start(Order, { payload: 100 })
 *     yield* order.advance("1 day")
 *     yield* order.cancel()
 *     yield* order.exit
 *     yield* order.expectCalled(Refund, { with: "receipt" })
 *   }))
 * ```
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { Pipeable } from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Activity, Attempt, AttemptInfo } from "../Workflow/Activity.js"
import type { Client, EndOptions, RunStatus, SignalOptions, StartOptions } from "../Workflow/Client.js"
import type { Engine, Options as EngineOptions } from "../Workflow/Engine.js"
import type { Event } from "../Workflow/Event.js"
import type { History } from "../Workflow/History.js"
import * as jsonCodec from "../Workflow/internal/codec/jsonCodec.js"
import type { Journal } from "../Workflow/Journal.js"
import type { Run, RunInfo } from "../Workflow/Run.js"
import type { Signal } from "../Workflow/Signal.js"
import type { Workflow } from "../Workflow/Workflow.js"
import type {
  ActivityError,
  InvalidPayload,
  RunEnded,
  RunFailed,
  RunNotFound,
  WorkflowMismatch
} from "../Workflow/WorkflowError.js"
import type { Spec } from "./internal/workflowTest/model.js"
import type { Problem, UnexpectedCalls } from "./internal/workflowTest/problems.js"
import { open, runToTheEnd } from "./internal/workflowTest/runs.js"
import { activityStub, answers, childStub } from "./internal/workflowTest/stubs.js"

export {
  /**
   * A stub that answers call by call, or attempt by attempt, was asked once more.
   *
   * @since 0.1.0
   * @category errors
   */
  AnswersEnded,
  /**
   * A run, or something it calls, goes on for longer than a test may take.
   *
   * @since 0.1.0
   * @category errors
   */
  Endless,
  /**
   * The history of a run does not fit the code that it was run with.
   *
   * @since 0.1.0
   * @category errors
   */
  NotReplayable,
  /**
   * Something was called that has neither a stub nor a layer.
   *
   * @since 0.1.0
   * @category errors
   */
  NotStubbed,
  /**
   * An activity was called in a queue that the engine of the test does not serve.
   *
   * @since 0.1.0
   * @category errors
   */
  QueueNotServed,
  /**
   * A run waits for what will not come: nothing is due, and nothing is planned.
   *
   * @since 0.1.0
   * @category errors
   */
  Stalled,
  /**
   * What was called is not what a test expects.
   *
   * @since 0.1.0
   * @category errors
   */
  UnexpectedCalls
} from "./internal/workflowTest/problems.js"

export type {
  /**
   * What can be wrong in a test, beside what its workflow fails with. A `NondeterminismError` is that of a run which the
   * engine has blocked.
   *
   * @since 0.1.0
   * @category errors
   */
  Problem
} from "./internal/workflowTest/problems.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Testing/WorkflowTest")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * What is tested, with its stubs: a value, which each test starts anew. `E` is what its layers fail with and `R` what they
 * require.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkflowTest<out E, out R> extends Pipeable {
  readonly [TypeId]: TypeId
  /**
   * Starts a run in a world of its own: an empty journal, an engine, its time, and stubs that have not been called. It is
   * there until the scope closes, and then what has not been replayed yet is.
   */
  readonly start: <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>,
    ...options: StartArguments<Payload>
  ) => Effect.Effect<TestRun<Success, Error>, E | Problem | InvalidPayload, R | Scope.Scope>
  /** The same for a run that needs nothing from the test: to its end. Its failure is part of what this gives. */
  readonly run: <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>,
    ...options: StartArguments<Payload>
  ) => Effect.Effect<EndedRun<Success, Error>, E | Problem | InvalidPayload, R>
  /** @internal */
  readonly spec: Spec<E, R>
}

/**
 * The payload, and whatever else a client can say; the `id` is `"test"` by default.
 *
 * @since 0.1.0
 * @category models
 */
export type StartArguments<Payload> = void extends Payload ? [options?: TestStart<Payload>]
  : [options: TestStart<Payload>]

/**
 * @since 0.1.0
 * @category models
 */
export type TestStart<Payload> = Omit<StartOptions<Payload>, "id" | "conflict" | "reuse" | "payload"> & {
  readonly id?: string | undefined
} & (void extends Payload ? { readonly payload?: Payload } : { readonly payload: Payload })

/**
 * The definition of an activity, whatever its heartbeats tell.
 *
 * @since 0.1.0
 * @category models
 */
export type ActivityDefinition<Payload, Success, Error> = Omit<
  Activity<Payload, Success, Error>,
  "heartbeat" | "lastHeartbeat" | "withOptions" | "encodeDetails" | "decodeDetails"
>

/**
 * What can be called: the definition of an activity, or of a workflow that is a child.
 *
 * @since 0.1.0
 * @category models
 */
export interface Callable<in Payload> {
  readonly name: string
  /** @internal */
  readonly encodePayload: (payload: Payload) => Either.Either<string | null, string>
}

/**
 * What a test may learn of its world. Each waits until nothing can go on without time, and fails with the {@link Problem}
 * that has come up by then.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observed {
  /** The calls of an activity by any run of the world, in the order in which they began. */
  readonly calls: <Payload, Success, Error>(
    activity: ActivityDefinition<Payload, Success, Error>
  ) => Effect.Effect<ReadonlyArray<Call<Payload, Success, Error>>, Problem>
  /** The calls of a workflow as a child. */
  readonly childCalls: <Payload, Success, Error>(
    workflow: Workflow<Payload, Success, Error>
  ) => Effect.Effect<ReadonlyArray<ChildCall<Payload, Success, Error>>, Problem>
  /** Fails unless an activity or a child was called, as often and in such a way. */
  readonly expectCalled: <Payload>(
    what: Callable<Payload>,
    expected?: Expected<NoInfer<Payload>>
  ) => Effect.Effect<void, UnexpectedCalls | Problem>
  /** Fails if an activity or a child was called. */
  readonly expectNotCalled: (what: Callable<never>) => Effect.Effect<void, UnexpectedCalls | Problem>
  /** Fails unless these were called one after another; others may have been called between them. */
  readonly expectOrder: (...order: ReadonlyArray<Callable<never>>) => Effect.Effect<void, UnexpectedCalls | Problem>
  /** The events of the run, or of the last of those that have gone on from it. */
  readonly events: Effect.Effect<ReadonlyArray<Event>, Problem>
  /** The same history as it is exported, for `History.toJson` or `Replay.history`. */
  readonly history: Effect.Effect<History, Problem>
  /**
   * What has happened to all runs of the world, for people and for snapshots: with times counted from the start, and
   * without ids that nobody has chosen.
   */
  readonly log: Effect.Effect<string, Problem>
}

/**
 * Which calls a test expects.
 *
 * - `times`: how many; omitted: at least one. Attempts of one call count as one.
 * - `with`: counts only those with this payload, compared as its schema encodes it.
 * - `id`: counts only those of children with this workflow id, or of activities that a run of this workflow id has called.
 *
 * @since 0.1.0
 * @category models
 */
export interface Expected<out Payload> {
  readonly times?: number | undefined
  readonly with?: Payload
  readonly id?: string | undefined
}

/**
 * A call of an activity. Times are in milliseconds since the epoch; a world begins at 0 unless its options say otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call<out Payload, out Success, out Error> {
  readonly payload: Payload
  /** Of the run that has called it. */
  readonly workflowId: string
  /** When the first attempt of the call began. */
  readonly at: number
  readonly attempts: ReadonlyArray<AttemptRecord<Success, Error>>
  /** How the call ended; `undefined` while it goes on. Interrupted: nobody waited for it any more. */
  readonly exit: Exit.Exit<Success, Error | ActivityError> | undefined
}

/**
 * One attempt of a call.
 *
 * @since 0.1.0
 * @category models
 */
export interface AttemptRecord<out Success, out Error> {
  /** From 1. */
  readonly attempt: number
  readonly at: number
  readonly endedAt: number | undefined
  readonly exit: Exit.Exit<Success, Error | ActivityError> | undefined
}

/**
 * A call of a workflow as a child.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildCall<out Payload, out Success, out Error> {
  readonly payload: Payload
  /** Of the child. */
  readonly workflowId: string
  readonly at: number
  readonly exit: Exit.Exit<Success, Error | ActivityError | RunFailed> | undefined
}

/**
 * A run that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndedRun<out Success, out Error> extends Observed {
  /** An Exit is an Effect, too. Those that have gone on from the run are followed. */
  readonly exit: Exit.Exit<Success, Error | ActivityError | RunFailed>
}

/**
 * A run, and the world it is in.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestRun<out Success, out Error> extends Observed {
  readonly workflowId: string
  readonly runId: string
  /**
   * Lets time go by until the run has closed, or the last of those that have gone on from it, and replays all that has
   * been run. Fails with {@link Stalled} when nothing is due any more.
   */
  readonly result: Effect.Effect<Success, Error | ActivityError | RunFailed | Problem>
  /** The same with the failure as a value. */
  readonly exit: Effect.Effect<Exit.Exit<Success, Error | ActivityError | RunFailed>, Problem>
  /** The same for this very run: it fails with `RunFailed`, reason `Continued`, when it has gone on as another one. */
  readonly ownExit: Effect.Effect<Exit.Exit<Success, Error | ActivityError | RunFailed>, Problem>
  /** What the run is doing, without letting time go by. */
  readonly status: Effect.Effect<RunStatus<Success, Error>, Problem>
  /** What the run waits for, in words; empty when it has ended. */
  readonly waitsFor: Effect.Effect<ReadonlyArray<string>, Problem>
  /** The time, in milliseconds since the epoch. */
  readonly now: Effect.Effect<number>
  /** Lets this much time go by, with all that is due in it, in the order of time. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void, Problem>
  /** Has something happen after this much time, such as a signal; what it fails with fails the test. */
  readonly after: <E, R>(
    duration: Duration.DurationInput,
    effect: Effect.Effect<unknown, E, R>
  ) => Effect.Effect<void, never, R>
  /** Sends the run a signal. */
  readonly signal: <Payload>(
    signal: Signal<Payload>,
    payload: Payload,
    options?: SignalOptions
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded>
  /** Asks the run to end: it is interrupted, and its finalizers run. */
  readonly cancel: (options?: EndOptions) => Effect.Effect<void, RunNotFound | RunEnded>
  /** Ends the run without a word to its code. */
  readonly terminate: (options?: EndOptions) => Effect.Effect<void, RunNotFound | RunEnded>
  /** Starts another run in the same world. */
  readonly start: <Payload, S, E>(
    workflow: Workflow<Payload, S, E>,
    options: TestStart<Payload> & { readonly id: string }
  ) => Effect.Effect<TestRun<S, E>, Problem | InvalidPayload | WorkflowMismatch>
  /** Another run of the same world, such as a child. */
  readonly get: <Payload, S, E>(
    workflow: Workflow<Payload, S, E>,
    id: string
  ) => Effect.Effect<TestRun<S, E>, Problem | RunNotFound | WorkflowMismatch>
}

/**
 * - `startAt`: when the world begins. Default: at 0, as the `TestClock` does.
 * - `seed`: of all that is random in the world, such as the jitter of a back-off. Default 1.
 * - `replay`: whether what has been run is replayed. Default true.
 * - `maxSteps`: how many times something may be due before a run has closed, and how many steps all fibers together may
 *   take at one time, before that counts as without an end. Default 100,000.
 * - `patience`: how long, in real time, to wait for an activity that is no stub and may wait for the real world, before
 *   time goes on without it. Default 100 milliseconds.
 * - `engine`: the options of the engine. `alwaysReplay` makes it replay the run before each of its turns.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly startAt?: DateTime.DateTime.Input | undefined
  readonly seed?: number | string | undefined
  readonly replay?: boolean | undefined
  readonly maxSteps?: number | undefined
  readonly patience?: Duration.DurationInput | undefined
  readonly engine?: EngineOptions | undefined
}

const Prototype = {
  [TypeId]: TypeId,
  pipe() {
    return pipeArguments(this, arguments)
  }
}

const fromSpec = <E, R>(spec: Spec<E, R>): WorkflowTest<E, R> =>
  Object.assign(Object.create(Prototype) as Pick<WorkflowTest<E, R>, TypeId | "pipe">, {
    spec,
    start: ((workflow, options) => open(spec, workflow, options ?? {})) as WorkflowTest<E, R>["start"],
    run: ((workflow, options) => runToTheEnd(spec, workflow, options ?? {})) as WorkflowTest<E, R>["run"]
  })

/**
 * A test of these layers: of the workflows, and of the activities and children that are to be the real ones. They are built
 * anew for each run. An option that can never work is a defect of the start, `InvalidOptions`.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const Nap = Workflow.make("Nap", { success: Schema.String })
 * const NapLive = Nap.toLayer(() => Effect.as(Effect.sleep("8 hours"), "rested"))
 *
 * const test = Effect.gen(function*() {
 *   const nap = yield* WorkflowTest.make(NapLive).run(Nap)
 *   return yield* nap.exit // "rested", and no real time has gone by
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E, R>(
  live: Layer.Layer<never, E, R>,
  options?: Options
): WorkflowTest<E, Exclude<R, Engine | Client | Journal>> =>
  fromSpec({
    // What is excluded is what every world provides.
    // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
    live: live as Layer.Layer<never, E, Exclude<R, Engine | Client | Journal> | Engine>,
    stubs: [],
    sideEffects: new Map(),
    options: options ?? {}
  })

/**
 * What a stub is told of the attempt that it stands for: whose it is, and `call`, the number of the call of its activity in
 * this world, from 1. Attempts of one call have the same number.
 *
 * @since 0.1.0
 * @category models
 */
export interface StubInfo extends AttemptInfo {
  readonly call: number
}

/**
 * What the stub of a child is told: its run, and the number of the call in this world, from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildStubInfo extends RunInfo {
  readonly call: number
}

/**
 * What a stub does: always this, or as the payload and the attempt say. It may fail, die, take its time (`Effect.delay`),
 * or never end.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer<Payload, Info, Success, Error, R> =
  | Effect.Effect<Success, Error, R>
  | ((payload: Payload, info: Info) => Effect.Effect<Success, Error, R>)

/**
 * Takes the place of an activity, whether or not it has a layer; of several stubs of one activity the last counts. Its
 * retry policy and its time-outs are those of the definition. An assertion that fails in a stub fails the test.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Activity } from "holdfast/Workflow"
 *
 * class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {}) {}
 * const Ship = Activity.make("Ship", { payload: Schema.String, success: Schema.Number, error: OutOfStock })
 *
 * const ships = WorkflowTest.stub(Ship, Effect.succeed(7))
 * const slow = WorkflowTest.stub(Ship, Effect.delay(Effect.succeed(7), "2 hours"))
 * const fails = WorkflowTest.stub(Ship, new OutOfStock())
 * const byPayload = WorkflowTest.stub(Ship, (item) => item === "lamp" ? new OutOfStock() : Effect.succeed(item.length))
 *
 * const test = WorkflowTest.make(Layer.empty).pipe(ships)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const stub = <Payload, Success, Error, R = never>(
  activity: ActivityDefinition<Payload, Success, Error>,
  answer: Answer<Payload, StubInfo, NoInfer<Success>, NoInfer<Error>, R>
) =>
<E, R0>(self: WorkflowTest<E, R0>): WorkflowTest<E, R0 | Exclude<R, Attempt | Scope.Scope>> =>
  fromSpec<E, R0 | Exclude<R, Attempt | Scope.Scope>>({
    ...self.spec,
    stubs: [...self.spec.stubs, activityStub(activity, answer)]
  })

/**
 * Takes the place of a workflow that is called as a child. The stub is a workflow itself: it has a run of its own, which can
 * be cancelled, terminated and signalled, and its sleeps are durable.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Workflow } from "holdfast/Workflow"
 *
 * const Shipment = Workflow.make("Shipment", { payload: Schema.String, success: Schema.String })
 *
 * const test = WorkflowTest.make(Layer.empty).pipe(
 *   WorkflowTest.stubChild(Shipment, (item, { workflowId }) => Effect.delay(Effect.succeed(`${workflowId}: ${item}`), "2 days"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const stubChild = <Payload, Success, Error>(
  workflow: Workflow<Payload, Success, Error>,
  answer: Answer<
    Payload,
    ChildStubInfo,
    NoInfer<Success>,
    NoInfer<Error> | ActivityError | RunFailed,
    Run | Scope.Scope
  >
) =>
<E, R>(self: WorkflowTest<E, R>): WorkflowTest<E, R> =>
  fromSpec({ ...self.spec, stubs: [...self.spec.stubs, childStub(workflow, answer)] })

/**
 * Gives the side effects of this label (`Workflow.sideEffect`) a value, in place of what they would work out. Throws when it
 * does not fit the schema.
 *
 * @example
 * ```ts
 * import { Layer, Schema } from "effect"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 *
 * const test = WorkflowTest.make(Layer.empty).pipe(WorkflowTest.stubSideEffect("token", Schema.String, "token-1"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const stubSideEffect = <A, I>(label: string, schema: Schema.Schema<A, I>, value: A) => {
  const text = Either.getOrThrowWith(
    jsonCodec.make(schema as Schema.Schema<A, unknown>).encode(value),
    (problem) => new Error(`the value for side effect ${label} does not fit its schema: ${problem}`)
  )
  return <E, R>(self: WorkflowTest<E, R>): WorkflowTest<E, R> =>
    fromSpec({ ...self.spec, sideEffects: new Map(self.spec.sideEffects).set(label, () => text) })
}

/**
 * Answers the first attempt of each call with the first of these, the second with the second, and so on. An attempt without
 * an answer fails the test with {@link AnswersEnded}.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Backoff, RetryPolicy } from "holdfast/Schedule"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Activity } from "holdfast/Workflow"
 *
 * class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
 * const Quote = Activity.make("Quote", {
 *   success: Schema.Number,
 *   error: Busy,
 *   retry: RetryPolicy.make({ retries: 5, backoff: Backoff.exponential("1 second") })
 * })
 *
 * const test = WorkflowTest.make(Layer.empty).pipe(
 *   WorkflowTest.stub(Quote, WorkflowTest.byAttempt([new Busy(), new Busy(), Effect.succeed(42)]))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const byAttempt = <Success, Error, R>(
  list: ReadonlyArray<Effect.Effect<Success, Error, R>>
): (payload: unknown, info: StubInfo) => Effect.Effect<Success, Error, R> =>
(payload, info) => answers(list, info.activity, "attempt", info.attempt, payload, info)

/**
 * Answers the first call with the first of these, the second with the second, and so on; for activities and for children.
 * Each may be a function itself, or a {@link byAttempt}. A call without an answer fails the test with {@link AnswersEnded}.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
 * import { Activity } from "holdfast/Workflow"
 *
 * const Next = Activity.make("Next", { success: Schema.Number })
 *
 * const test = WorkflowTest.make(Layer.empty).pipe(
 *   WorkflowTest.stub(Next, WorkflowTest.byCall([Effect.succeed(1), Effect.succeed(2)]))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const byCall = <Payload, Info extends StubInfo | ChildStubInfo, Success, Error, R>(
  list: ReadonlyArray<Answer<Payload, Info, Success, Error, R>>
): (payload: Payload, info: Info) => Effect.Effect<Success, Error, R> =>
(payload, info) => answers(list, "activity" in info ? info.activity : info.workflow, "call", info.call, payload, info)
