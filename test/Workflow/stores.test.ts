/** The stores beside a model that shares no code with their transaction: after the same writes all hold the same. */
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fc from "effect/FastCheck"
import { Journal } from "holdfast/Workflow"
import { steps } from "../../src/Testing/internal/journalConformance/arbitrary.js"
import { compare } from "../../src/Testing/internal/journalConformance/model.js"
import * as journals from "./support/journals.js"
import { modelStore } from "./support/modelStore.js"

for (const [name, layer] of journals.all) {
  describe(`the store on ${name}`, () => {
    it.effect("holds what the model holds, after whatever was written (B-19)", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(steps, (steps) =>
            Effect.gen(function*() {
              const context = yield* Layer.build(Layer.fresh(layer))
              const { store } = Context.get(context, Journal.Journal)
              yield* compare(store, modelStore(), steps)
            }).pipe(Effect.scoped, Effect.runPromise)),
          { numRuns: name === "memory" ? 400 : 100 }
        )
      ), 60_000)
  })
}
