/**
 * Everything that one transaction changes, gathered over its entries and written statement by statement.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import type { Closing, Event, Status } from "../../Event.js"
import type { Position } from "../journal/place.js"
import { rowOf } from "./eventRow.js"
import { execute, overRows, overValues, type Row } from "./statement.js"

/** A run while a transaction changes it. */
export interface RunState {
  readonly id: number
  readonly runId: string
  readonly workflowId: string
  readonly workflow: string
  readonly startedAt: number
  readonly deadline: number | undefined
  cancelBy: number | undefined
  readonly owner: string | undefined
  readonly epoch: number
  deaths: number
  status: Status
  blocked: string | undefined
  position: Position
  closedSeq: number | undefined
  /** The event at `closedSeq`, where it has been read. */
  closed: Closing | undefined
}

/** A run that another one has asked for. */
export interface LinkState {
  /** Absent: not in the table yet. */
  readonly id: number | undefined
  child: number
  parent: number
  command: number | undefined
  readonly parentClose: "terminate" | "cancel" | "abandon"
}

export class Changes {
  private readonly begun = new Set<RunState>()
  private readonly moved = new Set<RunState>()
  private readonly restated = new Set<RunState>()
  private readonly closing = new Set<RunState>()
  private readonly blocked = new Set<RunState>()
  private readonly events: Array<Row> = []
  private readonly activities = new Map<string, Row>()
  private readonly updates: Array<readonly [text: string, values: Row]> = []
  private readonly endedActivities: Array<Row> = []
  private readonly timers = new Map<string, Row>()
  private readonly endedTimers: Array<Row> = []
  private readonly signals: Array<Row> = []
  private readonly links = new Set<LinkState>()
  private readonly movedLinks = new Set<LinkState>()
  private readonly endedLinks: Array<number> = []

  begin(run: RunState): void {
    this.begun.add(run)
  }

  move(run: RunState): void {
    if (!this.begun.has(run)) this.moved.add(run)
  }

  restate(run: RunState): void {
    if (!this.begun.has(run)) this.restated.add(run)
  }

  close(run: RunState): void {
    this.closing.add(run)
  }

  block(run: RunState): void {
    this.blocked.add(run)
  }

  link(link: LinkState): void {
    this.links.add(link)
  }

  moveLink(link: LinkState): void {
    if (link.id !== undefined) this.movedLinks.add(link)
  }

  unlink(link: LinkState): void {
    this.links.delete(link)
    if (link.id !== undefined) this.endedLinks.push(link.id)
  }

  beat(
    run: number,
    command: number,
    attempt: number,
    beat: {
      readonly at: number
      readonly outside: boolean
      readonly details: string | undefined
      readonly secret: string | undefined
    }
  ): void {
    this.updates.push([
      `UPDATE holdfast_activities SET beat_at = ?, outside = max(outside, ?), started_at = coalesce(started_at, ?),
         details = coalesce(?, details), secret = coalesce(secret, ?) WHERE run = ? AND command = ? AND attempt = ?`,
      [
        beat.at,
        beat.outside ? 1 : 0,
        beat.outside ? beat.at : null,
        beat.details ?? null,
        beat.secret ?? null,
        run,
        command,
        attempt
      ]
    ])
  }

  index(run: number, event: Event): void {
    this.events.push(rowOf(run, event))
    switch (event._tag) {
      case "ActivityScheduled": {
        const { activity, at, command, queue, seq } = event
        this.activities.set(`${run}/${command}`, [run, command, seq, activity, queue ?? null, at])
        break
      }
      case "AttemptFailed":
        this.updates.push([
          `UPDATE holdfast_activities SET attempt = ?, not_before = ?, worker = NULL, started_at = NULL, outside = 0,
             beat_at = NULL, secret = NULL WHERE run = ? AND command = ?`,
          [event.attempt + 1, event.retryAt, run, event.target]
        ])
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
      case "SignalReceived":
        if (event.id !== undefined) this.signals.push([run, event.id])
        break
    }
  }

  readonly write = Effect.fnUntraced(function*(this: Changes, connection: Connection) {
    const closing = [...this.closing]
    const closed = closing.map(({ id }) => id)
    yield* insertEvents(connection, this.events)
    yield* insertActivities(connection, [...this.activities.values()])
    yield* insertTimers(connection, [...this.timers.values()])
    yield* insertSignals(connection, this.signals)
    for (const [text, values] of this.updates) yield* execute(connection, text, values)
    yield* deleteActivities(connection, this.endedActivities)
    yield* deleteTimers(connection, this.endedTimers)
    yield* deleteActivitiesOf(connection, closed)
    yield* deleteTimersOf(connection, closed)
    yield* deleteSignalsOf(connection, closed)
    yield* moveRuns(
      connection,
      [...this.moved].map(({ id, position, deaths }) => [id, position.lastSeq, position.dueSeq, deaths])
    )
    yield* restateRuns(
      connection,
      [...this.restated].filter((run) => !this.closing.has(run)).map(({ cancelBy, id, status }) => [
        id,
        status,
        cancelBy ?? null
      ])
    )
    yield* closeRuns(
      connection,
      closing.filter((run) => !this.begun.has(run)).map(({ closedSeq, id, status }) => [id, closedSeq ?? null, status])
    )
    // After the runs that they go on from have closed: a workflow id has one open run.
    yield* insertRuns(connection, [...this.begun].map(insertedRow))
    for (const { blocked, id } of this.blocked) {
      yield* execute(connection, "UPDATE holdfast_runs SET blocked = ? WHERE id = ?", [blocked ?? null, id])
    }
    yield* deleteLinks(connection, this.endedLinks)
    for (const { child, command, id, parent } of this.movedLinks) {
      yield* execute(connection, "UPDATE holdfast_children SET child = ?, parent = ?, command = ? WHERE id = ?", [
        child,
        parent,
        command ?? null,
        id!
      ])
    }
    yield* insertLinks(
      connection,
      [...this.links].map(({ child, command, parent, parentClose }) => [child, parent, command ?? null, parentClose])
    )
  })
}

const insertedRow = (run: RunState): Row => [
  run.id,
  run.runId,
  run.workflowId,
  run.workflow,
  run.startedAt,
  run.deadline ?? null,
  run.cancelBy ?? null,
  run.position.lastSeq,
  run.position.dueSeq,
  run.owner ?? null,
  run.epoch,
  run.deaths,
  run.status,
  run.closedSeq ?? null
]

const insertRuns = overRows(
  14,
  (rows) =>
    `INSERT INTO holdfast_runs (id, run_id, workflow_id, workflow, started_at, deadline, cancel_by, last_seq, due_seq, owner, epoch,
       deaths, status, closed_seq) VALUES ${rows}`
)
const insertEvents = overRows(
  5,
  (rows) => `INSERT INTO holdfast_events (run, seq, kind, body, payload) VALUES ${rows}`
)
const insertActivities = overRows(
  6,
  (rows) => `INSERT INTO holdfast_activities (run, command, seq, activity, queue, scheduled_at) VALUES ${rows}`
)
const insertTimers = overRows(3, (rows) => `INSERT INTO holdfast_timers (run, command, fire_at) VALUES ${rows}`)

const insertSignals = overRows(2, (rows) => `INSERT INTO holdfast_signals (run, id) VALUES ${rows}`)

const insertLinks = overRows(
  4,
  (rows) => `INSERT INTO holdfast_children (child, parent, command, parent_close) VALUES ${rows}`
)

const deleteActivities = overRows(
  2,
  (rows) => `DELETE FROM holdfast_activities WHERE (run, command) IN (VALUES ${rows})`
)
const deleteTimers = overRows(2, (rows) => `DELETE FROM holdfast_timers WHERE (run, command) IN (VALUES ${rows})`)
const deleteActivitiesOf = overValues((runs) => `DELETE FROM holdfast_activities WHERE run IN (VALUES ${runs})`)
const deleteTimersOf = overValues((runs) => `DELETE FROM holdfast_timers WHERE run IN (VALUES ${runs})`)
const deleteSignalsOf = overValues((runs) => `DELETE FROM holdfast_signals WHERE run IN (VALUES ${runs})`)
const deleteLinks = overValues((ids) => `DELETE FROM holdfast_children WHERE id IN (VALUES ${ids})`)

const moveRuns = overRows(
  4,
  (rows) =>
    `WITH moved (id, last_seq, due_seq, deaths) AS (VALUES ${rows})
     UPDATE holdfast_runs SET last_seq = moved.last_seq, due_seq = moved.due_seq, deaths = moved.deaths
     FROM moved WHERE holdfast_runs.id = moved.id`
)

// Apart from the above: an update that names these columns rewrites the indexes with them, changed or not.
const restateRuns = overRows(
  3,
  (rows) =>
    `WITH restated (id, status, cancel_by) AS (VALUES ${rows})
     UPDATE holdfast_runs SET status = restated.status, cancel_by = restated.cancel_by
     FROM restated WHERE holdfast_runs.id = restated.id`
)
const closeRuns = overRows(
  3,
  (rows) =>
    `WITH closing (id, closed_seq, status) AS (VALUES ${rows})
     UPDATE holdfast_runs SET closed_seq = closing.closed_seq, status = closing.status
     FROM closing WHERE holdfast_runs.id = closing.id`
)
