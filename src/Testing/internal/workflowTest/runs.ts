/**
 * Runs of a world, as a test sees them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { reader } from "../../../InvalidOptions.js"
import type { RunHandle, StartOptions } from "../../../Workflow/Client.js"
import type { RunRecord } from "../../../Workflow/Journal.js"
import type { Workflow } from "../../../Workflow/Workflow.js"
import type {
  ActivityError,
  AlreadyStarted,
  InvalidPayload,
  JournalError,
  RunFailed,
  WorkflowMismatch
} from "../../../Workflow/WorkflowError.js"
import type { EndedRun, Observed, TestRun, TestStart } from "../../WorkflowTest.js"
import { callsOf, childCallsOf } from "./calls.js"
import { called, inOrder, notCalled } from "./expectations.js"
import { logOf } from "./log.js"
import type { Spec, World } from "./model.js"
import { Endless, NotStubbed, type Problem, Stalled } from "./problems.js"
import { make } from "./world.js"

/** A run, and what stays of it when its world is gone. */
interface OpenRun<Success, Error> extends TestRun<Success, Error> {
  readonly observed: Observed
}

/** A run in a world of its own. */
export const open = <E, R, Payload, Success, Error>(
  spec: Spec<E, R>,
  workflow: Workflow<Payload, Success, Error>,
  options: Partial<TestStart<Payload>>
): Effect.Effect<OpenRun<Success, Error>, E | Problem | InvalidPayload, R | Scope.Scope> =>
  Effect.flatMap(make(spec), (world) =>
    // Nobody else has an id in a world that is new.
    Effect.catchTag(begin(world, workflow, options), "WorkflowMismatch", Effect.die))

/** The same, to its end. */
export const runToTheEnd = <E, R, Payload, Success, Error>(
  spec: Spec<E, R>,
  workflow: Workflow<Payload, Success, Error>,
  options: Partial<TestStart<Payload>>
): Effect.Effect<EndedRun<Success, Error>, E | Problem | InvalidPayload, R> =>
  Effect.scoped(
    Effect.gen(function*() {
      const run = yield* open(spec, workflow, options)
      const exit = yield* run.exit
      return shownAs(`${workflow.name} ${JSON.stringify(run.workflowId)}, ended`, { ...run.observed, exit })
    })
  )

const begin = <Payload, Success, Error>(
  world: World,
  workflow: Workflow<Payload, Success, Error>,
  options: Partial<TestStart<Payload>>
): Effect.Effect<OpenRun<Success, Error>, Problem | InvalidPayload | WorkflowMismatch> => {
  if (!world.hasWorkflow(workflow.name)) {
    return new NotStubbed({
      kind: "workflow",
      called: workflow.name,
      workflowId: undefined,
      known: world.workflows()
    })
  }
  // What it lacks is not required, or its caller has it.
  const start = { id: "test", ...options, reuse: "always" } as StartOptions<Payload>
  return world.inside(world.client.start(workflow, start)).pipe(
    Effect.catchAll((
      error: InvalidPayload | WorkflowMismatch | JournalError | AlreadyStarted
    ): Effect.Effect<never, InvalidPayload | WorkflowMismatch> =>
      // In memory, and always a new run.
      error._tag === "JournalError" || error._tag === "AlreadyStarted" ? Effect.die(error) : Effect.fail(error)
    ),
    Effect.map((handle) => testRun(world, workflow, handle))
  )
}

const testRun = <Payload, Success, Error>(
  world: World,
  workflow: Workflow<Payload, Success, Error>,
  handle: RunHandle<Success, Error>
): OpenRun<Success, Error> => {
  const { runId, workflowId } = handle
  const { inside, settle } = world

  const record = (id: string): Effect.Effect<RunRecord> =>
    Effect.map(Effect.orDie(world.store.run(id)), Option.getOrThrow)

  const lastOf = (id: string): Effect.Effect<RunRecord> =>
    Effect.flatMap(record(id), (found) =>
      found.closed?._tag === "RunClosed" && found.closed.next !== undefined
        ? lastOf(found.closed.next)
        : Effect.succeed(found))

  /** Lets time go by until it has closed. */
  const ended = (find: Effect.Effect<RunRecord>) =>
    Effect.gen(function*() {
      for (let steps = 0;; steps++) {
        yield* settle
        const { closed, runId } = yield* find
        if (closed !== undefined) {
          yield* world.verify
          return workflow.exitOf({ workflowId, runId }, closed)
        }
        if (steps === world.maxSteps) return yield* new Endless({ workflowId, reason: "Steps", count: steps })
        if (!(yield* world.skip)) {
          return yield* new Stalled({ workflowId, waitsFor: yield* world.waitsFor(runId) })
        }
      }
    })

  const exit: Effect.Effect<Exit.Exit<Success, Error | ActivityError | RunFailed>, Problem> = ended(lastOf(runId))
  const millis = (name: string, duration: Duration.DurationInput) =>
    reader("WorkflowTest").finiteDuration(name, duration)
  const journaled = <A, E>(effect: Effect.Effect<A, E>) => inside(effect)

  const seen = observed(world, lastOf(runId))

  return shownAs(`${workflow.name} ${JSON.stringify(workflowId)}`, {
    ...seen,
    observed: seen,
    workflowId,
    runId,
    exit,
    result: Effect.flatten(exit),
    ownExit: ended(record(runId)),
    status: Effect.zipRight(
      settle,
      Effect.map(lastOf(runId), ({ blocked, closed, runId }) =>
        closed === undefined
          ? { _tag: "Running" as const, blocked }
          : { _tag: "Closed" as const, exit: workflow.exitOf({ workflowId, runId }, closed) })
    ),
    waitsFor: Effect.zipRight(settle, Effect.flatMap(lastOf(runId), (last) => world.waitsFor(last.runId))),
    now: Effect.sync(world.now),
    advance: (duration) => Effect.suspend(() => world.advance(millis("advance", duration))),
    after: (duration, effect) =>
      Effect.suspend(() => world.fork(Effect.asVoid(Effect.delay(effect, Duration.millis(millis("after", duration)))))),
    signal: (signal, payload, options) =>
      journaled(Effect.catchTag(handle.signal(signal, payload, options), "JournalError", Effect.die)),
    cancel: (options) => journaled(Effect.catchTag(handle.cancel(options), "JournalError", Effect.die)),
    terminate: (options) => journaled(Effect.catchTag(handle.terminate(options), "JournalError", Effect.die)),
    start: (other, options) => begin(world, other, options),
    get: (other, id) =>
      Effect.zipRight(settle, inside(world.client.get(other, id))).pipe(
        Effect.catchTag("JournalError", Effect.die),
        Effect.map((found) => testRun(world, other, found))
      )
  })
}

/**
 * The same, but reporters of tests, which walk through all that can be listed of a value, see a name: they do not come to
 * an end with the Effects of a run.
 */
const shownAs = <A extends object>(name: string, self: A): A => {
  const shown = { toJSON: () => name, toString: () => name }
  const properties = Object.entries(self).map(([key, value]) => [key, { value: value as unknown }])
  return Object.create(shown, Object.fromEntries(properties) as PropertyDescriptorMap) as A
}

const observed = (world: World, last: Effect.Effect<RunRecord>): Observed => {
  const { settle } = world
  const events = Effect.flatMap(last, ({ runId }) => Effect.orDie(world.store.history(runId)))
  return {
    calls: (activity) => Effect.zipRight(settle, callsOf(world, activity)),
    childCalls: (workflow) => Effect.zipRight(settle, childCallsOf(world, workflow)),
    expectCalled: (what, expected) => Effect.zipRight(settle, called(world, what, expected ?? {})),
    expectNotCalled: (what) => Effect.zipRight(settle, notCalled(world, what)),
    expectOrder: (...order) => Effect.zipRight(settle, inOrder(world, order)),
    events: Effect.zipRight(settle, events),
    history: Effect.zipRight(
      settle,
      Effect.zipWith(last, events, ({ runId, startedAt, workflow, workflowId }, events) => ({
        format: 1 as const,
        run: { runId, startedAt, workflow, workflowId },
        events
      }))
    ),
    log: Effect.zipRight(settle, logOf(world))
  }
}
