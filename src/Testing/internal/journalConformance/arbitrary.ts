/**
 * Random journals: what engines, clients and workers do to a store, by the right and by wrong ones.
 */
import * as fc from "effect/FastCheck"
import type { AttemptReport, Command, Event, Message, Unsequenced } from "../../../Workflow/Event.js"
import type { Entry, Services } from "../../../Workflow/Journal.js"
import {
  append,
  at,
  attemptFailed,
  beat,
  block,
  cancelRequest,
  child,
  closing,
  completed,
  failed,
  fired,
  free,
  goOn,
  post,
  queued,
  report,
  scheduled,
  signal,
  start,
  termination,
  timer,
  turn,
  workflowIdOf
} from "./entries.js"

/** One thing that is done to a store. Workers' times go on from step to step. */
export type Step =
  | { readonly _tag: "Write"; readonly entries: ReadonlyArray<Entry> }
  | {
    readonly _tag: "Claim"
    readonly worker: string
    readonly workflows: ReadonlyArray<string>
    readonly lease: number
    readonly quarantined: number
  }
  | { readonly _tag: "Take"; readonly worker: string; readonly limit: number }
  | {
    readonly _tag: "Heartbeat"
    readonly worker: string
    readonly lease: number
    readonly services: Services | undefined
  }
  | { readonly _tag: "Release"; readonly worker: string }

const runs = ["run-0", "run-1", "run-2", "run-3"]
const workflowIds = runs.map(workflowIdOf)
const workers = fc.constantFrom("a", "a", "b")

const conflict = fc.constantFrom("attach" as const, "fail" as const, "terminate" as const)
const reuse = fc.constantFrom("attach" as const, "always" as const, "whenFailed" as const, "never" as const)

const ask: fc.Arbitrary<Unsequenced<Command>> = fc.oneof(
  fc.record({
    command: fc.integer({ min: 11, max: 13 }),
    workflow: fc.constantFrom("W", "W", "V"),
    workflowId: fc.constantFrom(...workflowIds),
    parentClose: fc.constantFrom("terminate" as const, "cancel" as const, "abandon" as const),
    conflict,
    reuse
  }).map(({ command, ...options }) => child(command, options)),
  fc.constantFrom(11, 12, 13).map((target) => ({
    _tag: "ChildCancelled" as const,
    command: target + 10,
    target,
    at
  })),
  fc.record({
    command: fc.integer({ min: 31, max: 33 }),
    workflowId: fc.constantFrom(...workflowIds, "nobody"),
    id: fc.constantFrom("one", "three")
  }).map((sent) => ({ _tag: "SignalSent" as const, ...sent, signal: "S", at, digest: "d", payload: "5" })),
  fc.record({ command: fc.integer({ min: 41, max: 42 }), workflowId: fc.constantFrom(...workflowIds) }).map((sent) => ({
    _tag: "CancelSent" as const,
    ...sent,
    at,
    reason: "r"
  }))
)

/** An entry over a few runs. */
const entry: fc.Arbitrary<Entry> = fc.constantFrom(...runs, "run-0/12", "run-1/12", "run-2/12").chain((runId) => {
  const command = fc.integer({ min: 1, max: 3 })
  const attempt = fc.constantFrom(1, 1, 2)
  const ownEvent: fc.Arbitrary<Unsequenced<Event>> = fc.oneof(
    command.map((command) => scheduled(command)),
    command.map((command) => queued(command)),
    command.map((command) => queued(command, { at: at - command })),
    command.map((target) => completed(target)),
    ask,
    command.map((target): Unsequenced<Event> => ({ _tag: "ActivityCancelled", command: 9, target })),
    command.map((command) => timer(command, at + 5 - command)),
    command.map(fired),
    fc.tuple(command, attempt).map(([target, attempt]) => attemptFailed(target, attempt, at + target)),
    fc.nat(6).map((upTo) => turn(upTo))
  )
  const message = fc.constantFrom<Unsequenced<Message>>(
    signal(),
    signal({ id: "one" }),
    signal({ id: "two" }),
    cancelRequest,
    { ...cancelRequest, by: at + 5 },
    termination
  )
  const epoch = fc.constantFrom(0, 1, 1, 1, 2, 3)
  return fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(start, free).map((make) => make(runId.slice(0, 5))) },
    {
      weight: 1,
      arbitrary: fc.record({
        workflow: fc.constantFrom("W", "V"),
        conflict,
        reuse,
        signal: fc.constantFrom(undefined, signal(), signal({ id: "one" }))
      }).map((options) => start("new", { ...options, workflowId: workflowIdOf(runId) }))
    },
    {
      weight: 2,
      arbitrary: fc.record({
        attempt: fc.constantFrom(undefined, 1, 2),
        worker: fc.constantFrom(undefined, undefined, "a", "b"),
        unstarted: fc.boolean(),
        event: fc.oneof(
          command.map((target): Unsequenced<AttemptReport> => completed(target)),
          command.map((target): Unsequenced<AttemptReport> => failed(target)),
          fc.tuple(command, attempt).map(([target, attempt]): Unsequenced<AttemptReport> =>
            attemptFailed(target, attempt)
          )
        )
      }).map(({ event, ...options }) => report(runId, event, options))
    },
    {
      weight: 1,
      arbitrary: fc.record({
        command,
        attempt,
        worker: fc.constantFrom(undefined, "a"),
        outside: fc.boolean(),
        details: fc.constantFrom(undefined, "6")
      }).map(({ command, ...options }) => beat(runId, command, options))
    },
    {
      weight: 6,
      arbitrary: fc.record({
        events: fc.uniqueArray(ownEvent, {
          minLength: 1,
          maxLength: 4,
          // One entry issues a command at most once.
          selector: (event) => `${event._tag}${"command" in event ? event.command : ""}`
        }),
        epoch,
        worker: workers
      }).map(({ events, ...options }) => append(runId, events, options))
    },
    {
      weight: 1,
      arbitrary: fc.record({ epoch, worker: workers }).map((by) => append(runId, [turn(9), closing(8)], by))
    },
    {
      weight: 1,
      arbitrary: fc.record({ epoch, worker: workers, posted: fc.array(message.filter(isKept), { maxLength: 2 }) }).map(
        (options) => goOn(runId, 9, "new", options)
      )
    },
    { weight: 3, arbitrary: message.map((message) => post(runId, message)) },
    { weight: 1, arbitrary: fc.constantFrom(undefined, "why").map((reason) => block(runId, reason)) }
  )
})

const isKept = ({ _tag }: Unsequenced<Message>): boolean => _tag !== "RunTerminated"

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("Write" as const),
      entries: fc.array(entry, { minLength: 1, maxLength: 6 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Claim" as const),
      worker: workers,
      workflows: fc.constantFrom(["W"], ["W", "V"], []),
      lease: fc.constantFrom(1, 2, 100),
      quarantined: fc.nat(2)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("Take" as const), worker: workers, limit: fc.nat(3) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Heartbeat" as const),
      worker: workers,
      lease: fc.constantFrom(0, 2, 100),
      services: fc.constantFrom(undefined, { workflows: ["W"], activities: ["A"], queues: ["q"] })
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Release" as const), worker: workers }) }
)

/** Steps of which each is one that can be: a command is issued once in a run's life, and before it is answered. */
export const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(step, { maxLength: 16 }).map((drawn) => {
  const issued = new Set<string>()
  let begun = 0
  const sane = (entry: Entry): ReadonlyArray<Entry> => {
    if (entry._tag === "Start" && entry.run.runId === "new") {
      return [{ ...entry, run: { ...entry.run, runId: `new ${begun++}` } }]
    }
    if (entry._tag !== "Append") return [entry]
    const keyOf = (command: number) => `${entry.runId}/${command}`
    const events = entry.events.filter((event) => {
      if (event._tag === "RunClosed") return true
      if ("target" in event && !issued.has(keyOf(event.target))) return false
      if (!("command" in event)) return true
      if (issued.has(keyOf(event.command))) return false
      issued.add(keyOf(event.command))
      return true
    })
    if (events.length === 0) return []
    const { next, ...rest } = { ...entry, events, children: append(entry.runId, events).children }
    if (next === undefined) return [rest]
    const runId = `new ${begun++}`
    return [{ ...rest, next: { ...next, runId, posted: onceById(next.posted) } }]
  }
  return drawn.flatMap((step): ReadonlyArray<Step> => {
    if (step._tag !== "Write") return [step]
    const entries = step.entries.flatMap(sane)
    return entries.length === 0 ? [] : [{ ...step, entries }]
  })
})

const onceById = (messages: ReadonlyArray<Unsequenced<Message>>): ReadonlyArray<Unsequenced<Message>> => {
  const seen = new Set<string>()
  return messages.filter((message) => {
    if (message._tag !== "SignalReceived" || message.id === undefined) return true
    if (seen.has(message.id)) return false
    seen.add(message.id)
    return true
  })
}
