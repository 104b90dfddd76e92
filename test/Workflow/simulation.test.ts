/**
 * Several engines on one journal, under a seeded scheduler and a virtual clock: crashes, stalls beyond the lease, news that
 * come late or not at all, starts and signals that are sent twice.
 *
 *   HOLDFAST_SEEDS=5000 npx vitest run test/Workflow/simulation.test.ts
 */
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Exit, Layer, Logger, Random, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Simulation } from "holdfast/Testing"
import { Activity, Client, Signal, Workflow } from "holdfast/Workflow"
import {
  makeProcess,
  makeWorld,
  type Process,
  startEngine,
  withClient,
  type World
} from "./support/simulatedProcesses.js"
import { problemsIn } from "./support/soundHistory.js"

const seeds = Number(process.env["HOLDFAST_SEEDS"] ?? 500)

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const Step = Activity.make("Step", {
  payload: Schema.Struct({ job: Schema.String, step: Schema.String }),
  success: Schema.String,
  error: Busy,
  retry: RetryPolicy.make({ retries: "unlimited", backoff: Backoff.constant("500 millis") })
})
const Note = Signal.make("Note", { payload: Schema.String })
const Part = Workflow.make("Part", { payload: Schema.String, success: Schema.String })
const Job = Workflow.make("Job", { payload: Schema.Number, success: Schema.String })

/** What was done in the world, by idempotency key. */
type Ledger = Map<string, string>

const live = (ledger: Ledger) => {
  const step = (job: string, name: string) => Effect.orDie(Step.execute({ job, step: name }))
  return Layer.mergeAll(
    Job.toLayer((round) =>
      Effect.gen(function*() {
        const { workflowId } = yield* Workflow.info
        yield* Effect.addFinalizer((exit) =>
          Exit.isInterrupted(exit) ? Effect.asVoid(step(workflowId, "undo")) : Effect.void
        )
        const first = yield* step(workflowId, `first ${round}`)
        const [left, right] = yield* Effect.all([
          step(workflowId, "left"),
          Effect.zipRight(Effect.sleep("700 millis"), step(workflowId, "right"))
        ], { concurrency: "unbounded" })
        const raced = yield* Effect.raceFirst(step(workflowId, "raced"), Effect.as(Effect.sleep("300 millis"), "slept"))
        const part = yield* Effect.orDie(
          Workflow.executeChild(Part, { id: `${workflowId} part ${round}`, payload: workflowId })
        )
        if (round < 2) return yield* Job.continueAsNew(round + 1)
        const notes = yield* Effect.orDie(Effect.replicateEffect(Note.receive, 3))
        return [first, left, right, raced, part, ...notes].join("; ")
      })
    ),
    Part.toLayer((job) =>
      Effect.gen(function*() {
        yield* Effect.orDie(Note.send(job, "from the part", { id: "part" }))
        return yield* step(job, "part")
      })
    ),
    Step.toLayer(({ job, step: name }) =>
      Effect.gen(function*() {
        const key = yield* Activity.idempotencyKey
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
        if ((yield* Random.next) < 0.2) return yield* new Busy()
        ledger.set(key, `${job} ${name}`)
        return name
      })
    )
  )
}

/** Starts and restarts an engine for as long as the simulation lasts: it crashes, stalls, or is stopped in order. */
const machine = (world: World, ledger: Ledger) =>
  Effect.gen(function*() {
    const simulated = makeProcess(world)
    const { stop } = yield* startEngine(simulated, live(ledger), {
      activityConcurrency: yield* Random.nextIntBetween(1, 5),
      residentRuns: yield* Random.nextIntBetween(1, 5),
      alwaysReplay: (yield* Random.next) < 0.2
    })
    yield* Effect.sleep(yield* Random.nextIntBetween(500, 20_000))
    const fate = yield* Random.nextIntBetween(0, 5)
    if (fate === 0) simulated.cut()
    else if (fate < 3) simulated.cutAtWrite(fate === 1 ? "before" : "after")
    else if (fate === 3) {
      simulated.stall((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) + 9_000)
      yield* Effect.sleep("20 seconds")
      yield* stop
    } else yield* stop
  })

/** Sends what must be sent once, again and again. */
const insistently = (simulated: Process, effect: Effect.Effect<unknown, unknown, Client.Client>) =>
  withClient(simulated, Effect.repeatN(Effect.zipRight(effect, Effect.sleep("100 millis")), 1)).pipe(Effect.orDie)

const story = Effect.gen(function*() {
  const world = makeWorld()
  const ledger: Ledger = new Map()
  const ids = Arr.makeBy(yield* Random.nextIntBetween(1, 4), (i) => `job-${i}`)
  const outside = makeProcess(world)
  yield* Effect.forkDaemon(
    Effect.forEach(
      Arr.range(1, yield* Random.nextIntBetween(1, 4)),
      () => Effect.repeat(machine(world, ledger), { until: () => world.ended }),
      {
        concurrency: "unbounded"
      }
    )
  )
  const cancelled = (yield* Random.next) < 0.3 ? ids[0] : undefined
  const results = yield* Effect.forEach(ids, (id) =>
    Effect.gen(function*() {
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 4_000))
      yield* insistently(outside, Client.start(Job, { id, payload: 1 }))
      for (const note of ["a", "b"]) {
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 3_000))
        yield* insistently(outside, Effect.ignore(Client.signal(id, Note, note, { id: note })))
      }
      if (id === cancelled) yield* withClient(outside, Effect.ignore(Client.cancel(id)))
      return yield* withClient(outside, Effect.either(Client.result(Job, id)))
    }), { concurrency: "unbounded" })
  const runs = yield* world.store.list({ filter: {}, after: undefined, limit: 1_000 })
  const histories = yield* Effect.forEach(runs, ({ runId }) => world.store.history(runId))
  world.ended = true
  return { world, ledger, ids, cancelled, results, runs, histories }
})

describe("several engines on one journal", () => {
  it(
    `end every run as if there were one that never failed, with ${seeds} seeds (B-2, B-18, W-1, W-2, W-3, W-5, W-16, W-32, S1)`,
    async () => {
      for (let seed = 1; seed <= seeds; seed++) {
        // The test runner wants to hear from its worker now and then.
        await new Promise((resolve) => setImmediate(resolve))
        const { exit, status } = Simulation.run(Effect.provide(story, Logger.remove(Logger.defaultLogger)), {
          seed,
          maxOperations: 20_000_000
        })
        const context = `seed ${seed}`
        if (exit === undefined || Exit.isFailure(exit)) {
          throw new Error(`${context}: ${status} ${String(exit)}`)
        }
        const { cancelled, histories, ids, ledger, results, runs, world } = exit.value
        assert.deepStrictEqual(world.violations, [], context)
        for (const history of histories) assert.deepStrictEqual(problemsIn(history), [], context)
        ids.forEach((id, i) => {
          const result = results[i]!
          if (result._tag === "Left") {
            assert.strictEqual(id, cancelled, context)
            assert.deepInclude(result.left, { _tag: "RunFailed", reason: "Cancelled" }, context)
          } else {
            assert.match(
              result.right,
              /^first 2; left; right; (raced|slept); part; (?=.*\ba\b)(?=.*\bb\b)(?=.*from the part)[^;]*; [^;]*; [^;]*$/,
              context
            )
          }
        })
        // Whatever ended well in a history has happened in the world, under its own key.
        for (const [index, history] of histories.entries()) {
          for (const event of history) {
            if (event._tag !== "ActivityCompleted") continue
            assert.isTrue(ledger.has(`${runs[index]!.runId}/${event.target}`), context)
          }
        }
        assert.isTrue(runs.every(({ closed }) => closed !== undefined), context)
      }
    },
    Math.max(600_000, seeds * 1_000)
  )
})
