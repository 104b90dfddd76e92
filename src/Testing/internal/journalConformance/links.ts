/**
 * What runs send to each other, and who waits for whom when they go on as other runs.
 */
import * as Effect from "effect/Effect"
import { behaviour, theme } from "./behaviour.js"
import {
  append,
  at,
  cancelSent,
  child,
  closing,
  goOn,
  lastTurn,
  left,
  post,
  signal,
  signalSent,
  start,
  termination,
  turn
} from "./entries.js"
import { same } from "./expect.js"

export const sends = theme(
  "sends",
  behaviour(
    "what a run sends reaches the other one in the same transaction, and is answered",
    ({ claim, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("to", { worker: "b" }))
        yield* write(append("to", [turn(1)], { worker: "b" }))
        const { consequences, receipts } = yield* write(append("r", [
          turn(1),
          signalSent(1, "id of to", { payload: "\"hi\"", id: "once" }),
          cancelSent(2, "id of to")
        ]))
        yield* same("the receipt", receipts[0], { _tag: "Appended", lastSeq: 4, notifications: [] })
        const received = { ...signal({ at: at + 4, payload: "\"hi\"", id: "once" }), seq: 3 }
        const asked = { _tag: "CancelRequested", seq: 4, at: at + 4, reason: "asked by another run" }
        const answer = (target: number, seq: number) => ({
          _tag: "SendAnswered",
          seq,
          target,
          at: at + 4,
          outcome: "Delivered"
        })
        yield* same("what follows", consequences, [
          { _tag: "Posted", owner: "b", runId: "to", event: received },
          { _tag: "Posted", owner: "a", runId: "r", event: answer(1, 5) },
          { _tag: "Posted", owner: "b", runId: "to", event: asked },
          { _tag: "Posted", owner: "a", runId: "r", event: answer(2, 6) }
        ])
        yield* same("the one history", (yield* store.history("to")).slice(2), [received, asked])
        yield* same("the other", (yield* store.history("r")).slice(4), [answer(1, 5), answer(2, 6)])
        yield* same("both are due", [
          (yield* claim("a", { workflows: [] })).due,
          (yield* claim("b", { workflows: [] })).due
        ], [[{ runId: "r", dueSeq: 6 }], [{ runId: "to", dueSeq: 4 }]])
      })
  ),
  behaviour(
    "the answer says whether there was an open run; a known signal counts as delivered",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, store, write } = subject
        yield* write(start("r"), start("ended"), start("to"))
        yield* write(lastTurn("ended", 1), post("to", signal({ id: "once" })))
        const { consequences } = yield* write(append("r", [
          turn(1),
          signalSent(1, "nobody"),
          cancelSent(2, "nobody"),
          signalSent(3, "id of ended", { id: "once" }),
          cancelSent(4, "id of ended"),
          signalSent(5, "id of to", { id: "once" }),
          signalSent(6, "id of to", { id: "twice" }),
          signalSent(7, "id of to", { id: "twice" }),
          signalSent(8, "id of r")
        ]))
        yield* same(
          "the answers",
          (yield* store.history("r")).flatMap((event) =>
            event._tag === "SendAnswered" ? [[event.target, event.outcome]] : []
          ),
          [
            [1, "NotFound"],
            [2, "NotFound"],
            [3, "Ended"],
            [4, "Ended"],
            [5, "Delivered"],
            [6, "Delivered"],
            [7, "Delivered"],
            [8, "Delivered"]
          ]
        )
        yield* same("what was written to others", yield* kinds("to"), [
          "RunStarted",
          "SignalReceived",
          "SignalReceived"
        ])
        yield* same("a run may send to itself", (yield* kinds("r")).slice(-2), ["SignalReceived", "SendAnswered"])
        yield* same("notifications", consequences.length, 10)
      })
  ),
  behaviour(
    "what is sent by a run that ends is delivered, and not answered",
    ({ kinds, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("to"))
        yield* write(append("r", [
          turn(1),
          signalSent(1, "id of to"),
          signalSent(2, "id of r"),
          signalSent(3, "nobody"),
          closing(4)
        ]))
        yield* same("their histories", [yield* kinds("to"), (yield* kinds("r")).slice(-2)], [
          ["RunStarted", "SignalReceived"],
          ["SignalSent", "RunClosed"]
        ])
      })
  ),
  behaviour(
    "commands of a turn follow in their order: what is begun first can be sent to",
    ({ kinds, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"))
        yield* write(append("r", [
          turn(1),
          signalSent(1, "child 2"),
          child(2),
          signalSent(3, "child 2", { id: "once" }),
          cancelSent(4, "child 2")
        ]))
        yield* same("the child", yield* kinds("r/2"), ["RunStarted", "SignalReceived", "CancelRequested"])
        yield* same(
          "the answers",
          (yield* store.history("r")).flatMap((event) => event._tag === "SendAnswered" ? [event.outcome] : []),
          ["NotFound", "Delivered", "Delivered"]
        )
      })
  ),
  behaviour(
    "what is sent goes to the newest run of an id, also when it goes on in the same group",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, write } = subject
        yield* write(start("r"), start("to"))
        yield* write(goOn("to", 1, "on"), append("r", [turn(1), signalSent(1, "id of to")]))
        yield* same("their histories", [(yield* kinds("to")).at(-1), yield* kinds("on")], [
          "RunClosed",
          ["RunStarted", "SignalReceived"]
        ])
      })
  )
)

export const links = theme(
  "links",
  behaviour(
    "a child that goes on is still waited for, and the end of the last of its runs is told",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, store, write } = subject
        yield* write(start("p"), append("p", [turn(1), child(1)]))
        yield* same("nobody is told", (yield* write(goOn("p/1", 1, "c2"))).consequences, [])
        yield* same("nor the second time", (yield* write(goOn("c2", 1, "c3"))).consequences, [])
        yield* write(append("c3", [turn(1), closing(9, { payload: "\"third\"" })]))
        yield* same("what the parent is told", (yield* store.history("p")).slice(3), [{
          _tag: "ChildClosed",
          seq: 4,
          target: 1,
          at: at + 5,
          runId: "c3",
          outcome: "Success",
          payload: "\"third\""
        }])
        yield* same("once", (yield* kinds("p")).length, 4)
      })
  ),
  behaviour(
    "a child that has gone on is ended with its parent, as the run that it is then",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, record, write } = subject
        yield* write(start("p"), append("p", [turn(1), child(1), child(2, { parentClose: "cancel" })]))
        yield* write(goOn("p/1", 1, "c1"), goOn("p/2", 1, "c2"))
        yield* write(lastTurn("p", 1))
        yield* same("the runs before", [(yield* record("p/1"))?.status, (yield* record("p/2"))?.status], [
          "Continued",
          "Continued"
        ])
        yield* same("the runs that they are", [yield* kinds("c1"), yield* kinds("c2")], [
          ["RunStarted", "RunTerminated"],
          ["RunStarted", "CancelRequested"]
        ])
      })
  ),
  behaviour(
    "a parent that goes on waits for its children no more, but still ends them",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, write } = subject
        yield* write(start("p"), append("p", [turn(1), child(1), child(2), child(3, { parentClose: "abandon" })]))
        yield* same("its going on ends none", (yield* write(goOn("p", 1, "q"))).consequences, [])
        yield* same("the end of one is not told", (yield* write(lastTurn("p/1", 1))).consequences, [])
        yield* same("its commands begin anew", yield* kinds("q"), ["RunStarted"])
        yield* same("another command of that number ends none", [
          (yield* write(append("q", [turn(1), left(5, 2)]))).consequences,
          yield* kinds("p/2")
        ], [[], ["RunStarted"]])
        yield* write(goOn("q", 1, "r"))
        yield* write(lastTurn("r", 1))
        yield* same("its end ends those that are left", [yield* kinds("p/2"), yield* kinds("p/3")], [
          ["RunStarted", "RunTerminated"],
          ["RunStarted"]
        ])
      })
  ),
  behaviour(
    "a family that goes on, ends and begins in one group is told of what holds in the end",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, record, tags, write } = subject
        yield* write(start("p"))
        yield* same(
          "the receipts",
          yield* tags(
            append("p", [turn(1), child(1), child(2), child(3)]),
            post("p", signal()),
            append("p", [turn(6)])
          ),
          ["Appended", "Posted", "Appended"]
        )
        const { consequences } = yield* write(goOn("p/1", 1, "c1"), lastTurn("p/2", 1), goOn("p/3", 1, "c3"))
        yield* same(
          "of the one that has ended",
          consequences.map((notification) =>
            notification._tag === "Posted" && [notification.runId, notification.event._tag]
          ),
          [["p", "ChildClosed"]]
        )
        yield* write(append("c1", [turn(1), child(7)]), post("p", termination))
        yield* same("all that are left have ended", [yield* kinds("c1"), yield* kinds("c3"), yield* kinds("c1/7")], [
          ["RunStarted", "TurnTaken", "ChildScheduled", "RunTerminated"],
          ["RunStarted", "RunTerminated"],
          ["RunStarted", "RunTerminated"]
        ])
        yield* same("how p ended", (yield* record("p"))?.status, "Terminated")
      })
  ),
  behaviour(
    "a run that asks for a child in the turn in which it goes on has it as the next one",
    ({ kinds, write }) =>
      Effect.gen(function*() {
        yield* write(start("p"))
        const { consequences } = yield* write({
          ...goOn("p", 1, "q", { events: [child(1), child(2)] }),
          children: [{ runId: "c1", worker: "a" }, { runId: "c2", worker: "a" }]
        })
        yield* same("what follows", consequences.map(({ _tag }) => _tag), ["RunCreated", "RunCreated"])
        yield* write(lastTurn("c1", 1))
        yield* same("the end of one is told to nobody", [(yield* kinds("p")).at(-1), yield* kinds("q")], [
          "RunClosed",
          ["RunStarted"]
        ])
        yield* write(lastTurn("q", 1))
        yield* same("the other ends with the next run", yield* kinds("c2"), ["RunStarted", "RunTerminated"])
      })
  ),
  behaviour(
    "many children of many parents are each told to the right one",
    ({ store, write }) =>
      Effect.gen(function*() {
        const parents = Array.from({ length: 12 }, (_, i) => `p${i}`)
        yield* write(...parents.map((parent) => start(parent)))
        yield* write(
          ...parents.map((parent) =>
            append(parent, [
              turn(1),
              ...Array.from({ length: 12 }, (_, i) => child(i + 1, { workflowId: `${parent} child ${i + 1}` }))
            ])
          )
        )
        const runs = parents.flatMap((parent) => Array.from({ length: 12 }, (_, i) => `${parent}/${i + 1}`))
        yield* write(...runs.map((runId) => append(runId, [turn(1), closing(1, { payload: `"${runId}"` })])))
        for (const parent of parents) {
          yield* same(
            `what ${parent} is told`,
            (yield* store.history(parent)).flatMap((event) =>
              event._tag === "ChildClosed" ? [[event.target, event.payload]] : []
            ),
            Array.from({ length: 12 }, (_, i) => [i + 1, `"${parent}/${i + 1}"`])
          )
        }
      })
  )
)
