import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Client, Engine, Journal, Signal, WorkflowError } from "holdfast/Workflow"
import * as journals from "./support/journals.js"
import { Charge, Order, order, quiet } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const Nudge = Signal.make("Nudge")

/** A client whose journal can be closed. */
const closable = (journal: Layer.Layer<Journal.Journal>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.provideMerge(Client.layer, journal), scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

const isClosed = (error: unknown): boolean => error instanceof WorkflowError.JournalError && error.reason === "Closed"

for (const [name, journal] of journals.all) {
  describe(`a journal on ${name} that has closed`, () => {
    it.effect("answers whoever asks with an error, at once", () =>
      Effect.gen(function*() {
        const { close, context } = yield* closable(journal)
        const client = Context.get(context, Client.Client)
        const { store } = Context.get(context, Journal.Journal)
        const run = yield* client.start(Order, { id: "order", payload: 1 })
        yield* close
        const asked: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
          client.start(Order, { id: "another", payload: 1 }),
          client.signalWithStart(Order, { id: "another", payload: 1 }, Nudge, undefined),
          client.get(Order, "order"),
          client.signal("order", Nudge, undefined),
          client.cancel("order"),
          client.terminate("order"),
          client.list(),
          client.count(),
          client.describe("order"),
          client.history("order"),
          client.completeActivity(Charge, `${run.runId}/1/1/${"0".repeat(32)}`, "charged"),
          run.result,
          run.ownResult,
          run.poll,
          run.signal(Nudge, undefined),
          store.version,
          store.release("worker")
        ]
        for (const [i, question] of asked.entries()) {
          const error = yield* Effect.flip(question)
          assert.isTrue(isClosed(error), `question ${i}: ${String(error)}`)
          assert.include(String(error), "the journal has closed: the scope")
        }
      }))

    it.effect("lets nobody wait who waited when it closed", () =>
      Effect.gen(function*() {
        const { close, context } = yield* closable(journal)
        const run = yield* Effect.provide(order, context)
        const waiting = yield* Effect.fork(Effect.flip(run.result))
        yield* adjust(0)
        yield* close
        assert.isTrue(isClosed(yield* Fiber.join(waiting)))
      }))

    it.effect("has written what was handed to it before", () =>
      Effect.gen(function*() {
        const { close, context } = yield* closable(journal)
        const starting = yield* Effect.fork(Effect.provide(order, context))
        yield* Effect.yieldNow()
        yield* close
        assert.strictEqual((yield* Fiber.join(starting)).workflowId, "order")
      }))
  })
}

describe("an engine that outlives its journal", () => {
  it.effect("does not try for ever to write to it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const engine = yield* Scope.make()
      const journal = yield* Layer.buildWithScope(Journal.layerMemory, scope)
      const live = Layer.mergeAll(
        Order.toLayer((cents) => Effect.zipRight(Effect.sleep("1 second"), Charge.execute(cents))),
        Charge.toLayer(() => Effect.succeed("charged"))
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provide(Layer.succeedContext(journal)))
      const context = yield* Layer.buildWithScope(live, engine)
      yield* Effect.provide(order, context)
      yield* Scope.close(scope, Exit.void)
      yield* adjust("1 minute")
      // Would wait until everything is written.
      yield* Scope.close(engine, Exit.void)
    }))
})
