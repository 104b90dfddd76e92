import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Either, Layer, Option } from "effect"
import * as JournalConformance from "holdfast/Testing/JournalConformance"
import { type Event, Journal } from "holdfast/Workflow"
import * as journals from "./support/journals.js"
import { changeEvent, replaceEvents } from "./support/storedEvents.js"

const at = 1_700_000_000_000

const start = (runId: string, options?: { readonly worker?: string; readonly workflow?: string }): Journal.Entry => ({
  _tag: "Start",
  run: { runId, worker: options?.worker },
  workflowId: `id of ${runId}`,
  workflow: options?.workflow ?? "W",
  started: { _tag: "RunStarted", at, payload: "1" },
  conflict: "attach",
  reuse: "attach"
})

const append = (runId: string, events: ReadonlyArray<Event.Unsequenced>): Journal.Entry => ({
  _tag: "Append",
  runId,
  worker: "a",
  epoch: 1,
  events
})

const turn = (upTo: number): Event.Unsequenced => ({ _tag: "TurnTaken", at, consumedUpTo: upTo, inlineArrivals: 0 })

const scheduled = (command: number): Event.Unsequenced => ({
  _tag: "ActivityScheduled",
  command,
  activity: "A",
  at,
  digest: "d",
  payload: "2"
})

const completed = (target: number): Event.Unsequenced => ({ _tag: "ActivityCompleted", target, at, payload: null })

const sqliteOnly = <A, E>(test: Effect.Effect<A, E, Journal.Journal | SqlClient.SqlClient>) =>
  Effect.provide(test, journals.sqlite)

describe("a SQLite journal whose commit fails", () => {
  it.effect("by a deferred constraint: nothing of it is written, and the connection is usable (B-2, W-5)", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { store } = yield* Journal.Journal
      yield* sql`CREATE TABLE parent (id INTEGER PRIMARY KEY)`
      yield* sql`CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
      yield* sql`CREATE TRIGGER doom AFTER INSERT ON holdfast_runs WHEN NEW.workflow = 'Doomed'
        BEGIN INSERT INTO child VALUES (42); END`
      yield* store.write([start("kept", { worker: "a" })])
      const failed = yield* Effect.either(store.write([start("lost", { workflow: "Doomed" })]))
      assert.isTrue(Either.isLeft(failed) && failed.left.reason === "Write")
      yield* store.write([append("kept", [turn(1), scheduled(1)])])
      yield* sql`INSERT INTO parent VALUES (1)`
      assert.strictEqual((yield* store.history("kept")).length, 3)
      assert.isTrue(Option.isNone(yield* store.latest("id of lost")))
      assert.deepStrictEqual(yield* sql`SELECT count(*) AS n FROM parent`, [{ n: 1 }])
    })))

  it.effect("by a full disk: nothing of it is written, and writing goes on when there is room (B-2, W-5)", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      const [pages] = yield* sql<{ readonly page_count: number }>`PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages!.page_count + 4}`)
      const large = { ...completed(1), payload: JSON.stringify("x".repeat(3_000)) } as Event.Unsequenced
      let written = 0
      for (let failed = false; !failed;) {
        const receipt = yield* Effect.either(store.write([append("r", [large])]))
        failed = Either.isLeft(receipt)
        if (Either.isRight(receipt)) written++
      }
      assert.strictEqual((yield* store.history("r")).length, 1 + written)
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages!.page_count + 400}`)
      yield* store.write([append("r", [large])])
      assert.strictEqual((yield* store.history("r")).length, 2 + written)
    })))

  it.effect("in a group: only the entry that cannot be written fails (W-5)", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const journal = yield* Journal.Journal
      yield* sql`CREATE TRIGGER doom BEFORE INSERT ON holdfast_runs WHEN NEW.workflow = 'Doomed'
        BEGIN SELECT RAISE(ABORT, 'injected'); END`
      const exits = yield* Effect.all(
        [start("r1"), start("r2", { workflow: "Doomed" }), start("r3")].map((entry) =>
          Effect.either(journal.commit(entry))
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(Either.isRight), [true, false, true])
      assert.isTrue(Option.isSome(yield* journal.store.latest("id of r3")))
    })))

  it.effect("what cannot be read is a corrupt journal, by its number, and not a defect", () =>
    sqliteOnly(Effect.gen(function*() {
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      yield* store.write([append("r", [turn(1), scheduled(1)])])
      yield* changeEvent("r", 3, ({ activity: _, ...event }) => event)
      const error = yield* Effect.flip(store.history("r"))
      assert.strictEqual(error.reason, "Corrupt")
      assert.match(error.message, /event 3 \(ActivityScheduled\).*activity/)
      const other = JSON.stringify([{ seq: 2, _tag: "TurnTaken" }, { seq: 4, _tag: "TurnTaken" }])
      for (const events of ["{", "{}", "[]", "[1]", "[{\"seq\":3}]", other]) {
        yield* replaceEvents("r", 3, events)
        const error = yield* Effect.flip(store.history("r"))
        assert.strictEqual(error.reason, "Corrupt", events)
        assert.match(error.message, /events up to 3/, events)
      }
    })))

  it.effect("events of a format of a newer version are said to be that", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      yield* sql`UPDATE holdfast_batches SET format = 2`
      const error = yield* Effect.flip(store.history("r"))
      assert.strictEqual(error.reason, "Version")
      assert.match(error.message, /events up to 1 have the format 2.*run the version/)
    })))

  it.effect("shows its events to whoever looks at the database", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      yield* store.write([append("r", [turn(1), scheduled(1)])])
      assert.deepStrictEqual(
        yield* sql`SELECT run_id, workflow_id, workflow, seq, kind, payload,
          json_extract(event, '$.activity') AS activity FROM holdfast_events WHERE run_id = 'r' ORDER BY seq`,
        [["RunStarted", "1", null], ["TurnTaken", null, null], ["ActivityScheduled", "2", "A"]].map((
          [kind, payload, activity],
          i
        ) => ({ run_id: "r", workflow_id: "id of r", workflow: "W", seq: i + 1, kind, payload, activity }))
      )
    })))

  it.effect("what only a newer version can read is said to be that, and keeps no other run from being claimed", () =>
    sqliteOnly(Effect.gen(function*() {
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" }), start("s", { worker: "a" })])
      for (const run of ["r", "s"]) yield* store.write([append(run, [turn(1), scheduled(1)])])
      const retry = { retries: 1, backoff: { _tag: "Chaotic" }, nonRetryable: [], maxElapsedMillis: null }
      yield* changeEvent("r", 3, (event) => ({ ...event, retry }))
      const error = yield* Effect.flip(store.history("r"))
      assert.strictEqual(error.reason, "Version")
      assert.match(error.message, /event 3 .*Chaotic.*run the version/)
      yield* store.release("a")
      const claimed = yield* store.claim({ worker: "b", workflows: ["W"], now: at, leaseUntil: at + 1, quarantined: 1 })
      assert.deepStrictEqual(claimed.runs.map(({ runId }) => runId), ["r", "s"])
      assert.deepStrictEqual(claimed.activities.map(({ runId }) => runId), ["s"])
      assert.deepStrictEqual(claimed.unread, ["r"])
    })))

  it.effect("leaves out of a queue what only a newer version can read", () =>
    sqliteOnly(Effect.gen(function*() {
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      const queued = (command: number) => ({ ...scheduled(command), queue: "q" }) as Event.Unsequenced
      yield* store.write([append("r", [turn(1), queued(1), queued(2)])])
      yield* changeEvent("r", 3, (event) => ({ ...event, _tag: "ActivityDreamt" }))
      const options = { worker: "b", queue: "q", activities: ["A"], limit: 10, now: at }
      const { attempts } = yield* store.takeAttempts(options)
      assert.deepStrictEqual(attempts.map((attempt) => attempt.scheduled.command), [2])
    })))

  it.effect("commits with synchronous = FULL", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 2 }])
    })))
})

describe("a SQLite journal that has lost rows", () => {
  const claim = { worker: "b", workflows: ["W"], now: at, leaseUntil: at + 1, quarantined: 1 }
  const lost = (queue: string | undefined, from: number, to: number) =>
    Effect.gen(function*() {
      const { store } = yield* Journal.Journal
      const sql = yield* SqlClient.SqlClient
      yield* store.write([start("bad", { worker: "a" }), start("good", { worker: "a" })])
      const asked = { ...scheduled(1), ...(queue === undefined ? {} : { queue }) } as Event.Unsequenced
      yield* store.write([append("bad", [turn(1), asked]), append("good", [turn(1), scheduled(1)])])
      yield* store.write([append("bad", [turn(3)])])
      yield* store.release("a")
      yield* sql`DELETE FROM holdfast_batches WHERE run = 1 AND last_seq BETWEEN ${from} AND ${to}`
      return store
    })

  for (const queue of [undefined, "q"]) {
    for (const [from, to] of [[3, 3], [3, 4]] as const) {
      it.effect(`says so, and keeps no other run from being claimed (${queue ?? "no queue"}, ${from} to ${to})`, () =>
        Effect.gen(function*() {
          const store = yield* lost(queue, from, to)
          const claimed = yield* store.claim(claim)
          assert.deepStrictEqual(claimed.unread, ["bad"])
          assert.deepStrictEqual(claimed.activities.map(({ runId }) => runId), ["good"])
          assert.strictEqual((yield* Effect.flip(store.pending("bad"))).reason, "Corrupt")
          if (to === 3) assert.strictEqual((yield* Effect.flip(store.history("bad"))).reason, "Corrupt")
        }).pipe(Effect.provide(journals.sqlite)))
    }
  }
})

describe("a SQLite journal that cannot be opened", () => {
  it.effect("for options that can never work dies with InvalidOptions", () =>
    Effect.gen(function*() {
      for (const options of [{ lockTimeout: -1 }, { pollInterval: 0 }]) {
        const cause = yield* Effect.flip(Effect.sandbox(Effect.scoped(Layer.build(Journal.layerSql(options)))))
        assert.match(Cause.pretty(cause), /Journal\.layerSql: option "(?:lockTimeout|pollInterval)" must be/)
      }
    }).pipe(Effect.provide(Layer.unwrapScoped(Effect.map(journals.temporaryFile, journals.database)))))

  it.effect("says so to whoever builds it (T55, G7)", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE holdfast_runs (somebody_elses TEXT)`
      const error = yield* Effect.flip(Layer.build(Journal.layerSql()))
      assert.strictEqual(error.reason, "Open")
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.unwrapScoped(Effect.map(journals.temporaryFile, journals.database)))
    ))

  it.effect("since a newer version has migrated it says so with both versions, and writes nothing (T55, G7)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const open = Layer.build(Layer.provide(Journal.layerSql(), journals.database(file)))
      yield* Effect.scoped(open)
      const sql = Context.get(yield* Layer.build(journals.database(file)), SqlClient.SqlClient)
      const [known] = yield* sql<{ readonly id: number }>`SELECT max(migration_id) AS id FROM holdfast_migrations`
      yield* sql`INSERT INTO holdfast_migrations (migration_id, name) VALUES (99, 'from_the_future')`
      const before = yield* sql`PRAGMA data_version`
      const error = yield* Effect.flip(Effect.scoped(open))
      assert.strictEqual(error.reason, "Version")
      assert.match(error.message, new RegExp(`journal\\.db.* version 99, .* up to ${known!.id}; .*run the version`))
      // It changes with whatever another connection has written.
      assert.deepStrictEqual(yield* sql`PRAGMA data_version`, before)
      yield* sql`DELETE FROM holdfast_migrations WHERE migration_id = 99`
      yield* Effect.scoped(open)
    }).pipe(Effect.scoped))

  it.effect("is opened by several at once, and again, without losing anything (B-19)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const open = Effect.map(
        Layer.build(Layer.provide(Journal.layerSql(), journals.database(file))),
        (context) => Context.get(context, Journal.Journal).store
      )
      const [one, other] = yield* Effect.all([open, open], { concurrency: 2 })
      yield* one.write([start("r", { worker: "a" })])
      yield* other.write([append("r", [turn(1), scheduled(1)])])
      const again = yield* open
      assert.deepStrictEqual((yield* again.history("r")).map(({ seq }) => seq), [1, 2, 3])
      assert.lengthOf((yield* again.pending("r")).activities, 1)
    }).pipe(Effect.scoped))
})

describe("a turn of a SQLite journal that asks for many activities at once", () => {
  const many = 2_000
  const payload = JSON.stringify("x".repeat(1_000))
  const all = (queue?: string) =>
    Array.from({ length: many }, (_, i): Event.Unsequenced => ({
      _tag: "ActivityScheduled",
      command: i + 1,
      activity: "A",
      at,
      digest: "d",
      payload,
      ...(queue === undefined ? {} : { queue })
    }))

  it.effect(
    "is claimed by another worker, and its attempts are taken, each row of events read once",
    () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([start("r", { worker: "a" })])
        yield* store.write([append("r", [turn(1), ...all("q")])])
        yield* store.release("a")
        const claim = { worker: "b", workflows: ["W"], now: at, leaseUntil: at + 1, quarantined: 1 }
        assert.lengthOf((yield* store.claim(claim)).activities, many)
        const taken = yield* store.takeAttempts({ worker: "b", queue: "q", activities: ["A"], limit: many, now: at })
        assert.lengthOf(taken.attempts, many)
      }).pipe(Effect.provide(journals.sqlite)),
    60_000
  )

  it.effect("can be undone by the next one, which reads back once", () =>
    Effect.gen(function*() {
      let read = 0
      yield* Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([start("r", { worker: "a" })])
        yield* store.write([append("r", [turn(1), ...all()])])
        read = 0
        const cancelled = all().map((_, i): Event.Unsequenced => ({
          _tag: "ActivityCancelled",
          command: many + i + 1,
          target: i + 1
        }))
        yield* store.write([append("r", [turn(many + 2), ...cancelled])])
        assert.isAtMost(read, 1)
        assert.lengthOf((yield* store.pending("r")).activities, 0)
      }).pipe(Effect.provide(Layer.provide(
        Journal.layerSql(),
        journals.watched(
          Layer.unwrapScoped(Effect.map(journals.temporaryFile, journals.database)),
          (text) => {
            if (text.includes("FROM holdfast_batches WHERE run = ? AND last_seq <")) read++
          }
        )
      )))
    }), 60_000)
})

/** Every way to ask for a list: with any of the filters or none, from the first position or after one. */
const everyList: ReadonlyArray<Parameters<Journal.JournalStore["list"]>[0]> = Array.from({ length: 64 }, (_, bits) => {
  const given = <A>(bit: number, value: A): A | undefined => (bits & (1 << bit)) === 0 ? undefined : value
  return {
    filter: {
      workflow: given(0, "W"),
      workflowId: given(1, "w"),
      status: given(2, "Running" as const),
      startedFrom: given(3, at),
      startedBefore: given(4, at + 1)
    },
    after: given(5, { startedAt: at, workflowId: "w", runId: "r" }),
    limit: 10
  }
})

describe("what a SQLite journal asks its database", () => {
  it.effect(
    "is answered by indexes: nothing is searched through, and nothing sorted, for a list either (W-48)",
    () =>
      Effect.gen(function*() {
        const seen = new Map<string, ReadonlyArray<unknown>>()
        const journal = Layer.provide(
          Journal.layerSql(),
          journals.watched(
            Layer.unwrapScoped(Effect.map(journals.temporaryFile, journals.database)),
            (text, values) => void seen.set(text, values)
          )
        )
        // The whole suite, for every kind of statement; and once more the lists, for every combination.
        for (const { run } of JournalConformance.suite(journal, { runs: 5 })) yield* run
        yield* Effect.gen(function*() {
          const { store } = yield* Journal.Journal
          for (const options of everyList) {
            yield* store.list(options)
            yield* store.count(options.filter)
          }
        }).pipe(Effect.provide(journal))

        const sql = yield* SqlClient.SqlClient
        // What opens a journal is asked once.
        const once = /^\s*(?:BEGIN|COMMIT|ROLLBACK|PRAGMA|CREATE)|holdfast_migrations/
        const statements = [...seen].filter(([text]) => !once.test(text))
        assert.isAbove(statements.length, 100)
        const slow: Array<readonly [text: string, plan: string]> = []
        for (const [text, values] of statements) {
          const plan = yield* sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${text}`, values)
          for (const { detail } of plan) {
            // What is no table of ours is a row of values that came with the statement.
            const searches = /^SCAN (?!(?:\d+ )?CONSTANT ROW|\d+-ROW VALUES|moved|restated|closing)/.test(detail)
            if (searches || detail.includes("TEMP B-TREE")) slow.push([text.replaceAll(/\s+/g, " "), detail])
          }
        }
        // Who asks for all runs, or how many there are, goes through an index of them, in the order of a list.
        const isFiltered = ([text]: readonly [text: string, plan: string]) => /WHERE (?!run = r\.id\))/.test(text)
        const unfiltered = slow.filter((each) => !isFiltered(each)).map(([, detail]) => detail.slice(0, 30))
        assert.deepStrictEqual([...new Set(unfiltered)].sort(), [
          "SCAN holdfast_runs USING COVER",
          "SCAN r USING INDEX holdfast_ru"
        ])
        assert.deepStrictEqual(slow.filter(isFiltered), [])
      }).pipe(Effect.provide(journals.sqlite)),
    60_000
  )
})
