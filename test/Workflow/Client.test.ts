import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Exit, Fiber, Layer, Option, Schema, Stream } from "effect"
import { Activity, Client, Engine, Event, Journal, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import * as journals from "./support/journals.js"
import { kinds, quiet } from "./support/orders.js"
import { adjust } from "./support/settling.js"

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const Job = Workflow.make("Job", { payload: Schema.String, success: Schema.String, error: Refused })
const Other = Workflow.make("Other")
const Note = Signal.make("Note", { payload: Schema.String })

/** Does what its payload says. */
const live = Layer.mergeAll(
  Job.toLayer((what) => {
    switch (what) {
      case "fail":
        return Effect.fail(new Refused())
      case "wait":
        return Effect.never
      case "sleep":
        return Effect.as(Effect.sleep("1 day"), "slept")
      case "notes":
        return Effect.map(Effect.orDie(Effect.replicateEffect(Note.receive, 2)), (notes) => notes.join(" "))
      default:
        return Effect.succeed(what)
    }
  }),
  Other.toLayer(() => Effect.never)
)

const on = <A, E, R>(
  journal: Layer.Layer<Journal.Journal | R>,
  test: Effect.Effect<A, E, Journal.Journal | Engine.Engine | Client.Client | R>
) =>
  test.pipe(Effect.provide(
    live.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
  ))

for (const [name, journal] of journals.all) {
  describe(`starting on ${name}`, () => {
    it.effect("a run that does nothing ends with its result (T56, T138, C9)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "done" })
          assert.strictEqual(yield* run.result, "done")
          // Once more, at once.
          assert.strictEqual(yield* run.result, "done")
          assert.strictEqual(yield* run.ownResult, "done")
        })
      ))

    it.effect("by default an id means one run, open or closed (C10, D2.1)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const first = yield* Client.start(Job, { id: "j", payload: "sleep" })
          const second = yield* Client.start(Job, { id: "j", payload: "other" })
          assert.strictEqual(second.runId, first.runId)
          yield* adjust("1 day")
          assert.strictEqual(yield* second.result, "slept")
          const third = yield* Client.start(Job, { id: "j", payload: "other" })
          assert.strictEqual(third.runId, first.runId)
        })
      ))

    it.effect("the id of a closed run can be used again, always or when it failed (C11, D2.1, B-17)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const start = (payload: string, reuse: Client.Reuse) =>
            Effect.flatMap(Client.start(Job, { id: "j", payload, reuse }), (run) =>
              Effect.as(Effect.exit(run.result), run.runId))
          const first = yield* start("done", "attach")
          assert.strictEqual(yield* start("again", "whenFailed"), first)
          const second = yield* start("fail", "always")
          assert.notStrictEqual(second, first)
          const third = yield* start("done", "whenFailed")
          assert.notStrictEqual(third, second)
          const refused = yield* Effect.flip(Client.start(Job, { id: "j", payload: "done", reuse: "never" }))
          assert.instanceOf(refused, WorkflowError.AlreadyStarted)
          assert.deepInclude(refused, { runId: third, status: "Success" })
          // Each has a history of its own.
          const { store } = yield* Journal.Journal
          assert.deepInclude((yield* store.history(second)).at(-1), { outcome: "Failure" })
          assert.deepInclude((yield* store.history(third)).at(-1), { outcome: "Success" })
        })
      ))

    it.effect("an open run is attached to, refused or replaced, as is asked (B-13, B-17, C10)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const first = yield* Client.start(Job, { id: "j", payload: "wait" })
          const refused = yield* Effect.flip(Client.start(Job, { id: "j", payload: "x", conflict: "fail" }))
          assert.deepInclude(refused, { _tag: "AlreadyStarted", status: "Running", runId: first.runId })
          yield* first.cancel()
          const second = yield* Client.start(Job, { id: "j", payload: "done", conflict: "terminate", reuse: "always" })
          assert.notStrictEqual(second.runId, first.runId)
          assert.strictEqual(yield* second.result, "done")
          const end = yield* Effect.flip(first.result)
          assert.isTrue(end._tag === "RunFailed" && ["Terminated", "Cancelled"].includes(end.reason))
          const mismatch = yield* Effect.flip(Client.start(Other, { id: "j", conflict: "terminate" }))
          assert.instanceOf(mismatch, WorkflowError.WorkflowMismatch)
        })
      ))

    it.effect("with a signal: both or neither, to the open run or to a new one (B-17, W-57)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const start = (note: string) => Client.signalWithStart(Job, { id: "j", payload: "notes" }, Note, note)
          const first = yield* start("a")
          const second = yield* start("b")
          assert.strictEqual(second.runId, first.runId)
          assert.strictEqual(yield* second.result, "a b")
          // The run has closed: a signal to it would be lost, so there is a new one.
          const third = yield* start("c")
          assert.notStrictEqual(third.runId, first.runId)
          yield* third.signal(Note, "d")
          assert.strictEqual(yield* third.result, "c d")
          const refused = yield* Effect.flip(
            Client.signalWithStart(Job, { id: "j", payload: "notes", reuse: "never" }, Note, "e")
          )
          assert.instanceOf(refused, WorkflowError.AlreadyStarted)
          // It has ended well, so there is no run to send it to; the error is in the type, too.
          const ended = yield* Effect.flip(
            Client.signalWithStart(Job, { id: "j", payload: "notes", reuse: "whenFailed" }, Note, "f")
          )
          assert.isTrue(ended._tag === "AlreadyStarted" && ended.status === "Success")
        })
      ))

    it.effect("two starts of one id in one moment give one run (C17, D2.1)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const runs = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, i) => `${i}`),
            (payload) => Client.start(Job, { id: "j", payload }),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(new Set(runs.map(({ runId }) => runId)).size, 1)
          assert.strictEqual(yield* Client.count(), 1)
        })
      ))
  })

  describe(`waiting and asking on ${name}`, () => {
    it.effect("everybody who waits for a run is told of its end (T76, G2, D2.13)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "sleep" })
          const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Client.result(Job, "j")))
          yield* adjust("1 day")
          assert.deepStrictEqual(
            yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber)),
            ["slept", "slept", "slept"]
          )
          assert.strictEqual(yield* run.result, "slept")
        })
      ))

    it.effect("who gives up waiting leaves nothing behind (W-51)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "sleep" })
          const waiting = yield* Effect.fork(run.result)
          yield* adjust("1 hour")
          yield* Fiber.interrupt(waiting)
          yield* adjust("1 day")
          assert.strictEqual(yield* run.result, "slept")
        })
      ))

    it.effect("to look never waits, whatever the run does (W-29, D6.12, D2.14, T19)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "wait" })
          assert.deepStrictEqual(yield* run.poll, { _tag: "Running", blocked: undefined })
          yield* adjust(0)
          yield* run.cancel({ reason: "enough" })
          yield* run.poll
          const end = yield* Effect.flip(run.result)
          assert.deepInclude(end, { reason: "Cancelled", detail: "enough" })
          const poll = yield* run.poll
          assert.isTrue(poll._tag === "Closed" && Exit.isFailure(poll.exit))
          assert.instanceOf(yield* Effect.flip(Client.poll(Job, "nobody")), WorkflowError.RunNotFound)
        })
      ))

    it.effect("a handle means its own run, also when its id has a newer one (B-12)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const first = yield* Client.start(Job, { id: "j", payload: "first" })
          yield* first.result
          const second = yield* Client.start(Job, { id: "j", payload: "second", reuse: "always" })
          assert.strictEqual(yield* second.result, "second")
          assert.strictEqual(yield* first.result, "first")
          assert.deepStrictEqual(yield* first.poll, { _tag: "Closed", exit: Exit.succeed("first") })
        })
      ))

    it.effect("a description tells what a run does and what is pending in it (D2.21, W-56, W-57)", () => {
      const Slow = Activity.make("Slow", { payload: Schema.String })
      return on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "sleep" })
          yield* adjust(0)
          const description = yield* Client.describe("j")
          assert.deepInclude(description, { workflow: "Job", status: "Running", events: 3, runId: run.runId })
          assert.deepStrictEqual(description.timers, [{ runId: run.runId, command: 1, fireAt: 86_400_000 }])
          assert.deepStrictEqual(kinds(yield* Client.history("j")), ["RunStarted", "TurnTaken", "TimerStarted"])
          assert.instanceOf(yield* Effect.flip(Client.describe("nobody")), WorkflowError.RunNotFound)
          assert.instanceOf(yield* Effect.flip(Client.history("nobody")), WorkflowError.RunNotFound)
          const Packing = Workflow.make("Packing")
          yield* Effect.gen(function*() {
            yield* Client.start(Packing, { id: "p" })
            yield* adjust(0)
            const { activities } = yield* Client.describe("p")
            assert.deepInclude(activities[0], { attempt: 1, workflowId: "p" })
            assert.deepInclude(activities[0]?.scheduled, { activity: "Slow", payload: "\"lamp\"" })
          }).pipe(Effect.provide(
            Packing.toLayer(() => Slow.execute("lamp")).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
          ))
        })
      )
    })
  })

  describe(`lists on ${name}`, () => {
    /** Five runs, an hour apart, of two workflows and in all kinds of states. */
    const five = Effect.gen(function*() {
      for (const [id, payload] of [["a", "done"], ["b", "fail"], ["c", "wait"], ["d", "wait"]] as const) {
        const run = yield* Client.start(Job, { id, payload })
        if (payload !== "wait") yield* Effect.exit(run.result)
        yield* adjust("1 hour")
      }
      yield* Client.terminate("d")
      yield* Client.start(Other, { id: "e" })
      yield* adjust(0)
    })

    const ids = (options?: Client.ListOptions) =>
      Effect.map(Client.list(options), ({ runs }) => runs.map(({ workflowId }) => workflowId).join(""))

    it.effect("nothing is an empty page without a next one (C36)", () =>
      on(
        journal,
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Client.list(), { runs: [], next: Option.none() })
          assert.strictEqual(yield* Client.count(), 0)
        })
      ))

    it.effect("are newest first, and can be asked for by status, workflow, id and time, together (C37, C38, C39, C40, D2.17)", () =>
      on(
        journal,
        Effect.gen(function*() {
          yield* five
          assert.strictEqual(yield* ids(), "edcba")
          assert.strictEqual(yield* ids({ workflow: "Job" }), "dcba")
          assert.strictEqual(yield* ids({ status: "Success" }), "a")
          assert.strictEqual(yield* ids({ status: "Failure" }), "b")
          assert.strictEqual(yield* ids({ status: "Running" }), "ec")
          assert.strictEqual(yield* ids({ status: "Running", workflow: "Job" }), "c")
          assert.strictEqual(yield* ids({ status: "Terminated" }), "d")
          assert.strictEqual(yield* ids({ workflowId: "b" }), "b")
          assert.strictEqual(yield* ids({ workflowId: "b", status: "Success" }), "")
          assert.strictEqual(yield* ids({ startedFrom: 3_600_000, startedBefore: 3 * 3_600_000 }), "cb")
          assert.strictEqual(yield* Client.count({ workflow: "Job" }), 4)
          assert.strictEqual(yield* Client.count({ status: "Running", startedFrom: 3_600_000 }), 2)
          const { runs: [newest] } = yield* Client.list({ limit: 1 })
          assert.deepInclude(newest, {
            workflow: "Other",
            workflowId: "e",
            startedAt: 4 * 3_600_000,
            status: "Running"
          })
        })
      ))

    it.effect("come in pages that neither overlap nor leave anything out (C41)", () =>
      on(
        journal,
        Effect.gen(function*() {
          yield* five
          const first = yield* Client.list({ limit: 2 })
          const second = yield* Client.list({ limit: 2, cursor: Option.getOrThrow(first.next) })
          // What is started meanwhile is on no later page.
          yield* adjust("1 hour")
          yield* Client.start(Other, { id: "f" })
          const third = yield* Client.list({ limit: 2, cursor: Option.getOrThrow(second.next) })
          assert.deepStrictEqual(
            [first, second, third].map(({ runs }) => runs.map(({ workflowId }) => workflowId).join("")),
            ["ed", "cb", "a"]
          )
          assert.isTrue(Option.isNone(third.next))
          const all = yield* Stream.runCollect(Client.listAll({ limit: 2, workflow: "Job" }))
          assert.deepStrictEqual(Chunk.toReadonlyArray(all).map(({ workflowId }) => workflowId), ["d", "c", "b", "a"])
        })
      ))

    it.effect("runs of one instant are in the order of their ids, from the end; any id will do (C42, W-42, G5)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const odd = ["a|b", "a/b", "é", "日本", "'; DROP TABLE", " ", "🙂", "z"]
          for (const id of odd) yield* Client.start(Job, { id, payload: "wait" })
          const seen: Array<string> = []
          let cursor: Option.Option<string> = Option.none()
          do {
            const page: Client.Page = yield* Client.list({ limit: 1, cursor: Option.getOrUndefined(cursor) })
            seen.push(...page.runs.map(({ workflowId }) => workflowId))
            cursor = page.next
          } while (Option.isSome(cursor))
          const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(b), Buffer.from(a))
          assert.deepStrictEqual(seen, [...odd].sort(byBytes))
          for (const id of odd) assert.strictEqual((yield* Client.describe(id)).workflowId, id)
        })
      ))

    it.effect("the input and the end of a run can be read (C43)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "sleep" })
          yield* adjust("1 hour")
          const { runs: [open] } = yield* Client.list()
          assert.isUndefined(open?.closed)
          yield* adjust("1 day")
          yield* run.result
          const { runs: [closed] } = yield* Client.list()
          assert.strictEqual(closed?.closed?.at, 86_400_000)
          assert.deepInclude((yield* Client.history("j"))[0], { _tag: "RunStarted", payload: "\"sleep\"" })
        })
      ))

    it.effect("a cursor that no list has given, and a limit that makes no sense, are refused (D2.17, W-42)", () =>
      on(
        journal,
        Effect.gen(function*() {
          for (const cursor of ["", "x", "bm9uc2Vuc2U", Buffer.from("[1,2,3]").toString("base64url")]) {
            assert.instanceOf(yield* Effect.flip(Client.list({ cursor })), WorkflowError.InvalidCursor)
          }
          const exit = yield* Effect.exit(Client.list({ limit: 0 }))
          assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes(InvalidOptions.name))
        })
      ))
  })

  describe(`time-outs of runs on ${name}`, () => {
    it.effect("a run that takes longer than it may is ended, also under another engine (W-59)", () => {
      const engine = live.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
      return Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* Client.start(Job, { id: "j", payload: "sleep", runTimeout: "10 hours" })
          yield* adjust("1 hour")
        }).pipe(Effect.provide(engine))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Job, "j")
          const end = yield* Effect.fork(Effect.flip(run.result))
          yield* adjust("9 hours")
          assert.deepInclude(yield* Fiber.join(end), { _tag: "RunFailed", reason: "TimedOut" })
          assert.deepInclude(yield* Client.describe("j"), { status: "TimedOut", timers: [] })
          assert.strictEqual((yield* Client.history("j")).at(-1)?.seq, 4)
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(journal))
    })

    it.effect("a limit of the execution holds for all runs that go on from each other, one of a run for each (W-59, B-12)", () => {
      const Loop = Workflow.make("Loop", { payload: Schema.Number })
      const looping = Loop.toLayer((n) => Effect.zipRight(Effect.sleep("1 hour"), Loop.continueAsNew(n + 1)))
      return Effect.gen(function*() {
        const run = yield* Client.start(Loop, {
          id: "l",
          payload: 1,
          runTimeout: "90 minutes",
          executionTimeout: "210 minutes"
        })
        const end = yield* Effect.fork(Effect.flip(run.result))
        yield* adjust("209 minutes")
        assert.isNull(end.unsafePoll())
        yield* adjust("1 minutes")
        assert.deepInclude(yield* Fiber.join(end), { _tag: "RunFailed", reason: "TimedOut" })
        const [started] = yield* Client.history("l")
        assert.deepInclude(started, { payload: "4", first: run.runId })
      }).pipe(Effect.provide(
        looping.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
      ))
    })

    it.effect("a cancelled run that takes too long to undo is ended (T22, T23, W-35, B-14, D4.8.4)", () => {
      const undone: Array<string> = []
      const Trip = Workflow.make("Trip")
      const trip = Trip.toLayer(() =>
        Effect.onInterrupt(
          Effect.never,
          () => Effect.repeatN(Effect.zipRight(Effect.sleep("2 minutes"), Effect.sync(() => undone.push("step"))), 9)
        )
      )
      const engine = trip.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
      return Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* Client.start(Trip, { id: "t" })
          yield* adjust("1 hour")
          yield* Client.cancel("t", { reason: "by phone", timeout: "5 minutes" })
          yield* adjust("2 minutes")
        }).pipe(Effect.provide(engine))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Trip, "t")
          const end = yield* Effect.fork(Effect.flip(run.result))
          yield* adjust("2 minutes")
          const steps = undone.length
          assert.isNull(end.unsafePoll())
          yield* adjust("1 minutes")
          assert.deepInclude(yield* Fiber.join(end), { reason: "Terminated" })
          yield* adjust("1 hour")
          assert.lengthOf(undone, steps)
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(journal))
    })

    it.effect("the earliest limit of several requests counts, under the same engine too (T23, D4.8.4)", () => {
      const Trip = Workflow.make("Trip")
      const trip = Trip.toLayer(() => Effect.onInterrupt(Effect.never, () => Effect.sleep("1 day")))
      return Effect.gen(function*() {
        const run = yield* Client.start(Trip, { id: "t" })
        yield* adjust("1 hour")
        yield* run.cancel({ timeout: "10 minutes" })
        yield* run.cancel({ timeout: "5 minutes" })
        yield* run.cancel({ timeout: "7 minutes" })
        const end = yield* Effect.fork(Effect.flip(run.result))
        yield* adjust("299 seconds")
        assert.isNull(end.unsafePoll())
        yield* adjust("1 seconds")
        assert.deepInclude(yield* Fiber.join(end), { reason: "Terminated" })
      }).pipe(Effect.provide(
        trip.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(journal))
      ))
    })

    it.effect("a cancelled run that undoes in time ends as cancelled (T22, D4.8.3)", () =>
      on(
        journal,
        Effect.gen(function*() {
          const run = yield* Client.start(Job, { id: "j", payload: "wait" })
          yield* adjust(0)
          yield* run.cancel({ timeout: "5 minutes" })
          assert.deepInclude(yield* Effect.flip(run.result), { reason: "Cancelled" })
          yield* adjust("1 hour")
          assert.strictEqual((yield* Client.history("j")).filter(Event.isClosing).length, 1)
        })
      ))
  })
}

it.effect("a limit of time that can never work is refused", () =>
  on(
    Journal.layerMemory,
    Effect.gen(function*() {
      for (const options of [{ runTimeout: 0 }, { executionTimeout: -1 }, { runTimeout: Number.NaN }]) {
        const exit = yield* Effect.exit(Client.start(Job, { id: "j", payload: "x", ...options }))
        assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("Timeout"))
      }
      assert.strictEqual(yield* Client.count(), 0)
    })
  ))

it.effect("what a list asks of SQLite is one range of an index (W-48)", () =>
  on(
    journals.sqlite,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const plan = yield* sql<{ readonly detail: string }>`
        EXPLAIN QUERY PLAN SELECT * FROM holdfast_runs INDEXED BY holdfast_runs_workflow
        WHERE workflow = ${"Job"} ORDER BY started_at DESC, workflow_id DESC, run_id DESC LIMIT 10`
      assert.deepStrictEqual(plan.map(({ detail }) => detail), [
        "SEARCH holdfast_runs USING INDEX holdfast_runs_workflow (workflow=?)"
      ])
    })
  ))
