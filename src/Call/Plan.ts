/**
 * Effect's `ExecutionPlan` beside the words of this package: a plan runs an effect with one set of services, and when
 * that fails with the next.
 *
 * `make` writes a plan in terms of retries and backoffs; `use` puts any plan around an effect, where it can be composed
 * and described like the rest.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { Description, TypeId, Variance } from "../Combinator.js"
import { makeCombinator } from "../internal/combinator.js"
import { reader } from "../InvalidOptions.js"
import { type Backoff, isBackoff } from "../Schedule/Backoff.js"

/**
 * One step of a plan: with what services, and how often.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  /** What the effect is run with in this step. */
  readonly provide: Context.Context<never> | Layer.Layer.Any
  /** How often the step is retried before the next one has its turn. Default 0. */
  readonly retries?: number | undefined
  /** The delay before each of these retries; needed where there are any. */
  readonly backoff?: Backoff | undefined
  /** Whether an error is worth a retry in this step; if not, the next step has its turn. Default: every error is. */
  readonly while?: ((error: never) => boolean) | undefined
}

/**
 * The plan that a list of steps makes.
 *
 * @since 0.1.0
 * @category models
 */
export type FromSteps<Steps extends ReadonlyArray<Step>> = ExecutionPlan.ExecutionPlan<{
  provides: ExecutionPlan.make.StepProvides<Steps>
  input: ExecutionPlan.make.StepInput<Steps>
  error: ErrorOf<Steps[number]["provide"]>
  requirements: RequirementsOf<Steps[number]["provide"]>
}>

/**
 * What building a layer may fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorOf<Provide> = Provide extends Layer.Layer<infer _A, infer E, infer _R> ? E : never

/**
 * What building a layer requires.
 *
 * @since 0.1.0
 * @category models
 */
export type RequirementsOf<Provide> = Provide extends Layer.Layer<infer _A, infer _E, infer R> ? R : never

/**
 * A plan around an effect: the effect no longer requires what the plan provides. In a policy it is a combinator like
 * any other, with the errors of building the layers, and what that requires.
 *
 * @since 0.1.0
 * @category models
 */
export interface Use<out Provides, in In, out E, out R> {
  <A, E0 extends In, R0>(self: Effect.Effect<A, E0, R0>): Effect.Effect<A, E0 | E, Exclude<R0, Provides> | R>
  readonly [TypeId]: Variance<E, R, never, never, In>
  readonly descriptions: ReadonlyArray<Description>
}

/**
 * An `ExecutionPlan` of steps with retries. The first attempt of every step is made at once; its backoff comes before
 * its retries. Throws `InvalidOptions` when an option can never work.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer } from "effect"
 * import { Plan } from "holdfast/Call"
 * import { Backoff } from "holdfast/Schedule"
 *
 * class Model extends Context.Tag("Model")<Model, { readonly ask: (question: string) => Effect.Effect<string, Error> }>() {}
 * declare const large: Layer.Layer<Model>
 * declare const small: Layer.Layer<Model>
 *
 * const plan = Plan.make([
 *   { provide: large, retries: 2, backoff: Backoff.exponential("200 millis", { jitter: "full" }) },
 *   { provide: small }
 * ])
 *
 * const answer = Effect.flatMap(Model, (model) => model.ask("why?")).pipe(Plan.use(plan))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Steps extends Arr.NonEmptyReadonlyArray<Step>>(steps: Steps): FromSteps<Steps> => {
  const read = reader("Plan.make")
  const made = Arr.map(steps as Arr.NonEmptyReadonlyArray<Step>, (step, index): ExecutionPlan.make.Step => {
    const at = (option: string) => `${index}.${option}`
    const retries = read.integer(at("retries"), step.retries ?? 0, 0)
    if (retries === 0) return { provide: step.provide }
    const backoff = isBackoff(step.backoff) ? step.backoff : read.refuse(at("backoff"), step.backoff, "a Backoff")
    return { provide: step.provide, schedule: schedule(retries, backoff, step.while, index === 0) }
  })
  // The steps have the types that they were given with; a map forgets them.
  return ExecutionPlan.make(...made) as unknown as FromSteps<Steps>
}

/**
 * A plan enters a step after the first one as if it were a retry of the error before. So there is one recurrence more,
 * at once and for any error, and only then the retries.
 */
const schedule = (
  retries: number,
  backoff: Backoff,
  isWorthIt: ((error: never) => boolean) | undefined,
  isFirst: boolean
): Schedule.Schedule<unknown, unknown> => {
  const limited = Schedule.intersect(backoff, Schedule.recurs(retries))
  const own = isWorthIt === undefined
    ? limited
    : Schedule.whileInput(limited, isWorthIt as (error: unknown) => boolean)
  return isFirst ? own : Schedule.andThen(Schedule.recurs(1), own)
}

/**
 * Puts a plan around an effect, as `Effect.withExecutionPlan` does.
 *
 * @example
 * ```ts
 * import { Context, Effect, ExecutionPlan, Layer, Schedule } from "effect"
 * import { Deadline, Plan } from "holdfast/Call"
 *
 * class Model extends Context.Tag("Model")<Model, { readonly ask: (question: string) => Effect.Effect<string, Error> }>() {}
 * declare const large: Layer.Layer<Model>
 *
 * const plan = ExecutionPlan.make({ provide: large, attempts: 3, schedule: Schedule.spaced("1 second") })
 *
 * const answer = Effect.flatMap(Model, (model) => model.ask("why?")).pipe(Plan.use(plan), Deadline.within("30 seconds"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function use<Provides, In, PlanE, PlanR>(
  plan: ExecutionPlan.ExecutionPlan<{ provides: Provides; input: In; error: PlanE; requirements: PlanR }>
): Use<Provides, In, PlanE, PlanR>
export function use<A, E extends In, R, Provides, In, PlanE, PlanR>(
  self: Effect.Effect<A, E, R>,
  plan: ExecutionPlan.ExecutionPlan<{ provides: Provides; input: In; error: PlanE; requirements: PlanR }>
): Effect.Effect<A, E | PlanE, Exclude<R, Provides> | PlanR>
export function use(...args: ReadonlyArray<unknown>): unknown {
  return Effect.isEffect(args[0]) ? around(args[1] as AnyPlan)(args[0]) : around(args[0] as AnyPlan)
}

type AnyPlan = ExecutionPlan.ExecutionPlan<{ provides: never; input: unknown; error: unknown; requirements: unknown }>

const around = (plan: AnyPlan) => {
  if (!ExecutionPlan.isExecutionPlan(plan)) reader("Plan.use").refuse("plan", plan, "an ExecutionPlan")
  const steps = plan.steps.map((step) => ({
    attempts: step.attempts ?? null,
    hasSchedule: step.schedule !== undefined,
    hasWhile: step.while !== undefined
  }))
  return makeCombinator([{ policy: "Plan", settings: { steps } }], [{
    around: (call) => Effect.withExecutionPlan(call.inner(), plan)
  }])
}
