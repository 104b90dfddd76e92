/**
 * The engine dies at each of its writes in turn, before it and after it, and another one goes on: the end must be the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { Simulation } from "holdfast/Testing"
import { Activity, Client, type Engine, Signal, Workflow } from "holdfast/Workflow"
import * as order from "../../examples/orders/workflow.js"
import { makeProcess, makeWorld, startEngine, withClient } from "./support/simulatedProcesses.js"
import { problemsIn } from "./support/soundHistory.js"
import * as steady from "./support/steadyPrograms.js"

/** Some work, and what clients do meanwhile. */
interface Scene {
  readonly live: Layer.Layer<never, never, Engine.Engine>
  readonly client: Effect.Effect<unknown, unknown, Client.Client>
}

type Death = { readonly at: number; readonly when: "before" | "after" }

/** Plays a scene with two engines, of which the first dies. Gives the result and how often the first one wrote. */
const play = ({ client, live }: Scene, death: Death | undefined) =>
  Effect.gen(function*() {
    const world = makeWorld()
    const [first, second, outside] = [makeProcess(world), makeProcess(world), makeProcess(world)]
    if (death !== undefined) first.cutAtWrite(death.when, death.at)
    yield* startEngine(first, live)
    yield* Effect.sleep("1 second")
    const result = yield* Effect.fork(withClient(outside, Effect.either(client)))
    yield* Effect.sleep("2 seconds")
    yield* startEngine(second, live)
    const ended = yield* result
    const runs = yield* world.store.list({ filter: {}, after: undefined, limit: 1_000 })
    const histories = yield* Effect.forEach(runs, ({ runId }) => world.store.history(runId))
    world.ended = true
    return {
      result: ended,
      writes: first.writes(),
      violations: world.violations,
      problems: histories.flatMap(problemsIn),
      open: runs.filter(({ closed }) => closed === undefined).length
    }
  })

const simulated = (scene: Scene, death: Death | undefined) => {
  const { exit, status } = Simulation.run(
    Effect.provide(play(scene, death), Logger.remove(Logger.defaultLogger)),
    { seed: 1, maxOperations: 20_000_000 }
  )
  if (exit === undefined || Exit.isFailure(exit)) {
    throw new Error(`${JSON.stringify(death)}: ${status} ${String(exit)}`)
  }
  return exit.value
}

/** Lets the first engine die everywhere; gives in how many places. */
const dieEverywhere = (scene: Scene): number => {
  const alone = simulated(scene, undefined)
  assert.deepStrictEqual([alone.problems, alone.violations, alone.open], [[], [], 0])
  for (let at = 1; at <= alone.writes; at++) {
    for (const when of ["before", "after"] as const) {
      const died = simulated(scene, { at, when })
      const context = `${when} write ${at} of ${alone.writes}`
      assert.deepStrictEqual(died.result, alone.result, context)
      assert.deepStrictEqual([died.problems, died.violations, died.open], [[], [], 0], context)
    }
  }
  return alone.writes
}

const Book = Activity.make("Book", { payload: Schema.String, success: Schema.String })
const Cancel = Activity.make("Cancel", { payload: Schema.String })
const Changed = Signal.make("Changed", { payload: Schema.String })
const Trip = Workflow.make("Trip", { payload: Schema.Number, success: Schema.String })
const Leg = Workflow.make("Leg", { payload: Schema.String, success: Schema.String })

const undone: Array<string> = []

const trips = Layer.mergeAll(
  Trip.toLayer((leg) =>
    Effect.gen(function*() {
      const flight = yield* Effect.acquireRelease(Effect.orDie(Book.execute(`flight ${leg}`)), (booked, exit) =>
        Exit.isInterrupted(exit) ? Effect.orDie(Cancel.execute(booked)) : Effect.void)
      const hotel = yield* Effect.acquireRelease(
        Effect.orDie(Workflow.executeChild(Leg, { id: `leg ${leg}`, payload: `hotel ${leg}` })),
        (booked, exit) =>
          Exit.isInterrupted(exit) ? Effect.orDie(Cancel.execute(booked)) : Effect.void
      )
      const drawn = yield* Workflow.sideEffect("drawn", Schema.Number, () => 4)
      const change = yield* Effect.orDie(Changed.receive)
      if (leg < 2) return yield* Trip.continueAsNew(leg + 1)
      return `${flight}, ${hotel}, ${drawn}, ${change}`
    })
  ),
  Leg.toLayer((what) => Effect.zipRight(Effect.sleep("200 millis"), Effect.orDie(Book.execute(what)))),
  Book.toLayer((what) => Effect.succeed(`${what} booked`)),
  Cancel.toLayer((what) => Effect.sync(() => undone.push(what)))
)

const shops = Layer.mergeAll(
  order.OrderLive,
  order.ReserveStock.toLayer(({ item }) => Effect.succeed(`reserved ${item}`)),
  order.ChargeCard.toLayer((request) => Effect.succeed({ id: `charge ${request.order}`, key: "k", ...request })),
  order.ShipParcel.toLayer(({ reservation }) => Effect.succeed(`parcel of ${reservation}`))
)

describe("an engine that dies at each of its writes", () => {
  it("leaves the example's order as it would have been (B-19, W-32)", () => {
    const writes = dieEverywhere({
      live: shops,
      client: Effect.flatMap(
        Client.start(order.Order, { id: "o", payload: { id: "o", item: "lamp", cents: 5 } }),
        (run) => run.result
      )
    })
    assert.isAbove(writes, 4)
  })

  it("leaves signals, children, side effects and continued runs as they would have been (W-3, W-4, W-32)", () => {
    const writes = dieEverywhere({
      live: trips,
      client: Effect.gen(function*() {
        const run = yield* Client.start(Trip, { id: "t", payload: 1 })
        yield* run.signal(Changed, "a", { id: "a" })
        yield* Effect.sleep("1 second")
        yield* run.signal(Changed, "b", { id: "b" })
        return yield* run.result
      })
    })
    assert.isAbove(writes, 8)
  })

  it("leaves a cancelled run with all that it has done undone, in order (B-14)", () => {
    const writes = dieEverywhere({
      live: trips,
      client: Effect.gen(function*() {
        undone.length = 0
        const run = yield* Client.start(Trip, { id: "t", payload: 2 })
        yield* Effect.sleep("12 seconds")
        yield* run.cancel()
        const error = yield* Effect.flip(run.result)
        return [error, [...new Set(undone)]].map((each) => "reason" in each ? each.reason : each)
      })
    })
    assert.isAbove(writes, 5)
  }, 30_000)

  it("leaves random programs with the result that they would have had (B-1, B-19)", () => {
    fc.assert(
      fc.property(steady.arbitrary, (program) => {
        dieEverywhere({
          live: steady.live,
          client: Effect.flatMap(Client.start(steady.Subject, { id: "s", payload: program }), (run) => run.result)
        })
      }),
      { numRuns: 15 }
    )
  }, 120_000)
})
