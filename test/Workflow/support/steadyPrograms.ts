/**
 * Random workflow programs whose result does not hang on how long anything takes: so it must be the same however often
 * their engine dies.
 */
import { Effect, Fiber, Layer, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, type Run, Signal, Workflow } from "holdfast/Workflow"

export type Steady =
  | { readonly _tag: "Step"; readonly input: number; readonly failures: number }
  | { readonly _tag: "Sleep"; readonly millis: number }
  | { readonly _tag: "Drawn" }
  | { readonly _tag: "Told"; readonly note: number }
  | { readonly _tag: "Sequence"; readonly parts: ReadonlyArray<Steady> }
  | { readonly _tag: "All"; readonly parts: ReadonlyArray<Steady> }
  | { readonly _tag: "Fork"; readonly child: Steady; readonly parent: Steady }
  | { readonly _tag: "Finally"; readonly body: Steady; readonly after: Steady }
  | { readonly _tag: "Child"; readonly body: Steady }

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const Step = Activity.make("Step", {
  payload: Schema.Struct({ input: Schema.Number, failures: Schema.Number }),
  success: Schema.Number,
  error: Busy,
  retry: RetryPolicy.make({ retries: "unlimited", backoff: Backoff.constant("100 millis") })
})

const Note = Signal.make("Note", { payload: Schema.Number })

const Steady: Schema.Schema<Steady> = Schema.Any

const { program } = fc.letrec<{ program: Steady }>((tie) => ({
  program: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Step" as const), input: fc.nat(9), failures: fc.nat(1) }) },
    fc.record({ _tag: fc.constant("Sleep" as const), millis: fc.nat(40) }),
    fc.record({ _tag: fc.constant("Drawn" as const) }),
    fc.record({ _tag: fc.constant("Told" as const), note: fc.nat(9) }),
    fc.record({
      _tag: fc.constant("Sequence" as const),
      parts: fc.array(tie("program"), { minLength: 1, maxLength: 3 })
    }),
    fc.record({ _tag: fc.constant("All" as const), parts: fc.array(tie("program"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ _tag: fc.constant("Fork" as const), child: tie("program"), parent: tie("program") }),
    fc.record({ _tag: fc.constant("Finally" as const), body: tie("program"), after: tie("program") }),
    fc.record({ _tag: fc.constant("Child" as const), body: tie("program") })
  )
}))

export const arbitrary: fc.Arbitrary<Steady> = program

export const Subject = Workflow.make("Subject", { payload: Steady, success: Schema.String })

const meaning = (self: Steady, next: () => number): Effect.Effect<string, never, Run.Run> => {
  switch (self._tag) {
    case "Step":
      return Effect.map(Effect.orDie(Step.execute({ input: self.input, failures: self.failures })), String)
    case "Sleep":
      return Effect.as(Effect.sleep(self.millis), "slept")
    case "Drawn":
      return Effect.map(Workflow.sideEffect("drawn", Schema.Number, () => 7), String)
    case "Told":
      return Effect.flatMap(Workflow.info, ({ workflowId }) =>
        Effect.zipRight(
          Effect.orDie(Note.send(workflowId, self.note)),
          Effect.as(Effect.orDie(Note.receive), "told")
        ))
    case "Sequence":
      return Effect.map(Effect.forEach(self.parts, (part) => meaning(part, next)), (results) => results.join(";"))
    case "All":
      return Effect.map(
        Effect.forEach(self.parts, (part) => meaning(part, next), { concurrency: "unbounded" }),
        (results) => `[${results.join(",")}]`
      )
    case "Fork":
      return Effect.gen(function*() {
        const child = yield* Effect.fork(meaning(self.child, next))
        const parent = yield* meaning(self.parent, next)
        return `${parent}&${yield* Fiber.join(child)}`
      })
    case "Finally":
      return Effect.ensuring(meaning(self.body, next), meaning(self.after, next))
    case "Child":
      return Effect.flatMap(Workflow.info, ({ workflowId }) =>
        Effect.orDie(
          Workflow.executeChild(Subject, { id: `${workflowId}/${next()}`, payload: self.body })
        ))
  }
}

/** The workflow and its activity, which fails as often as it is asked to before it succeeds. */
export const live = Layer.mergeAll(
  Subject.toLayer((body) =>
    Effect.suspend(() => {
      let children = 0
      return meaning(body, () => children++)
    })
  ),
  Step.toLayer(({ failures, input }) =>
    Effect.flatMap(
      Activity.info,
      ({ attempt }) => attempt <= failures ? Effect.fail(new Busy()) : Effect.succeed(input)
    )
  )
)
