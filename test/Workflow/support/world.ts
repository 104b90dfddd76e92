/**
 * A world for one run, without engine or journal: it answers what the run asks for, in an order and at times drawn from a
 * seed, and writes the history that an engine would write.
 */
import { Effect, Runtime, Schema } from "effect"
import { PCGRandom } from "effect/Utils"
import { type History, Workflow } from "holdfast/Workflow"
import type { Arrival, Command, Event, Unsequenced } from "../../../src/Workflow/Event.js"
import { Execution, type Program } from "../../../src/Workflow/internal/turn/execution.js"
import { meaning, type Program as Source, Refused } from "./programs.js"

export const startedAt = 1_700_000_000_000

class TooSlow extends Schema.TaggedError<TooSlow>()("TooSlow", {}) {}

const Subject = Workflow.make("Subject", { success: Schema.String, error: Schema.Union(Refused, TooSlow) })

const bodyOf = (source: Source) => () => Effect.catchTag(meaning(source), "TimeoutException", () => new TooSlow())

export const programOf = (source: Source): Program => Subject.program(bodyOf(source))

/** The program as a workflow of an engine. */
export const subjectLayer = (source: Source) => Subject.toLayer(bodyOf(source))

const info = { workflow: "Subject", workflowId: "subject", runId: "018bcfe5-6800-7000-8000-000000000001", startedAt }

/** What it lived, as it is exported. */
export const historyOf = ({ history }: Lived): History.History => ({ format: 1, run: info, events: history })

export const execution = (program: Program, options?: { readonly strictness?: "payload" | "name" }): Execution =>
  new Execution({
    info,
    program,
    runtime: Runtime.defaultRuntime,
    opBudget: 1_000_000,
    strictness: options?.strictness ?? "payload",
    onFault: () => {}
  })

/** One turn as it was taken, and what it gave. */
export interface Taken {
  readonly at: number
  readonly arrivals: ReadonlyArray<Arrival>
  readonly commands: ReadonlyArray<Unsequenced<Command>>
}

export interface Lived {
  readonly turns: ReadonlyArray<Taken>
  readonly history: ReadonlyArray<Event>
}

/** Lives a run to its end. */
export const live = (source: Source, seed: number): Lived => {
  const random = new PCGRandom(seed)
  const run = execution(programOf(source))
  const history: Array<Event> = []
  const turns: Array<Taken> = []
  const activities = new Set<number>()
  const timers = new Map<number, number>()
  let now = startedAt
  let upTo = 0

  const write = <E extends Event>(event: Unsequenced<E>): E => {
    const placed = { ...event, seq: history.length + 1 } as unknown as E
    history.push(placed)
    return placed
  }

  const answer = (target: number): Unsequenced<Arrival> =>
    random.number() < 0.7
      ? { _tag: "ActivityCompleted", target, at: now, payload: String(random.integer(100)) }
      : {
        _tag: "ActivityFailed",
        target,
        at: now,
        attempts: 1,
        failure: { reason: "Failure", tag: "Refused", message: "refused" },
        payload: JSON.stringify({ _tag: "Refused", label: target })
      }

  const arrivalsOf = (): ReadonlyArray<Unsequenced<Arrival>> => {
    if (turns.length === 0) return [{ _tag: "RunStarted", at: startedAt, payload: null }]
    const arrivals: Array<Unsequenced<Arrival>> = []
    while (arrivals.length === 0) {
      // Sometimes nothing answers until the next timer is due.
      if (activities.size === 0 || random.number() < 0.3) {
        const next = Math.min(...timers.values())
        if (next < Infinity) now = Math.max(now, next)
      }
      now += random.integer(3)
      for (const command of activities) if (random.number() < 0.4) arrivals.push(answer(command))
      for (const [target, fireAt] of timers) {
        if (fireAt <= now && random.number() < 0.8) arrivals.push({ _tag: "TimerFired", target, at: now })
      }
    }
    for (let i = arrivals.length - 1; i > 0; i--) {
      const j = random.integer(i + 1)
      ;[arrivals[i], arrivals[j]] = [arrivals[j]!, arrivals[i]!]
    }
    return arrivals
  }

  while (run.closed === undefined) {
    // Some arrivals are in the journal before the turn, the rest are carried by it.
    const arriving = arrivalsOf()
    const ahead = random.integer(arriving.length + 1)
    const arrivals = arriving.map((arrival) => write<Arrival>(arrival))
    upTo = arrivals[ahead - 1]?.seq ?? upTo
    for (const arrival of arrivals) {
      if (!("target" in arrival)) continue
      activities.delete(arrival.target)
      timers.delete(arrival.target)
    }
    const commands = run.turn(now, arrivals)
    if (run.fault !== undefined) throw run.fault
    write({ _tag: "TurnTaken", at: run.now, consumedUpTo: upTo, inlineArrivals: arriving.length - ahead })
    turns.push({ at: run.now, arrivals, commands })
    for (const command of commands) {
      write(command)
      if (command._tag === "ActivityScheduled") activities.add(command.command)
      if (command._tag === "TimerStarted") timers.set(command.command, command.fireAt)
      if ("target" in command) {
        activities.delete(command.target)
        timers.delete(command.target)
      }
    }
    if (turns.length > 2_000) throw new Error("this program never ends")
  }
  return { turns, history }
}
