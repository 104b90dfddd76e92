/**
 * Pending activities. One that goes to a queue has a row, and so has one of which something has to be kept that is no
 * event, such as a heartbeat. Any other is found in the history of its run, from the end.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { PendingActivity } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"
import { type BatchRow, eventOf, type StoredEvent, storedEvents } from "./batchRow.js"
import { execute, overValues } from "./statement.js"

/** An activity that has no row. */
export interface LocalActivity {
  readonly scheduled: StoredEvent
  readonly attempt: number
  readonly notBefore: number
}

const chunk = 16

/**
 * The pending activities of a run that go to no queue, by their commands, as its events tell: all `count` of them, or only
 * as far back as to `command`.
 */
export const localActivities = Effect.fnUntraced(function*(
  connection: Connection,
  run: number,
  count: number,
  command?: number
) {
  const found = new Map<number, LocalActivity>()
  const ended = new Set<unknown>()
  const failed = new Map<unknown, StoredEvent>()
  for (let before = Number.MAX_SAFE_INTEGER; found.size < count;) {
    const rows = yield* execute<BatchRow>(
      connection,
      `SELECT last_seq, format, events FROM holdfast_batches WHERE run = ? AND last_seq < ?
       ORDER BY last_seq DESC LIMIT ${chunk}`,
      [run, before]
    )
    for (const row of rows) {
      const events = yield* storedEvents(row)
      for (const event of events.toReversed()) {
        switch (event._tag) {
          case "ActivityCompleted":
          case "ActivityFailed":
          case "ActivityCancelled":
            if (event["target"] === command) return found
            ended.add(event["target"])
            break
          case "AttemptFailed":
            if (!failed.has(event["target"])) failed.set(event["target"], event)
            break
          case "ActivityScheduled": {
            const scheduled = event["command"] as number
            if (event["queue"] === undefined && !ended.has(scheduled)) {
              const last = failed.get(scheduled)
              found.set(scheduled, {
                scheduled: event,
                attempt: last === undefined ? 1 : (last["attempt"] as number) + 1,
                notBefore: last === undefined ? 0 : last["retryAt"] as number
              })
            }
            if (scheduled === command || found.size === count) return found
          }
        }
      }
    }
    if (rows.length < chunk) break
    before = rows.at(-1)!.last_seq
  }
  return found
}) satisfies (...args: never) => Effect.Effect<ReadonlyMap<number, LocalActivity>, SqlError | JournalError>

/** A run, as far as its pending activities are to be found. */
export interface RunOfActivities {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly local_activities: number
}

export interface ActivityRow extends BatchRow {
  readonly run: number
  readonly command: number
  readonly seq: number
  readonly queue: string | null
  readonly attempt: number
  readonly not_before: number
  readonly started_at: number | null
  readonly outside: number
  readonly beat_at: number | null
  readonly details: string | null
}

/** Rows of activities, with the events among which each was scheduled. */
export const activityRows =
  `SELECT a.run, a.command, a.seq, a.queue, a.attempt, a.not_before, a.started_at, a.outside, a.beat_at, a.details,
     b.last_seq, b.format, b.events
   FROM holdfast_activities a JOIN holdfast_batches b ON b.run = a.run AND b.last_seq =
     (SELECT min(last_seq) FROM holdfast_batches WHERE run = a.run AND last_seq >= a.seq)`

const selectActivities = overValues<ActivityRow>((runs) =>
  `${activityRows} WHERE a.run IN (VALUES ${runs}) ORDER BY a.run, a.command`
)

/** What is pending in these runs, in the order of the commands; what of it cannot be read is an error in its place. */
export const pendingActivities = Effect.fnUntraced(
  function*(connection: Connection, runs: ReadonlyArray<RunOfActivities>) {
    const rows = new Map<number, Array<ActivityRow>>()
    for (const row of yield* selectActivities(connection, runs.map(({ id }) => id))) {
      const ofRun = rows.get(row.run)
      if (ofRun === undefined) rows.set(row.run, [row])
      else ofRun.push(row)
    }
    const pending: Array<readonly [run: RunOfActivities, activity: Either.Either<PendingActivity, JournalError>]> = []
    for (const run of runs) {
      const withRow = new Map((rows.get(run.id) ?? []).map((row) => [row.command, row]))
      const localRows = [...withRow.values()].filter(({ queue }) => queue === null)
      const local = run.local_activities === localRows.length
        ? Either.right(new Map<number, LocalActivity>())
        : yield* Effect.either(localActivities(connection, run.id, run.local_activities))
      if (Either.isLeft(local)) {
        if (local.left._tag !== "JournalError") return yield* local.left
        pending.push([run, Either.left(local.left)])
        continue
      }
      const commands = [...new Set([...withRow.keys(), ...local.right.keys()])].sort((a, b) => a - b)
      for (const command of commands) {
        const row = withRow.get(command)
        pending.push([run, row === undefined ? fromHistory(run, local.right.get(command)!) : fromRow(run, row)])
      }
    }
    return pending
  }
)

const fromHistory = (run: RunOfActivities, { attempt, notBefore, scheduled }: LocalActivity) =>
  pendingActivity(run, scheduled, {
    attempt,
    notBefore,
    startedAt: undefined,
    outside: false,
    beatAt: undefined,
    details: undefined
  })

export const fromRow = (
  run: RunOfActivities,
  row: ActivityRow
): Either.Either<PendingActivity, JournalError> =>
  Either.flatMap(storedEvents(row), (events) =>
    pendingActivity(run, events.find(({ seq }) => seq === row.seq)!, {
      attempt: row.attempt,
      notBefore: row.not_before,
      startedAt: row.started_at ?? undefined,
      outside: row.outside === 1,
      beatAt: row.beat_at ?? undefined,
      details: row.details ?? undefined
    }))

const pendingActivity = (
  run: RunOfActivities,
  stored: StoredEvent,
  facts: Omit<PendingActivity, "workflow" | "workflowId" | "runId" | "scheduled">
): Either.Either<PendingActivity, JournalError> =>
  Either.flatMap(eventOf(stored), (scheduled) =>
    scheduled._tag === "ActivityScheduled"
      ? Either.right({
        workflow: run.workflow,
        workflowId: run.workflow_id,
        runId: run.run_id,
        scheduled,
        ...facts
      })
      : Either.left(
        new JournalError({
          reason: "Corrupt",
          detail: `event ${stored.seq} of run ${run.run_id} should schedule an activity`
        })
      ))
