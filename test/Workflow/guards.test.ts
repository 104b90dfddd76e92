import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, HashMap, Layer, Logger, Option, Random, Schedule, Schema, TestClock } from "effect"
import { Activity, Client, Engine, Journal, type Run, Workflow, type WorkflowError } from "holdfast/Workflow"

const Echo = Activity.make("Echo", { payload: Schema.String, success: Schema.String })
const EchoLive = Echo.toLayer(Effect.succeed)

const Subject = Workflow.make("Subject", { success: Schema.String })
const Other = Workflow.make("Other", { success: Schema.String })
const OtherLive = Other.toLayer(() => Effect.zipRight(Effect.sleep("1 minute"), Effect.orDie(Echo.execute("other"))))

/** The error that blocks a workflow with this body, while another run goes on beside it. */
const blockedBy = <R extends Run.Run>(
  body: Effect.Effect<string, WorkflowError.ActivityError, R>,
  options?: Engine.Options
) =>
  Effect.gen(function*() {
    const engine = yield* Engine.Engine
    const other = yield* Client.start(Other, { id: "other" })
    const subject = yield* Client.start(Subject, { id: "subject" })
    yield* TestClock.adjust("1 second")
    // What is resumed by a real promise comes in real time.
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
    yield* TestClock.adjust("59 seconds")
    const { store } = yield* Journal.Journal
    const history = yield* store.history(subject.runId)
    const status = yield* subject.poll
    const [error, ...more] = yield* engine.blocked
    assert.isDefined(error)
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(status, { _tag: "Running", blocked: error.message })
    assert.strictEqual(yield* other.result, "other")
    return { error, history }
  }).pipe(
    Effect.provide(
      Layer.mergeAll(Subject.toLayer(() => body), OtherLive, EchoLive).pipe(
        Layer.provideMerge(Engine.layer(options)),
        Layer.provideMerge(Journal.layerMemory),
        Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    )
  )

const never = new Promise<string>(() => {})

const forbidden: ReadonlyArray<readonly [name: string, call: () => unknown, instead: RegExp]> = [
  ["fetch", () => fetch("http://127.0.0.1:1"), /activity/],
  ["setTimeout", () => setTimeout(() => {}, 1), /Effect\.sleep/],
  ["setInterval", () => setInterval(() => {}, 1), /Effect\.sleep/],
  ["setImmediate", () => setImmediate(() => {}), /Effect\.yieldNow/],
  ["queueMicrotask", () => queueMicrotask(() => {}), /Effect\.yieldNow/],
  ["process.nextTick", () => process.nextTick(() => {}), /Effect\.yieldNow/],
  ["crypto.randomUUID", () => crypto.randomUUID(), /Random/],
  ["crypto.getRandomValues", () => crypto.getRandomValues(new Uint8Array(1)), /Random/]
]

describe("a workflow that reaches outside", () => {
  for (const [name, call, instead] of forbidden) {
    it.effect(`by ${name} is blocked with an error that names it and what to use; other runs go on (B-22, W-43, D4.1.11)`, () =>
      Effect.gen(function*() {
        const { error, history } = yield* blockedBy(
          Effect.gen(function*() {
            yield* Effect.orDie(Echo.execute("first"))
            // Not even a workflow that catches everything gets past it.
            yield* Effect.sync(call).pipe(Effect.catchAllCause(() => Effect.void))
            yield* Effect.sleep("1 second")
            return "never"
          })
        )
        assert.strictEqual(error.reason, "Forbidden")
        assert.strictEqual(error.turn, 2)
        assert.include(error.actual, name)
        assert.match(error.expected, instead)
        assert.match(error.source ?? "", /guards\.test\.ts/)
        // The turn before is there, the completion too, and nothing of the turn that failed.
        assert.deepStrictEqual(history.map((event) => event._tag), [
          "RunStarted",
          "TurnTaken",
          "ActivityScheduled",
          "ActivityCompleted"
        ])
      }))
  }

  it.effect("by a promise that settles is blocked when it does (B-22)", () =>
    Effect.gen(function*() {
      const settles = new Promise<string>((resolve) => setTimeout(() => resolve("late"), 5))
      const { error } = yield* blockedBy(
        Effect.zipRight(
          Effect.sleep("10 millis"),
          Effect.zipLeft(Effect.promise(() => settles), Effect.sleep("1 hour"), { concurrent: true })
        )
      )
      assert.strictEqual(error.reason, "ForeignWait")
      assert.match(error.actual, /promise/)
      assert.match(error.message, /activity/)
      assert.match(error.fiber ?? "", /^#\d+$/)
    }))

  it.effect("goes on with mended code, also when nothing has arrived since (B-6)", () => {
    const settles = new Promise<string>((resolve) => setTimeout(() => resolve("late"), 5))
    const engine = (body: Effect.Effect<unknown, never, Run.Run>) =>
      Subject.toLayer(() => Effect.as(body, "done")).pipe(
        Layer.provideMerge(Engine.layer()),
        Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    const sleep = Effect.sleep("1 hour")
    return Effect.gen(function*() {
      const status = Effect.flatMap(Client.get(Subject, "subject"), (run) => run.poll)
      yield* Effect.gen(function*() {
        yield* Client.start(Subject, { id: "subject" })
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        yield* TestClock.adjust("1 second")
        assert.include(JSON.stringify(yield* status), "ForeignWait")
      }).pipe(Effect.provide(engine(Effect.zip(Effect.promise(() => settles), sleep, { concurrent: true }))))
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* status, { _tag: "Running", blocked: undefined })
        const result = yield* Effect.fork(Client.result(Subject, "subject"))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* Fiber.join(result), "done")
      }).pipe(Effect.provide(engine(sleep)))
    }).pipe(Effect.provide(Journal.layerMemory))
  })

  it.effect("by a promise that never settles is blocked at once, since nothing can wake it (B-22)", () =>
    Effect.gen(function*() {
      const { error } = yield* blockedBy(Effect.promise(() => never))
      assert.strictEqual(error.reason, "Stuck")
      assert.match(error.actual, /promise/)
      // What it has waited for before, and got, is no hope any more.
      const later = yield* blockedBy(
        Effect.zipRight(
          Effect.raceFirst(Effect.never, Effect.zipRight(Echo.execute("x"), Effect.sleep("1 second"))),
          Effect.promise(() => never)
        )
      )
      assert.strictEqual(later.error.reason, "Stuck")
    }))

  it.effect("by waiting for a fiber of another runtime is blocked (B-22)", () =>
    Effect.gen(function*() {
      const { error } = yield* blockedBy(
        Effect.zipLeft(
          Effect.async<string>((resume) => {
            Effect.runFork(Effect.sync(() => resume(Effect.succeed("foreign"))), { immediate: false })
          }),
          Effect.sleep("1 hour"),
          { concurrent: true }
        )
      )
      assert.strictEqual(error.reason, "ForeignWait")
    }))
})

describe("a workflow that never ends its turn", () => {
  it.effect("is blocked when its operations are used up; other runs go on (W-39, B-18, T86, D4.1.9)", () =>
    Effect.gen(function*() {
      const { error } = yield* blockedBy(Effect.forever(Effect.void), { opBudget: 10_000 })
      assert.strictEqual(error.reason, "Runaway")
      assert.match(error.expected, /10000/)
    }))

  it.effect("is blocked when two fibers play ball", () =>
    Effect.gen(function*() {
      const { error } = yield* blockedBy(
        Effect.zipRight(
          Effect.all([Effect.forever(Effect.yieldNow()), Effect.forever(Effect.yieldNow())], { concurrency: 2 }),
          Effect.succeed("never")
        ),
        { opBudget: 10_000 }
      )
      assert.strictEqual(error.reason, "Runaway")
    }))

  it.effect("does not count operations of the turns before", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Subject, { id: "long" })
      const result = yield* Effect.fork(run.result)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(result), "100")
    }).pipe(Effect.provide(
      Subject.toLayer(() =>
        Effect.map(
          Effect.iterate(0, {
            while: (i) => i < 100,
            body: (i) => Effect.as(Effect.zipRight(Effect.sleep(1), Effect.repeatN(Effect.void, 20)), i + 1)
          }),
          String
        )
      ).pipe(Layer.provideMerge(Engine.layer({ opBudget: 1_000 })), Layer.provide(Journal.layerMemory))
    )))
})

describe("inside a workflow", () => {
  it.effect("time and chance come from the run, in Effect's services and in the globals (D4.1.12)", () =>
    Effect.gen(function*() {
      const seen = yield* observe("a")
      const [atStart, later] = seen
      assert.deepStrictEqual(atStart!.times, Array.from({ length: 5 }, () => 1_000_000))
      assert.deepStrictEqual(later!.times, Array.from({ length: 5 }, () => 1_000_000 + 86_400_000))
      assert.notDeepEqual(atStart!.chances, later!.chances)
    }))

  it.effect("the globals are restored after every turn", () =>
    Effect.gen(function*() {
      const before = globals()
      yield* observe("b")
      assert.deepStrictEqual(globals(), before)
      assert.isFalse(Object.hasOwn(performance, "now"))
      assert.isAbove(Date.now(), 1_600_000_000_000)
    }))

  it.effect("what a run has kept hold of is real again in a side effect (D4.10.1)", () => {
    const Drawn = Workflow.make("Drawn", { success: Schema.Boolean })
    const drawn = Drawn.toLayer(() =>
      Effect.gen(function*() {
        const { random } = Math
        const date = Date
        const inRun = [random(), date.now()]
        const real = yield* Workflow.sideEffect("real", Schema.Array(Schema.Number), () => [random(), date.now()])
        return inRun[1] === 0 && real[1]! > 1_700_000_000_000 && real[0] !== inRun[0]
      })
    )
    return Effect.gen(function*() {
      const run = yield* Client.start(Drawn, { id: "d" })
      assert.isTrue(yield* run.result)
    }).pipe(Effect.provide(drawn.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))))
  })

  it.effect("dates are dates", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Subject, { id: "dates" })
      assert.strictEqual(yield* run.result, "true true 2020 5 string")
    }).pipe(Effect.provide(
      Subject.toLayer(() =>
        Effect.sync(() =>
          [
            new Date() instanceof Date,
            new Date(0).getTime() === 0 && Date.UTC(1970) === 0 && Date.parse("1970-01-01T00:00:00Z") === 0,
            new Date(2020, 4, 1).getFullYear(),
            new Date(2020, 4, 1).getMonth() + 1,
            typeof (Date as unknown as () => unknown)()
          ].join(" ")
        )
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))
    )))

  it.effect("retry, with any schedule, sleeps in the run's time (D3.4)", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Subject, { id: "retry" })
      const fiber = yield* Effect.fork(run.result)
      yield* TestClock.adjust("6 days")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 days")
      assert.strictEqual(yield* Fiber.join(fiber), "after 7 days")
    }).pipe(Effect.provide(
      Subject.toLayer(() =>
        Effect.gen(function*() {
          const start = yield* Clock.currentTimeMillis
          let failures = 0
          yield* Effect.suspend(() => failures++ < 3 ? Effect.fail("not yet") : Effect.void).pipe(
            Effect.retry(Schedule.exponential("1 days")),
            Effect.orDie
          )
          return `after ${((yield* Clock.currentTimeMillis) - start) / 86_400_000} days`
        })
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))
    )))

  it.effect("a log is written once, with the run that it is of, and not again on replay (D3.1, D6.13, B-20, W-55)", () => {
    const lines: Array<string> = []
    const runs = new Set<unknown>()
    const logger = Logger.make<unknown, void>(({ annotations, message }) => {
      lines.push(String(message))
      for (const name of ["workflow", "workflowId", "runId"]) {
        runs.add(Option.getOrUndefined(HashMap.get(annotations, name)))
      }
    })
    const Live = Subject.toLayer(() =>
      Effect.gen(function*() {
        yield* Effect.log("before")
        console.info("printed")
        yield* Effect.sleep("1 hour")
        yield* Effect.log("after")
        return "done"
      })
    ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Logger.replace(Logger.defaultLogger, logger)))
    const { info } = console
    console.info = (line: string) => lines.push(line)
    return Effect.gen(function*() {
      yield* Effect.zipRight(Client.start(Subject, { id: "log" }), TestClock.adjust("1 minute")).pipe(
        Effect.provide(Live)
      )
      assert.isTrue(runs.has("Subject"))
      assert.deepStrictEqual(lines, ["before", "printed"])
      yield* Effect.zipRight(TestClock.adjust("1 hour"), Client.result(Subject, "log")).pipe(Effect.provide(Live))
      assert.deepStrictEqual(lines, ["before", "printed", "after"])
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        console.info = info
      })),
      Effect.provide(Journal.layerMemory)
    )
  })
})

describe("user code that throws", () => {
  it.effect("in a logger does not stop the run (W-5)", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Subject, { id: "logger" })
      assert.strictEqual(yield* run.result, "done")
    }).pipe(Effect.provide(
      Subject.toLayer(() => Effect.as(Effect.zipRight(Effect.log("hello"), Echo.execute("world")), "done")).pipe(
        Layer.merge(EchoLive),
        Layer.provideMerge(Engine.layer()),
        Layer.provide(Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ message }) => {
            if (String(message) === "hello") throw new Error("disk full")
          })
        )),
        Layer.provide(Journal.layerMemory)
      )
    )))

  it.effect("in a schema is a typed error, and the engine goes on (W-5)", () =>
    Effect.gen(function*() {
      const run = yield* Client.start(Subject, { id: "schema" })
      assert.strictEqual(yield* run.result, "Codec: broken schema")
      const after = yield* Client.start(Subject, { id: "after" })
      assert.strictEqual(yield* after.result, "Codec: broken schema")
    }).pipe(Effect.provide(
      Layer.mergeAll(
        Subject.toLayer(() =>
          Effect.catchTag(Broken.execute("x"), "ActivityError", ({ detail, reason }) =>
            Effect.succeed(`${reason}: ${detail.includes("broken schema") ? "broken schema" : detail}`))
        ),
        Broken.toLayer(Effect.succeed)
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))
    )))
})

const Broken = Activity.make("Broken", {
  payload: Schema.String,
  success: Schema.transform(Schema.String, Schema.String, {
    decode: (text) => text,
    encode: () => {
      throw new Error("broken schema")
    }
  })
})

interface Seen {
  readonly times: ReadonlyArray<number>
  readonly chances: ReadonlyArray<number>
}

const look = Effect.gen(function*() {
  const nanos = yield* Clock.currentTimeNanos
  return {
    times: [
      yield* Clock.currentTimeMillis,
      Number(nanos / 1_000_000n),
      Date.now(),
      new Date().getTime(),
      performance.now()
    ],
    chances: [yield* Random.next, Math.random()]
  }
})

const observe = (id: string): Effect.Effect<ReadonlyArray<Seen>> => {
  const seen: Array<Seen> = []
  return Effect.gen(function*() {
    yield* TestClock.setTime(1_000_000)
    const run = yield* Client.start(Subject, { id })
    yield* TestClock.adjust("1 days")
    yield* run.result
    return seen
  }).pipe(
    Effect.provide(
      Subject.toLayer(() =>
        Effect.gen(function*() {
          seen.push(yield* look)
          yield* Effect.sleep("1 days")
          seen.push(yield* look)
          return "done"
        })
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(Journal.layerMemory))
    ),
    Effect.orDie
  )
}

const globals = () => [
  Date,
  Math.random,
  performance.now,
  setTimeout,
  setInterval,
  setImmediate,
  queueMicrotask,
  process.nextTick,
  fetch,
  crypto.randomUUID,
  console.log
]
