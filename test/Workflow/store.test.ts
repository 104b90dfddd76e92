import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Layer, Option } from "effect"
import * as fc from "effect/FastCheck"
import { Journal } from "holdfast/Workflow"
import type { AttemptReport, Command, Event, Message, Unplaced } from "../../src/Workflow/Event.js"
import { memoryStore } from "../../src/Workflow/internal/memoryStore.js"
import * as journals from "./support/journals.js"

const at = 1_700_000_000_000

type Start = Extract<Journal.Entry, { readonly _tag: "Start" }>

const start = (
  runId: string,
  options?: Partial<Pick<Start, "workflowId" | "workflow" | "conflict" | "reuse" | "signal">> & {
    readonly worker?: string
  }
): Journal.Entry => ({
  _tag: "Start",
  run: { runId, worker: options?.worker },
  workflowId: options?.workflowId ?? `id of ${runId}`,
  workflow: options?.workflow ?? "W",
  started: { _tag: "RunStarted", at, payload: "1" },
  conflict: options?.conflict ?? "attach",
  reuse: options?.reuse ?? "attach",
  signal: options?.signal
})

const append = (runId: string, events: ReadonlyArray<Unplaced<Event>>, epoch = 1, worker = "a"): Journal.Entry => ({
  _tag: "Append",
  runId,
  worker,
  epoch,
  events,
  children: events.filter((event) => event._tag === "ChildScheduled").map(({ command }) => ({
    runId: `${runId}/${command}`,
    worker: command % 2 === 0 ? "a" : undefined
  }))
})

const post = (runId: string, event: Unplaced<Message>): Journal.Entry => ({
  _tag: "Post",
  workflowId: `id of ${runId}`,
  event
})

const signal = (id?: string) => ({
  _tag: "SignalReceived" as const,
  signal: "S",
  at,
  ...(id === undefined ? {} : { id }),
  payload: "3"
})

const turn = (upTo: number, carried = 0): Unplaced<Event> => ({ _tag: "TurnTaken", at, upTo, carried })

const scheduled = (command: number): Unplaced<Event> => ({
  _tag: "ActivityScheduled",
  command,
  activity: "A",
  at,
  digest: "d",
  retry: { any: ["json", 1] },
  startToClose: 5,
  payload: "\"é\\u0000\""
})

const completed = (target: number): Unplaced<Event> => ({ _tag: "ActivityCompleted", target, at, payload: null })

const attemptFailed = (target: number): Unplaced<Event> => ({
  _tag: "AttemptFailed",
  target,
  at,
  attempt: 1,
  failure: { reason: "Failure", message: "m" },
  retryAt: at + 7,
  payload: null
})

const closed = (command: number): Unplaced<Event> => ({
  _tag: "RunClosed",
  command,
  at,
  outcome: "Success",
  digest: "d",
  payload: "2"
})

/** The ids that random writes are about. */
const workflowIds = ["id of run-0", "id of run-1", "id of run-2", "id of run-3"]

const ask: fc.Arbitrary<Unplaced<Command>> = fc.oneof(
  fc.record({
    command: fc.integer({ min: 11, max: 13 }),
    workflow: fc.constantFrom("W", "W", "V"),
    workflowId: fc.constantFrom(...workflowIds),
    parentClose: fc.constantFrom("terminate" as const, "cancel" as const, "abandon" as const),
    conflict: fc.constantFrom("attach" as const, "fail" as const, "terminate" as const),
    reuse: fc.constantFrom("attach" as const, "always" as const, "whenFailed" as const, "never" as const)
  }).map((child) => ({ _tag: "ChildScheduled" as const, ...child, at, digest: "d", payload: "4" })),
  fc.constantFrom(11, 12, 13).map((target) => ({ _tag: "ChildCancelled" as const, command: target + 10, target, at })),
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

/** A random transaction: entries over a few runs, by the right and by wrong owners. */
const entry: fc.Arbitrary<Journal.Entry> = fc.constantFrom(
  "run-0",
  "run-1",
  "run-2",
  "run-3",
  "run-0/12",
  "run-1/12",
  "run-2/12"
).chain((runId) => {
  const command = fc.integer({ min: 1, max: 3 })
  const event: fc.Arbitrary<Unplaced<Event>> = fc.oneof(
    command.map(scheduled),
    command.map((command) => ({ ...scheduled(command), queue: "q" }) as Unplaced<Event>),
    command.map(completed),
    ask,
    command.map((target): Unplaced<Event> => ({ _tag: "ActivityCancelled", command: 9, target })),
    command.map((command): Unplaced<Event> => ({ _tag: "TimerStarted", command, fireAt: at + command })),
    command.map((target): Unplaced<Event> => ({ _tag: "TimerFired", target, at })),
    command.map(attemptFailed),
    fc.nat(6).map((upTo) => turn(upTo))
  )
  return fc.oneof(
    {
      weight: 2,
      arbitrary: fc.constantFrom("a", undefined).map((worker) =>
        start(runId.slice(0, 5), worker === undefined ? {} : { worker })
      )
    },
    {
      weight: 1,
      arbitrary: fc.record({
        workflow: fc.constantFrom("W", "V"),
        conflict: fc.constantFrom("attach" as const, "fail" as const, "terminate" as const),
        reuse: fc.constantFrom("attach" as const, "always" as const, "whenFailed" as const, "never" as const),
        signal: fc.constantFrom(undefined, signal(), signal("one"))
      }).map((options) => start("new", { ...options, workflowId: `id of ${runId}` }))
    },
    {
      weight: 2,
      arbitrary: fc.record({
        attempt: fc.constantFrom(undefined, 1, 2),
        worker: fc.constantFrom(undefined, undefined, "a", "z"),
        unstarted: fc.boolean(),
        event: fc.oneof(
          command.map((target) => completed(target) as Unplaced<AttemptReport>),
          command.map((target) => attemptFailed(target) as Unplaced<AttemptReport>)
        )
      }).map((report): Journal.Entry => ({ _tag: "Report", runId, ...report }))
    },
    {
      weight: 1,
      arbitrary: fc.record({
        id: fc.record({ runId: fc.constant(runId), command, attempt: fc.constantFrom(1, 2) }),
        worker: fc.constantFrom(undefined, "a"),
        outside: fc.boolean(),
        details: fc.constantFrom(undefined, "6")
      }).map((beat): Journal.Entry => ({ _tag: "Heartbeat", at, ...beat }))
    },
    {
      weight: 6,
      arbitrary: fc.record({
        events: fc.uniqueArray(event, {
          minLength: 1,
          maxLength: 4,
          // One journal entry starts a command at most once.
          selector: (event) => `${event._tag}${"command" in event ? event.command : ""}`
        }),
        epoch: fc.constantFrom(0, 1, 1, 1, 2),
        worker: fc.constantFrom("a", "a", "b")
      }).map(({ epoch, events, worker }) => append(runId, events, epoch, worker))
    },
    { weight: 1, arbitrary: fc.constant(append(runId, [turn(9), closed(8)])) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Unplaced<Message>>(
        signal(),
        signal("one"),
        signal("two"),
        { _tag: "CancelRequested", at, reason: "r" },
        { _tag: "RunTerminated", at, reason: "r" }
      ).map((event) => post(runId, event))
    },
    {
      weight: 1,
      arbitrary: fc.option(fc.constant("why"), { nil: undefined }).map((reason): Journal.Entry => ({
        _tag: "Block",
        runId,
        worker: "a",
        epoch: 1,
        reason
      }))
    }
  )
})

/** What an engine writes: starts come first, a command is issued once in a run's life, and before it is answered. */
const sane = (groups: ReadonlyArray<ReadonlyArray<Journal.Entry>>): ReadonlyArray<ReadonlyArray<Journal.Entry>> => {
  const seen = new Set<string>()
  let started = 0
  return groups.map((group) =>
    [...group].sort((a, b) => Number(b._tag === "Start") - Number(a._tag === "Start")).flatMap(
      (entry): ReadonlyArray<Journal.Entry> => {
        if (entry._tag === "Start" && entry.run.runId === "new") {
          return [{ ...entry, run: { ...entry.run, runId: `new ${started++}` } }]
        }
        if (entry._tag !== "Append") return [entry]
        const events = entry.events.filter((event) => {
          const known = (command: number) => seen.has(`${entry.runId}/${command}`)
          if ("target" in event && !known(event.target)) return false
          if (!("command" in event)) return true
          if (known(event.command)) return false
          seen.add(`${entry.runId}/${event.command}`)
          return true
        })
        const children = (entry.children ?? []).filter((_, i) =>
          events.includes(entry.events.filter((event) => event._tag === "ChildScheduled")[i]!)
        )
        return events.length === 0 ? [] : [{ ...entry, events, children }]
      }
    )
  )
}

for (const [name, layer] of journals.all) {
  describe(`a store: ${name}`, () => {
    it.effect("numbers the events of a run from 1 without gaps (C1, D2.3)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([start("r", { worker: "a" })])
        const { receipts: [receipt] } = yield* store.write([append("r", [turn(1), scheduled(1)])])
        assert.deepStrictEqual(receipt, { _tag: "Appended", lastSeq: 3, news: [] })
        assert.deepStrictEqual((yield* store.history("r")).map((event) => event.seq), [1, 2, 3])
      }).pipe(Effect.provide(layer)))

    it.effect("gives every event back as it was (C5, C18, D1.2)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([start("r", { worker: "a" })])
        const events: ReadonlyArray<Unplaced<Event>> = [
          turn(1),
          scheduled(1),
          { _tag: "TimerStarted", command: 2, fireAt: at + 2 ** 42 },
          { _tag: "TimerCancelled", command: 3, target: 2 },
          {
            _tag: "AttemptFailed",
            target: 1,
            at,
            attempt: 1,
            failure: { reason: "Defect", message: "m" },
            retryAt: at,
            payload: null
          },
          {
            _tag: "ActivityFailed",
            target: 1,
            at,
            attempts: 2,
            failure: { reason: "Failure", tag: "T", message: "m" },
            payload: "{}"
          },
          { _tag: "TimerFired", target: 2, at },
          { _tag: "ActivityCancelled", command: 4, target: 1 },
          { _tag: "RunClosed", command: 5, at, outcome: "Defect", digest: "", message: "it died", payload: null }
        ]
        yield* store.write([append("r", events)])
        assert.deepStrictEqual(
          yield* store.history("r"),
          [{ _tag: "RunStarted", at, payload: "1" }, ...events].map((event, i) => ({ ...event, seq: i + 1 }) as Event)
        )
      }).pipe(Effect.provide(layer)))

    it.effect("an unknown run has no history (C4)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        assert.deepStrictEqual(yield* store.history("nobody"), [])
        assert.isTrue(Option.isNone(yield* store.latest("nobody")))
      }).pipe(Effect.provide(layer)))

    it.effect("starting is idempotent by workflow id, also within one group (C10)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        const { receipts } = yield* store.write([
          start("r1", { workflowId: "w" }),
          start("r2", { workflowId: "w" }),
          start("r3")
        ])
        const { receipts: [again] } = yield* store.write([start("r4", { workflowId: "w" })])
        assert.deepStrictEqual(
          [...receipts, again!].map((receipt) => receipt._tag === "Started" && [receipt.created, receipt.record.runId]),
          [[true, "r1"], [false, "r1"], [true, "r3"], [false, "r1"]]
        )
      }).pipe(Effect.provide(layer)))

    it.effect("refuses whoever does not own the run, by worker and by epoch, and writes nothing (W-9, W-18, B-11)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([start("r", { worker: "a" })])
        const { receipts } = yield* store.write([
          append("r", [turn(1)], 1, "b"),
          append("r", [turn(1)], 2, "a"),
          append("unknown", [turn(1)]),
          append("r", [turn(1), closed(1)]),
          append("r", [completed(1)])
        ])
        assert.deepStrictEqual(receipts.map((receipt) => receipt._tag), [
          "Stale",
          "Stale",
          "Stale",
          "Appended",
          "Stale"
        ])
        assert.strictEqual((yield* store.history("r")).length, 3)
      }).pipe(Effect.provide(layer)))

    it.effect("a run is due until a turn has consumed what arrived, wherever it stands (W-2, W-3, B-3)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        const due = (entry: Journal.Entry) =>
          Effect.zipRight(
            store.write([entry]),
            Effect.map(
              store.claim({ worker: "a", workflows: [], now: 0, leaseUntil: 1, suspects: 1 }),
              (claimed) => claimed.due.length > 0
            )
          )
        yield* store.write([start("r", { worker: "a" })])
        assert.isFalse(yield* due(append("r", [turn(1), scheduled(1), scheduled(2)])))
        assert.isFalse(yield* due(append("r", [completed(1), turn(4, 1)])))
        // It lands while a turn is under way, which then commits without having seen it.
        assert.isTrue(yield* due(append("r", [completed(2)])))
        assert.isTrue(yield* due(append("r", [turn(6), scheduled(3)])))
        assert.isFalse(yield* due(append("r", [completed(3), turn(9, 1)])))
      }).pipe(Effect.provide(layer)))

    it.effect("a claim gives open runs without a living owner, with what is pending in them (C16, D2.7)", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        const claim = (worker: string, now: number) =>
          store.claim({ worker, workflows: ["W"], now, leaseUntil: now + 10, suspects: 1 })
        assert.deepStrictEqual((yield* claim("a", 0)).runs, [])
        yield* store.write([start("mine", { worker: "a" }), start("free"), start("done", { worker: "a" })])
        yield* store.write([
          append("mine", [turn(1), scheduled(1), { _tag: "TimerStarted", command: 2, fireAt: 77 }, scheduled(3)]),
          append("mine", [{
            _tag: "AttemptFailed",
            target: 1,
            at,
            attempt: 2,
            failure: { reason: "TimedOut", message: "m" },
            retryAt: 55,
            payload: null
          }]),
          append("mine", [completed(3), turn(7, 1)]),
          append("done", [turn(1), closed(1)])
        ])
        const early = yield* claim("b", 9)
        assert.deepStrictEqual(early.runs.map(({ due, epoch, runId }) => [runId, epoch, due]), [["free", 1, true]])
        const late = yield* claim("b", 10)
        assert.deepStrictEqual(late.runs.map(({ due, epoch, runId }) => [runId, epoch, due]), [["mine", 2, false]])
        assert.deepStrictEqual(
          late.activities.map((
            { attempt, notBefore, runId, scheduled }
          ) => [runId, scheduled.command, attempt, notBefore]),
          [["mine", 1, 3, 55]]
        )
        assert.deepStrictEqual(late.timers, [{ runId: "mine", command: 2, fireAt: 77 }])
        const { receipts: [fenced] } = yield* store.write([append("mine", [turn(1)], 1, "a")])
        assert.strictEqual(fenced?._tag, "Stale")
      }).pipe(Effect.provide(layer)))

    it.effect("a heartbeat keeps what is owned; a release gives it up at once", () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        const claim = (worker: string, now: number) =>
          Effect.map(store.claim({ worker, workflows: ["W"], now, leaseUntil: now + 10, suspects: 1 }), ({ runs }) =>
            runs.length)
        yield* store.write([start("r")])
        assert.strictEqual(yield* claim("a", 0), 1)
        yield* store.heartbeat("a", 100)
        assert.strictEqual(yield* claim("b", 99), 0)
        yield* store.release("a")
        assert.strictEqual(yield* claim("b", 99), 1)
      }).pipe(Effect.provide(layer)))
  })
}

describe("the stores", () => {
  it.effect("hold the same after the same random writes", () =>
    Effect.gen(function*() {
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(fc.array(entry, { minLength: 1, maxLength: 6 }), { maxLength: 12 }), (drawn) =>
            Effect.gen(function*() {
              const groups = sane(drawn).filter((group) => group.length > 0)
              const { store: sql } = yield* Journal.Journal
              const memory = memoryStore()
              yield* Effect.all([sql.heartbeat("a", 0), memory.heartbeat("a", 0)])
              for (const group of groups) {
                assert.deepStrictEqual(yield* sql.write(group), yield* memory.write(group))
              }
              const all = { filter: {}, after: undefined, limit: 1_000 }
              const runs = yield* memory.list(all)
              assert.deepStrictEqual(yield* sql.list(all), runs)
              for (const { runId, workflowId } of runs) {
                assert.deepStrictEqual(yield* sql.history(runId), yield* memory.history(runId))
                assert.deepStrictEqual(yield* sql.latest(workflowId), yield* memory.latest(workflowId))
                assert.deepStrictEqual(yield* sql.pending(runId), yield* memory.pending(runId))
              }
              const take = { worker: "z", queue: "q", activities: ["A"], limit: 2, now: at + 3 }
              assert.deepStrictEqual(yield* sql.takeAttempts(take), yield* memory.takeAttempts(take))
              assert.deepStrictEqual(yield* sql.taken("z"), yield* memory.taken("z"))
              const claim = { worker: "z", workflows: ["W"], now: 0, leaseUntil: 1, suspects: 1 }
              const order = (claimed: Journal.Claimed) => ({
                runs: [...claimed.runs].sort((a, b) =>
                  a.runId < b.runId ? -1 : 1
                ),
                activities: [...claimed.activities].sort((a, b) =>
                  a.runId === b.runId ? a.scheduled.command - b.scheduled.command : a.runId < b.runId ? -1 : 1
                ),
                timers: [...claimed.timers].sort((a, b) =>
                  a.runId === b.runId ? a.command - b.command : a.runId < b.runId ? -1 : 1
                )
              })
              assert.deepStrictEqual(order(yield* sql.claim(claim)), order(yield* memory.claim(claim)))
            }).pipe(Effect.provide(journals.sqlite), Effect.runPromise)),
          { numRuns: 100 }
        )
      )
    }))
})

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
      const failed = yield* Effect.either(store.write([{ ...start("lost"), workflow: "Doomed" } as Journal.Entry]))
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
      const large = { ...completed(1), payload: JSON.stringify("x".repeat(3_000)) } as Unplaced<Event>
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
        [start("r1"), { ...start("r2"), workflow: "Doomed" } as Journal.Entry, start("r3")].map((entry) =>
          Effect.either(journal.commit(entry))
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(Either.isRight), [true, false, true])
      assert.isTrue(Option.isSome(yield* journal.store.latest("id of r3")))
    })))

  it.effect("what cannot be read is a corrupt journal, by its number, and not a defect", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { store } = yield* Journal.Journal
      yield* store.write([start("r", { worker: "a" })])
      yield* store.write([append("r", [turn(1), scheduled(1)])])
      for (const body of ["{", "{}", "[1]"]) {
        yield* sql`UPDATE holdfast_events SET body = ${body} WHERE seq = 3`
        const error = yield* Effect.flip(store.history("r"))
        assert.strictEqual(error.reason, "Corrupt")
        assert.match(error.message, /event 3/)
      }
    })))

  it.effect("commits with synchronous = FULL", () =>
    sqliteOnly(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`PRAGMA synchronous`, [{ synchronous: 2 }])
    })))
})

describe("a SQLite journal that cannot be opened", () => {
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
})
