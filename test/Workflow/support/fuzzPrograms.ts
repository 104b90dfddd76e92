/**
 * Byte strings as workflow programs: any string is a program, and every program ends. A block has at most twelve parts, and
 * nesting ends at a depth of four, where what is left of the string is plain steps.
 */
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Queue, Schedule, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, type Run, Signal, Workflow } from "holdfast/Workflow"

export type Op =
  | { readonly op: "step"; readonly input: number; readonly failures: number; readonly millis: number }
  | { readonly op: "refused"; readonly input: number }
  | { readonly op: "sleep"; readonly millis: number }
  | { readonly op: "yield" }
  | { readonly op: "drawn" }
  | { readonly op: "hear"; readonly millis: number }
  | { readonly op: "peek" }
  | { readonly op: "tell"; readonly note: number }
  | { readonly op: "block"; readonly parts: ReadonlyArray<Op> }
  | { readonly op: "all"; readonly parts: ReadonlyArray<Op> }
  | { readonly op: "race"; readonly parts: ReadonlyArray<Op> }
  | { readonly op: "timeout"; readonly body: Op; readonly millis: number }
  | { readonly op: "spawn"; readonly body: Op; readonly join: boolean }
  | { readonly op: "finally"; readonly body: Op; readonly after: Op }
  | { readonly op: "retry"; readonly body: Op; readonly times: number }
  | { readonly op: "channel"; readonly capacity: number; readonly items: number }
  | { readonly op: "until"; readonly body: Op }
  | {
    readonly op: "child"
    readonly body: Op
    readonly close: "terminate" | "cancel" | "abandon"
    readonly wait: boolean
  }

/** A program, how often its run goes on as another one, and what clients do to it. */
export interface Fuzz {
  readonly body: Op
  readonly continues: number
  readonly notes: ReadonlyArray<number>
  readonly cancelAfter: number | undefined
}

const deepest = 4

export const decode = (bytes: Uint8Array): Fuzz => {
  let at = 0
  const next = (): number => bytes[at++] ?? 0
  const parts = (depth: number, count: number) => Array.from({ length: count }, () => op(depth + 1))
  const op = (depth: number): Op => {
    const kind = at >= bytes.length || depth >= deepest ? next() % 7 : next() % 18
    switch (kind) {
      case 0:
        return { op: "step", input: next() % 10, failures: next() % 3, millis: next() % 50 }
      case 1:
        return { op: "sleep", millis: next() % 60 }
      case 2:
        return { op: "drawn" }
      case 3:
        return { op: "hear", millis: 1 + next() % 80 }
      case 4:
        return { op: "peek" }
      case 5:
        return { op: "tell", note: next() % 10 }
      case 6:
        return next() % 2 === 0 ? { op: "yield" } : { op: "refused", input: next() % 10 }
      case 7:
        return { op: "block", parts: parts(depth, 1 + next() % 4) }
      case 8:
        return { op: "all", parts: parts(depth, 1 + next() % 4) }
      case 9:
      case 10:
        return { op: "race", parts: parts(depth, 2 + next() % 3) }
      case 11:
        return { op: "timeout", millis: 1 + next() % 60, body: op(depth + 1) }
      case 12:
        return { op: "spawn", join: next() % 2 === 0, body: op(depth + 1) }
      case 13:
        return { op: "finally", body: op(depth + 1), after: op(depth + 1) }
      case 14:
        return { op: "retry", times: next() % 3, body: op(depth + 1) }
      case 15:
        return { op: "channel", capacity: 1 + next() % 3, items: 1 + next() % 5 }
      case 16:
        return { op: "until", body: op(depth + 1) }
      default: {
        const close = (["terminate", "cancel", "abandon"] as const)[next() % 3]!
        return { op: "child", close, wait: next() % 3 > 0, body: op(depth + 1) }
      }
    }
  }
  const continues = next() % 3
  const cancel = next()
  const notes = Array.from({ length: next() % 4 }, () => next() % 10)
  const blocks: Array<Op> = []
  while (at < bytes.length && blocks.length < 12) blocks.push(op(0))
  return {
    continues,
    cancelAfter: cancel % 4 === 3 ? cancel * 3 : undefined,
    notes,
    body: { op: "block", parts: blocks }
  }
}

class Refused extends Schema.TaggedError<Refused>()("Refused", { input: Schema.Number }) {}

const Step = Activity.make("Step", {
  payload: Schema.Struct({ input: Schema.Number, failures: Schema.Number, millis: Schema.Number }),
  success: Schema.Number,
  error: Refused,
  retry: RetryPolicy.make({ retries: 5, backoff: Backoff.constant("20 millis") })
})

const Refusing = Activity.make("Refusing", { payload: Schema.Number, success: Schema.Number, error: Refused })

export const Note = Signal.make("Note", { payload: Schema.Number })

const Any: Schema.Schema<Op> = Schema.Any

export const Subject = Workflow.make("Fuzz", {
  payload: Schema.Struct({ body: Any, left: Schema.Number }),
  success: Schema.String,
  error: Refused
})

type Failure = Refused | Effect.Effect.Error<ReturnType<typeof Refusing.execute>> | Cause.TimeoutException

const meaning = (self: Op, fresh: () => number): Effect.Effect<string, Failure, Run.Run> => {
  switch (self.op) {
    case "step":
      return Effect.map(Step.execute(self), String)
    case "refused":
      return Effect.map(Refusing.execute(self.input), String)
    case "sleep":
      return Effect.as(Effect.sleep(self.millis), "slept")
    case "yield":
      return Effect.as(Effect.yieldNow(), "yielded")
    case "drawn":
      return Effect.map(Workflow.sideEffect("drawn", Schema.Number, Math.random), String)
    case "hear":
      return Effect.map(
        Effect.orDie(Effect.timeoutOption(Note.receive, self.millis)),
        Option.match({
          onNone: () => "silence",
          onSome: String
        })
      )
    case "peek":
      return Effect.map(Effect.orDie(Note.tryReceive), Option.match({ onNone: () => "nothing", onSome: String }))
    case "tell":
      return Effect.flatMap(
        Workflow.info,
        ({ workflowId }) => Effect.as(Effect.orDie(Note.send(workflowId, self.note)), "told")
      )
    case "block":
      return Effect.map(
        Effect.forEach(self.parts, (part) => Effect.either(meaning(part, fresh))),
        (results) => results.map((result) => result._tag === "Right" ? result.right : result.left._tag).join(";")
      )
    case "all":
      return Effect.map(
        Effect.forEach(self.parts, (part) => meaning(part, fresh), { concurrency: "unbounded" }),
        (results) => `[${results.join(",")}]`
      )
    case "race":
      return Effect.raceAll(self.parts.map((part) => meaning(part, fresh)))
    case "timeout":
      return Effect.timeout(meaning(self.body, fresh), self.millis)
    case "spawn":
      return Effect.gen(function*() {
        const fiber = yield* Effect.fork(meaning(self.body, fresh))
        if (!self.join) return "spawned"
        yield* Effect.sleep(5)
        return yield* Fiber.join(fiber)
      })
    case "finally":
      // In a fiber of its own, since nothing in a finalizer can be interrupted: a limit of time would never end it.
      return Effect.ensuring(
        meaning(self.body, fresh),
        Effect.flatMap(Effect.forkDaemon(Effect.interruptible(meaning(self.after, fresh))), Fiber.await)
      )
    case "retry":
      return Effect.retry(
        meaning(self.body, fresh),
        Schedule.intersect(Schedule.spaced(Duration.millis(10)), Schedule.recurs(self.times))
      )
    case "channel":
      return Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(self.capacity)
        const items = Array.from({ length: self.items }, (_, i) => i)
        const sender = yield* Effect.fork(
          Effect.forEach(
            items,
            (i) => Effect.zipRight(i % 2 === 0 ? Effect.sleep(3) : Effect.void, Queue.offer(queue, i))
          )
        )
        const received = yield* Effect.replicateEffect(Queue.take(queue), self.items)
        yield* Fiber.join(sender)
        return received.join("")
      })
    case "until":
      return Effect.gen(function*() {
        let done: Exit.Exit<string, Failure> | undefined
        yield* Effect.fork(Effect.onExit(meaning(self.body, fresh), (exit) => Effect.sync(() => done = exit)))
        yield* Workflow.until(() => done !== undefined)
        return yield* done!
      })
    case "child":
      return Effect.gen(function*() {
        const { workflowId } = yield* Workflow.info
        const options = {
          id: `${workflowId}/${fresh()}`,
          payload: { body: self.body, left: 0 },
          parentClose: self.close
        }
        if (!self.wait) {
          const child = yield* Effect.orDie(Workflow.startChild(Subject, options))
          return child.workflowId
        }
        const ended = yield* Effect.either(Workflow.executeChild(Subject, options))
        return ended._tag === "Right" ? ended.right : ended.left._tag
      })
  }
}

export const body = (
  { body, left }: typeof Subject extends Workflow.Workflow<infer Payload, string, Refused> ? Payload : never
) =>
  Effect.suspend(() => {
    let children = 0
    const run = Effect.catchTag(meaning(body, () => children++), "TimeoutException", () => Effect.succeed("too late"))
    return left === 0 ? run : Effect.zipRight(run, Subject.continueAsNew({ body, left: left - 1 }))
  })

export const live = Layer.mergeAll(
  Subject.toLayer(body),
  Step.toLayer(({ failures, input, millis }) =>
    Effect.flatMap(
      Activity.info,
      ({ attempt }) =>
        Effect.zipRight(
          Effect.sleep(millis),
          attempt <= failures ? Effect.fail(new Refused({ input })) : Effect.succeed(input)
        )
    )
  ),
  Refusing.toLayer((input) => Effect.zipRight(Effect.sleep(input), Effect.fail(new Refused({ input }))))
)
