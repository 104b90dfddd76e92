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
import { execute, overRows, overValues } from "./statement.js"

/** An activity that has no row. */
export interface LocalActivity {
  readonly scheduled: StoredEvent
  readonly attempt: number
  readonly notBefore: number
}

const chunk = 16

/**
 * The pending activities of a run that go to no queue, by their commands, as its events tell: all `count` of them, or those of
 * some commands.
 */
export const localActivities = Effect.fnUntraced(function*(
  connection: Connection,
  run: number,
  count: number,
  commands?: ReadonlyArray<number>
) {
  const found = new Map<number, LocalActivity>()
  const ended = new Set<unknown>()
  const failed = new Map<unknown, StoredEvent>()
  const left = new Set<unknown>(commands)
  const isDone = () => found.size === count || (commands !== undefined && left.size === 0)
  for (let before = Number.MAX_SAFE_INTEGER; !isDone();) {
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
            left.delete(event["target"])
            ended.add(event["target"])
            break
          case "AttemptFailed":
            if (!failed.has(event["target"])) failed.set(event["target"], event)
            break
          case "ActivityScheduled": {
            const scheduled = event["command"] as number
            left.delete(scheduled)
            if (event["queue"] !== undefined || ended.has(scheduled)) break
            const last = failed.get(scheduled)
            found.set(scheduled, {
              scheduled: event,
              attempt: last === undefined ? 1 : (last["attempt"] as number) + 1,
              notBefore: last === undefined ? 0 : last["retryAt"] as number
            })
          }
        }
        if (isDone()) return found
      }
    }
    if (rows.length < chunk) break
    before = rows.at(-1)!.last_seq
  }
  if (commands !== undefined || found.size === count) return found
  return yield* new JournalError({
    reason: "Corrupt",
    detail:
      `run number ${run} should have ${count} pending activities without a queue, and its events have ${found.size}`
  })
}) satisfies (...args: never) => Effect.Effect<ReadonlyMap<number, LocalActivity>, SqlError | JournalError>

/** A run, as far as its pending activities are to be found. */
export interface RunOfActivities {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly local_activities: number
}

export interface ActivityRow {
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

export const activityColumns = "run, command, seq, queue, attempt, not_before, started_at, outside, beat_at, details"

const selectActivities = overValues<ActivityRow>((runs) =>
  `SELECT ${activityColumns} FROM holdfast_activities WHERE run IN (VALUES ${runs}) ORDER BY run, command`
)

/** The rows of events among which activities were scheduled, each once. */
const selectBatches = overRows<BatchRow & { readonly run: number }>(
  2,
  (rows) =>
    `SELECT run, last_seq, format, events FROM holdfast_batches WHERE (run, last_seq) IN (
       SELECT a.run, (SELECT min(last_seq) FROM holdfast_batches WHERE run = a.run AND last_seq >= a.seq)
       FROM holdfast_activities a WHERE (a.run, a.command) IN (VALUES ${rows}))`
)

/** Finds the events that have scheduled activities; each row of events is read and parsed once, however many it has. */
export const scheduledIn = (connection: Connection, rows: ReadonlyArray<ActivityRow>) =>
  Effect.map(selectBatches(connection, rows.map(({ command, run }) => [run, command])), (batches) => {
    const events = new Map<string, StoredEvent>()
    const unreadable = new Map<number, JournalError>()
    for (const batch of batches) {
      const stored = storedEvents(batch)
      if (Either.isLeft(stored)) unreadable.set(batch.run, stored.left)
      else for (const event of stored.right) events.set(`${batch.run}/${event.seq}`, event)
    }
    return ({ command, run, seq }: ActivityRow): Either.Either<StoredEvent, JournalError> => {
      const event = events.get(`${run}/${seq}`)
      return event !== undefined ? Either.right(event) : Either.left(
        unreadable.get(run) ?? new JournalError({
          reason: "Corrupt",
          detail: `event ${seq}, which has scheduled activity ${command} of run number ${run}, is not there`
        })
      )
    }
  })

/** What is pending in these runs, in the order of the commands; what of it cannot be read is an error in its place. */
export const pendingActivities = Effect.fnUntraced(
  function*(connection: Connection, runs: ReadonlyArray<RunOfActivities>) {
    const found = yield* selectActivities(connection, runs.map(({ id }) => id))
    const scheduledOf = yield* scheduledIn(connection, found)
    const rows = new Map<number, Array<ActivityRow>>()
    for (const row of found) {
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
        pending.push([
          run,
          row === undefined ? fromHistory(run, local.right.get(command)!) : fromRow(run, row, scheduledOf(row))
        ])
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
  row: ActivityRow,
  scheduled: Either.Either<StoredEvent, JournalError>
): Either.Either<PendingActivity, JournalError> =>
  Either.flatMap(scheduled, (event) =>
    pendingActivity(run, event, {
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
