/**
 * Any byte string is a program. It lives on two engines that forget, crash and stall, with clients that send signals and
 * call it off; then all must have ended, every history must be sound, and must replay to what the code has given.
 *
 *   HOLDFAST_FUZZ=20000 npx vitest run test/Workflow/fuzz.test.ts
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Random, Runtime } from "effect"
import * as fc from "effect/FastCheck"
import { Simulation } from "holdfast/Testing"
import { Client, type Event } from "holdfast/Workflow"
import { Execution } from "../../src/Workflow/internal/turn/execution.js"
import { replay } from "../../src/Workflow/internal/turn/replay.js"
import * as fuzz from "./support/fuzzPrograms.js"
import { makeProcess, makeWorld, startEngine, withClient, type World } from "./support/simulatedProcesses.js"
import { problemsIn } from "./support/soundHistory.js"

const programs = Number(process.env["HOLDFAST_FUZZ"] ?? 400)

const engines = (world: World) =>
  Effect.repeat(
    Effect.gen(function*() {
      const machine = makeProcess(world)
      const { stop } = yield* startEngine(machine, fuzz.live, {
        activityConcurrency: yield* Random.nextIntBetween(1, 4),
        residentRuns: yield* Random.nextIntBetween(1, 3),
        alwaysReplay: (yield* Random.next) < 0.3
      })
      yield* Effect.sleep(yield* Random.nextIntBetween(200, 15_000))
      const fate = yield* Random.nextIntBetween(0, 4)
      if (fate === 0) machine.cut()
      else if (fate < 3) machine.cutAtWrite(fate === 1 ? "before" : "after")
      else yield* stop
    }),
    { until: () => world.ended }
  )

const live = ({ body, cancelAfter, continues, notes }: fuzz.Fuzz) =>
  Effect.gen(function*() {
    const world = makeWorld()
    const outside = makeProcess(world)
    yield* Effect.forkDaemon(Effect.all([engines(world), engines(world)], { concurrency: 2 }))
    yield* withClient(
      outside,
      Effect.gen(function*() {
        yield* Client.start(fuzz.Subject, { id: "f", payload: { body, left: continues } })
        for (const note of notes) {
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 40))
          yield* Effect.ignore(Client.signal("f", fuzz.Note, note))
        }
        if (cancelAfter !== undefined) {
          yield* Effect.sleep(cancelAfter)
          yield* Effect.ignore(Client.cancel("f"))
        }
        yield* Effect.exit(Client.result(fuzz.Subject, "f"))
      })
    ).pipe(Effect.orDie)
    const all = { filter: {}, after: undefined, limit: 1_000 }
    // What was abandoned goes on by itself.
    yield* Effect.iterate(1, {
      while: (open) => open > 0,
      body: () =>
        Effect.delay(
          Effect.map(world.store.list(all), (runs) => runs.filter(({ closed }) => closed === undefined).length),
          "1 second"
        )
    })
    const runs = yield* world.store.list(all)
    const histories = yield* Effect.forEach(runs, (run) =>
      Effect.map(world.store.history(run.runId), (history) => ({ run, history })))
    world.ended = true
    return { violations: world.violations, histories }
  })

const lived = (program: fuzz.Fuzz, seed: number) => {
  const { exit, status } = Simulation.run(Effect.provide(live(program), Logger.remove(Logger.defaultLogger)), {
    seed,
    maxOperations: 3_000_000
  })
  if (exit === undefined || Exit.isFailure(exit)) throw new Error(`${status}: ${String(exit)}`)
  return exit.value
}

/** Runs the code over a history again. */
const replayed = (
  run: { readonly runId: string; readonly workflowId: string; readonly startedAt: number },
  history: ReadonlyArray<Event.Event>
) => {
  const execution = new Execution({
    info: { ...run, workflow: "Fuzz" },
    program: fuzz.Subject.program(fuzz.body),
    runtime: Runtime.defaultRuntime,
    opBudget: 1_000_000,
    strictness: "payload",
    onFault: () => {}
  })
  replay(execution, history)
  return execution
}

/** Lives it, and looks whether anything is wrong; gives the histories. */
const check = (program: fuzz.Fuzz, seed: number) => {
  const { histories, violations } = lived(program, seed)
  assert.deepStrictEqual(violations, [])
  for (const { history, run } of histories) {
    assert.deepStrictEqual(problemsIn(history), [])
    for (const _ of ["once", "twice"]) {
      const execution = replayed(run, history)
      assert.isUndefined(execution.fault, String(execution.fault))
      const last = history.at(-1)
      if (last?._tag !== "RunClosed") continue
      // What the code itself has come to, not what the history says.
      assert.deepInclude(execution.closed, { outcome: last.outcome, payload: last.payload })
    }
  }
  return histories
}

const step = (input: number, millis = 0): fuzz.Op => ({ op: "step", input, failures: 0, millis })

const plain = (body: fuzz.Op): fuzz.Fuzz => ({ body, continues: 0, notes: [], cancelAfter: undefined })

describe("fuzzing", () => {
  it("every byte string is a program (T69)", () => {
    const head = [0, 0, 0]
    assert.deepStrictEqual(fuzz.decode(new Uint8Array()), plain({ op: "block", parts: [] }))
    assert.deepStrictEqual(
      fuzz.decode(new Uint8Array([...head, 0, 5, 1, 9])),
      plain({ op: "block", parts: [{ op: "step", input: 5, failures: 1, millis: 9 }] })
    )
    assert.deepStrictEqual(
      fuzz.decode(new Uint8Array([...head, 0, 1, 0, 0, 0, 2, 0, 0])),
      plain({ op: "block", parts: [step(1), step(2)] })
    )
    assert.deepStrictEqual(
      fuzz.decode(new Uint8Array([...head, 12, 0, 2])),
      plain({ op: "block", parts: [{ op: "spawn", join: true, body: { op: "drawn" } }] })
    )
  })

  it("one activity (T70)", () => {
    assert.lengthOf(check(plain(step(1)), 1), 1)
  })

  it("activities side by side end in more than one order (T71)", () => {
    const parts = [1, 2, 3].map((input) => step(input, 5))
    const orders = Array.from({ length: 50 }, (_, seed) => {
      const [lived] = check(plain({ op: "all", parts }), seed)
      return lived!.history.flatMap((event) => event._tag === "ActivityCompleted" ? [event.target] : []).join()
    })
    assert.isAbove(new Set(orders).size, 1)
  })

  it("children side by side, in any order, also when several end at once (T72, T73, D4.9.9)", () => {
    for (const count of [3, 5]) {
      const parts = Array.from({ length: count }, (_, i): fuzz.Op => ({
        op: "child",
        close: "terminate",
        wait: true,
        body: step(i, 5)
      }))
      for (let seed = 0; seed < 25; seed++) assert.lengthOf(check(plain({ op: "all", parts }), seed), count + 1)
    }
  })

  it("fixed programs with signals, channels, side effects, races, cancellation and continued runs (T74b, T68)", () => {
    const body: fuzz.Op = {
      op: "block",
      parts: [
        { op: "channel", capacity: 1, items: 4 },
        { op: "race", parts: [{ op: "hear", millis: 30 }, step(1, 20), { op: "sleep", millis: 25 }] },
        { op: "timeout", millis: 10, body: { op: "finally", body: step(2, 40), after: step(3) } },
        { op: "drawn" },
        { op: "tell", note: 4 },
        { op: "peek" },
        { op: "until", body: { op: "retry", times: 2, body: { op: "refused", input: 3 } } },
        { op: "child", close: "cancel", wait: false, body: { op: "sleep", millis: 50 } }
      ]
    }
    for (let seed = 0; seed < 20; seed++) {
      check({ body, continues: 2, notes: [1, 2, 3], cancelAfter: seed % 3 === 0 ? 100 : undefined }, seed)
    }
  })

  it(`${programs} random programs on two engines that forget and die (T68, W-45, B-1, B-19, G10)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 80 }), fc.nat(), async (bytes, seed) => {
        await new Promise((resolve) => setImmediate(resolve))
        check(fuzz.decode(bytes), seed)
      }),
      { numRuns: programs }
    )
  }, 600_000)
})
