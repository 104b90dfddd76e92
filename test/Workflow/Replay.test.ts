import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Effect, Either, Exit, Layer, Queue, Random, Schema } from "effect"
import * as fc from "effect/FastCheck"
import {
  Activity,
  Client,
  Engine,
  type Event,
  History,
  Journal,
  Replay,
  type Run,
  Signal,
  Workflow,
  type WorkflowError
} from "holdfast/Workflow"
import type { Execution } from "../../src/Workflow/internal/turn/execution.js"
import { replay } from "../../src/Workflow/internal/turn/replay.js"
import { and, chain, first, lived } from "./support/histories.js"
import * as journals from "./support/journals.js"
import { Charge, Declined, kinds, Order, quiet } from "./support/orders.js"
import * as programs from "./support/programs.js"
import { adjust } from "./support/settling.js"
import { historyOf, live, subjectLayer } from "./support/world.js"

const Reserve = Activity.make("Reserve", { payload: Schema.String, success: Schema.String })
const ReserveLive = Reserve.toLayer((what) => Effect.succeed(`${what} reserved`))
const ChargeLive = Charge.toLayer((cents) => Effect.succeed(`paid ${cents}`))
const Activities = Layer.merge(ReserveLive, ChargeLive)

type Body<R = Run.Run> = (cents: number) => Effect.Effect<string, Declined | WorkflowError.ActivityError, R>

const token = Workflow.sideEffect("token", Schema.String, () => "made once")

/** Two activities, a timer and a side effect, each in a turn of its own but for the last two. */
const original: Body = (cents) =>
  Effect.gen(function*() {
    yield* Reserve.execute("book")
    yield* Effect.sleep("1 hour")
    yield* token
    return yield* Charge.execute(cents)
  })

const recordedHistory = lived(Order, 100, Layer.merge(Order.toLayer(original), Activities))

const again = (text: string) => Effect.orDie(History.fromJson(text))

describe("a replay of changed code", () => {
  const changes: ReadonlyArray<
    readonly [
      change: string,
      body: Body,
      difference: Pick<WorkflowError.NondeterminismError, "turn" | "expected" | "actual"> & { readonly source: RegExp }
    ]
  > = [
    [
      "an inserted activity",
      (cents) =>
        Effect.gen(function*() {
          yield* Reserve.execute("book")
          yield* Reserve.execute("stamp")
          yield* Effect.sleep("1 hour")
          yield* token
          return yield* Charge.execute(cents)
        }),
      {
        turn: 2,
        expected: "command 2: a timer for 1970-01-01T01:00:00.000Z",
        actual: `command 2: activity Reserve with "stamp"`,
        source: /^(?!after).*Replay\.test\.ts:\d+/
      }
    ],
    [
      "a removed activity",
      (cents) => Effect.zipRight(Effect.sleep("1 hour"), Effect.zipRight(token, Charge.execute(cents))),
      {
        turn: 1,
        expected: `command 1: activity Reserve with "book"`,
        actual: "command 1: a timer for 1970-01-01T01:00:00.000Z",
        source: /^$/
      }
    ],
    [
      "swapped activities",
      (cents) =>
        Effect.gen(function*() {
          const paid = yield* Charge.execute(cents)
          yield* Effect.sleep("1 hour")
          yield* token
          yield* Reserve.execute("book")
          return paid
        }),
      {
        turn: 1,
        expected: `command 1: activity Reserve with "book"`,
        actual: "command 1: activity Charge with 100",
        source: /^(?!after).*Replay\.test\.ts:\d+/
      }
    ],
    [
      "a renamed activity",
      (cents) =>
        Effect.gen(function*() {
          yield* Activity.make("Hold", { payload: Schema.String, success: Schema.String }).execute("book")
          yield* Effect.sleep("1 hour")
          yield* token
          return yield* Charge.execute(cents)
        }),
      {
        turn: 1,
        expected: `command 1: activity Reserve with "book"`,
        actual: `command 1: activity Hold with "book"`,
        source: /Replay\.test\.ts:\d+/
      }
    ],
    [
      "another payload",
      (cents) => original(cents + 1),
      {
        turn: 3,
        expected: "command 4: activity Charge with 100",
        actual: "command 4: activity Charge with 101",
        source: /Replay\.test\.ts:\d+/
      }
    ],
    [
      "a timer of another length",
      (cents) =>
        Effect.gen(function*() {
          yield* Reserve.execute("book")
          yield* Effect.sleep("2 hours")
          yield* token
          return yield* Charge.execute(cents)
        }),
      {
        turn: 2,
        expected: "command 2: a timer for 1970-01-01T01:00:00.000Z",
        actual: "command 2: a timer for 1970-01-01T02:00:00.000Z",
        source: /^after .*Replay\.test\.ts:\d+/
      }
    ],
    [
      "another label of a side effect",
      (cents) =>
        Effect.gen(function*() {
          yield* Reserve.execute("book")
          yield* Effect.sleep("1 hour")
          yield* Workflow.sideEffect("ticket", Schema.String, () => "another")
          return yield* Charge.execute(cents)
        }),
      {
        turn: 3,
        expected: "command 3: side effect token",
        actual: "command 3: side effect ticket",
        source: /^(?!after).*Replay\.test\.ts:\d+/
      }
    ],
    [
      "another result",
      (cents) => Effect.map(original(cents), (paid) => `${paid} at last`),
      {
        turn: 4,
        expected: `command 5: end with Success "paid 100"`,
        actual: `command 5: end with Success "paid 100 at last"`,
        source: /^after .*Replay\.test\.ts:\d+/
      }
    ],
    [
      "an end of another kind",
      (cents) => Effect.zipRight(original(cents), Effect.fail(new Declined({ cents }))),
      {
        turn: 4,
        expected: `command 5: end with Success "paid 100"`,
        actual: `command 5: end with Failure {"cents":100,"_tag":"Declined"}`,
        source: /^after .*Replay\.test\.ts:\d+/
      }
    ],
    [
      "an early end",
      () => Effect.map(Reserve.execute("book"), () => "paid 100"),
      {
        turn: 2,
        expected: "command 2: a timer for 1970-01-01T01:00:00.000Z",
        actual: `command 2: end with Success "paid 100"`,
        source: /^after .*Replay\.test\.ts:\d+/
      }
    ],
    [
      "a command that another fiber issues before the end",
      (cents) =>
        Effect.gen(function*() {
          const paid = yield* original(cents)
          yield* Effect.fork(Reserve.execute("stamp"))
          yield* Effect.yieldNow()
          return paid
        }),
      {
        turn: 4,
        expected: `command 5: end with Success "paid 100"`,
        actual: `command 5: activity Reserve with "stamp"`,
        source: /Replay\.test\.ts:\d+/
      }
    ],
    [
      "code that blocks for ever",
      (cents) => Effect.zipLeft(original(cents), Signal.make("Nobody").receive.pipe(Effect.orDie)),
      { turn: 4, expected: `command 5: end with Success "paid 100"`, actual: "no further command", source: /^$/ }
    ]
  ]

  for (const [change, body, { source, ...difference }] of changes) {
    it.effect(`names ${change}, with what was expected and what the code did (D7.4, D7.5, W-43, B-5, T63)`, () =>
      Effect.gen(function*() {
        const history = yield* recordedHistory
        const result = yield* Replay.history(Order, body, history)
        assert.deepInclude(result.difference, { reason: "Mismatch", workflowId: "lived", ...difference })
        assert.match(result.difference?.source ?? "", source)
        assert.strictEqual(yield* Effect.flip(Replay.orFail(result)), result.difference)
      }))
  }

  it.effect("names code that throws by what it did, and no failure hides it (D7.6)", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      const { difference, outcome } = yield* Replay.history(
        Order,
        () => {
          throw new Error("not written yet")
        },
        history
      )
      assert.strictEqual(difference?.expected, `command 1: activity Reserve with "book"`)
      assert.match(difference?.actual ?? "", /^command 1: end with Defect .*not written yet/)
      assert.isTrue(outcome !== undefined && Exit.isFailure(outcome))
    }))

  it.effect("never gives the recorded outcome as that of the code (D7.8, W-43)", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      const recorded = Exit.succeed("paid 100")
      const blocking = yield* Replay.history(Order, () => Effect.never, history)
      assert.deepStrictEqual([blocking.outcome, blocking.recorded], [undefined, recorded])
      const other = yield* Replay.history(Order, (cents) => Effect.map(original(cents), () => "another"), history)
      assert.deepStrictEqual([other.outcome, other.recorded], [Exit.succeed("another"), recorded])
      const early = yield* Replay.history(Order, () => Effect.succeed("early"), history)
      assert.deepStrictEqual([early.outcome, early.recorded], [Exit.succeed("early"), recorded])
    }))

  it.effect("lets payloads and results pass where only names are compared, and the outcome stays the code's", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      const body: Body = (cents) => Effect.map(original(cents + 1), () => "another")
      const result = yield* Replay.history(Order, body, history, { strictness: "name" })
      assert.isUndefined(result.difference)
      assert.deepStrictEqual(result.outcome, Exit.succeed("another"))
    }))
})

describe("a replay", () => {
  it.effect("prints nothing, calls no activity and works no side effect out (T67, D7.1)", () => {
    const seen: Array<string> = []
    const see = (what: string) => Effect.sync(() => void seen.push(what))
    const body: Body = (cents) =>
      Effect.gen(function*() {
        yield* Console.log("on the console")
        console.log("by the global console")
        yield* Effect.log("in the log")
        yield* Reserve.execute("book")
        yield* Workflow.sideEffect("token", Schema.String, () => {
          seen.push("side effect")
          return "made once"
        })
        return yield* Charge.execute(cents)
      })
    const layers = Layer.mergeAll(
      Order.toLayer(body),
      Reserve.toLayer((what) => Effect.as(see("activity"), what)),
      ChargeLive
    )
    return Effect.gen(function*() {
      const log = console.log
      console.log = (text: string) => seen.push(text)
      yield* Effect.addFinalizer(() => Effect.sync(() => console.log = log))
      const history = yield* lived(Order, 100, layers)
      assert.sameMembers([...seen], ["on the console", "by the global console", "activity", "side effect"])
      seen.length = 0
      const result = yield* Replay.registered(history).pipe(Effect.provide(Layer.provideMerge(layers, Replay.layer)))
      assert.deepStrictEqual(result.outcome, Exit.succeed("paid 100"))
      assert.isUndefined(result.difference)
      assert.deepStrictEqual(seen, [])
    }).pipe(Effect.scoped)
  })

  it.effect("of code that is as it was ends as the run did, with nothing new, however often (D7.7, D7.8)", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      for (let i = 0; i < 2; i++) {
        assert.deepStrictEqual(yield* Replay.history(Order, original, history), {
          run: history.run,
          difference: undefined,
          outcome: Exit.succeed("paid 100"),
          recorded: Exit.succeed("paid 100"),
          arrivals: [],
          newCommands: []
        })
      }
    }))

  it.effect("of a run that has just begun gives its first command, with number 1 (T61)", () =>
    Effect.gen(function*() {
      const history = first(yield* recordedHistory, 1)
      const result = yield* Replay.history(Order, original, history)
      assert.isUndefined(result.difference)
      assert.isUndefined(result.outcome)
      assert.deepStrictEqual(kinds(result.arrivals), ["RunStarted"])
      assert.lengthOf(result.newCommands, 1)
      assert.deepInclude(result.newCommands[0], { _tag: "ActivityScheduled", command: 1, activity: "Reserve" })
    }))

  it.effect("of a run that waits gives nothing new; what arrives then is seen, and leads on (T62, T66, D7.1)", () =>
    Effect.gen(function*() {
      const history = first(yield* recordedHistory, 3)
      assert.deepStrictEqual(kinds(history.events), ["RunStarted", "TurnTaken", "ActivityScheduled"])
      const waiting = yield* Replay.history(Order, original, history)
      assert.deepStrictEqual([waiting.difference, waiting.newCommands, waiting.arrivals], [undefined, [], []])
      const completed = and(history, { _tag: "ActivityCompleted", target: 1, at: 5_000, payload: `"reserved"` })
      const { arrivals, difference, newCommands } = yield* Replay.history(Order, original, completed)
      assert.isUndefined(difference)
      assert.deepStrictEqual(arrivals, completed.events.slice(3) as never)
      assert.deepStrictEqual(newCommands, [{ _tag: "TimerStarted", command: 2, fireAt: 3_605_000 }])
    }))

  it.effect("of an open run says where the code that comes next cannot be replayed", () =>
    Effect.gen(function*() {
      const history = first(yield* recordedHistory, 4)
      const { difference, newCommands } = yield* Replay.history(
        Order,
        () =>
          Reserve.execute("book").pipe(
            Effect.zipRight(Effect.fork(Reserve.execute("stamp"))),
            Effect.zipRight(Effect.yieldNow()),
            Effect.zipRight(Effect.sync(() => String(fetch("http://127.0.0.1:1"))))
          ),
        history
      )
      assert.deepInclude(difference, { reason: "Forbidden", turn: 2 })
      assert.deepStrictEqual(newCommands, [])
    }))

  it.effect("of a run that ends in the turn that comes next gives its end, and no recorded one", () =>
    Effect.gen(function*() {
      const whole = yield* recordedHistory
      const { newCommands, outcome, recorded } = yield* Replay.history(
        Order,
        original,
        first(whole, whole.events.length - 2)
      )
      assert.deepStrictEqual([outcome, recorded], [Exit.succeed("paid 100"), undefined])
      assert.deepStrictEqual(newCommands.map((command) => command._tag), ["RunClosed"])
    }))

  it.effect("shows each turn only what had arrived by then (T65, D7.2)", () => {
    const Note = Signal.make("Note", { payload: Schema.Number })
    const look = Effect.map(Effect.orDie(Note.tryReceive), (note) => note._tag === "Some" ? note.value : "none")
    const body = () =>
      Effect.gen(function*() {
        const seen = [yield* look]
        yield* Effect.sleep("1 hour")
        seen.push(yield* look)
        yield* Effect.sleep("1 hour")
        return [...seen, yield* look, yield* look].join()
      })
    return Effect.gen(function*() {
      const history = yield* lived(
        Order,
        100,
        Order.toLayer(body),
        Effect.gen(function*() {
          yield* Client.signal("lived", Note, 1)
          yield* Effect.sleep("1 hour")
          yield* Client.signal("lived", Note, 2)
        })
      )
      const { difference, outcome } = yield* Replay.history(Order, body, history)
      assert.isUndefined(difference)
      assert.deepStrictEqual(outcome, Exit.succeed("none,1,2,none"))
    })
  })

  it.effect("gives each command its own answer, whatever their order (T64)", () => {
    const body: Body = () =>
      Effect.map(
        Effect.forEach(["a", "b", "c"], Reserve.execute, { concurrency: "unbounded" }),
        (answers) => answers.join()
      )
    const slowest = Reserve.toLayer((what) => Effect.delay(Effect.succeed(what), 1_000 * (99 - what.charCodeAt(0))))
    return Effect.gen(function*() {
      const history = yield* lived(Order, 100, Layer.merge(Order.toLayer(body), slowest))
      const targets = history.events.flatMap((event) => event._tag === "ActivityCompleted" ? [event.target] : [])
      assert.deepStrictEqual(targets, [3, 2, 1])
      const { difference, outcome } = yield* Replay.history(Order, body, history)
      assert.isUndefined(difference)
      assert.deepStrictEqual(outcome, Exit.succeed("a,b,c"))
    })
  })

  it.effect("of fibers that talk through queues gives the code's own result, twice (T42)", () => {
    const body: Body<Run.Run> = () =>
      Effect.gen(function*() {
        const queues = [yield* Queue.bounded<string>(1), yield* Queue.bounded<string>(4)] as const
        yield* Effect.forEach([0, 1, 2, 3, 4], (producer) =>
          Effect.fork(
            Effect.forEach([0, 1, 2], (i) => Queue.offer(queues[(producer + i) % 2]!, `${producer}${i}`))
          ))
        const select = Effect.gen(function*() {
          yield* Workflow.until(() =>
            queues.some((queue) => !queue.unsafeSize().pipe((size) => size._tag === "Some" && size.value <= 0))
          )
          return yield* Effect.firstSuccessOf(queues.map((queue) => Effect.flatten(Queue.poll(queue)))).pipe(
            Effect.orDie
          )
        })
        const taken = yield* Effect.replicateEffect(select, 15)
        return `${taken.length} ${taken.join()} ${yield* Random.nextInt}`
      })
    return Effect.gen(function*() {
      const history = yield* lived(Order, 100, Order.toLayer(body))
      assert.deepStrictEqual(kinds(history.events), ["RunStarted", "TurnTaken", "RunClosed"])
      for (let i = 0; i < 2; i++) {
        const { difference, outcome, recorded } = yield* Replay.history(Order, body, history)
        assert.isUndefined(difference)
        assert.deepStrictEqual(outcome, recorded)
        assert.match(String(outcome), /"15 /)
      }
    })
  })

  it.effect("of a cancelled run that ended gracefully ends as it did, with nothing new (T25, D7.8)", () => {
    const body: Body = () =>
      Effect.onInterrupt(Effect.as(Effect.sleep("1 hour"), "late"), () => Effect.orDie(Reserve.execute("undo")))
    return Effect.gen(function*() {
      const history = yield* lived(
        Order,
        100,
        Layer.merge(Order.toLayer((cents) => Effect.zipRight(Effect.sleep("1 second"), body(cents))), Activities),
        Client.cancel("lived", { reason: "no longer wanted" })
      )
      assert.include(kinds(history.events), "CancelRequested")
      const { difference, newCommands, outcome, recorded } = yield* Replay.history(
        Order,
        (cents) => Effect.zipRight(Effect.sleep("1 second"), body(cents)),
        history
      )
      assert.isUndefined(difference)
      assert.deepStrictEqual(newCommands, [])
      assert.deepStrictEqual(outcome, recorded)
      assert.match(String(outcome), /"Cancelled"/)
    })
  })

  it.effect("of a run that continues as another is one that has ended so (T53)", () => {
    const body: Body = (cents) =>
      Effect.zipRight(Effect.sleep("1 hour"), cents < 102 ? Order.continueAsNew(cents + 1) : Effect.succeed("done"))
    return Effect.gen(function*() {
      const history = yield* lived(Order, 100, Order.toLayer(body))
      assert.deepInclude(history.events.at(-1), { _tag: "RunClosed", outcome: "Continued", payload: "101" })
      const { difference, outcome, recorded } = yield* Replay.history(Order, body, history)
      assert.isUndefined(difference)
      for (const exit of [outcome, recorded]) {
        assert.deepInclude(Exit.isFailure(exit!) && Cause.squash(exit.cause), { reason: "Continued" })
      }
      const other = yield* Replay.history(
        Order,
        (cents) => Effect.zipRight(Effect.sleep("1 hour"), Order.continueAsNew(cents + 2)),
        history
      )
      assert.deepInclude(other.difference, {
        expected: "command 2: end with Continued 101",
        actual: "command 2: end with Continued 102"
      })
    })
  })

  it.effect("of a run that was terminated goes as far as its history, and claims no end of the code", () =>
    Effect.gen(function*() {
      const history = yield* lived(
        Order,
        100,
        Layer.merge(Order.toLayer(original), Activities),
        Client.terminate("lived", { reason: "by hand" })
      )
      const { difference, newCommands, outcome, recorded } = yield* Replay.history(Order, original, history)
      assert.deepStrictEqual([difference, newCommands, outcome], [undefined, [], undefined])
      assert.match(String(recorded), /"Terminated"/)
      // What had arrived by then is not taken any more.
      const terminated = and(first(yield* recordedHistory, 4), { _tag: "RunTerminated", at: 5_000, reason: "by hand" })
      const result = yield* Replay.history(Order, original, terminated)
      assert.deepStrictEqual(kinds(result.arrivals), ["ActivityCompleted"])
      assert.deepStrictEqual([result.difference, result.newCommands, result.outcome], [undefined, [], undefined])
    }))

  it("of what random programs lived, through JSON, twice, gives the code's own outcome and finds a mutation (D7.10, D7.5, T74)", () => {
    fc.assert(
      fc.property(programs.arbitrary, fc.integer(), fc.nat(), (program, seed, pick) => {
        const text = History.toJson(historyOf(live(program, seed)))
        const history = Either.getOrThrow(History.fromJson(text))
        const replayed = (source: programs.Program) =>
          Effect.runSync(
            Replay.registered(history).pipe(
              Effect.provide(Layer.provideMerge(subjectLayer(source), Replay.layer))
            )
          )
        for (let i = 0; i < 2; i++) {
          const { difference, newCommands, outcome, recorded } = replayed(program)
          assert.isUndefined(difference)
          assert.isDefined(outcome)
          assert.deepStrictEqual(outcome, recorded)
          assert.deepStrictEqual(newCommands, [])
        }
        const reached = history.events.flatMap((event) => event._tag === "ActivityScheduled" ? [event.activity] : [])
        const label = Number(reached[pick % reached.length]!.slice("Step".length))
        const { difference } = replayed(
          programs.rewrite(
            program,
            (activity) => activity.label === label ? { ...activity, input: activity.input + 1 } : activity
          )
        )
        assert.strictEqual(difference?.reason, "Mismatch")
        assert.match(difference!.actual, new RegExp(`activity Step${label} `))
      }),
      { numRuns: 300 }
    )
  })

  const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
  const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })
  const counting = (n: number) => Effect.iterate(0, { while: (i) => i < n, body: (i) => Step.execute(i) })

  it.effect("may be of any length: the budget of operations is that of one turn (W-39, D7.7)", () =>
    Effect.gen(function*() {
      const history = chain(30_000)
      const { difference, outcome } = yield* Replay.history(Chain, counting, history, { opBudget: 1_000 })
      assert.isUndefined(difference)
      assert.deepStrictEqual(outcome, Exit.succeed(30_000))
      const later = yield* Replay.history(
        Chain,
        (n) => Effect.iterate(0, { while: (i) => i < n, body: (i) => Step.execute(i === 29_999 ? -1 : i) }),
        history
      )
      assert.deepInclude(later.difference, {
        turn: 30_000,
        expected: "command 30000: activity Step with 29999",
        actual: "command 30000: activity Step with -1"
      })
    }))

  it("looks at every event a bounded number of times, however much waits", () => {
    const length = 4_000
    let looks = 0
    const look = (seq: number) => ({
      get seq() {
        looks++
        return seq
      }
    })
    // The first turn has consumed its start. Then much arrives that only the last turn consumes; those between carry one each.
    const turns = Array.from({ length }, (_, i) => i)
    const between = length + 2
    const last = between + 2 * length + 1
    const events = [
      Object.assign(look(1), { _tag: "RunStarted" }),
      Object.assign(look(2), { _tag: "TurnTaken", consumedUpTo: 1, inlineArrivals: 0 }),
      ...turns.map((i) => Object.assign(look(3 + i), { _tag: "SignalReceived" })),
      ...turns.flatMap((i) => [
        Object.assign(look(between + 2 * i + 1), { _tag: "TimerFired" }),
        Object.assign(look(between + 2 * i + 2), { _tag: "TurnTaken", consumedUpTo: 1, inlineArrivals: 1 })
      ]),
      Object.assign(look(last), { _tag: "TurnTaken", consumedUpTo: between, inlineArrivals: 0 })
    ] as unknown as ReadonlyArray<Event.Event>
    const taken: Array<number> = []
    const left = replay(
      { turn: (_: number, arrivals: []) => taken.push(arrivals.length) } as unknown as Execution,
      events
    )
    assert.isAtMost(looks, 6 * events.length)
    assert.deepStrictEqual(taken, [1, ...turns.map(() => 1), length])
    assert.deepStrictEqual(left, [])
  })

  it.effect("refuses options that can never work", () =>
    Effect.gen(function*() {
      const died = yield* Effect.exit(Replay.history(Chain, counting, chain(1), { opBudget: 0 }))
      assert.match(String(died), /opBudget/)
    }))
})

describe("a history as text", () => {
  const bad = (change: (history: { format: number; events: Array<Record<string, unknown>> }) => void) =>
    Effect.gen(function*() {
      const value = JSON.parse(History.toJson(yield* recordedHistory))
      change(value)
      return yield* Effect.flip(History.fromJson(JSON.stringify(value))).pipe(
        Effect.orDieWith(() => "it was taken for a history")
      )
    })

  it.effect("is what it was, one event on each line (D7.10)", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      const text = History.toJson(history)
      assert.deepStrictEqual(yield* again(text), JSON.parse(JSON.stringify(history)))
      assert.lengthOf(text.split("\n").filter((line) => line.includes(`"_tag"`)), history.events.length)
    }))

  it.effect("that is no history is refused, and told why (D7.7)", () =>
    Effect.gen(function*() {
      const problems = [
        yield* Effect.flip(History.fromJson("{")),
        yield* bad((history) => history.format = 2),
        yield* bad((history) => Object.assign(history, { format: "one" })),
        yield* bad((history) => history.events = []),
        yield* bad((history) => history.events[3]!["_tag"] = "MoonRose"),
        yield* bad((history) => delete history.events[3]!["target"]),
        yield* bad((history) => history.events.splice(3, 1)),
        yield* bad((history) => history.events[1]!["seq"] = 3),
        yield* bad((history) => history.events.shift()),
        yield* bad((history) => history.events.push({ _tag: "TimerFired", seq: 15, target: 2, at: 1 }))
      ]
      assert.deepStrictEqual(problems.map(({ reason }) => reason), [
        "Json",
        "Version",
        "Format",
        "Empty",
        "UnknownEvent",
        "Format",
        "Numbers",
        "Numbers",
        "NotStarted",
        "Ended"
      ])
      assert.match(
        problems[1]!.message,
        /format is 2, and this version of holdfast reads 1; replay it with the version/
      )
      assert.match(problems[4]!.message, /event 4 is a MoonRose, .*; replay it with the version/)
      assert.match(problems[6]!.message, /event 4 has the number 5; export it again/)
    }))

  it.effect("made by hand is refused by the replay as well (D7.7)", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      assert.deepInclude(yield* Effect.flip(Replay.history(Order, original, first(history, 0))), { reason: "Empty" })
      const headless = { ...history, events: history.events.slice(1) }
      assert.deepInclude(yield* Effect.flip(Replay.history(Order, original, headless)), { reason: "NotStarted" })
    }))
})

describe("the code that is replayed", () => {
  it.effect("is what the application registers; without it the error says what is there", () =>
    Effect.gen(function*() {
      const history = yield* recordedHistory
      const OrderLive = Layer.merge(Order.toLayer(original), Activities)
      const Other = Workflow.make("Other").toLayer(() => Effect.void)
      const on = <E>(layers: Layer.Layer<never, E, Engine.Engine>) =>
        Replay.registered(history).pipe(Effect.provide(Layer.provideMerge(layers, Replay.layer)))
      assert.deepStrictEqual((yield* on(OrderLive)).outcome, Exit.succeed("paid 100"))
      assert.deepInclude(yield* Effect.flip(on(Other)), {
        _tag: "CodeNotFound",
        workflow: "Order",
        registered: ["Other"]
      })
      assert.match(String(yield* Effect.exit(on(Layer.merge(OrderLive, Order.toLayer(original))))), /no other workflow/)
      const other = Workflow.make("Other", { payload: Schema.Number })
      assert.deepInclude(yield* Effect.flip(Replay.history(other, () => Effect.void, history)), {
        _tag: "CodeNotFound"
      })
    }))
})

for (const [name, journal] of journals.all) {
  describe(`histories in a journal, on ${name}`, () => {
    it.effect("are replayed by workflow id and by run id (D7.9)", () => {
      const OrderLive = Layer.merge(Order.toLayer(original), Activities)
      return Effect.gen(function*() {
        const runId = yield* Effect.gen(function*() {
          const run = yield* Client.start(Order, { id: "order", payload: 100 })
          yield* adjust("1 day")
          return run.runId
        }).pipe(Effect.provide(OrderLive.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))))
        yield* Effect.gen(function*() {
          for (const id of ["order", runId]) {
            const { difference, outcome, run } = yield* Replay.fromJournal(id)
            assert.isUndefined(difference)
            assert.strictEqual(run.runId, runId)
            assert.deepStrictEqual(outcome, Exit.succeed("paid 100"))
          }
          assert.deepInclude(yield* Effect.flip(Replay.fromJournal("nobody")), { _tag: "RunNotFound" })
        }).pipe(Effect.provide(Layer.provideMerge(OrderLive, Replay.layer)))
      }).pipe(Effect.provide(journal))
    })
  })
}

describe("a folder of histories", () => {
  const inFolder = <A, E, R>(test: (folder: string) => Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      return yield* test(yield* files.makeTempDirectoryScoped())
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeContext.layer, Journal.layerMemory)))

  const onEngine = (body: Body) =>
    Layer.merge(Order.toLayer(body), Activities).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
  const replaying = (body: Body) => Layer.provideMerge(Order.toLayer(body), Replay.layer)

  it.effect("is written from a journal and verified in one line; what does not fit is named (D7.10, B-6)", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const { join } = yield* Path.Path
        const files = yield* FileSystem.FileSystem
        const runIds = yield* Effect.gen(function*() {
          const runs = yield* Effect.forEach(
            [100, 200],
            (payload) => Client.start(Order, { id: `o${payload}`, payload })
          )
          yield* adjust("1 day")
          return runs.map((run) => run.runId)
        }).pipe(Effect.provide(onEngine(original)))
        const target = join(folder, "histories")
        const written = yield* History.write(["o100", runIds[1]!], target)
        assert.deepStrictEqual(written, runIds.map((runId) => join(target, `Order-${runId}.json`)))
        yield* files.writeFileString(join(target, "notes.txt"), "not a history")

        const results = yield* Replay.verifyFolder(target).pipe(Effect.provide(replaying(original)))
        assert.sameMembers(results.map(({ file }) => file), [...written])
        for (const { result } of results) assert.isUndefined(Either.getOrThrow(result).difference)

        yield* files.writeFileString(join(target, "Zebra.json"), "{}")
        const changed: Body = (cents) =>
          cents === 100 ? original(cents) : Effect.map(original(cents), (paid) => `${paid}!`)
        const error = yield* Replay.verifyFolder(target).pipe(Effect.provide(replaying(changed)), Effect.flip)
        assert.deepInclude(error, { _tag: "FolderMismatch", histories: 3 })
        const [headline, ...lines] = error.message.split("\n")
        assert.strictEqual(headline, `the code does not fit 2 of the 3 histories in ${target}`)
        assert.deepStrictEqual(lines.slice(0, 3), [
          `${written[1]}: run ${runIds[1]} of workflow Order, turn 4: Mismatch`,
          `  expected: command 5: end with Success "paid 200"`,
          `  actual:   command 5: end with Success "paid 200!"`
        ])
        assert.match(lines[3]!, /^ {2}source: {3}after .*Replay\.test\.ts:\d+/)
        assert.include(lines[4], `${join(target, "Zebra.json")}: this is not the history of a run (Format)`)
      })
    ))

  it.effect("without a history verifies nothing, and says so", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Replay.folder(folder), [])
        assert.match((yield* Effect.flip(Replay.verifyFolder(folder))).message, /nothing was verified/)
      }).pipe(Effect.provide(replaying(original)))
    ))
})
