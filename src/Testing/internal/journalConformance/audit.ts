/**
 * What holds of every store at any time, whatever was written.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isClosing, statusOf } from "../../../Workflow/Event.js"
import type { JournalStore, RunRecord } from "../../../Workflow/Journal.js"
import { type Checked, same } from "./expect.js"

export const audit = (store: JournalStore): Checked =>
  Effect.gen(function*() {
    const runs = yield* store.list({ filter: {}, after: undefined, limit: 10_000 })
    yield* same("the count of all runs is the length of their list", yield* store.count({}), runs.length)
    const closed = yield* store.closed(runs.map(({ runId }) => runId))
    const closedIds = new Set(closed.map(({ runId }) => runId))
    for (const record of runs) {
      yield* auditRun(store, record)
      yield* same(
        `\`closed\` has run ${record.runId} if it has closed`,
        closedIds.has(record.runId),
        record.closed !== undefined
      )
    }
    for (const [workflowId, open] of openRuns(runs)) {
      const latest = Option.getOrUndefined(yield* store.latest(workflowId))
      yield* same(`the open run of workflow id ${JSON.stringify(workflowId)} is its newest, and the only one`, open, [
        latest?.runId
      ])
    }
  })

const auditRun = (store: JournalStore, record: RunRecord): Checked =>
  Effect.gen(function*() {
    const { closed, runId } = record
    const history = yield* store.history(runId)
    const run = `run ${runId}`
    yield* same(
      `${run}: its events are numbered from 1 without gaps`,
      history.map(({ seq }) => seq),
      [
        ...history.keys()
      ].map((i) => i + 1)
    )
    yield* same(`${run}: \`events\` counts its history`, record.events, history.length)
    yield* same(`${run}: it begins with RunStarted, at the time at which it started`, [
      history[0]?._tag,
      history[0]?._tag === "RunStarted" ? history[0].at : undefined
    ], ["RunStarted", record.startedAt])
    const ends = history.filter(isClosing)
    yield* same(`${run}: it ends once, and \`closed\` is that event`, ends, closed === undefined ? [] : [closed])
    yield* same(
      `${run}: its status`,
      record.status,
      closed !== undefined
        ? statusOf(closed)
        : history.some(({ _tag }) => _tag === "CancelRequested")
        ? "Cancelling"
        : "Running"
    )
    yield* same(
      `${run}: \`run\` gives what \`list\` gives`,
      Option.getOrUndefined(yield* store.run(runId)),
      record
    )
    if (closed === undefined) return
    yield* same(`${run}: nothing comes after its end`, history.at(-1), closed)
    yield* same(`${run}: nothing is pending after its end`, yield* store.pending(runId), { activities: [], timers: [] })
  })

const openRuns = (runs: ReadonlyArray<RunRecord>): ReadonlyMap<string, ReadonlyArray<string>> => {
  const open = new Map<string, Array<string>>()
  for (const { closed, runId, workflowId } of runs) {
    if (closed === undefined) open.set(workflowId, [...open.get(workflowId) ?? [], runId])
  }
  return open
}
