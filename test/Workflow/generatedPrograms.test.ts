import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, TestClock, TestContext } from "effect"
import * as fc from "effect/FastCheck"
import { Engine, Event, Journal } from "holdfast/Workflow"
import { replay } from "../../src/Workflow/internal/turn/replay.js"
import * as programs from "./support/programs.js"
import { execution, live, programOf, startedAt, subjectLayer } from "./support/world.js"

const runs = { numRuns: 500 }

describe("replay", () => {
  it("a random program, under a random order of completions, replays to the same commands and result (B-1, D7.3)", () => {
    fc.assert(
      fc.property(programs.arbitrary, fc.integer(), (program, seed) => {
        const { history, turns } = live(program, seed)
        const replayed = execution(programOf(program))
        const left = replay(replayed, history)
        assert.isUndefined(replayed.fault)
        assert.deepStrictEqual(left, [])
        assert.deepStrictEqual(replayed.closed, turns.at(-1)!.commands.at(-1) as never)
      }),
      runs
    )
  })

  it("every cut between replayed and live turns gives the commands of the run that was never cut (B-1, B-3, T68)", () => {
    fc.assert(
      fc.property(programs.arbitrary, fc.integer(), (program, seed) => {
        const { history, turns } = live(program, seed)
        const boundaries = history.flatMap((event, i) => event._tag === "TurnTaken" ? [i] : [])
        for (let cut = 0; cut < turns.length; cut++) {
          const resumed = execution(programOf(program))
          const prefix = history.slice(0, boundaries[cut])
          const consumed = new Set(turns.slice(0, cut).flatMap((turn) => turn.arrivals.map((arrival) => arrival.seq)))
          const left = replay(resumed, prefix)
          // What stands in the prefix and no turn of it consumed is left over, in order.
          assert.deepStrictEqual(
            left.map((arrival) => arrival.seq),
            turns[cut]!.arrivals.map((arrival) => arrival.seq).filter((seq) => !consumed.has(seq))
          )
          for (const turn of turns.slice(cut)) {
            assert.deepStrictEqual(resumed.turn(turn.at, turn.arrivals), turn.commands)
          }
          assert.isUndefined(resumed.fault)
        }
      }),
      runs
    )
  })

  it("a program changed at a random place that its history has reached is found out (B-5, D7.5)", () => {
    fc.assert(
      fc.property(
        programs.arbitrary,
        fc.integer(),
        fc.nat(),
        fc.constantFrom("name" as const, "payload" as const, "removed" as const, "added" as const, "sleep" as const),
        (program, seed, pick, change) => {
          const { history } = live(program, seed)
          const reached = history.flatMap((event) => event._tag === "ActivityScheduled" ? [event.activity] : [])
          const label = Number(reached[pick % reached.length]!.slice("Step".length))
          const changed = programs.rewrite(program, (activity) => {
            if (activity.label !== label) return activity
            switch (change) {
              case "name":
                return { ...activity, label: label + 1_000 }
              case "payload":
                return { ...activity, input: activity.input + 1 }
              case "removed":
                return { _tag: "Observe" }
              case "added":
                return { _tag: "Sequence", parts: [{ ...activity, label: label + 1_000 }, activity] }
              case "sleep":
                return { _tag: "Sequence", parts: [{ _tag: "Sleep", millis: 7 }, activity] }
            }
          })
          const replayed = execution(programOf(changed))
          replay(replayed, history)
          assert.strictEqual(replayed.fault?.reason, "Mismatch")
        }
      ),
      runs
    )
  })

  it("a sleep of another length is found out (B-5)", () => {
    fc.assert(
      fc.property(programs.arbitrary, fc.integer(), (program, seed) => {
        const { history, turns } = live(program, seed)
        // Programs end with a sleep; those that fail may not come to it.
        const closed = turns.at(-1)!.commands.at(-1)
        fc.pre(closed?._tag === "RunClosed" && closed.outcome === "Success")
        const changed = programs.rewrite(
          program,
          (activity) => activity,
          (sleep) => ({ ...sleep, millis: sleep.millis + 1 })
        )
        const replayed = execution(programOf(changed))
        replay(replayed, history)
        assert.strictEqual(replayed.fault?.reason, "Mismatch")
      }),
      runs
    )
  })

  it.effect("an engine with a changed program writes nothing; with the program as it was it goes on (B-6, W-6)", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(programs.arbitrary, fc.integer(), fc.nat(), (program, seed, pick) =>
          Effect.gen(function*() {
            const { history, turns } = live(program, seed)
            // The journal ends where a turn is due, after at least one that asked for an activity.
            const boundaries = history.flatMap((event, i) => event._tag === "TurnTaken" ? [i] : [])
            const cut = history.slice(0, boundaries[1 + pick % (turns.length - 1)])
            const lastOwn = cut.findLastIndex((event) => !Event.isArrival(event))
            const journal = yield* Journal.Journal
            const runId = "018bcfe5-6800-7000-8000-000000000001"
            yield* journal.store.write([
              {
                _tag: "Start",
                run: { runId, worker: "before" },
                workflowId: "subject",
                workflow: "Subject",
                started: { _tag: "RunStarted", at: startedAt, payload: null },
                conflict: "attach",
                reuse: "attach"
              },
              // What no turn has consumed was not written with one.
              ...[cut.slice(1, lastOwn + 1), cut.slice(lastOwn + 1)].map((events): Journal.Entry => ({
                _tag: "Append",
                runId,
                worker: "before",
                epoch: 1,
                events
              }))
            ])
            yield* journal.store.release("before")

            const engine = (source: programs.Program) => subjectLayer(source).pipe(Layer.provideMerge(Engine.layer()))
            const changed = programs.rewrite(program, (activity) => ({ ...activity, input: activity.input + 1 }))
            yield* Effect.gen(function*() {
              yield* TestClock.adjust(0)
              const [error] = yield* Effect.flatMap(Engine.Engine, (engine) => engine.blocked)
              assert.strictEqual(error?.reason, "Mismatch")
            }).pipe(Effect.provide(engine(changed)))
            assert.deepStrictEqual(yield* journal.store.history(runId), cut)

            yield* TestClock.adjust(0).pipe(Effect.provide(engine(program)))
            assert.isAbove((yield* journal.store.history(runId)).length, cut.length)
          }).pipe(
            Effect.provide(Layer.merge(Journal.layerMemory, TestContext.TestContext)),
            Logger.withMinimumLogLevel(LogLevel.None),
            Effect.runPromise
          )),
        { numRuns: 30 }
      )
    ))

  it("a changed payload passes when only names are compared", () => {
    fc.assert(
      fc.property(programs.arbitrary, fc.integer(), (program, seed) => {
        const { history } = live(program, seed)
        const changed = programs.rewrite(program, (activity) => ({ ...activity, input: activity.input + 1 }))
        const lenient = execution(programOf(changed), { strictness: "name" })
        replay(lenient, history)
        assert.isUndefined(lenient.fault)
      }),
      runs
    )
  })
})
