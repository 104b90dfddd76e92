/**
 * Histories for replays: lived on an engine under the clock of the test, or written by hand.
 */
import { Effect, Fiber, Layer } from "effect"
import { Client, Engine, Event, History, Journal, Run, Workflow } from "holdfast/Workflow"
import { digest } from "../../../src/Workflow/internal/turn/digest.js"
import { quiet } from "./orders.js"
import { adjust } from "./settling.js"

/** The history of a run that ends within a day, on an engine with these layers; `meanwhile` happens after a minute. */
export const lived = <P, A, E, X = void, Y = never>(
  workflow: Workflow.Workflow<P, A, E>,
  payload: P,
  live: Layer.Layer<never, never, Engine.Engine>,
  meanwhile?: Effect.Effect<X, Y, Client.Client | Journal.Journal>
) =>
  Effect.gen(function*() {
    const run = yield* Client.start(workflow, { id: "lived", payload })
    const fiber = yield* Effect.fork(Effect.delay(meanwhile ?? Effect.void, "1 minute"))
    yield* adjust("1 day")
    yield* Fiber.join(fiber)
    yield* Effect.exit(run.ownResult)
    return yield* History.read(run.runId)
  }).pipe(
    Effect.provide(live.pipe(
      Layer.provideMerge(Engine.layer()),
      Layer.provideMerge(Journal.layerMemory),
      Layer.provide(quiet)
    ))
  )

/** The first events of a history. */
export const first = (history: History.History, events: number): History.History => ({
  ...history,
  events: history.events.slice(0, events)
})

/** A history with one more event. */
export const and = (
  history: History.History,
  event: Event.Event extends infer E ? E extends Event.Event ? Omit<E, "seq"> : never : never
): History.History => ({
  ...history,
  events: [...history.events, { ...event, seq: history.events.length + 1 } as Event.Event]
})

export const run: Run.RunIdentity = {
  workflow: "Chain",
  workflowId: "chain",
  runId: "018bcfe5-6800-7000-8000-000000000002",
  startedAt: 0
}

/** A run that asks for the activity `Step` with 0, 1, 2 and so on, and ends with how many those were. */
export const chain = (steps: number): History.History => {
  const events: Array<Event.Event> = [{ _tag: "RunStarted", seq: 1, at: 0, payload: String(steps) }]
  for (let i = 0; i < steps; i++) {
    const [seq, payload] = [events.length, String(i)]
    events.push(
      { _tag: "TurnTaken", seq: seq + 1, at: i, consumedUpTo: seq, inlineArrivals: 0 },
      {
        _tag: "ActivityScheduled",
        seq: seq + 2,
        command: i + 1,
        activity: "Step",
        at: i,
        digest: digest(payload),
        payload
      },
      { _tag: "ActivityCompleted", seq: seq + 3, target: i + 1, at: i + 1, payload: String(i + 1) }
    )
  }
  const [seq, payload] = [events.length, String(steps)]
  events.push(
    { _tag: "TurnTaken", seq: seq + 1, at: steps, consumedUpTo: seq, inlineArrivals: 0 },
    { _tag: "RunClosed", at: 0, seq: seq + 2, command: steps + 1, outcome: "Success", digest: digest(payload), payload }
  )
  return { format: 1, run, events }
}
