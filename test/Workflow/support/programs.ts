/**
 * Random workflow programs: a small language over what a workflow may do, an arbitrary of its programs, and its meaning
 * as a workflow body. Every activity has a label of its own, so that a mutation of one can be found in a history.
 */
import { Cause, Clock, Duration, Effect, Exit, Fiber, Queue, Random, Schedule, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { Activity, type Run, type WorkflowError } from "holdfast/Workflow"

export type Program =
  | { readonly _tag: "Activity"; readonly label: number; readonly input: number }
  | { readonly _tag: "Sleep"; readonly millis: number }
  | { readonly _tag: "Observe" }
  | { readonly _tag: "Sequence"; readonly parts: ReadonlyArray<Program> }
  | { readonly _tag: "All"; readonly parts: ReadonlyArray<Program>; readonly concurrency: number | "unbounded" }
  | { readonly _tag: "Race"; readonly left: Program; readonly right: Program }
  | { readonly _tag: "Retry"; readonly body: Program; readonly times: number; readonly millis: number }
  | { readonly _tag: "Timeout"; readonly body: Program; readonly millis: number }
  | { readonly _tag: "Fork"; readonly child: Program; readonly parent: Program; readonly join: boolean }
  | { readonly _tag: "Finally"; readonly body: Program; readonly after: Program }
  | { readonly _tag: "Pipe"; readonly producer: Program; readonly count: number }

/** Every activity of a test is this one; its label says which place of the program asked for it. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { label: Schema.Number }) {}

export const Step = (label: number) =>
  Activity.make(`Step${label}`, { payload: Schema.Number, success: Schema.Number, error: Refused })

const leaf: fc.Arbitrary<Program> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ _tag: fc.constant("Activity" as const), label: fc.constant(0), input: fc.nat(9) })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Sleep" as const), millis: fc.integer({ min: 0, max: 50 }) }) },
  { weight: 1, arbitrary: fc.constant<Program>({ _tag: "Observe" }) }
)

const { program } = fc.letrec<{ program: Program }>((tie) => {
  const parts = fc.array(tie("program"), { minLength: 1, maxLength: 4 })
  const millis = fc.integer({ min: 1, max: 60 })
  return {
    program: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      leaf,
      fc.record({ _tag: fc.constant("Sequence" as const), parts }),
      fc.record({
        _tag: fc.constant("All" as const),
        parts,
        concurrency: fc.constantFrom(1, 2, "unbounded" as const)
      }),
      fc.record({ _tag: fc.constant("Race" as const), left: tie("program"), right: tie("program") }),
      fc.record({ _tag: fc.constant("Retry" as const), body: tie("program"), times: fc.nat(3), millis }),
      fc.record({ _tag: fc.constant("Timeout" as const), body: tie("program"), millis }),
      fc.record({
        _tag: fc.constant("Fork" as const),
        child: tie("program"),
        parent: tie("program"),
        join: fc.boolean()
      }),
      fc.record({ _tag: fc.constant("Finally" as const), body: tie("program"), after: tie("program") }),
      fc.record({ _tag: fc.constant("Pipe" as const), producer: tie("program"), count: fc.integer({ min: 1, max: 3 }) })
    )
  }
})

/** Programs that begin with a durable step, each activity with its own label. */
export const arbitrary: fc.Arbitrary<Program> = program.map((body) => {
  let label = 0
  return rewrite(
    { _tag: "Sequence", parts: [{ _tag: "Activity", label: 0, input: 0 }, body, { _tag: "Sleep", millis: 5 }] },
    (activity) => ({ ...activity, label: ++label })
  )
})

type ActivityNode = Extract<Program, { readonly _tag: "Activity" }>

type SleepNode = Extract<Program, { readonly _tag: "Sleep" }>

/** The program with its activities replaced, in the order of the text, and its sleeps. */
export const rewrite = (
  self: Program,
  change: (activity: ActivityNode) => Program,
  changeSleep: (sleep: SleepNode) => Program = (sleep) => sleep
): Program => {
  const go = (part: Program): Program => rewrite(part, change, changeSleep)
  switch (self._tag) {
    case "Activity":
      return change(self)
    case "Sleep":
      return changeSleep(self)
    case "Observe":
      return self
    case "Sequence":
    case "All":
      return { ...self, parts: self.parts.map(go) }
    case "Race":
      return { ...self, left: go(self.left), right: go(self.right) }
    case "Retry":
    case "Timeout":
      return { ...self, body: go(self.body) }
    case "Fork":
      return { ...self, child: go(self.child), parent: go(self.parent) }
    case "Finally":
      return { ...self, body: go(self.body), after: go(self.after) }
    case "Pipe":
      return { ...self, producer: go(self.producer) }
  }
}

type Failure = Refused | WorkflowError.ActivityError | Cause.TimeoutException

/** What the program does as the body of a workflow. Its value tells everything that it saw. */
export const meaning = (self: Program): Effect.Effect<string, Failure, Run.Run> => {
  switch (self._tag) {
    case "Activity":
      return Effect.map(Step(self.label).execute(self.input), (result) => `${self.label}=${result}`)
    case "Sleep":
      return Effect.as(Effect.sleep(self.millis), "slept")
    case "Observe":
      return Effect.map(
        Effect.all([Clock.currentTimeMillis, Random.nextInt, Effect.sync(() => `${Date.now()}/${Math.random()}`)]),
        (seen) => seen.join("/")
      )
    case "Sequence":
      return Effect.map(Effect.forEach(self.parts, meaning), (results) => results.join(";"))
    case "All":
      return Effect.map(
        Effect.forEach(self.parts, meaning, { concurrency: self.concurrency }),
        (results) => `[${results.join(",")}]`
      )
    case "Race":
      return Effect.race(meaning(self.left), meaning(self.right))
    case "Retry":
      return Effect.retry(
        meaning(self.body),
        Schedule.intersect(Schedule.spaced(Duration.millis(self.millis)), Schedule.recurs(self.times))
      )
    case "Timeout":
      return Effect.timeout(meaning(self.body), self.millis)
    case "Fork":
      return Effect.flatMap(
        Effect.fork(meaning(self.child)),
        (child) =>
          Effect.flatMap(meaning(self.parent), (parent) =>
            self.join
              ? Effect.map(Fiber.join(child), (joined) => `${parent}&${joined}`)
              : Effect.succeed(parent))
      )
    case "Finally":
      return Effect.ensuring(meaning(self.body), Effect.ignore(meaning(self.after)))
    case "Pipe":
      return Effect.gen(function*() {
        const queue = yield* Queue.unbounded<string>()
        // Interruptible even inside a finalizer, where a fork inherits that it is not.
        const consumer = yield* Effect.fork(Effect.interruptible(Effect.replicateEffect(Queue.take(queue), self.count)))
        const exit = yield* Effect.exit(
          Effect.repeatN(Effect.flatMap(meaning(self.producer), (item) => Queue.offer(queue, item)), self.count - 1)
        )
        // A producer that failed leaves a consumer that waits for nothing.
        if (Exit.isFailure(exit)) yield* Fiber.interrupt(consumer)
        const received = yield* Fiber.await(consumer)
        return `${exit._tag}|${Exit.isSuccess(received) ? received.value.join(",") : "interrupted"}`
      })
  }
}
