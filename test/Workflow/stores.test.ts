/** The stores beside a model that shares no code with their transaction: after the same writes all hold the same. */
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fc from "effect/FastCheck"
import { Journal } from "holdfast/Workflow"
import { type Step, steps } from "../../src/Testing/internal/journalConformance/arbitrary.js"
import { append, child, start, turn, workflowIdOf } from "../../src/Testing/internal/journalConformance/entries.js"
import { compare } from "../../src/Testing/internal/journalConformance/model.js"
import * as journals from "./support/journals.js"
import { modelStore } from "./support/modelStore.js"

/** Runs that are under way, with children, so that what is drawn finds something to change. */
const opening: ReadonlyArray<Step> = [
  {
    _tag: "Write",
    entries: [
      ...["run-0", "run-1", "run-2"].map((runId) => start(runId)),
      append("run-0", [turn(1), child(61), child(62, { parentClose: "cancel" })]),
      append("run-1", [turn(1), child(63, { workflowId: workflowIdOf("run-2") })])
    ]
  }
]

const seeds = Number(process.env["HOLDFAST_SEEDS"] ?? 2_000)

for (const [name, layer] of journals.all) {
  describe(`the store on ${name}`, () => {
    it.effect("holds what the model holds, after whatever was written (B-19)", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(steps, (drawn) =>
            Effect.gen(function*() {
              const context = yield* Layer.build(Layer.fresh(layer))
              const { store } = Context.get(context, Journal.Journal)
              yield* compare(store, modelStore(), [...opening, ...drawn])
            }).pipe(Effect.scoped, Effect.runPromise)),
          { numRuns: seeds / ({ memory: 1, SQLite: 10 }[name] ?? 50) }
        )
      ), 600_000)
  })
}
