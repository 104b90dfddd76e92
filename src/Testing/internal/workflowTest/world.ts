/**
 * What one test runs in: a journal in memory, an engine, the layers under test with stubs in place of what they call, and
 * a time that moves only when everything else is quiet.
 *
 * All of it lives on one scheduler, so that quiet is known and not guessed. The scheduler knows nothing of promises, so
 * after each quiet the process gets a turn of its event loop; a handler that is no stub, and so may do real work, gets
 * some real time.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { reader } from "../../../InvalidOptions.js"
import { Client } from "../../../Workflow/Client.js"
import { Codec } from "../../../Workflow/Codec.js"
import * as Engine from "../../../Workflow/Engine.js"
import type { Event } from "../../../Workflow/Event.js"
import type { ActivityRegistration } from "../../../Workflow/internal/activity/attempt.js"
import { codedStore } from "../../../Workflow/internal/codec/codedStore.js"
import type { WorkflowRegistration } from "../../../Workflow/internal/engine/worker.js"
import { memoryStore } from "../../../Workflow/internal/memory/memoryStore.js"
import { Execution } from "../../../Workflow/internal/turn/execution.js"
import { replay } from "../../../Workflow/internal/turn/replay.js"
import * as Journal from "../../../Workflow/Journal.js"
import { Run, type RunService } from "../../../Workflow/Run.js"
import { SimulatedClock } from "../simulatedTime.js"
import type { Hooks, Launch, Made, Spec, Stub, World, WorldOptions } from "./model.js"
import { Endless, NotReplayable, NotStubbed, type Problem, QueueNotServed } from "./problems.js"
import { QuietScheduler } from "./quietScheduler.js"
import { withSideEffects } from "./sideEffects.js"
import { waitsOf } from "./waits.js"

export const make = <E, R>(spec: Spec<E, R>): Effect.Effect<World, E, R | Scope.Scope> =>
  Effect.gen(function*() {
    const settings = read(spec.options)
    const clock = new SimulatedClock(settings.startAt)
    const scheduler = new QuietScheduler(settings.maxSteps)
    const random = Random.make(settings.seed)
    const scope = yield* Scope.make()
    const inside: World["inside"] = (effect) =>
      effect.pipe(
        Effect.withRandom(random),
        Effect.withClock(clock),
        Effect.withScheduler(scheduler)
      )
    const now = () => clock.unsafeCurrentTimeMillis()

    const made: Array<Made> = []
    const runIds: Array<string> = []
    const queues = new Set(Object.keys(spec.options.engine?.queues ?? {}))
    const activities = new Map<string, "stub" | "live">()
    const workflows = new Map<string, WorkflowRegistration & { readonly stubbed: boolean }>()
    const running = new Set<Launch>()
    const executions = new Map<string, RunService>()
    const counted = new Map<string, Map<string, number>>()
    const verified = new Map<string, number>()

    let problem: Effect.Effect<never, Problem> | undefined
    const hooks: Hooks = {
      callNumber: (name, key) => {
        const calls = counted.get(name) ?? new Map<string, number>()
        counted.set(name, calls)
        const number = calls.get(key) ?? calls.size + 1
        calls.set(key, number)
        return number
      },
      raise: (found) => {
        problem ??= Effect.fail(found)
      },
      raiseDefect: (defect) => {
        problem ??= Effect.die(defect)
      }
    }

    // --- the journal, as it is written

    const note = (entries: ReadonlyArray<Journal.Entry>, { consequences, receipts }: Journal.Written): void => {
      const notifications = [
        ...receipts.flatMap((receipt) => "notifications" in receipt ? receipt.notifications : []),
        ...consequences
      ]
      for (const each of notifications) if (each._tag === "RunCreated") runIds.push(each.run.runId)
      entries.forEach((entry, i) => {
        if (entry._tag === "Append" && receipts[i]?._tag === "Appended") noteCommands(entry.runId, entry.events)
      })
    }

    const noteCommands = (runId: string, events: ReadonlyArray<Omit<Event, "seq">>): void => {
      const abandoned = new Set(events.map((event) => "target" in event ? event.target : undefined))
      for (const event of events as ReadonlyArray<Event>) {
        if (!("command" in event) || abandoned.has(event.command)) continue
        if (event._tag === "ActivityScheduled" && !activities.has(event.activity)) {
          unknown("activity", event.activity, runId, activities.keys())
        } else if (event._tag === "ActivityScheduled" && event.queue !== undefined && !queues.has(event.queue)) {
          const { activity: called, queue } = event
          hooks.raise(new QueueNotServed({ called, queue, workflowId: workflowIdOf(runId) }))
        }
        if (event._tag !== "ChildScheduled") continue
        if (!workflows.has(event.workflow)) unknown("workflow", event.workflow, runId, workflows.keys())
        const { at, command, payload, workflow: name, workflowId } = event
        made.push({ kind: "workflow", name, payload, at, runId, command, workflowId, launches: [] })
      }
    }

    const unknown = (kind: NotStubbed["kind"], called: string, runId: string, known: Iterable<string>): void => {
      hooks.raise(new NotStubbed({ kind, called, workflowId: workflowIdOf(runId), known: [...known] }))
    }

    const workflowIdOf = (runId: string): string => executions.get(runId)?.info.workflowId ?? runId

    const plain = memoryStore()
    const journal = yield* inside(Scope.extend(
      Journal.make({
        ...plain,
        write: (entries) => Effect.tap(plain.write(entries), (written) => Effect.sync(() => note(entries, written)))
      }),
      scope
    ))
    // What a run has done can be looked at when its world, and so the journal, has closed.
    const store = codedStore(plain, yield* Codec)

    // --- the engine, as it is seen by the layers

    const services = yield* inside(
      Layer.buildWithScope(Engine.layer(spec.options.engine), scope).pipe(
        Effect.provideService(Journal.Journal, journal),
        Effect.orDie
      )
    )
    const engine = Context.get(services, Engine.Engine)
    const client = Context.get(services, Client)
    const runtime = yield* inside(Effect.runtime())

    const launched = (registration: ActivityRegistration): ActivityRegistration => ({
      ...registration,
      launcher: (scheduler) => {
        const start = registration.launcher(scheduler)
        return (...args) => {
          const [payload, { attempt, idempotencyKey, runId, workflowId }] = args
          const command = Number(idempotencyKey.slice(idempotencyKey.lastIndexOf("/") + 1))
          const at = now()
          const launch: Launch = { runId, workflowId, command, attempt, at, endedAt: undefined, waited: false }
          const before = made.find((call) =>
            call.kind === "activity" && call.runId === runId && call.command === command
          )
          if (before === undefined) {
            const { name } = registration
            made.push({ kind: "activity", name, payload, at, runId, command, workflowId, launches: [launch] })
          } else {
            before.launches.push(launch)
          }
          if (activities.get(registration.name) === "live") running.add(launch)
          const fiber = start(...args)
          fiber.addObserver(() => {
            launch.endedAt = now()
            running.delete(launch)
          })
          return fiber
        }
      }
    })

    /** The code of a workflow with the stubs of its side effects; `live`: it is run, and not replayed. */
    const programOf =
      ({ program }: WorkflowRegistration, live: boolean): WorkflowRegistration["program"] => (payload) =>
        Effect.flatMap(Run, (run) => {
          if (live) executions.set(run.info.runId, run)
          return Effect.provideService(program(payload), Run, withSideEffects(run, spec.sideEffects))
        })

    const stubbed = (kind: Stub<R>["kind"]) =>
      new Set(spec.stubs.filter((stub) => stub.kind === kind).map(({ name }) => name))
    const [stubbedActivities, stubbedWorkflows] = [stubbed("activity"), stubbed("workflow")]

    const seenBy = (by: "stub" | "live"): Context.Context<Engine.Engine> =>
      Context.make(Engine.Engine, {
        ...engine,
        addActivity: (registration) => {
          if (by === "live" && stubbedActivities.has(registration.name)) return Effect.void
          activities.set(registration.name, by)
          return engine.addActivity(launched(registration))
        },
        addWorkflow: (registration) => {
          if (by === "live" && stubbedWorkflows.has(registration.name)) return Effect.void
          workflows.set(registration.name, { ...registration, stubbed: by === "stub" })
          return engine.addWorkflow({ ...registration, program: programOf(registration, true) })
        }
      })

    // --- time

    const turnOfEventLoop = Effect.async<void>((resume) => {
      setImmediate(() => resume(Effect.void))
    })

    /** Lets those who may wait for the real world have some real time. */
    const bePatient: Effect.Effect<void> = Effect.suspend(() => {
      const before = scheduler.total
      const waiting = [...running].filter(({ waited }) => !waited)
      if (waiting.length === 0) return Effect.void
      const until = performance.now() + settings.patience
      return turnOfEventLoop.pipe(
        Effect.repeat({
          while: () => scheduler.total === before && !problemFound() && performance.now() < until
        }),
        Effect.map(() => {
          if (scheduler.total === before) { for (const launch of waiting) launch.waited = true }
        })
      )
    })

    const problemFound = () => problem !== undefined || scheduler.halted

    const quiet: Effect.Effect<void> = Effect.suspend(() => {
      let before = -1
      return scheduler.quiet.pipe(
        Effect.tap(() => {
          before = scheduler.total
        }),
        Effect.zipRight(turnOfEventLoop),
        Effect.zipRight(bePatient),
        Effect.repeat({ while: () => scheduler.total !== before && !problemFound() })
      )
    })

    /** Whether the test has been told of a problem: at its end it is not told again. */
    let told = false
    const settle: World["settle"] = Effect.tapErrorCause(
      Effect.zipRight(
        quiet,
        Effect.suspend((): Effect.Effect<void, Problem> => {
          if (problem !== undefined) return problem
          if (scheduler.halted) {
            return new Endless({ workflowId: undefined, reason: "Loop", count: settings.maxSteps })
          }
          return Effect.flatMap(engine.blocked, ([first]) => first ?? Effect.void)
        })
      ),
      () =>
        Effect.sync(() => {
          told = true
        })
    )

    // A step is whole even where the test drives the world from several fibers.
    const oneAtATime = (yield* Effect.makeSemaphore(1)).withPermits(1)

    /** Goes to the next due time, if that is not after `latest`. */
    const step = (latest: number): Effect.Effect<boolean, Problem> =>
      oneAtATime(
        Effect.map(settle, () => {
          const { next } = clock
          if (next === Infinity || next > latest) return false
          clock.goTo(Math.max(next, now()))
          return true
        })
      )

    const advance: World["advance"] = (millis) =>
      Effect.suspend(() => {
        const target = now() + millis
        return step(target).pipe(
          Effect.repeat({ while: (moved) => moved }),
          Effect.zipRight(Effect.sync(() => clock.goTo(Math.max(target, now())))),
          Effect.zipRight(settle)
        )
      })

    // --- replay

    const replayed = (record: Journal.RunRecord, events: ReadonlyArray<Event>): NotReplayable | undefined => {
      const registration = workflows.get(record.workflow)
      if (registration === undefined || registration.stubbed) return undefined
      const { runId, startedAt, workflow, workflowId } = record
      const execution = new Execution({
        info: { runId, startedAt, workflow, workflowId },
        program: programOf(registration, false),
        runtime,
        opBudget: spec.options.engine?.opBudget ?? 1_000_000,
        strictness: spec.options.engine?.strictness ?? "payload",
        onFault: () => {}
      })
      try {
        replay(execution, events)
        const { fault } = execution
        return fault &&
          new NotReplayable({ workflowId, expected: fault.expected, actual: fault.actual, difference: fault })
      } finally {
        execution.drop()
      }
    }

    const verify: World["verify"] = Effect.suspend(() =>
      settings.replay
        ? Effect.forEach(runIds, (runId) =>
          Effect.gen(function*() {
            const record = yield* store.run(runId)
            const events = yield* store.history(runId)
            if (record._tag === "None" || verified.get(runId) === events.length) return
            verified.set(runId, events.length)
            const found = replayed(record.value, events)
            if (found !== undefined) return yield* found
          }), { discard: true }).pipe(Effect.catchTag("JournalError", Effect.die))
        : Effect.void
    )

    // --- the end

    const close = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
      Effect.zipRight(Effect.sync(() => scheduler.release()), inside(Scope.close(scope, exit)))
    yield* Effect.addFinalizer((exit) =>
      Effect.ensuring(
        // A test that has failed already has said why.
        Exit.isSuccess(exit) && !told ? Effect.orDie(Effect.zipRight(settle, verify)) : Effect.void,
        close(exit)
      )
    )

    const base = Context.merge(services, Context.make(Journal.Journal, journal))
    for (const stub of last(spec.stubs)) {
      yield* inside(Effect.provide(
        Layer.buildWithScope(stub.layer(hooks), scope),
        seenBy("stub")
      ))
    }
    yield* inside(Effect.provide(
      Layer.buildWithScope(spec.live, scope),
      Context.merge(base, seenBy("live"))
    ))

    return {
      client,
      store,
      made,
      startedAt: settings.startAt,
      now,
      runIds,
      hasWorkflow: (name) => workflows.has(name),
      workflows: () => [...workflows.keys()],
      inside,
      fork: (effect) =>
        Effect.asVoid(inside(Effect.forkIn(
          Effect.catchAllCause(effect, (cause) => Effect.sync(() => hooks.raiseDefect(Cause.squash(cause)))),
          scope
        ))),
      settle,
      advance,
      skip: step(Infinity),
      maxSteps: settings.maxSteps,
      verify,
      waitsFor: (runId) => Effect.orDie(waitsOf(store, executions, runId))
    }
  })

/** Of several stubs of one thing, the last. */
const last = <R>(stubs: ReadonlyArray<Stub<R>>): ReadonlyArray<Stub<R>> => [
  ...new Map(stubs.map((stub) => [`${stub.kind} ${stub.name}`, stub])).values()
]

const read = ({ maxSteps, patience, replay, seed, startAt }: WorldOptions) => {
  const { finiteDuration, integer, refuse } = reader("WorkflowTest.make")
  const time = DateTime.make(startAt ?? 0)
  return {
    startAt: time._tag === "Some" ? time.value.epochMillis : refuse("startAt", startAt, "a date"),
    seed: seed ?? 1,
    replay: replay ?? true,
    maxSteps: integer("maxSteps", maxSteps ?? 100_000, 1),
    patience: finiteDuration("patience", patience ?? "100 millis")
  }
}
