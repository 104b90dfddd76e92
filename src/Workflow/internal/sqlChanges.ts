/**
 * Everything that the appends of one transaction change, gathered over its entries and written statement by statement.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import type { Event } from "../Event.js"
import type { Position } from "./place.js"
import { rowOf } from "./sqlRow.js"
import { execute, overRows, overValues, type Row } from "./sqlStatement.js"

/** Where a run stands after the appends of a transaction. */
export interface Moved {
  readonly id: number
  position: Position
  closedSeq: number | null
}

export class Changes {
  private readonly blocked: Array<Row> = []
  private readonly moved = new Set<Moved>()
  private readonly events: Array<Row> = []
  private readonly activities = new Map<string, Row>()
  private readonly attempts: Array<Row> = []
  private readonly endedActivities: Array<Row> = []
  private readonly timers = new Map<string, Row>()
  private readonly endedTimers: Array<Row> = []
  private readonly signals: Array<Row> = []

  block(run: number, reason: string | undefined): void {
    this.blocked.push([reason ?? null, run])
  }

  signal(run: number, id: string): void {
    this.signals.push([run, id])
  }

  move(run: Moved): void {
    this.moved.add(run)
  }

  index(run: number, event: Event): void {
    this.events.push(rowOf(run, event))
    switch (event._tag) {
      case "ActivityScheduled":
        this.activities.set(`${run}/${event.command}`, [run, event.command, event.seq, 1, 0])
        break
      case "AttemptFailed":
        this.attempts.push([event.attempt + 1, event.retryAt, run, event.target])
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        // What begins and ends in one transaction is never in the index.
        if (!this.activities.delete(`${run}/${event.target}`)) this.endedActivities.push([run, event.target])
        break
      case "TimerStarted":
        this.timers.set(`${run}/${event.command}`, [run, event.command, event.fireAt])
        break
      case "TimerCancelled":
      case "TimerFired":
        if (!this.timers.delete(`${run}/${event.target}`)) this.endedTimers.push([run, event.target])
        break
    }
  }

  readonly write = Effect.fnUntraced(function*(this: Changes, connection: Connection) {
    const moved = [...this.moved]
    const closing = moved.filter((run) => run.closedSeq !== null)
    const closed = closing.map((run) => run.id)
    yield* insertEvents(connection, this.events)
    yield* insertActivities(connection, [...this.activities.values()])
    yield* insertTimers(connection, [...this.timers.values()])
    yield* insertSignals(connection, this.signals)
    for (const attempt of this.attempts) {
      yield* execute(
        connection,
        "UPDATE holdfast_activities SET attempt = ?, not_before = ? WHERE run = ? AND command = ?",
        attempt
      )
    }
    yield* deleteActivities(connection, this.endedActivities)
    yield* deleteTimers(connection, this.endedTimers)
    yield* deleteActivitiesOf(connection, closed)
    yield* deleteTimersOf(connection, closed)
    yield* deleteSignalsOf(connection, closed)
    yield* moveRuns(connection, moved.map(({ id, position }) => [id, position.lastSeq, position.dueSeq]))
    yield* closeRuns(connection, closing.map(({ closedSeq, id }) => [id, closedSeq]))
    for (const row of this.blocked) {
      yield* execute(connection, "UPDATE holdfast_runs SET blocked = ? WHERE id = ?", row)
    }
  })
}

export const insertEvents = overRows(
  5,
  (rows) => `INSERT INTO holdfast_events (run, seq, kind, body, payload) VALUES ${rows}`
)
const insertActivities = overRows(
  5,
  (rows) => `INSERT INTO holdfast_activities (run, command, seq, attempt, not_before) VALUES ${rows}`
)
const insertTimers = overRows(3, (rows) => `INSERT INTO holdfast_timers (run, command, fire_at) VALUES ${rows}`)

const insertSignals = overRows(2, (rows) => `INSERT INTO holdfast_signals (run, id) VALUES ${rows}`)

const deleteActivities = overRows(
  2,
  (rows) => `DELETE FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
)
const deleteTimers = overRows(2, (rows) => `DELETE FROM holdfast_timers WHERE (run, command) IN (VALUES ${rows})`)
const deleteActivitiesOf = overValues((runs) => `DELETE FROM holdfast_activities WHERE run IN (VALUES ${runs})`)
const deleteTimersOf = overValues((runs) => `DELETE FROM holdfast_timers WHERE run IN (VALUES ${runs})`)

const deleteSignalsOf = overValues((runs) => `DELETE FROM holdfast_signals WHERE run IN (VALUES ${runs})`)

const moveRuns = overRows(
  3,
  (rows) =>
    `WITH moved (id, last_seq, due_seq) AS (VALUES ${rows})
     UPDATE holdfast_runs SET last_seq = moved.last_seq, due_seq = moved.due_seq
     FROM moved WHERE holdfast_runs.id = moved.id`
)

// Apart from the above: an update that names this column rewrites the indexes of open runs, changed or not.
const closeRuns = overRows(
  2,
  (rows) =>
    `WITH closing (id, closed_seq) AS (VALUES ${rows})
     UPDATE holdfast_runs SET closed_seq = closing.closed_seq
     FROM closing WHERE holdfast_runs.id = closing.id`
)
