import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Fiber, FiberId, Layer, Schema } from "effect"
import { Backoff, Retry, RetryPolicy } from "holdfast/Schedule"
import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
import { Activity, Client, History, Replay, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { expectTypeOf } from "vitest"
import { InvalidOptions } from "../../src/InvalidOptions.js"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

class Busy extends Schema.TaggedError<Busy>()("Busy", { why: Schema.String }) {}

const Double = Activity.make("Double", { payload: Schema.Number, success: Schema.Number })
const Charge = Activity.make("Charge", {
  payload: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
  success: Schema.String,
  error: Busy,
  retry: RetryPolicy.make({ retries: 4, backoff: Backoff.exponential("1 second") })
})
const Undo = Activity.make("Undo", { payload: Schema.String })
const Note = Signal.make("Note", { payload: Schema.String })
const Part = Workflow.make("Part", { payload: Schema.Number, success: Schema.Number, error: Busy })
const Job = Workflow.make("Job", { payload: Schema.Number, success: Schema.String, error: Busy })

const charge = Charge.execute({ order: "o", cents: 5 })

type Body = Parameters<typeof Job.toLayer>[0]
const job = (body: Body) => WorkflowTest.make(Job.toLayer(body))
const start = { payload: 5 }

describe("stubs", () => {
  it.effect("give a value, or what a function says (T146, T84)", () =>
    Effect.gen(function*() {
      const body = job((n) => Effect.map(Double.execute(n), String))
      const fixed = yield* body.pipe(WorkflowTest.stub(Double, Effect.succeed(7))).run(Job, start)
      assert.strictEqual(yield* fixed.exit, "7")
      const typed = yield* body.pipe(WorkflowTest.stub(Double, (n) => Effect.succeed(n * 2))).run(Job, start)
      assert.strictEqual(yield* typed.exit, "10")
    }))

  it.effect("may be called several times (T147, T150)", () =>
    Effect.gen(function*() {
      const run = yield* job((n) => Effect.map(Effect.flatMap(Double.execute(n), Double.execute), String)).pipe(
        WorkflowTest.stub(Double, (n) => Effect.succeed(n * 2))
      ).run(Job, start)
      assert.strictEqual(yield* run.exit, "20")
      yield* run.expectCalled(Double, { times: 2 })
      assert.deepInclude(yield* Effect.flip(run.expectCalled(Double, { times: 1 })), { actual: "2 times" })
      yield* run.expectCalled(Double, { times: 1, with: 5 })
      yield* run.expectCalled(Double, { times: 1, with: 10 })
      assert.deepStrictEqual((yield* run.calls(Double)).map(({ exit, payload }) => [payload, exit]), [
        [5, Exit.succeed(10)],
        [10, Exit.succeed(20)]
      ])
    }))

  it.effect("fail with the activity's own error, or die (T148)", () =>
    Effect.gen(function*() {
      const body = job(() => charge)
      const failed = yield* body.pipe(
        WorkflowTest.stub(Charge, Effect.fail(Retry.nonRetryable(new Busy({ why: "Charge" }))))
      ).run(Job, start)
      assert.deepStrictEqual(yield* Effect.flip(failed.exit), new Busy({ why: "Charge" }))
      const dead = yield* job(() => Effect.map(Double.execute(1), String)).pipe(
        WorkflowTest.stub(Double, Effect.die("broken"))
      ).run(Job, start)
      const error = yield* Effect.flip(dead.exit)
      assert.instanceOf(error, WorkflowError.ActivityError)
      assert.deepInclude(error, { reason: "Defect", activity: "Double" })
    }))

  it.effect("replace the ones before, and layers (D8.2)", () => {
    const live = Layer.merge(
      Job.toLayer(() => Effect.map(Double.execute(1), String)),
      Double.toLayer(() => Effect.dieMessage("the real one"))
    )
    const test = WorkflowTest.make(live).pipe(
      WorkflowTest.stub(Double, Effect.succeed(1)),
      WorkflowTest.stub(Double, Effect.succeed(2))
    )
    return Effect.gen(function*() {
      assert.strictEqual(yield* (yield* test.run(Job, start)).exit, "2")
    })
  })

  it.effect("that are missing fail the test at once, with what was called (D8.2)", () =>
    Effect.gen(function*() {
      const activity = yield* Effect.flip(
        job(() => Effect.as(Effect.sleep("1 day"), "").pipe(Effect.zipLeft(Double.execute(1)))).run(Job, start)
      )
      assert.instanceOf(activity, WorkflowTest.NotStubbed)
      assert.deepInclude(activity, { kind: "activity", called: "Double", workflowId: "test" })
      assert.match(activity.message, /^"test" calls activity Double, .* add WorkflowTest\.stub\(Double, /)
      const child = yield* Effect.flip(
        job(() => Effect.map(Workflow.executeChild(Part, { id: "p", payload: 1 }), String)).run(Job, start)
      )
      assert.deepInclude(child, { _tag: "NotStubbed", kind: "workflow", called: "Part", known: ["Job"] })
      const root = yield* Effect.flip(job(() => Effect.succeed("")).run(Part, { payload: 1 }))
      assert.deepInclude(root, { _tag: "NotStubbed", called: "Part", workflowId: undefined })
    }))

  it.effect("answer in a queue that is served, and fail the test at once in one that is not", () =>
    Effect.gen(function*() {
      const inQueue = Double.withOptions({ queue: "gpu" })
      const body = () => Effect.orDie(Effect.map(inQueue.execute(1), String))
      const error = yield* Effect.flip(job(body).pipe(WorkflowTest.stub(Double, Effect.succeed(2))).run(Job, start))
      assert.deepInclude(error, { _tag: "QueueNotServed", called: "Double", queue: "gpu", workflowId: "test" })
      const served = WorkflowTest.make(Job.toLayer(body), { engine: { queues: { gpu: {} } } })
      const run = yield* served.pipe(WorkflowTest.stub(Double, Effect.succeed(2))).run(Job, start)
      assert.strictEqual(yield* run.exit, "2")
    }))

  it.effect("answer attempt by attempt, or call by call, and are new in each world (D8.8)", () => {
    const test = job(() =>
      Effect.map(
        Effect.all([charge, charge, Effect.exit(Double.execute(1)), Double.execute(2)]),
        (all) => [all[0], all[1], all[3]].join()
      )
    ).pipe(
      WorkflowTest.stub(
        Charge,
        WorkflowTest.byCall([
          WorkflowTest.byAttempt([new Busy({ why: "1" }), new Busy({ why: "2" }), Effect.succeed("a")]),
          Effect.succeed("b")
        ])
      ),
      WorkflowTest.stub(Double, WorkflowTest.byCall([Effect.die("no"), (n) => Effect.succeed(n * 10)]))
    )
    return Effect.gen(function*() {
      for (const _ of [1, 2]) {
        const run = yield* test.run(Job, start)
        assert.strictEqual(yield* run.exit, "a,b,20")
        const [first, second] = yield* run.calls(Charge)
        assert.deepStrictEqual(first!.attempts.map(({ attempt, exit }) => [attempt, exit]), [
          [1, Exit.fail(new Busy({ why: "1" }))],
          [2, Exit.fail(new Busy({ why: "2" }))],
          [3, Exit.succeed("a")]
        ])
        assert.lengthOf(second!.attempts, 1)
        yield* run.expectCalled(Charge, { times: 2 })
      }
    })
  })

  it.effect("that have no more answers fail the test", () =>
    Effect.gen(function*() {
      const calls = job(() => Effect.as(Effect.all([Double.execute(1), Double.execute(2)]), "")).pipe(
        WorkflowTest.stub(Double, WorkflowTest.byCall([Effect.succeed(1)]))
      )
      const error = yield* Effect.flip(calls.run(Job, start))
      assert.deepInclude(error, { _tag: "AnswersEnded", called: "Double", counted: "call", answers: 1 })
      const attempts = job(() => charge).pipe(
        WorkflowTest.stub(Charge, WorkflowTest.byAttempt([new Busy({ why: "" })]))
      )
      assert.deepInclude(yield* Effect.flip(attempts.run(Job, start)), { _tag: "AnswersEnded", counted: "attempt" })
      const children = job(() => Effect.map(Workflow.executeChild(Part, { id: "p", payload: 1 }), String)).pipe(
        WorkflowTest.stubChild(Part, WorkflowTest.byCall([]))
      )
      assert.deepInclude(yield* Effect.flip(children.run(Job, start)), { _tag: "AnswersEnded", called: "Part" })
    }))

  it.effect("may hold assertions of their own", () =>
    Effect.gen(function*() {
      const test = job((n) => Effect.as(Effect.ignore(Double.execute(n)), "")).pipe(
        WorkflowTest.stub(Double, (n) => {
          assert.strictEqual(n, 6)
          return Effect.succeed(1)
        })
      )
      const exit = yield* Effect.exit(test.run(Job, start))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /expected 5 to equal 6/)
    }))

  it.effect("give side effects a value", () => {
    const body = job(() => Workflow.sideEffect("token", Schema.String, () => "the real one"))
    return Effect.gen(function*() {
      assert.strictEqual(yield* (yield* body.run(Job, start)).exit, "the real one")
      const stubbed = yield* body.pipe(WorkflowTest.stubSideEffect("token", Schema.String, "token-1")).run(Job, start)
      assert.strictEqual(yield* stubbed.exit, "token-1")
      const other = yield* body.pipe(WorkflowTest.stubSideEffect("other", Schema.String, "x")).run(Job, start)
      assert.strictEqual(yield* other.exit, "the real one")
      assert.throws(() => WorkflowTest.stubSideEffect("n", Schema.Int, 0.5), /side effect n does not fit/)
    })
  })
})

describe("time", () => {
  it.effect("goes by by itself, and not in the test (T149)", () =>
    Effect.gen(function*() {
      const run = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* job(() => Effect.as(Effect.sleep("5 seconds"), "slept")).start(Job, start)
        assert.strictEqual(yield* run.result, "slept")
        assert.strictEqual(yield* run.now, 5_000)
        return run
      }))
      assert.strictEqual(run.workflowId, "test")
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }))

  it.effect("begins when the test says so, and a run is one word (D8.1)", () =>
    Effect.gen(function*() {
      const body = () => Effect.map(Effect.zipRight(Effect.sleep("1 day"), Clock.currentTimeMillis), String)
      const run = yield* WorkflowTest.make(Job.toLayer(body), { startAt: "2024-02-28T00:00:00Z" }).run(Job, start)
      assert.strictEqual(yield* run.exit, String(Date.UTC(2024, 1, 29)))
      for (const options of [{ startAt: "never" }, { maxSteps: 0 }, { patience: -1 }]) {
        const exit = yield* Effect.exit(WorkflowTest.make(Job.toLayer(body), options).run(Job, start))
        assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), InvalidOptions)
      }
    }))

  it.effect("of retries is that of the policy, however often they fail (D8.8)", () =>
    Effect.gen(function*() {
      const run = yield* job(() => charge).pipe(
        WorkflowTest.stub(
          Charge,
          (_, { attempt }) => attempt < 5 ? new Busy({ why: `${attempt}` }) : Effect.succeed("paid")
        )
      ).run(Job, start)
      assert.strictEqual(yield* run.exit, "paid")
      const [call] = yield* run.calls(Charge)
      assert.deepStrictEqual(call!.attempts.map(({ at }) => at), [0, 1_000, 3_000, 7_000, 15_000])
      yield* run.expectCalled(Charge, { times: 1 })
    }))

  it.effect("of retries is what the error asks for, if it allows any (D8.8)", () =>
    Effect.gen(function*() {
      const later = yield* job(() => charge).pipe(
        WorkflowTest.stub(
          Charge,
          WorkflowTest.byAttempt([
            Effect.fail(Retry.retryAfter("3 hours", new Busy({ why: "" }))),
            Effect.succeed("paid")
          ])
        )
      ).run(Job, start)
      assert.deepStrictEqual((yield* later.calls(Charge))[0]!.attempts.map(({ at }) => at), [0, 3 * hour])
      const never = yield* job(() => charge).pipe(
        WorkflowTest.stub(Charge, Effect.suspend(() => Effect.fail(Retry.nonRetryable(new Busy({ why: "final" })))))
      ).run(Job, start)
      assert.deepStrictEqual(yield* Effect.flip(never.exit), new Busy({ why: "final" }))
      assert.lengthOf((yield* never.calls(Charge))[0]!.attempts, 1)
    }))

  it.effect("limits attempts that never end", () => {
    const Slow = Activity.make("Slow", {
      startToClose: "1 minute",
      retry: RetryPolicy.make({ retries: 1, backoff: Backoff.constant("1 second") })
    })
    return Effect.gen(function*() {
      const run = yield* job(() => Effect.as(Slow.execute(), "")).pipe(
        WorkflowTest.stub(Slow, Effect.never)
      ).run(Job, start)
      assert.deepInclude(yield* Effect.flip(run.exit), { reason: "TimedOut", attempts: 2 })
      const [call] = yield* run.calls(Slow)
      assert.deepStrictEqual(call!.attempts.map(({ at, endedAt }) => [at, endedAt]), [
        [0, minute],
        [minute + 1_000, 2 * minute + 1_000]
      ])
      for (const { exit } of call!.attempts) {
        assert.deepInclude(yield* Effect.flip(exit!), { _tag: "ActivityError", reason: "TimedOut" })
      }
    })
  })

  it.scoped("is not moved by what is cancelled (D8.8)", () =>
    Effect.gen(function*() {
      const run = yield* job((n) =>
        Effect.gen(function*() {
          yield* Effect.timeout(Double.execute(n), "24 hours")
          yield* Effect.sleep("1 minute")
          return "done"
        }).pipe(Effect.orDie)
      ).pipe(WorkflowTest.stub(Double, Effect.delay(Effect.succeed(1), "1 minute"))).start(Job, start)
      assert.strictEqual(yield* run.result, "done")
      assert.strictEqual(yield* run.now, 2 * minute)
      yield* run.advance("2 days")
      assert.notInclude(
        (yield* run.events).map((event) => "target" in event ? `${event._tag} ${event.target}` : ""),
        "TimerFired 2"
      )
    }))

  it.effect("is kept in order: what is due first comes first (D8.5, D8.8)", () =>
    Effect.gen(function*() {
      const ordered = yield* job(() =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          const at = (name: string, time: string & `${number} ${"hours" | "minutes"}`) =>
            Effect.zipRight(
              Effect.sleep(time),
              Effect.map(Clock.currentTimeMillis, (now) => seen.push(`${name} ${now / minute}`))
            )
          yield* Effect.all([at("late", "120 minutes"), at("early", "60 minutes"), at("also early", "60 minutes")], {
            concurrency: "unbounded"
          })
          return seen.join(", ")
        })
      ).run(Job, start)
      assert.strictEqual(yield* ordered.exit, "early 60, also early 60, late 120")
      const twoSteps = (limit: string & `${number} minutes`) =>
        job(() =>
          Effect.zipRight(Double.execute(1), Double.execute(2)).pipe(
            Effect.timeoutTo({ duration: limit, onSuccess: String, onTimeout: () => "too late" })
          )
        ).pipe(WorkflowTest.stub(Double, (n) => Effect.delay(Effect.succeed(n), "20 minutes"))).run(Job, start)
      const beaten = yield* twoSteps("41 minutes")
      assert.strictEqual(yield* beaten.exit, "2")
      const late = yield* twoSteps("39 minutes")
      assert.strictEqual(yield* late.exit, "too late")
      const [first, second] = yield* late.calls(Double)
      assert.deepStrictEqual(first!.exit, Exit.succeed(1))
      assert.isTrue(Exit.isInterrupted(second!.exit!))
      assert.strictEqual(second!.attempts[0]!.endedAt, 39 * minute)
    }))

  it.scoped("can be moved by hand", () =>
    Effect.gen(function*() {
      const run = yield* job(() => Effect.zipRight(Effect.sleep("2 days"), charge)).pipe(
        WorkflowTest.stub(Charge, Effect.succeed("paid"))
      ).start(Job, start)
      yield* run.advance("47 hours")
      yield* run.expectNotCalled(Charge)
      assert.deepStrictEqual(yield* run.status, { _tag: "Running", blocked: undefined })
      assert.deepStrictEqual(yield* run.waitsFor, ["the time 1970-01-03T00:00:00.000Z"])
      yield* run.advance("1 hour")
      assert.deepStrictEqual(yield* run.status, { _tag: "Closed", exit: Exit.succeed("paid") })
      assert.deepStrictEqual(yield* run.waitsFor, [])
      assert.strictEqual((yield* run.calls(Charge))[0]!.at, 2 * day)
    }))

  it.effect("waits for real work of activities that are no stubs", () =>
    Effect.gen(function*() {
      const working = (millis: number) =>
        Layer.merge(
          Job.toLayer(() =>
            Effect.timeoutTo(Double.execute(1), {
              duration: "1 second",
              onSuccess: String,
              onTimeout: () => "too late"
            })
          ),
          Double.toLayer(() =>
            Effect.async<number>((resume) => {
              const timer = setTimeout(() => resume(Effect.succeed(3)), millis)
              return Effect.sync(() => clearTimeout(timer))
            })
          )
        )
      const patient = yield* WorkflowTest.make(working(5), { patience: "10 seconds" }).run(Job, start)
      assert.strictEqual(yield* patient.exit, "3")
      const impatient = yield* WorkflowTest.make(working(600_000), { patience: 0 }).run(Job, start)
      assert.strictEqual(yield* impatient.exit, "too late")
    }))
})

describe("runs", () => {
  it.scoped("get signals, now and at times that are planned (D8.8, B-21)", () =>
    Effect.gen(function*() {
      const run = yield* job(() =>
        Effect.orDie(Effect.map(
          Effect.replicateEffect(Effect.zip(Note.receive, Clock.currentTimeMillis), 3),
          (notes) => notes.map(([note, at]) => `${note} ${at / hour}`).join(", ")
        ))
      ).start(Job, start)
      yield* run.after("2 days", run.signal(Note, "c"))
      yield* run.after("1 day", run.signal(Note, "b"))
      yield* run.signal(Note, "a")
      assert.strictEqual(yield* run.result, "a 0, b 24, c 48")
    }))

  it.scoped("fail when what is planned fails", () =>
    Effect.gen(function*() {
      const run = yield* job(() => Effect.as(Effect.sleep("1 day"), "")).start(Job, start)
      yield* run.after("1 hour", Effect.fail("planned badly"))
      assert.deepStrictEqual(yield* Effect.exit(run.result), Exit.die("planned badly"))
    }))

  it.scoped("are cancelled and compensate, or are terminated and do not; both are told as what they are (D8.8, B-21)", () => {
    const test = job(() =>
      Effect.gen(function*() {
        for (const what of ["hotel", "flight"]) {
          yield* Effect.addFinalizer(() => Effect.orDie(Undo.execute(what)))
        }
        return yield* Effect.never
      })
    ).pipe(WorkflowTest.stub(Undo, Effect.delay(Effect.void, "1 hour")))
    return Effect.gen(function*() {
      const run = yield* test.start(Job, start)
      yield* run.advance("1 day")
      yield* run.cancel({ reason: "called off" })
      const error = yield* Effect.flip(run.result)
      assert.deepInclude(error, { _tag: "RunFailed", reason: "Cancelled", detail: "called off" })
      assert.deepStrictEqual((yield* run.calls(Undo)).map(({ at, payload }) => [payload, at]), [
        ["flight", day],
        ["hotel", day + hour]
      ])
      const other = yield* test.start(Job, start)
      yield* other.after("1 hour", other.terminate())
      assert.deepInclude(yield* Effect.flip(other.result), { _tag: "RunFailed", reason: "Terminated" })
      yield* other.expectNotCalled(Undo)
    })
  })

  it.scoped("that go on as new ones are followed, or told (D8.8, B-21)", () =>
    Effect.gen(function*() {
      const run = yield* job((n) =>
        Effect.zipRight(Effect.sleep("1 hour"), n < 3 ? Job.continueAsNew(n + 1) : Effect.succeed(`at ${n}`))
      ).start(Job, { payload: 1, id: "chain" })
      assert.strictEqual(yield* run.result, "at 3")
      assert.strictEqual(yield* run.now, 3 * hour)
      assert.deepInclude(yield* Effect.flip(Effect.flatten(run.ownExit)), { _tag: "RunFailed", reason: "Continued" })
      assert.deepInclude(yield* run.status, { _tag: "Closed", exit: Exit.succeed("at 3") })
    }))

  it.scoped("may be several in one world", () =>
    Effect.gen(function*() {
      const live = Layer.merge(
        Job.toLayer(() => Effect.orDie(Note.receive)),
        Part.toLayer((n) => Effect.zipRight(Effect.orDie(Note.send("job", "from the part")), Effect.succeed(n)))
      )
      const run = yield* WorkflowTest.make(live).start(Job, { payload: 1, id: "job" })
      const part = yield* run.start(Part, { payload: 4, id: "part" })
      assert.strictEqual(yield* run.result, "from the part")
      assert.strictEqual(yield* part.result, 4)
      assert.strictEqual((yield* run.get(Part, "part")).runId, part.runId)
      assert.instanceOf(yield* Effect.flip(run.get(Part, "nobody")), WorkflowError.RunNotFound)
      assert.instanceOf(yield* Effect.flip(run.get(Job, "part")), WorkflowError.WorkflowMismatch)
    }))

  it.effect("end by their deadlines", () =>
    Effect.gen(function*() {
      const run = yield* job(() => Effect.as(Effect.sleep("2 days"), "")).run(Job, { payload: 1, runTimeout: "1 day" })
      assert.deepInclude(yield* Effect.flip(run.exit), { _tag: "RunFailed", reason: "TimedOut" })
    }))

  it.effect("take turns as the engine does (T85)", () =>
    Effect.gen(function*() {
      const run = yield* job(() =>
        Effect.gen(function*() {
          const seen = ["main"]
          const fiber = yield* Effect.fork(Effect.sync(() => seen.push("forked")))
          seen.push("main after the fork")
          yield* Fiber.join(fiber)
          return [...seen, "main after the wait"].join(", ")
        })
      ).run(Job, start)
      assert.strictEqual(yield* run.exit, "main, main after the fork, forked, main after the wait")
    }))

  it.scoped("that wait for what will not come say for what (D8.6)", () =>
    Effect.gen(function*() {
      const live = Layer.merge(
        Job.toLayer(() =>
          Effect.as(
            Effect.all([
              Note.receive,
              Double.execute(3),
              Workflow.executeChild(Part, { id: "part-1", payload: 1 }),
              Workflow.until(() => false),
              Effect.sleep("1 day")
            ], { concurrency: "unbounded" }),
            ""
          ).pipe(Effect.orDie)
        ),
        Part.toLayer(() => Effect.as(Effect.orDie(Note.receive), 1))
      )
      const run = yield* WorkflowTest.make(live).pipe(WorkflowTest.stub(Double, Effect.never)).start(Job, start)
      const error = yield* Effect.flip(run.result)
      assert.instanceOf(error, WorkflowTest.Stalled)
      assert.strictEqual(
        error.message,
        [
          `"test" is open, and nothing is due any more. It waits for`,
          "  - signal Note",
          "  - activity Double, attempt 1, called with 3",
          `  - child Part "part-1", which waits for signal Note`,
          "  - a condition (Workflow.until)"
        ].join("\n")
      )
      yield* run.cancel()
      yield* run.exit
    }))

  it.scoped("without an end are stopped (D8.6)", () =>
    Effect.gen(function*() {
      const live = Job.toLayer(() => Effect.forever(Effect.sleep("1 day")))
      const run = yield* WorkflowTest.make(live, { maxSteps: 100 }).start(Job, start)
      const error = yield* Effect.flip(run.result)
      assert.deepInclude(error, { _tag: "Endless", reason: "Steps", count: 100 })
      yield* run.advance("1 day")
      yield* run.cancel()
      yield* run.exit
      const loop = yield* Effect.flip(
        WorkflowTest.make(Job.toLayer((n) => Job.continueAsNew(n + 1)), { maxSteps: 10_000 }).run(Job, start)
      )
      assert.deepInclude(loop, { _tag: "Endless", reason: "Loop" })
    }))

  it.effect("that the engine blocks fail with why", () =>
    Effect.gen(function*() {
      const run = job(() => Effect.promise(() => Promise.resolve("")))
      assert.deepInclude(yield* Effect.flip(run.run(Job, start)), {
        _tag: "NondeterminismError",
        reason: "Stuck"
      })
    }))
})

describe("children", () => {
  const child = (n: number) => Workflow.executeChild(Part, { id: `part-${n}`, payload: n })

  it.effect("are stubbed by a value, or by a function that knows their id (T152, T154, T155)", () =>
    Effect.gen(function*() {
      const body = job((n) => Effect.map(child(n), String))
      const fixed = yield* body.pipe(WorkflowTest.stubChild(Part, Effect.succeed(9))).run(Job, start)
      assert.strictEqual(yield* fixed.exit, "9")
      const typed = yield* body.pipe(
        WorkflowTest.stubChild(Part, (n, { workflowId }) => Effect.succeed(n * 100 + workflowId.length))
      ).run(Job, start)
      assert.strictEqual(yield* typed.exit, "506")
      yield* typed.expectCalled(Part, { times: 1, id: "part-5", with: 5 })
      const error = yield* Effect.flip(typed.expectCalled(Part, { id: "part-6" }))
      assert.deepInclude(error, { expected: "part-6", actual: ["part-5"] })
      assert.deepStrictEqual(yield* typed.childCalls(Part), [
        { workflowId: "part-5", payload: 5, at: 0, exit: Exit.succeed(506) }
      ])
    }))

  it.effect("fail with their own error (T153)", () =>
    Effect.gen(function*() {
      const run = yield* job((n) => Effect.map(child(n), String)).pipe(
        WorkflowTest.stubChild(Part, new Busy({ why: "child" }))
      ).run(Job, start)
      assert.deepStrictEqual(yield* Effect.flip(run.exit), new Busy({ why: "child" }))
      assert.deepStrictEqual((yield* run.childCalls(Part))[0]!.exit, Exit.fail(new Busy({ why: "child" })))
    }))

  it.effect("run in batches that overlap (T156)", () =>
    Effect.gen(function*() {
      const run = yield* job(() =>
        Effect.map(
          Effect.forEach(Array.from({ length: 13 }, (_, n) => n), child, { concurrency: 3 }),
          (all) => all.join()
        )
      ).pipe(
        WorkflowTest.stubChild(Part, (n) => Effect.delay(Effect.succeed(n), (n % 4 + 1) * hour))
      ).run(Job, start)
      assert.strictEqual(yield* run.exit, "0,1,2,3,4,5,6,7,8,9,10,11,12")
      yield* run.expectCalled(Part, { times: 13 })
    }))

  it.effect("are the real ones where they have a layer: window of 3, batches of 5, one activity each (T118, B-21)", () =>
    Effect.gen(function*() {
      const live = Layer.merge(
        Job.toLayer((from) =>
          Effect.gen(function*() {
            const items = Array.from({ length: 5 }, (_, n) => from + n)
            yield* Effect.forEach(items, child, { concurrency: 3 })
            return from + 5 < 15 ? yield* Job.continueAsNew(from + 5) : "all"
          })
        ),
        Part.toLayer((n) => Double.execute(n))
      )
      const run = yield* WorkflowTest.make(live).pipe(
        WorkflowTest.stub(Double, (n) => Effect.delay(Effect.succeed(2 * n), "1 hour"))
      ).run(Job, { payload: 0 })
      assert.strictEqual(yield* run.exit, "all")
      yield* run.expectCalled(Double, { times: 15 })
      yield* run.expectCalled(Part, { times: 15 })
      yield* run.expectCalled(Double, { times: 1, id: "part-14", with: 14 })
    }))

  it.effect("that lose a race are cancelled, stubs too", () =>
    Effect.gen(function*() {
      const run = yield* job((n) =>
        Effect.timeoutTo(child(n), { duration: "1 hour", onSuccess: String, onTimeout: () => "too late" })
      ).pipe(WorkflowTest.stubChild(Part, Effect.never)).run(Job, start)
      assert.strictEqual(yield* run.exit, "too late")
      assert.isTrue(Exit.isInterrupted((yield* run.childCalls(Part))[0]!.exit!))
    }))
})

describe("what a test finds", () => {
  it.effect("code that depends on something outside of its run (W-44, B-21)", () =>
    Effect.gen(function*() {
      let counter = 0
      const live = Job.toLayer(() => Effect.map(Double.execute(++counter), String))
      const stubs = WorkflowTest.stub(Double, (n) => Effect.succeed(n))
      const error = yield* Effect.flip(WorkflowTest.make(live).pipe(stubs).run(Job, start))
      assert.instanceOf(error, WorkflowTest.NotReplayable)
      assert.deepInclude(error, {
        workflowId: "test",
        expected: "command 1: activity Double with 1",
        actual: "command 1: activity Double with 2"
      })
      assert.match(error.message, /does something else when it is replayed, from turn 1 on/)
      const unseen = yield* WorkflowTest.make(live, { replay: false }).pipe(stubs).run(Job, start)
      assert.strictEqual(yield* unseen.exit, "3")
    }))

  it.effect("that also in runs which are open when the test ends, but not twice", () => {
    let counter = 0
    const test = job(() => Effect.zipRight(Effect.sleep(++counter * hour), charge)).pipe(
      WorkflowTest.stub(Charge, Effect.succeed(""))
    )
    return Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(
        Effect.flatMap(test.start(Job, start), (run) => run.expectNotCalled(Charge))
      ))
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), WorkflowTest.NotReplayable)
      yield* Effect.scoped(
        Effect.flatMap(test.start(Job, start), (run) => Effect.flip(run.result))
      )
      const failed = yield* Effect.exit(Effect.scoped(Effect.zipRight(test.start(Job, start), Effect.fail("first"))))
      assert.deepStrictEqual(failed, Exit.fail("first"))
    })
  })

  it.scoped("that also when a run goes on after it was replayed", () => {
    let counter = 0
    const live = Layer.merge(
      Job.toLayer(() =>
        Effect.zipRight(Effect.sleep("2 hours"), Effect.suspend(() => Effect.sleep(++counter * hour)))
          .pipe(Effect.as(""))
      ),
      Part.toLayer((n) => Effect.delay(Effect.succeed(n), "1 hour"))
    )
    return Effect.gen(function*() {
      const run = yield* WorkflowTest.make(live).start(Job, start)
      const part = yield* run.start(Part, { id: "part", payload: 1 })
      assert.strictEqual(yield* part.result, 1)
      assert.instanceOf(yield* Effect.flip(run.result), WorkflowTest.NotReplayable)
    })
  })

  it.effect("a missing stub also when it is called after the test has looked", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(job(() => Effect.as(Double.execute(1), "")).start(Job, start)))
      assert.instanceOf(Exit.isFailure(exit) && Cause.squash(exit.cause), WorkflowTest.NotStubbed)
    }))

  describe("an order whose code has a bug", () => {
    const Reserve = Activity.make("Reserve", { payload: Schema.String })
    const Release = Activity.make("Release", { payload: Schema.String })
    const suite = (body: Body) => {
      const test = job(body).pipe(
        WorkflowTest.stub(Reserve, Effect.void),
        WorkflowTest.stub(Release, Effect.void),
        WorkflowTest.stub(Charge, (_, { attempt }) => Effect.fail(new Busy({ why: `${attempt}` })))
      )
      return Effect.gen(function*() {
        const run = yield* test.run(Job, start)
        yield* run.expectOrder(Reserve, Charge, Release)
        yield* run.expectCalled(Release, { times: 1, with: "lamp" })
        assert.isTrue(Exit.isFailure(run.exit))
      })
    }
    const released = Effect.orDie(Release.execute("lamp"))

    it.effect("passes without one (D9.20)", () =>
      suite(() => Effect.zipRight(Reserve.execute("lamp"), Effect.onError(charge, () => released))))

    it.effect("fails when the compensation is missing", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(suite(() => Effect.zipRight(Reserve.execute("lamp"), charge)))
        assert.deepInclude(error, {
          _tag: "UnexpectedCalls",
          detail: "Release was not called after Charge",
          expected: ["Reserve", "Charge", "Release"],
          actual: ["Reserve", "Charge"]
        })
      }))

    it.effect("fails when the order is wrong", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          suite(() => Effect.onError(Effect.zipLeft(charge, Reserve.execute("lamp")), () => released))
        )
        assert.deepInclude(error, { _tag: "UnexpectedCalls", detail: "Reserve was not called" })
      }))

    it.effect("fails when the payload is wrong", () =>
      Effect.gen(function*() {
        const wrong = Effect.orDie(Release.execute("chair"))
        const error = yield* Effect.flip(
          suite(() => Effect.zipRight(Reserve.execute("lamp"), Effect.onError(charge, () => wrong)))
        )
        assert.deepInclude(error, { _tag: "UnexpectedCalls", expected: "lamp", actual: "chair" })
      }))
  })
})

describe("what a test can look at", () => {
  it.scoped("calls: called, not called, how often, with what (D8.3, D8.4)", () =>
    Effect.gen(function*() {
      const run = yield* job(() => Effect.zipRight(Effect.forkDaemon(Double.execute(1)), charge)).pipe(
        WorkflowTest.stub(Charge, Effect.succeed("paid")),
        WorkflowTest.stub(Double, Effect.delay(Effect.succeed(2), "1 hour"))
      ).start(Job, start)
      yield* run.expectCalled(Charge, { with: { cents: 5, order: "o" } })
      // Its run has ended while it was under way.
      const [left] = yield* run.calls(Double)
      assert.deepInclude(left, { payload: 1, workflowId: "test", at: 0, exit: undefined })
      assert.deepStrictEqual(left!.attempts, [{ attempt: 1, at: 0, endedAt: 0, exit: Exit.interrupt(FiberId.none) }])
      const refusals = yield* Effect.all([
        run.expectNotCalled(Charge),
        run.expectCalled(Undo),
        run.expectCalled(Charge, { times: 2 }),
        run.expectCalled(Charge, { with: { order: "o", cents: 6 } })
      ].map(Effect.flip))
      assert.deepStrictEqual(refusals.map((error) => error.message), [
        `Charge was called once\n  expected: never\n  actual:   [{"order":"o","cents":5}]`,
        "Undo was not called\n  expected: at least once\n  actual:   never",
        "Charge was called once\n  expected: 2 times\n  actual:   once",
        `Charge was not called with this payload\n  expected: {"order":"o","cents":6}\n  actual:   {"order":"o","cents":5}`
      ])
      // What reporters of tests show is kept by Effect's own rendering.
      const [shown]: ReadonlyArray<object> = Cause.prettyErrors(Cause.fail(refusals[3]))
      assert.deepInclude(shown, { expected: { order: "o", cents: 6 }, actual: { order: "o", cents: 5 } })
    }))

  it.scoped("runs, which reporters show by their name and do not walk through", () =>
    Effect.gen(function*() {
      const test = job(() => Effect.succeed("done"))
      const open = yield* test.start(Job, start)
      const ended = yield* test.run(Job, start)
      for (const [run, name] of [[open, `Job "test"`], [ended, `Job "test", ended`]] as const) {
        assert.deepStrictEqual(Object.keys(run), [])
        assert.strictEqual(String(run), name)
        assert.strictEqual(JSON.stringify(run), JSON.stringify(name))
        assert.strictEqual(Cause.prettyErrors(Cause.fail(run))[0]!.message, name)
      }
    }))

  it.effect("what has happened, as a text that is always the same (T151)", () => {
    const live = Layer.merge(
      Job.toLayer((n) =>
        Effect.gen(function*() {
          yield* charge
          yield* Effect.timeoutOption(Effect.orDie(Note.receive), "1 hour")
          yield* Workflow.sideEffect("id", Schema.String, () => crypto.randomUUID())
          const part = yield* Workflow.executeChild(Part, { id: "part", payload: n })
          return `${part}`
        })
      ),
      Part.toLayer((n) => Effect.delay(Effect.succeed(n), "1 day"))
    )
    const test = WorkflowTest.make(live).pipe(
      WorkflowTest.stub(Charge, WorkflowTest.byAttempt([new Busy({ why: "later" }), Effect.succeed("paid")])),
      WorkflowTest.stubSideEffect("id", Schema.String, "id-1")
    )
    return Effect.gen(function*() {
      const run = yield* test.run(Job, { payload: 5, id: "job-1" })
      assert.isAbove((yield* run.events).length, 10)
      const log = yield* run.log
      assert.strictEqual(
        log,
        `Job "job-1"
  0        starts 5
  0        #1 Charge {"order":"o","cents":5}
  0        #1 Charge fails, attempt 1: Failure (Busy: { "why": "later" }); again at 1s
  1s       #1 Charge gives "paid"
  1s       #2 timer until 1h 1s
  1h 1s    #2 timer fires
  1h 1s    #3 side effect id: "id-1"
  1h 1s    #4 Part "part" 5
  1d 1h 1s #4 Part "part" ends: Success 5
  1d 1h 1s ends: Success "5"

Part "part"
  1h 1s    starts 5
  1h 1s    #1 timer until 1d 1h 1s
  1d 1h 1s #1 timer fires
  1d 1h 1s ends: Success 5`
      )
      assert.strictEqual(yield* (yield* test.run(Job, { payload: 5, id: "job-1" })).log, log)
    })
  })

  it.effect("its history, to be kept and replayed (B-21)", () => {
    const live = Job.toLayer(() => Effect.zipRight(Effect.sleep("1 day"), charge))
    return Effect.gen(function*() {
      const run = yield* WorkflowTest.make(live).pipe(WorkflowTest.stub(Charge, Effect.succeed("paid"))).run(Job, start)
      const history = yield* History.fromJson(History.toJson(yield* run.history))
      const result = yield* Replay.registered(history).pipe(
        Effect.flatMap(Replay.orFail),
        Effect.provide(Layer.provideMerge(live, Replay.layer))
      )
      assert.deepStrictEqual(result.outcome, Exit.succeed("paid"))
    })
  })
})

describe("types", () => {
  class Database extends Context.Tag("test/Database")<Database, { readonly rows: number }>() {}

  it.effect("what layers and stubs require is required by the test, and given to it", () => {
    const live = Layer.merge(
      Job.toLayer(() => Effect.map(Effect.all([Double.execute(1), charge]), String)),
      Double.toLayer(() => Effect.map(Database, ({ rows }) => rows))
    )
    const test = WorkflowTest.make(live).pipe(
      WorkflowTest.stub(Charge, () => Effect.map(Effect.zip(Activity.info, Database), ([, { rows }]) => `${rows}`))
    )
    expectTypeOf(test).toEqualTypeOf<WorkflowTest.WorkflowTest<never, Database>>()
    const needsClient = WorkflowTest.make(Layer.effectDiscard(Client.Client))
    expectTypeOf(needsClient).toEqualTypeOf<WorkflowTest.WorkflowTest<never, never>>()
    // @ts-expect-error: it gives a number
    WorkflowTest.stub(Double, Effect.succeed("text"))
    // @ts-expect-error: it cannot fail
    WorkflowTest.stub(Double, Effect.fail("error"))
    // @ts-expect-error: a payload is required
    void test.run(Job)
    return Effect.gen(function*() {
      const run = yield* test.run(Job, start)
      assert.strictEqual(yield* run.exit, "3,3")
      const [call] = yield* run.calls(Charge)
      expectTypeOf(call!.payload).toEqualTypeOf<{ readonly order: string; readonly cents: number }>()
    }).pipe(Effect.provideService(Database, { rows: 3 }))
  })

  it.effect("layers that cannot be built fail the start", () =>
    Effect.gen(function*() {
      const live = Layer.merge(Job.toLayer(() => Effect.succeed("")), Layer.fail("no database"))
      assert.strictEqual(yield* Effect.flip(WorkflowTest.make(live).run(Job, start)), "no database")
    }))
})
