/**
 * A store on `@effect/sql`.
 *
 * Each group of entries is one transaction of a few multi-row statements. The transaction is run by hand on a reserved
 * connection: it begins IMMEDIATE, so that two processes never meet at the upgrade of a read lock, and whatever fails,
 * the COMMIT too, is followed by a ROLLBACK, so that the connection is never handed back inside a transaction.
 */
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { type Event, isClosing, type Posted, type Unplaced } from "../Event.js"
import type { Entry, JournalStore, NextRun, Receipt, RunRecord } from "../Journal.js"
import { JournalError } from "../WorkflowError.js"
import { firstEvents, place } from "./place.js"
import { SharedClock } from "./sharedClock.js"
import { Changes, insertEvents, type Moved } from "./sqlChanges.js"
import { migrate } from "./sqlMigrations.js"
import { eventOf, type EventRow, rowOf } from "./sqlRow.js"
import { execute, overRows, overValues, type Row } from "./sqlStatement.js"

interface RunRow {
  readonly id: number
  readonly run_id: string
  readonly workflow_id: string
  readonly workflow: string
  readonly started_at: number
  readonly blocked: string | null
}

interface OwnedRow extends RunRow {
  readonly last_seq: number
  readonly due_seq: number
  readonly owner: string | null
  readonly epoch: number
  readonly closed_seq: number | null
}

type RecordRow = RunRow & (EventRow | { readonly kind: null })

const recordColumns =
  "r.id, r.run_id, r.workflow_id, r.workflow, r.started_at, r.blocked, e.seq, e.kind, e.body, e.payload"
const recordTables = "holdfast_runs r LEFT JOIN holdfast_events e ON e.run = r.id AND e.seq = r.closed_seq"

export const sqlStore: Effect.Effect<JournalStore, JournalError, SqlClient> = Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql.onDialectOrElse({
    sqlite: () => Effect.void,
    orElse: () =>
      Effect.fail(
        new JournalError({
          reason: "Open",
          detail: "Journal.layerSql works on SQLite; this client speaks another dialect"
        })
      )
  })
  const open = (detail: string) =>
    Effect.mapError((cause: unknown) => new JournalError({ reason: "Open", detail, cause }))
  yield* sql`PRAGMA synchronous = FULL`.pipe(open("PRAGMA synchronous = FULL failed"))
  yield* migrate.pipe(
    // Two processes that start at once: the second finds the lock held, and then nothing left to do.
    Effect.sandbox,
    Effect.retry(Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(10))),
    Effect.withClock(yield* SharedClock),
    open("its tables could not be created or migrated"),
    Effect.provideService(SqlClient, sql),
    Effect.withTracerEnabled(false)
  )

  const withConnection = <A, E>(use: (connection: Connection) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(sql.reserve, use))

  const transaction = <A, E>(body: (connection: Connection) => Effect.Effect<A, E>) =>
    withConnection((connection) =>
      Effect.uninterruptible(
        execute(connection, "BEGIN IMMEDIATE").pipe(
          Effect.zipRight(body(connection)),
          Effect.zipLeft(execute(connection, "COMMIT")),
          Effect.onError(() => Effect.ignore(execute(connection, "ROLLBACK")))
        )
      )
    )

  const start = Effect.fnUntraced(function*(
    connection: Connection,
    entries: ReadonlyArray<Extract<Entry, { readonly _tag: "Start" }>>
  ) {
    const known = new Map<string, RunRecord>()
    const rows = yield* selectByWorkflowId(connection, entries.map((entry) => entry.workflowId))
    for (const row of rows) known.set(row.workflow_id, yield* recordOf(row))
    const created = new Map<string, Extract<Entry, { readonly _tag: "Start" }>>()
    const receipts = entries.map((entry): Receipt => {
      const existing = known.get(entry.workflowId)
      if (existing !== undefined) return { _tag: "Started", created: false, record: existing }
      const { at, runId, workflow, workflowId } = entry
      const record: RunRecord = { runId, workflowId, workflow, startedAt: at, blocked: undefined, closed: undefined }
      known.set(workflowId, record)
      created.set(runId, entry)
      return { _tag: "Started", created: true, record }
    })
    if (created.size > 0) {
      const inserted = yield* insertRuns(
        connection,
        [...created.values()].map((
          { at, runId, worker, workflow, workflowId }
        ) => [runId, workflowId, workflow, at, 1, 1, worker ?? null, worker === undefined ? 0 : 1])
      )
      yield* insertEvents(
        connection,
        inserted.map(({ id, run_id }) => {
          const { at, payload } = created.get(run_id)!
          return rowOf(id, { _tag: "RunStarted", seq: 1, at, payload })
        })
      )
    }
    return receipts
  })

  const append = Effect.fnUntraced(function*(
    connection: Connection,
    entries: ReadonlyArray<Exclude<Entry, { readonly _tag: "Start" }>>
  ) {
    const runs = new Map<string, OwnedRow & Moved>()
    /** The open runs that posts mean by their workflow id. */
    const open = new Map<string, OwnedRow & Moved>()
    const known = (row: OwnedRow): OwnedRow & Moved => {
      const run = runs.get(row.run_id) ??
        { ...row, position: { lastSeq: row.last_seq, dueSeq: row.due_seq }, closedSeq: row.closed_seq }
      runs.set(row.run_id, run)
      return run
    }
    const runIds = new Set(entries.flatMap((entry) => entry._tag === "Post" ? [] : [entry.runId]))
    for (const row of yield* selectOwned(connection, [...runIds])) known(row)
    const posts = entries.filter((entry) => entry._tag === "Post")
    const workflowIds = new Set(posts.map(({ workflowId }) => workflowId))
    for (const row of yield* selectOpen(connection, [...workflowIds])) open.set(row.workflow_id, known(row))

    const changes = new Changes()
    const move = (run: OwnedRow & Moved, events: ReadonlyArray<Unplaced<Event>>): ReadonlyArray<Event> => {
      const placed = place(events, run.position)
      run.position = placed
      run.closedSeq = placed.closed?.seq ?? null
      changes.move(run)
      for (const event of placed.events) changes.index(run.id, event)
      return placed.events
    }
    const signals = yield* knownSignals(connection, posts, (post) => open.get(post.workflowId)?.id)
    const post = (entry: Post): Receipt => {
      const run = open.get(entry.workflowId)
      if (run === undefined || run.closedSeq !== null) return { _tag: "NotOpen", known: run !== undefined }
      const { event } = entry
      if (event._tag === "SignalReceived" && event.id !== undefined) {
        const key = signalKey(run.id, event.id)
        if (signals.has(key)) return { _tag: "Known", runId: run.run_id }
        signals.add(key)
        changes.signal(run.id, event.id)
      }
      const [posted] = move(run, [event])
      return { _tag: "Posted", runId: run.run_id, owner: run.owner ?? undefined, event: posted as Posted }
    }
    const nextRuns: Array<{ readonly row: Row; readonly events: ReadonlyArray<Event> }> = []
    const goOn = (run: OwnedRow, next: NextRun): void => {
      const { dueSeq, events, lastSeq } = place(firstEvents(run.run_id, next), { lastSeq: 0, dueSeq: 0 })
      nextRuns.push({
        row: [next.runId, run.workflow_id, run.workflow, next.at, lastSeq, dueSeq, run.owner, 1],
        events
      })
    }
    const receipts = entries.map((entry): Receipt => {
      if (entry._tag === "Post") return post(entry)
      const run = runs.get(entry.runId)
      if (
        run === undefined || run.closedSeq !== null || run.owner !== entry.worker || run.epoch !== entry.epoch
      ) return { _tag: "Stale" }
      if (entry._tag === "Block") changes.block(run.id, entry.reason)
      else {
        const { events, next } = entry
        if (next !== undefined && place(events, run.position).dueSeq > 0) return { _tag: "Outrun" }
        move(run, events)
        if (next !== undefined) goOn(run, next)
      }
      return { _tag: "Appended", lastSeq: run.position.lastSeq, due: run.position.dueSeq > 0 }
    })
    yield* changes.write(connection)
    // After the runs that they go on from have closed: a workflow id has one open run.
    const inserted = yield* insertRuns(connection, nextRuns.map(({ row }) => row))
    const ids = new Map(inserted.map(({ id, run_id }) => [run_id, id]))
    yield* insertEvents(
      connection,
      nextRuns.flatMap(({ events, row: [runId] }) => events.map((event) => rowOf(ids.get(runId as string)!, event)))
    )
    return yield* Effect.forEach(receipts, (receipt, index) => knownOrNot(connection, entries[index]!, receipt))
  })

  /** Tells a run that has closed from one that never was, for the few posts that have found none that is open. */
  const knownOrNot = (connection: Connection, entry: Entry, receipt: Receipt) =>
    receipt._tag === "NotOpen" && !receipt.known && entry._tag === "Post"
      ? Effect.map(
        execute(connection, "SELECT 1 FROM holdfast_runs WHERE workflow_id = ? LIMIT 1", [entry.workflowId]),
        (rows): Receipt => ({ _tag: "NotOpen", known: rows.length > 0 })
      )
      : Effect.succeed(receipt)

  return {
    write: (entries) =>
      transaction(Effect.fnUntraced(function*(connection) {
        const starts = entries.filter((entry) => entry._tag === "Start")
        const appends = entries.filter((entry) => entry._tag !== "Start")
        const started = starts.length === 0 ? [] : yield* start(connection, starts)
        const appended = appends.length === 0 ? [] : yield* append(connection, appends)
        let s = 0
        let a = 0
        return entries.map((entry) => entry._tag === "Start" ? started[s++]! : appended[a++]!)
      })).pipe(failing("Write", "a group of turns"), Effect.withTracerEnabled(false)),

    history: (runId) =>
      withConnection((connection) =>
        Effect.flatMap(
          execute<EventRow>(
            connection,
            "SELECT seq, kind, body, payload FROM holdfast_events WHERE run = (SELECT id FROM holdfast_runs WHERE run_id = ?) ORDER BY seq",
            [runId]
          ),
          (rows) => Effect.forEach(rows, eventOf)
        )
      ).pipe(failing("Read", `the history of run ${runId}`)),

    latest: (workflowId) =>
      withConnection((connection) =>
        Effect.flatMap(
          execute<RecordRow>(
            connection,
            `SELECT ${recordColumns} FROM ${recordTables} WHERE r.workflow_id = ? ORDER BY r.id DESC LIMIT 1`,
            [workflowId]
          ),
          (rows) => rows[0] === undefined ? Effect.succeedNone : Effect.map(recordOf(rows[0]), Option.some)
        )
      ).pipe(failing("Read", `the run of workflow id ${JSON.stringify(workflowId)}`)),

    closed: (runIds) =>
      withConnection((connection) =>
        Effect.flatMap(
          selectClosed(connection, runIds),
          (rows) => Effect.forEach(rows, recordOf)
        )
      ).pipe(failing("Read", "which runs have closed")),

    claim: ({ leaseUntil, now, worker, workflows }) =>
      transaction(Effect.fnUntraced(function*(connection) {
        yield* execute(connection, upsertLease, [worker, leaseUntil])
        const claimed = yield* Effect.forEach(workflows, (workflow) =>
          Effect.all([
            execute<OwnedRow>(connection, claimFree, [worker, workflow]),
            execute<OwnedRow>(connection, claimFromDead, [worker, workflow, now])
          ]))
        const runs = claimed.flat(2)
        const fresh = new Set(runs.map((row) => row.run_id))
        const due = yield* execute<{ readonly run_id: string; readonly due_seq: number }>(
          connection,
          "SELECT run_id, due_seq FROM holdfast_runs WHERE owner = ? AND due_seq > 0 AND closed_seq IS NULL",
          [worker]
        )
        yield* execute(
          connection,
          `DELETE FROM holdfast_workers WHERE lease_until <= ?
             AND NOT EXISTS (SELECT 1 FROM holdfast_runs WHERE owner = worker AND closed_seq IS NULL)`,
          [now]
        )
        const ids = new Map(runs.map((row) => [row.id, row.run_id]))
        const activities = yield* selectActivities(connection, [...ids.keys()])
        const timers = yield* selectTimers(connection, [...ids.keys()])
        return {
          due: due.filter((row) => !fresh.has(row.run_id)).map((row) => ({ runId: row.run_id, dueSeq: row.due_seq })),
          runs: runs.map((row) => ({
            runId: row.run_id,
            workflowId: row.workflow_id,
            workflow: row.workflow,
            startedAt: row.started_at,
            epoch: row.epoch,
            due: row.due_seq > 0,
            blocked: row.blocked !== null
          })),
          activities: yield* Effect.forEach(activities, (row) =>
            Effect.flatMap(eventOf(row), (scheduled) =>
              scheduled._tag === "ActivityScheduled"
                ? Effect.succeed({
                  runId: ids.get(row.run)!,
                  scheduled,
                  attempt: row.attempt,
                  notBefore: row.not_before
                })
                : new JournalError({
                  reason: "Corrupt",
                  detail: `event ${row.seq} of run ${ids.get(row.run)} should schedule an activity`
                }))),
          timers: timers.map(({ command, fire_at, run }) => ({ runId: ids.get(run)!, command, fireAt: fire_at }))
        }
      })).pipe(failing("Write", "a claim of runs")),

    heartbeat: (worker, leaseUntil) =>
      transaction((connection) => execute(connection, upsertLease, [worker, leaseUntil])).pipe(
        failing("Write", "a heartbeat"),
        Effect.asVoid
      ),

    release: (worker) =>
      transaction((connection) =>
        Effect.zipRight(
          execute(connection, "UPDATE holdfast_runs SET owner = NULL WHERE owner = ? AND closed_seq IS NULL", [worker]),
          execute(connection, "DELETE FROM holdfast_workers WHERE worker = ?", [worker])
        )
      ).pipe(failing("Write", "a worker's release"), Effect.asVoid),

    version: withConnection((connection) =>
      Effect.map(
        execute<{ readonly data_version: number }>(connection, "PRAGMA data_version"),
        (rows) => rows[0]?.data_version
      )
    ).pipe(failing("Read", "its version"), Effect.withTracerEnabled(false))
  }
})

const insertRuns = overRows<{ readonly id: number; readonly run_id: string }>(
  8,
  (rows) =>
    `INSERT INTO holdfast_runs (run_id, workflow_id, workflow, started_at, last_seq, due_seq, owner, epoch)
     VALUES ${rows} RETURNING id, run_id`
)

const selectByWorkflowId = overValues<RecordRow>((ids) =>
  `SELECT ${recordColumns} FROM ${recordTables} WHERE r.workflow_id IN (VALUES ${ids}) ORDER BY r.id`
)

const selectClosed = overValues<RecordRow>((ids) =>
  `SELECT ${recordColumns} FROM ${recordTables} WHERE r.run_id IN (VALUES ${ids}) AND r.closed_seq IS NOT NULL`
)

const ownedColumns = "id, run_id, workflow_id, workflow, last_seq, due_seq, owner, epoch, closed_seq"

const selectOwned = overValues<OwnedRow>((ids) =>
  `SELECT ${ownedColumns} FROM holdfast_runs WHERE run_id IN (VALUES ${ids})`
)

const selectOpen = overValues<OwnedRow>((ids) =>
  `SELECT ${ownedColumns} FROM holdfast_runs WHERE workflow_id IN (VALUES ${ids}) AND closed_seq IS NULL`
)

const selectSignals = overRows<{ readonly run: number; readonly id: string }>(
  2,
  (rows) => `SELECT run, id FROM holdfast_signals WHERE (run, id) IN (VALUES ${rows})`
)

type Post = Extract<Entry, { readonly _tag: "Post" }>

const signalKey = (run: number, id: string): string => `${run}/${id}`

/** Which of the signals to be posted, by run and id, have been posted before. */
const knownSignals = (connection: Connection, posts: ReadonlyArray<Post>, runOf: (post: Post) => number | undefined) =>
  Effect.map(
    selectSignals(
      connection,
      posts.flatMap((post) => {
        const run = runOf(post)
        return run === undefined || post.event._tag !== "SignalReceived" || post.event.id === undefined
          ? []
          : [[run, post.event.id]]
      })
    ),
    (rows) => new Set(rows.map(({ id, run }) => signalKey(run, id)))
  )

const selectActivities = overValues<
  EventRow & { readonly run: number; readonly attempt: number; readonly not_before: number }
>((runs) =>
  `SELECT a.run, a.attempt, a.not_before, e.seq, e.kind, e.body, e.payload
   FROM holdfast_activities a JOIN holdfast_events e ON e.run = a.run AND e.seq = a.seq
   WHERE a.run IN (VALUES ${runs}) ORDER BY e.id`
)

const selectTimers = overValues<{ readonly run: number; readonly command: number; readonly fire_at: number }>((runs) =>
  `SELECT run, command, fire_at FROM holdfast_timers WHERE run IN (VALUES ${runs}) ORDER BY fire_at`
)

// Two statements, so that each finds its runs by the index of open runs by owner.
const claimWhere = (owner: string): string =>
  `UPDATE holdfast_runs SET owner = ?, epoch = epoch + 1
   WHERE closed_seq IS NULL AND workflow = ? AND owner ${owner}
   RETURNING id, run_id, workflow_id, workflow, started_at, due_seq, epoch, blocked`
const claimFree = claimWhere("IS NULL")
const claimFromDead = claimWhere("IN (SELECT worker FROM holdfast_workers WHERE lease_until <= ?)")

const upsertLease =
  "INSERT INTO holdfast_workers (worker, lease_until) VALUES (?, ?) ON CONFLICT (worker) DO UPDATE SET lease_until = excluded.lease_until"

const recordOf = (row: RecordRow): Effect.Effect<RunRecord, JournalError> => {
  const record = {
    runId: row.run_id,
    workflowId: row.workflow_id,
    workflow: row.workflow,
    startedAt: row.started_at,
    blocked: row.blocked ?? undefined
  }
  return row.kind === null
    ? Effect.succeed({ ...record, closed: undefined })
    : Effect.flatMap(eventOf(row), (closed) =>
      isClosing(closed)
        ? Effect.succeed({ ...record, closed })
        : new JournalError({ reason: "Corrupt", detail: `the last event of run ${row.run_id} should close it` }))
}

const failing = (reason: "Read" | "Write", detail: string) =>
  Effect.mapError((error: SqlError | JournalError) =>
    error._tag === "JournalError" ? error : new JournalError({ reason, detail, cause: error })
  )
