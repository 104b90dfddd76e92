/**
 * A store beside the one in memory: after the same steps both hold the same.
 */
import * as Effect from "effect/Effect"
import type { Event, Unsequenced } from "../../../Workflow/Event.js"
import type { Claimed, Entry, JournalStore } from "../../../Workflow/Journal.js"
import type { Step } from "./arbitrary.js"
import { audit } from "./audit.js"
import { at, turn } from "./entries.js"
import { type Checked, same } from "./expect.js"

export const compare = (store: JournalStore, model: JournalStore, steps: ReadonlyArray<Step>): Checked =>
  Effect.gen(function*() {
    for (const [i, drawn] of steps.entries()) {
      const now = at + i
      const step = drawn._tag === "Write"
        ? { ...drawn, entries: yield* Effect.forEach(drawn.entries, (entry, i) => honest(entry, i === 0, model)) }
        : drawn
      yield* same(`step ${i + 1}`, yield* take(store, step, now), yield* take(model, step, now))
    }
    const all = { filter: {}, after: undefined, limit: 10_000 }
    const runs = yield* model.list(all)
    yield* same("the list of all runs", yield* store.list(all), runs)
    for (const { runId, workflowId } of runs) {
      yield* same(`the history of run ${runId}`, yield* store.history(runId), yield* model.history(runId))
      yield* same(`the newest run of ${workflowId}`, yield* store.latest(workflowId), yield* model.latest(workflowId))
      yield* same(`the owner of run ${runId}`, yield* store.owner(runId), yield* model.owner(runId))
      yield* same(`what is pending in run ${runId}`, yield* store.pending(runId), yield* model.pending(runId))
    }
    for (const worker of ["a", "b"]) {
      yield* same(`what ${worker} has taken`, byRun(yield* store.taken(worker)), byRun(yield* model.taken(worker)))
    }
    for (const now of [at, at + steps.length]) {
      yield* same("which workers are alive", yield* store.workers(now), yield* model.workers(now))
      yield* same("what waits for a worker", yield* store.backlog(now), yield* model.backlog(now))
    }
    // Long after, all that can be claimed and taken is.
    const end: ReadonlyArray<Step> = [
      { _tag: "Claim", worker: "z", workflows: ["W", "V"], lease: 1, quarantined: 1 },
      { _tag: "Take", worker: "z", limit: 100 }
    ]
    for (const step of end) {
      yield* same(
        `at the end: ${step._tag}`,
        yield* take(store, step, at + 10 ** 9),
        yield* take(model, step, at + 10 ** 9)
      )
    }
    yield* audit(store)
  })

/**
 * What an owner would append: the ends of activities stand before the turn, and of those that were asked for before it. Where
 * one of them may not be pending any more, the turn says that it has seen nothing of what others have written.
 */
const honest = (entry: Entry, isFirst: boolean, model: JournalStore): Checked<Entry> => {
  if (entry._tag !== "Append") return Effect.succeed(entry)
  const asked = new Set(entry.events.map((event) => event._tag === "ActivityScheduled" ? event.command : undefined))
  const events = entry.events.filter((event) => !isOfActivity(event) || !asked.has(event.target))
  const ends = events.filter(isOfActivity)
  if (ends.length === 0) return Effect.succeed({ ...entry, events })
  return Effect.map(model.pending(entry.runId), ({ activities }) => {
    const pending = new Set(
      activities.flatMap(({ scheduled: { command, queue } }) => queue === undefined ? [command] : [])
    )
    const isSure = isFirst && ends.every(({ target }) => pending.delete(target))
    const turns = events.filter((event) => event._tag === "TurnTaken")
    const [taken = turn(0)] = isSure ? turns : turns.map((turn) => ({ ...turn, consumedUpTo: 0 }))
    return {
      ...entry,
      events: [
        ...ends,
        taken,
        ...events.filter((event) => !isOfActivity(event) && event._tag !== "TurnTaken")
      ]
    }
  })
}

const isOfActivity = (event: Unsequenced<Event>) =>
  event._tag === "ActivityCompleted" || event._tag === "ActivityFailed" || event._tag === "AttemptFailed"

/** Takes a step, and gives what came of it, without what the contract leaves open. */
const take = (store: JournalStore, step: Step, now: number): Checked<unknown> => {
  switch (step._tag) {
    case "Write":
      return store.write(step.entries)
    case "Claim": {
      const { lease, quarantined, worker, workflows } = step
      return Effect.map(store.claim({ worker, workflows, now, leaseUntil: now + lease, quarantined }), inOrder)
    }
    case "Take": {
      const { limit, worker } = step
      return Effect.map(
        store.takeAttempts({ worker, queue: "q", activities: ["A"], limit, now }),
        ({ attempts, next }) => attempts.length === limit ? { attempts } : { attempts, next }
      )
    }
    case "Heartbeat":
      return store.heartbeat(step.worker, now + step.lease, step.services)
    case "Release":
      return store.release(step.worker)
  }
}

const inOrder = ({ activities, due, moreQuarantined, runs, timers }: Claimed) => ({
  moreQuarantined,
  due: byRun(due),
  runs: byRun(runs),
  activities: byRun(activities),
  timers: byRun([...timers].sort((a, b) => a.command - b.command))
})

/** By run, and within a run in the order that they have. */
const byRun = <A extends { readonly runId: string }>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  [...values].sort((a, b) => a.runId < b.runId ? -1 : a.runId > b.runId ? 1 : 0)
