/**
 * What the code of a workflow may do with Effect's own means: fibers, queues, races, timers, failures.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Clock,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Mailbox,
  Option,
  Queue,
  Schema,
  TestClock
} from "effect"
import { Activity, Client, Engine, Journal, type Run, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { historyOf, kinds, quiet } from "./support/orders.js"
import { execution } from "./support/world.js"

const Parcel = Schema.Struct({ id: Schema.Number, tags: Schema.Array(Schema.String), at: Schema.Date })

const Echo = Activity.make("Echo", { payload: Schema.String, success: Schema.String })
const Structured = Activity.make("Structured", { payload: Parcel, success: Parcel })
const Subject = Workflow.make("Subject", { payload: Schema.Unknown, success: Schema.Unknown })
const Note = Signal.make("Note", { payload: Schema.String })

type Body = Effect.Effect<unknown, never, Run.Run>

/** Runs a body to its end: time goes on for a week. Gives the result and the history. */
const lived = (body: Body, meanwhile: Effect.Effect<unknown, unknown, Client.Client> = Effect.void) =>
  Effect.gen(function*() {
    const run = yield* Client.start(Subject, { id: "s", payload: 1 })
    const fiber = yield* Effect.fork(Effect.exit(run.result))
    yield* TestClock.adjust(0)
    yield* meanwhile
    yield* TestClock.adjust("7 days")
    const exit = yield* Fiber.join(fiber)
    return { exit, history: yield* historyOf(run.runId), value: Exit.isSuccess(exit) ? exit.value : undefined }
  }).pipe(Effect.provide(
    Layer.mergeAll(
      Subject.toLayer(() => body),
      Echo.toLayer((text) => Effect.as(Effect.sleep("1 second"), text)),
      Structured.toLayer((parcel) => Effect.succeed({ ...parcel, tags: [...parcel.tags, "seen"] }))
    ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(Journal.layerMemory))
  ))

const gives = (body: Body, expected: unknown) =>
  Effect.map(lived(body), ({ value }) => assert.deepStrictEqual(value, expected))

const echo = (text: string) => Effect.orDie(Echo.execute(text))

describe("activities, as the workflow sees them", () => {
  it.effect("are asked for in the order of the code, each answer goes to who asked (T1, T4, T57, D4.3.4)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(
        Effect.all([echo("a"), echo("b"), echo("c")], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(value, ["a", "b", "c"])
      const asked = history.flatMap((event) => event._tag === "ActivityScheduled" ? [event.payload] : [])
      assert.deepStrictEqual(asked, ["\"a\"", "\"b\"", "\"c\""])
    }))

  it.effect("carry structured data both ways (T3, T13)", () => {
    const parcel = { id: 1, tags: ["x"], at: new Date(5) }
    return Effect.map(
      lived(Effect.map(Effect.orDie(Structured.execute(parcel)), ({ at, tags }) => [at.getTime(), ...tags])),
      ({ value }) => assert.deepStrictEqual(value, [5, "x", "seen"])
    )
  })

  it.effect("a future is a forked fiber: its value is there for whoever asks again, without another event (T6, D4.3.1)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(Effect.gen(function*() {
        const future = yield* Effect.fork(echo("a"))
        const first = yield* Fiber.join(future)
        return [first, yield* Fiber.join(future), yield* Fiber.join(future)]
      }))
      assert.deepStrictEqual(value, ["a", "a", "a"])
      assert.lengthOf(history.filter((event) => event._tag === "ActivityScheduled"), 1)
    }))
})

describe("fibers", () => {
  it.effect("take turns: the one that forks goes on first (T84, T85, D4.1.1, D4.1.2)", () =>
    gives(
      Effect.gen(function*() {
        const log: Array<string> = ["main"]
        const fiber = yield* Effect.fork(Effect.sync(() => log.push("forked")))
        log.push("main after the fork")
        yield* Fiber.join(fiber)
        return [...log, "main after the wait"]
      }),
      ["main", "main after the fork", "forked", "main after the wait"]
    ))

  it.effect("a defect in any of them ends the run, and what the turn has asked for before is not run (T88, T89, T90, D4.1.10)", () =>
    Effect.gen(function*() {
      const dying = Effect.gen(function*() {
        yield* Effect.fork(echo("never asked for"))
        yield* Effect.yieldNow()
        return yield* Effect.die(new Error("broken"))
      })
      for (const body of [dying, Effect.flatMap(Effect.fork(dying), Fiber.join)]) {
        const { exit, history } = yield* lived(body)
        assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("broken"))
        const [closed] = history.slice(-1)
        assert.isTrue(closed?._tag === "RunClosed" && closed.outcome === "Defect" && closed.message?.includes("broken"))
        // It was asked for and left in one turn: so it is never run.
        assert.lengthOf(history.filter((event) => event._tag === "ActivityCompleted"), 0)
      }
    }))

  it.effect("nothing is asked for after the end of the run (W-33, D4.1.7)", () =>
    Effect.gen(function*() {
      const { history } = yield* lived(Effect.gen(function*() {
        yield* Effect.forkDaemon(Effect.zipRight(Effect.sleep(1), echo("too late")))
        yield* Effect.forkDaemon(Effect.forever(Effect.zipRight(Effect.sleep(1), echo("again"))))
        yield* Effect.sleep(1)
        return "done"
      }))
      assert.strictEqual(history.at(-1)?._tag, "RunClosed")
      assert.lengthOf(history.filter((event) => event._tag === "RunClosed"), 1)
    }))

  it.effect("run in the same order each time (T40, T74a)", () =>
    Effect.gen(function*() {
      const body = Effect.gen(function*() {
        const log: Array<string> = []
        const worker = (name: string) =>
          Effect.repeatN(Effect.zipRight(echo(name), Effect.sync(() => log.push(name))), 2)
        yield* Effect.all([worker("a"), Effect.fork(worker("b")).pipe(Effect.flatMap(Fiber.join)), worker("c")], {
          concurrency: "unbounded"
        })
        return log
      })
      const first = yield* lived(body)
      const second = yield* lived(body)
      assert.deepStrictEqual(first.value, second.value)
      assert.deepStrictEqual(kinds(first.history), kinds(second.history))
    }))
})

describe("queues and mailboxes between fibers", () => {
  it.effect("hand over a value, whoever comes first (T26, T27, T35, D4.5.1)", () =>
    gives(
      Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(1)
        const receiver = yield* Effect.fork(Queue.take(queue))
        yield* Queue.offer(queue, 42)
        const early = yield* Fiber.join(receiver)
        yield* Queue.offer(queue, 43)
        return [early, yield* Queue.take(queue)]
      }),
      [42, 43]
    ))

  it.effect("keep their order, also when they are full and senders wait (T28, T29, W-20, D4.5.2)", () =>
    gives(
      Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(1)
        const senders = yield* Effect.forEach([1, 2, 3, 4], (n) => Effect.fork(Queue.offer(queue, n)))
        yield* Effect.sleep(1)
        const received = yield* Effect.replicateEffect(Queue.take(queue), 4)
        yield* Fiber.joinAll(senders)
        return received
      }),
      [1, 2, 3, 4]
    ))

  it.effect("that end let go of who waits, after what they hold has been taken (T30, T31, T32, T38, D4.5.3)", () =>
    gives(
      Effect.gen(function*() {
        const mailbox = yield* Mailbox.make<number>()
        yield* mailbox.offerAll([1, 2])
        yield* mailbox.end
        const [values, done] = yield* mailbox.takeAll
        const empty = yield* Mailbox.make<number>()
        const waiting = yield* Effect.fork(Effect.exit(empty.take))
        yield* Effect.sleep(1)
        yield* empty.end
        const exit = yield* Fiber.join(waiting)
        return [Chunk.toReadonlyArray(values), done, Exit.isFailure(exit)]
      }),
      [[1, 2], true, true]
    ))

  it.effect("that have ended take nothing more, and ending twice is nothing (T33, T34, T41, W-21)", () =>
    gives(
      Effect.gen(function*() {
        const mailbox = yield* Mailbox.make<number>({ capacity: 1 })
        yield* mailbox.offer(1)
        const sender = yield* Effect.fork(mailbox.offer(2))
        yield* Effect.sleep(1)
        const taken = yield* Effect.orDie(mailbox.take)
        // The value of a sender that was waiting has been taken in: it does not fail afterwards.
        const first = yield* mailbox.end
        return [taken, yield* Fiber.join(sender), first, yield* mailbox.end, yield* mailbox.offer(3)]
      }),
      [1, true, true, false, false]
    ))

  it.effect("with many on both sides lose and double nothing, first come first (T39, D4.5.4)", () =>
    gives(
      Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(2)
        const producers = yield* Effect.forEach(
          [0, 10, 20],
          (from) => Effect.fork(Effect.forEach([1, 2, 3], (n) => Queue.offer(queue, from + n)))
        )
        const consumers = yield* Effect.forEach(
          [1, 2, 3],
          () => Effect.fork(Effect.replicateEffect(Queue.take(queue), 3))
        )
        yield* Fiber.joinAll(producers)
        const received = yield* Effect.forEach(consumers, (consumer) => Fiber.join(consumer))
        return received.flat().sort((a, b) => a - b)
      }),
      [1, 2, 3, 11, 12, 13, 21, 22, 23]
    ))

  it.effect("a Deferred wakes all who wait for it (T35)", () =>
    gives(
      Effect.gen(function*() {
        const deferred = yield* Deferred.make<string>()
        const waiting = yield* Effect.forEach([1, 2], () => Effect.fork(Deferred.await(deferred)))
        yield* Effect.fork(Effect.delay(Deferred.succeed(deferred, "now"), "1 hour"))
        return yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber))
      }),
      ["now", "now"]
    ))
})

describe("races", () => {
  it.effect("the first to come wins, and knows its time (T102, T103, T104, D4.6.2)", () =>
    gives(
      Effect.gen(function*() {
        const timer = (hours: number) => Effect.as(Effect.sleep(`${hours} hours`), hours)
        const first = yield* Effect.race(timer(1), timer(2))
        const second = yield* Effect.race(timer(4), timer(3))
        return [first, second, yield* Clock.currentTimeMillis]
      }),
      [1, 3, 4 * 3_600_000]
    ))

  it.effect("what is still pending can be waited for again (T105, T106, D4.6.1)", () =>
    gives(
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach(
          [2, 1],
          (hours) => Effect.fork(Effect.as(Effect.sleep(`${hours} hours`), hours))
        )
        const [slow, fast] = fibers as [Fiber.RuntimeFiber<number>, Fiber.RuntimeFiber<number>]
        const first = yield* Effect.raceFirst(Fiber.join(slow), Fiber.join(fast))
        const pending = yield* Fiber.poll(slow)
        const second = yield* Fiber.join(slow)
        return [first, Option.isNone(pending), second]
      }),
      [1, true, 2]
    ))

  it.effect("of nothing end at once where they may (T107)", () =>
    gives(Effect.all([], { concurrency: "unbounded" }), []))

  it.effect("a loop over many leaves no fibers and no timers behind (W-46, W-47)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(Effect.gen(function*() {
        const fibers = yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) =>
          Effect.fork(Effect.as(Effect.sleep(1 + i), i)))
        let won = 0
        let open = fibers
        while (open.length > 0) {
          const first = yield* Effect.raceAll(open.map((fiber, i) =>
            Effect.as(Fiber.join(fiber), i)
          ))
          open = open.filter((_, i) => i !== first)
          won++
        }
        return won
      }))
      assert.strictEqual(value, 100)
      assert.lengthOf(history.filter((event) => event._tag === "TimerStarted"), 100)
      assert.lengthOf(history.filter((event) => event._tag === "TimerCancelled"), 0)
    }))
})

describe("timers", () => {
  it.effect("one that is interrupted in its turn is cancelled, and never fires (T130, T108, T133, W-15, W-40, D4.4.4)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(Effect.gen(function*() {
        const timer = yield* Effect.fork(Effect.sleep("1 hour"))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(timer)
        const ends = [yield* Fiber.await(timer), yield* Fiber.await(timer)]
        yield* Fiber.interrupt(timer)
        yield* Effect.sleep("2 hours")
        return ends.map(Exit.isInterrupted)
      }))
      assert.deepStrictEqual(value, [true, true])
      const [started, cancelled] = history.filter((event) => event._tag.startsWith("Timer"))
      assert.deepInclude(started, { _tag: "TimerStarted", command: 1 })
      assert.deepInclude(cancelled, { _tag: "TimerCancelled", target: 1 })
      assert.lengthOf(history.filter((event) => event._tag === "TimerCancelled"), 1)
      assert.deepStrictEqual(history.flatMap((event) => event._tag === "TimerFired" ? [event.target] : []), [3])
    }))

  it.effect("what has fired cannot be cancelled any more (T131, W-40, D4.4.3)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(Effect.gen(function*() {
        const timer = yield* Effect.fork(Effect.as(Effect.sleep("1 hour"), "fired"))
        yield* Effect.sleep("2 hours")
        yield* Fiber.interrupt(timer)
        return yield* Fiber.join(timer)
      }))
      assert.strictEqual(value, "fired")
      assert.lengthOf(history.filter((event) => event._tag === "TimerCancelled"), 0)
    }))

  it.effect("to cancel one leaves the others (T132)", () =>
    gives(
      Effect.gen(function*() {
        const [first, second] = yield* Effect.all([
          Effect.fork(Effect.sleep("1 hour")),
          Effect.fork(Effect.zipRight(Effect.sleep("2 hours"), Clock.currentTimeMillis))
        ])
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        return yield* Fiber.join(second)
      }),
      2 * 3_600_000
    ))

  it.effect("fire at their time, not before, those of one instant together (T134, T135, T136, T137, C23, C24, C25, D4.4.2, W-52)", () =>
    Effect.gen(function*() {
      const log: Array<number> = []
      const run = yield* Client.start(Subject, { id: "s", payload: 1 })
      yield* TestClock.adjust(3_599_999)
      const { store } = yield* Journal.Journal
      assert.lengthOf((yield* store.history(run.runId)).filter((event) => event._tag === "TimerFired"), 0)
      assert.lengthOf((yield* store.pending(run.runId)).timers, 4)
      yield* TestClock.adjust(1)
      const fired = (yield* store.history(run.runId)).filter((event) => event._tag === "TimerFired")
      assert.deepStrictEqual(fired.map(({ at, target }) => [at, target]), [[3_600_000, 1], [3_600_000, 2], [
        3_600_000,
        3
      ]])
      assert.lengthOf((yield* store.pending(run.runId)).timers, 1)
      // Three fired, and it took one turn.
      assert.lengthOf((yield* store.history(run.runId)).filter((event) => event._tag === "TurnTaken"), 2)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* run.result, 7_200_000)
      assert.deepStrictEqual(log, [])
    }).pipe(Effect.provide(
      Subject.toLayer(() =>
        Effect.zipRight(
          Effect.all([1, 1, 1, 2].map((hours) => Effect.sleep(`${hours} hours`)), { concurrency: "unbounded" }),
          Clock.currentTimeMillis
        )
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(Journal.layerMemory))
    )))

  it.effect("a condition with a limit of time: met, not met, and met from the start (T14, T15, T16, D4.4.5)", () =>
    gives(
      Effect.gen(function*() {
        let ready = false
        yield* Effect.fork(Effect.delay(Effect.sync(() => ready = true), "1 hour"))
        const within = (limit: string) =>
          Effect.map(Effect.timeoutOption(Workflow.until(() => ready), limit as "1 hour"), Option.isSome)
        return [yield* within("30 minutes"), yield* within("2 hours"), yield* within("1 minute")]
      }),
      [false, true, true]
    ))
})

describe("the code of a workflow", () => {
  it.effect("gets its input decoded, or the run ends with why it cannot be (T139, T140, T141, T142)", () => {
    const Strict = Workflow.make("Strict", { payload: Schema.Struct({ n: Schema.Number }), success: Schema.Number })
    const Empty = Workflow.make("Empty", { success: Schema.String })
    // What another program has started under this name.
    const Loose = Workflow.make("Strict", { payload: Schema.Unknown, success: Schema.Number })
    return Effect.gen(function*() {
      const fits = yield* Client.start(Strict, { id: "fits", payload: { n: 2 } })
      assert.strictEqual(yield* fits.result, 4)
      const unfit = yield* Client.start(Loose, { id: "unfit", payload: "two" })
      const error = yield* Effect.flip(unfit.result)
      assert.isTrue(error._tag === "RunFailed" && error.detail.includes("payload of workflow Strict"))
      assert.strictEqual(yield* Effect.flatMap(Client.start(Empty, { id: "empty" }), (run) => run.result), "empty")
    }).pipe(Effect.provide(
      Layer.mergeAll(
        Strict.toLayer(({ n }) => Effect.succeed(2 * n)),
        Empty.toLayer(() => Effect.succeed("empty"))
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(Journal.layerMemory))
    ))
  })

  it("must have a name, and activities too (T145, D6.1)", () => {
    assert.throws(() => Workflow.make(""), InvalidOptions)
    assert.throws(() => Activity.make(""), InvalidOptions)
  })

  it.effect("is registered once per name (T145, D6.1)", () =>
    Effect.gen(function*() {
      const twice = Layer.mergeAll(Subject.toLayer(() => Effect.void), Subject.toLayer(() => Effect.void))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(twice.pipe(
        Layer.provide(Engine.layer()),
        Layer.provide(Journal.layerMemory)
      ))))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("Subject"))
    }))

  it.effect("signals that come in one moment are seen in one turn (T117, G4, D4.7.5)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(
        Effect.zipRight(
          Effect.sleep("1 day"),
          Effect.all([Note.tryReceive, Note.tryReceive, Note.tryReceive, Note.tryReceive]).pipe(
            Effect.map((notes) => notes.map(Option.getOrNull)),
            Effect.orDie
          )
        ),
        Effect.forEach(["a", "b", "c"], (note) => Client.signal("s", Note, note))
      )
      assert.deepStrictEqual(value, ["a", "b", "c", null])
      assert.isAtMost(history.filter((event) => event._tag === "TurnTaken").length, 5)
    }))
})

describe("words of a workflow", () => {
  it.effect("that ask for nothing do not let others in between (D4.1.5)", () =>
    gives(
      Effect.gen(function*() {
        const log: Array<string> = []
        const other = yield* Effect.fork(Effect.sync(() => log.push("other")))
        yield* Clock.currentTimeMillis
        yield* Workflow.info
        yield* Workflow.sideEffect("drawn", Schema.Number, () => 1)
        yield* Effect.orDie(Note.tryReceive)
        yield* Workflow.until(() => true)
        log.push("first")
        yield* Fiber.join(other)
        return log
      }),
      ["first", "other"]
    ))

  it("the first answer to a command counts, a second one does nothing (D4.3.2)", () => {
    const run = execution(Subject.program(() => echo("a")))
    run.turn(0, [{ _tag: "RunStarted", seq: 1, at: 0, payload: "1" }])
    const answer = (payload: string) => ({ _tag: "ActivityCompleted" as const, target: 1, at: 1, payload })
    const commands = run.turn(1, [answer("\"first\""), answer("\"second\"")])
    assert.deepInclude(commands[0], { _tag: "RunClosed", payload: "\"first\"" })
  })

  it.effect("to sleep for no time lets others go first, and asks for nothing (D4.4.1)", () =>
    Effect.gen(function*() {
      const { history, value } = yield* lived(Effect.gen(function*() {
        const log: Array<string> = []
        yield* Effect.fork(Effect.sync(() => log.push("other")))
        yield* Effect.sleep(0)
        yield* Effect.sleep(-5)
        return [...log, "first"]
      }))
      assert.deepStrictEqual(value, ["other", "first"])
      assert.deepStrictEqual(kinds(history), ["RunStarted", "TurnTaken", "RunClosed"])
    }))

  it.effect("queues between fibers leave nothing in the history (D4.5.5)", () =>
    Effect.gen(function*() {
      const { history } = yield* lived(Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(1)
        yield* Effect.fork(Effect.forEach([1, 2, 3], (n) => Queue.offer(queue, n)))
        return yield* Effect.replicateEffect(Queue.take(queue), 3)
      }))
      assert.deepStrictEqual(kinds(history), ["RunStarted", "TurnTaken", "RunClosed"])
    }))

  it.effect("a race is won by a failure, too (D4.6.4)", () =>
    gives(
      Effect.raceFirst(
        Effect.as(Effect.sleep("2 hours"), "slept"),
        Effect.delay(Effect.fail("failed"), "1 hour")
      ).pipe(Effect.catchAll((error) => Effect.succeed(error))),
      "failed"
    ))

  it.effect("a side effect whose value does not fit ends the run with why (D4.10.2)", () =>
    Effect.gen(function*() {
      const { exit } = yield* lived(
        Workflow.sideEffect("drawn", Schema.Positive, () => -1)
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("side effect drawn"))
    }))

  it.effect("a run that interrupts itself has not been cancelled by anybody (D4.2.3)", () =>
    Effect.gen(function*() {
      const { exit } = yield* lived(Effect.interrupt)
      assert.isTrue(Exit.isFailure(exit))
      const error = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
      assert.deepInclude(Option.getOrThrow(error), { reason: "Interrupted" })
    }))

  it.effect("to go on as another run comes before all that the code catches, and leaves nothing pending (D4.2.3, D4.11.2)", () => {
    const Loop = Workflow.make("Loop", { payload: Schema.Number, success: Schema.Number })
    return Effect.gen(function*() {
      const run = yield* Client.start(Loop, { id: "l", payload: 1 })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* run.result, 2)
      const { store } = yield* Journal.Journal
      assert.deepStrictEqual(yield* store.pending(run.runId), { activities: [], timers: [] })
      assert.strictEqual((yield* store.history(run.runId)).at(-1)?._tag, "RunClosed")
    }).pipe(Effect.provide(
      Layer.mergeAll(
        Loop.toLayer((n) =>
          Effect.gen(function*() {
            if (n === 2) return n
            yield* Effect.forkDaemon(Effect.sleep("1 day"))
            yield* Effect.forkDaemon(echo("late"))
            yield* Effect.sleep("1 hour")
            return yield* Loop.continueAsNew(2).pipe(Effect.catchAll(() => Effect.succeed(0)))
          })
        ),
        Echo.toLayer(() => Effect.never)
      ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet), Layer.provideMerge(Journal.layerMemory))
    ))
  })

  it("do not compile outside of a workflow, and do not run there (D4.1.13)", async () => {
    // @ts-expect-error: it needs a run.
    // @effect-diagnostics-next-line missingEffectContext:off
    const exit = await Effect.runPromiseExit(Workflow.info)
    assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("holdfast/Workflow/Run"))
  })

  it.effect("each turn says what it has consumed (T58)", () =>
    Effect.gen(function*() {
      const { history } = yield* lived(echo("a"))
      const turns = history.flatMap((event) =>
        event._tag === "TurnTaken" ? [[event.seq, event.consumedUpTo, event.inlineArrivals]] : []
      )
      // The first saw the start, the second the end of the activity, which came with it.
      assert.deepStrictEqual(turns, [[2, 1, 0], [5, 3, 1]])
    }))

  it.effect("time in a run never goes back, though the clocks of machines differ (W-62)", () =>
    Effect.gen(function*() {
      const { store } = yield* Journal.Journal
      yield* store.write([{
        _tag: "Start",
        run: { runId: "r", worker: undefined },
        workflowId: "s",
        workflow: "Subject",
        // A client whose clock is an hour ahead.
        started: { _tag: "RunStarted", at: 3_600_000, payload: "1" },
        conflict: "attach",
        reuse: "attach"
      }])
      const times = yield* Effect.gen(function*() {
        yield* TestClock.adjust("2 hours")
        return yield* Client.result(Subject, "s")
      }).pipe(Effect.provide(
        Subject.toLayer(() =>
          Effect.gen(function*() {
            const before = yield* Clock.currentTimeMillis
            yield* Effect.sleep("10 minutes")
            return [before, yield* Clock.currentTimeMillis]
          })
        ).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
      ))
      assert.deepStrictEqual(times, [3_600_000, 4_200_000])
    }).pipe(Effect.provide(Journal.layerMemory)))
})

describe("a change of the code", () => {
  const version = (charge: string) =>
    Subject.toLayer(() => Effect.zipRight(echo("first"), Effect.zipRight(Effect.sleep("1 day"), echo(charge))))

  const patched = Subject.toLayer(() =>
    Effect.gen(function*() {
      const isNew = yield* Workflow.patched("charge once")
      yield* echo("first")
      if (isNew) yield* echo("only of new ones")
      yield* Effect.sleep("1 day")
      const again = yield* Workflow.patched("charge once")
      const other = yield* Workflow.patched("reached live")
      return [isNew, again, other]
    })
  )

  const engine = (live: Layer.Layer<never, never, Engine.Engine>) =>
    Layer.mergeAll(live, Echo.toLayer((text) => Effect.succeed(text))).pipe(
      Layer.provideMerge(Engine.layer()),
      Layer.provide(quiet)
    )

  it.effect("goes its own way in runs that began before it, and is the same wherever it is asked (B-8, W-54)", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* Client.start(Subject, { id: "old", payload: 1 })
        yield* TestClock.adjust("1 hour")
      }).pipe(Effect.provide(engine(version("old"))))
      for (const _ of [1, 2]) {
        // The second engine replays what the first one has decided.
        yield* Effect.gen(function*() {
          yield* Client.start(Subject, { id: "new", payload: 1 })
          yield* TestClock.adjust("1 hour")
        }).pipe(Effect.provide(engine(patched)))
      }
      yield* Effect.gen(function*() {
        const [old, fresh] = yield* Effect.all([Client.get(Subject, "old"), Client.get(Subject, "new")])
        yield* TestClock.adjust("2 days")
        assert.deepStrictEqual(yield* old.result, [false, false, true])
        assert.deepStrictEqual(yield* fresh.result, [true, true, true])
        const labels = (yield* historyOf(fresh.runId)).flatMap((event) =>
          event._tag === "SideEffectRecorded" ? [event.label] : []
        )
        assert.deepStrictEqual(labels, ["patched: charge once", "patched: reached live"])
      }).pipe(Effect.provide(engine(patched)))
    }).pipe(Effect.provide(Journal.layerMemory)))

  it.effect("without it, such a run is blocked (B-6, B-8)", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* Client.start(Subject, { id: "old", payload: 1 })
        yield* TestClock.adjust("1 hour")
      }).pipe(Effect.provide(engine(version("old"))))
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("2 days")
        const [blocked] = yield* Effect.flatMap(Engine.Engine, (engine) => engine.blocked)
        assert.instanceOf(blocked, WorkflowError.NondeterminismError)
      }).pipe(Effect.provide(engine(Subject.toLayer(() => Effect.zipRight(Effect.sleep("1 day"), echo("first"))))))
    }).pipe(Effect.provide(Journal.layerMemory)))
})
