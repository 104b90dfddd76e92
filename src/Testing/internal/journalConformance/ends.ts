/**
 * How runs end, and what that ends with them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Status } from "../../../Workflow/Event.js"
import type { Entry } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import * as entries from "./entries.js"
import {
  append,
  at,
  beat,
  block,
  cancelRequest,
  closing,
  completed,
  lastTurn,
  post,
  queued,
  report,
  scheduled,
  signal,
  start,
  termination,
  turn
} from "./entries.js"
import { same, sameSet } from "./expect.js"

const outcomes = ["Success", "Failure", "Defect", "Interrupted", "Cancelled"] as const

/** Every way to end a run, and the status that it has then. */
const ends: ReadonlyArray<readonly [status: Status, end: (runId: string) => Entry]> = [
  ...outcomes.map((outcome) =>
    [outcome, (runId: string) => append(runId, [turn(1), closing(3, { outcome })])] as const
  ),
  ["Continued", (runId) => entries.goOn(runId, 1, `${runId}, on`)],
  ["Terminated", (runId) => post(runId, termination)],
  ["TimedOut", (runId) => append(runId, [{ _tag: "RunTimedOut", at }])]
]

export const endings = theme(
  "ends",
  behaviour(
    "the status of a run is how it ended, and its record has the end",
    ({ record, store, write }) =>
      Effect.gen(function*() {
        for (const [status, end] of ends) {
          yield* write(start(status))
          yield* same(`before it is ${status}`, yield* record(status), {
            runId: status,
            workflowId: `id of ${status}`,
            workflow: "W",
            startedAt: at,
            status: "Running",
            events: 1,
            blocked: undefined,
            closed: undefined
          })
          yield* same("none of those that have closed", yield* store.closed([status]), [])
          yield* write(end(status))
          const history = yield* store.history(status)
          const after = yield* record(status)
          yield* same(`after it is ${status}`, [after?.status, after?.closed], [status, history.at(-1)])
          yield* same("one of those that have closed", yield* store.closed([status, "nobody"]), [after])
        }
        const all = ends.map(([status]) => status)
        yield* same(
          "how many of each",
          yield* Effect.forEach(all, (status) => store.count({ status })),
          all.map(() => 1)
        )
        yield* same("open runs", yield* store.count({ status: "Running" }), 1)
      })
  ),
  behaviour("the result of a run is there at once, also for many runs", ({ store, write }) =>
    Effect.gen(function*() {
      const runIds = Array.from({ length: 150 }, (_, i) => `r${i}`)
      yield* write(...runIds.map((runId) => start(runId)))
      yield* write(
        ...runIds.filter((_, i) => i % 3 > 0).map((runId) =>
          append(runId, [turn(1), closing(1, { payload: `"${runId}"` })])
        )
      )
      yield* sameSet(
        "their results",
        (yield* store.closed(runIds)).map(({ closed }) => closed?._tag === "RunClosed" && closed.payload),
        runIds.filter((_, i) => i % 3 > 0).map((runId) => `"${runId}"`)
      )
    })),
  behaviour("a run that has closed takes nothing more, and is nobody's to claim", (subject) =>
    Effect.gen(function*() {
      const { claim, kinds, store, tags, take, write } = subject
      for (const [status, end] of ends) {
        const runId = `was ${status}`
        yield* write(start(runId))
        yield* write(append(runId, [turn(1), queued(1), scheduled(2), entries.timer(4, at)]))
        yield* take("b", { limit: 1 })
        yield* write(end(runId))
        const written = yield* kinds(runId)
        yield* same(
          `after ${status}`,
          yield* tags(
            append(runId, [turn(1)]),
            append(runId, [completed(2)]),
            append(runId, [closing(5, { outcome: "Failure" })]),
            entries.goOn(runId, 1, `${runId}, once more`),
            block(runId, "why"),
            report(runId, completed(1)),
            report(runId, entries.failed(2)),
            report(runId, entries.attemptFailed(2, 1)),
            beat(runId, 1),
            beat(runId, 1, { worker: "b" })
          ),
          [
            ...Array.from({ length: 5 }, () => "Fenced"),
            ...Array.from({ length: 5 }, () => "NotPending")
          ]
        )
        if (status !== "Continued") {
          yield* same(
            "messages",
            yield* Effect.forEach(
              [signal(), cancelRequest, termination],
              (event) => subject.receipt(post(runId, event))
            ),
            Array.from({ length: 3 }, () => ({ _tag: "NotOpen", known: true }))
          )
        }
        yield* same("its history", yield* kinds(runId), written)
        yield* same("nothing can be taken from its queue", (yield* take("c")).attempts, [])
        yield* same("nothing is taken", yield* store.taken("b"), [])
      }
      yield* store.release("a")
      yield* sameSet(
        "only the run that goes on is claimed",
        (yield* claim("b", { now: at + 1_000 })).runs.map(({ runId }) => runId),
        ["was Continued, on"]
      )
    })),
  behaviour(
    "a run that goes on has the same owner, an empty history, and what is given to it",
    (subject) =>
      Effect.gen(function*() {
        const { claim, receipt, record, store, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1), entries.timer(2, at)]))
        yield* write(post("r", signal({ id: "one" })), post("r", cancelRequest))
        const started = { _tag: "RunStarted", at: at + 5, previous: "r", first: "r", payload: "4", seq: 1 }
        const events = [started, { ...signal({ id: "one" }), seq: 2 }, { ...cancelRequest, seq: 3 }]
        yield* same(
          "the receipt",
          yield* receipt(entries.goOn("r", 6, "s", { posted: [signal({ id: "one" }), cancelRequest] })),
          {
            _tag: "Appended",
            lastSeq: 8,
            notifications: [{
              _tag: "RunCreated",
              owner: "a",
              run: {
                runId: "s",
                workflowId: "id of r",
                workflow: "W",
                startedAt: at + 5,
                deadline: undefined,
                epoch: 1,
                due: true,
                blocked: false
              },
              events
            }]
          }
        )
        yield* same("its history", yield* store.history("s"), events)
        yield* same("it is the newest of its id", Option.getOrUndefined(yield* store.latest("id of r")), {
          runId: "s",
          workflowId: "id of r",
          workflow: "W",
          startedAt: at + 5,
          status: "Cancelling",
          events: 3,
          blocked: undefined,
          closed: undefined
        })
        yield* same("the run before", (yield* record("r"))?.status, "Continued")
        yield* same("what is due", (yield* claim("a")).due, [{ runId: "s", dueSeq: 3 }])
        yield* same("a signal that it has", yield* receipt(post("r", signal({ id: "one" }))), {
          _tag: "Duplicate",
          runId: "s"
        })
        yield* same("its owner goes on", yield* receipt(append("s", [turn(3)])), {
          _tag: "Appended",
          lastSeq: 4,
          notifications: []
        })
        yield* same("and once more", (yield* receipt(entries.goOn("s", 4, "t")))._tag, "Appended")
        yield* same("a signal that a run before had", (yield* receipt(post("r", signal({ id: "one" }))))._tag, "Posted")
      })
  ),
  behaviour(
    "what comes with a turn that ends the run is written, and pending no more",
    ({ kinds, store, tags, take }) =>
      Effect.gen(function*() {
        yield* tags(start("r"), append("r", [turn(1), queued(1), entries.timer(2, at), closing(3)]))
        yield* same("its history", yield* kinds("r"), [
          "RunStarted",
          "TurnTaken",
          "ActivityScheduled",
          "TimerStarted",
          "RunClosed"
        ])
        yield* same("pending", yield* store.pending("r"), { activities: [], timers: [] })
        yield* same("its queue", yield* take("b"), { attempts: [], next: undefined })
      })
  ),
  behaviour("of several ends the first counts", ({ kinds, tags, write }) =>
    Effect.gen(function*() {
      yield* write(start("r"), start("s"))
      yield* same(
        "in one group",
        yield* tags(
          post("r", termination),
          lastTurn("r", 1),
          post("r", termination),
          lastTurn("s", 1),
          append("s", [{ _tag: "RunTimedOut", at }]),
          post("s", termination)
        ),
        ["Posted", "Fenced", "NotOpen", "Appended", "Fenced", "NotOpen"]
      )
      yield* same("their histories", [yield* kinds("r"), yield* kinds("s")], [
        ["RunStarted", "RunTerminated"],
        ["RunStarted", "TurnTaken", "RunClosed"]
      ])
    }))
)
