// What must not compile is written here on purpose.
// @effect-diagnostics missingEffectContext:off missingEffectError:off floatingEffect:off
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Activity, Client, Engine, Journal, type Run, Workflow, type WorkflowError } from "holdfast/Workflow"
import { expectTypeOf } from "vitest"

class Database extends Context.Tag("test/Database")<Database, { readonly rows: Effect.Effect<number> }>() {}
class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}

const Count = Activity.make("Count", { payload: Schema.String, success: Schema.Number, error: Declined })
const Nightly = Workflow.make("Nightly", { success: Schema.Number })

describe("types", () => {
  it("a workflow body may require its run and a scope", () => {
    const layer = Nightly.toLayer(() =>
      Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.void)
        yield* Workflow.info
        return 1
      })
    )
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never, never, Engine.Engine>>()
  })

  it("a workflow body that requires a service does not compile, and is told to use an activity", () => {
    // @ts-expect-error: UseOtherServicesInAnActivity
    const layer = Nightly.toLayer(() => Effect.flatMap(Database, (database) => database.rows))
    assert.isTrue(Layer.isLayer(layer))
  })

  it("an activity is asked for inside a workflow only, and its own errors and the engine's are in its type", () => {
    expectTypeOf(Count.execute("users")).toEqualTypeOf<
      Effect.Effect<number, Declined | WorkflowError.ActivityError, Run.Run>
    >()
  })

  it("an activity's handler may require anything; the attempt and a scope are given", () => {
    const layer = Count.toLayer(() =>
      Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.void)
        yield* Activity.idempotencyKey
        return yield* Effect.flatMap(Database, (database) => database.rows)
      })
    )
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never, never, Engine.Engine | Database>>()
  })

  it("a workflow fails with its own errors and with those of activities that it lets pass, and nothing else", () => {
    const strict = Workflow.make("Strict", { success: Schema.Number })
    // @ts-expect-error: Declined is no error of this workflow
    assert.isTrue(Layer.isLayer(strict.toLayer(() => Count.execute("users"))))
  })

  it("a payload is asked for unless there is none", () => {
    const Each = Workflow.make("Each", { payload: Schema.String })
    expectTypeOf(Client.start(Nightly, { id: "tonight" })).toMatchTypeOf<
      Effect.Effect<unknown, unknown, Client.Client>
    >()
    // @ts-expect-error: a payload is missing
    Client.start(Each, { id: "each" })
  })

  it("an engine needs a journal and gives a client too", () => {
    expectTypeOf(Engine.layer()).toEqualTypeOf<
      Layer.Layer<Engine.Engine | Client.Client, WorkflowError.JournalError, Journal.Journal>
    >()
  })
})
