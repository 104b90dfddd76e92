/** Orders: the workflow and the activity that most tests of the engine are about. */
import { Effect, Layer, Logger, Schema } from "effect"
import { Activity, Client, Engine, Journal, Workflow } from "holdfast/Workflow"
import type { Event } from "../../../src/Workflow/Event.js"

export class Declined extends Schema.TaggedError<Declined>()("Declined", { cents: Schema.Number }) {}

export const Charge = Activity.make("Charge", { payload: Schema.Number, success: Schema.String, error: Declined })

export const Order = Workflow.make("Order", { payload: Schema.Number, success: Schema.String, error: Declined })

export const quiet = Logger.remove(Logger.defaultLogger)

export const historyOf = (runId: string) => Effect.flatMap(Journal.Journal, ({ store }) => store.history(runId))

export const kinds = (history: ReadonlyArray<Event>) => history.map((event) => event._tag)

/** A run of `Order`, on an engine of its own with these layers, on the journal of the test. */
export const started = <R>(live: Layer.Layer<never, never, Engine.Engine | R>, options?: Engine.Options) => ({
  engine: live.pipe(Layer.provideMerge(Engine.layer(options)), Layer.provide(quiet)),
  start: Client.start(Order, { id: "order", payload: 100 })
})

export const inMemory = <A, E>(
  live: Layer.Layer<never, never, Engine.Engine>,
  test: Effect.Effect<A, E, Engine.Engine | Client.Client | Journal.Journal>
) => test.pipe(Effect.provide(Layer.provideMerge(started(live).engine, Journal.layerMemory)))

export const order = Client.start(Order, { id: "order", payload: 100 })
