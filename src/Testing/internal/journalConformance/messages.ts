/**
 * What anybody sends to the open run of a workflow id.
 */
import * as Effect from "effect/Effect"
import { behaviour, theme } from "./behaviour.js"
import { append, at, cancelRequest, free, lastTurn, post, signal, start, termination, turn } from "./entries.js"
import { same } from "./expect.js"

export const messages = theme(
  "messages",
  behaviour(
    "a signal is in the history of the open run, and its owner is told",
    ({ claim, receipt, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), append("r", [turn(1)]), free("free"))
        const event = { ...signal({ signal: "Pay", payload: "{\"amount\":1}" }), seq: 3 }
        yield* same("the receipt", yield* receipt(post("r", signal({ signal: "Pay", payload: "{\"amount\":1}" }))), {
          _tag: "Posted",
          runId: "r",
          notifications: [{ _tag: "Posted", owner: "a", runId: "r", event }]
        })
        yield* same("the history", (yield* store.history("r"))[2], event)
        yield* same("the run is due", (yield* claim("a", { workflows: [] })).due, [{ runId: "r", dueSeq: 3 }])
        const free_ = yield* receipt(post("free", signal()))
        yield* same(
          "of a run without an owner",
          "notifications" in free_ && free_.notifications.map(({ owner }) => owner),
          [undefined]
        )
      })
  ),
  behaviour(
    "signals keep their order, and those without an id may be the same",
    ({ store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"))
        yield* write(post("r", signal({ payload: "1" })), post("r", signal({ payload: "2" })))
        yield* write(post("r", signal({ payload: "2" })), post("r", signal({ payload: "1" })))
        yield* same(
          "their payloads",
          (yield* store.history("r")).slice(1).map((event) => event._tag === "SignalReceived" && event.payload),
          ["1", "2", "2", "1"]
        )
      })
  ),
  behaviour(
    "a signal with an id is written once in each run, whatever else it says",
    ({ kinds, receipt, tags, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("s"))
        yield* same(
          "in one group",
          yield* tags(post("r", signal({ id: "1" })), post("r", signal({ id: "1" })), post("s", signal({ id: "1" }))),
          ["Posted", "Duplicate", "Posted"]
        )
        yield* same("later", yield* receipt(post("r", signal({ id: "1", signal: "T", payload: "9" }))), {
          _tag: "Duplicate",
          runId: "r"
        })
        yield* same("another id", yield* tags(post("r", signal({ id: "01" }))), ["Posted"])
        yield* same("the history", yield* kinds("r"), ["RunStarted", "SignalReceived", "SignalReceived"])
      })
  ),
  behaviour(
    "a request to end makes the run Cancelling, and due; a second one is written too",
    (subject) =>
      Effect.gen(function*() {
        const { claim, receipt, record, store, write } = subject
        yield* write(start("r"), append("r", [turn(1)]))
        yield* same("the receipt", yield* receipt(post("r", cancelRequest)), {
          _tag: "Posted",
          runId: "r",
          notifications: [{ _tag: "Posted", owner: "a", runId: "r", event: { ...cancelRequest, seq: 3 } }]
        })
        yield* same("its status", (yield* record("r"))?.status, "Cancelling")
        yield* same("the run is due", (yield* claim("a", { workflows: [] })).due, [{ runId: "r", dueSeq: 3 }])
        yield* write(post("r", { ...cancelRequest, at: at + 1, reason: "again" }))
        yield* same("the history", (yield* store.history("r")).slice(2), [
          { ...cancelRequest, seq: 3 },
          { ...cancelRequest, at: at + 1, reason: "again", seq: 4 }
        ])
        yield* same("counted", [
          yield* store.count({ status: "Cancelling" }),
          yield* store.count({ status: "Running" })
        ], [
          1,
          0
        ])
        yield* write(append("r", [turn(4)]))
        yield* same("after a turn", (yield* record("r"))?.status, "Cancelling")
        yield* write(lastTurn("r", 5))
        yield* same("at its end", (yield* record("r"))?.status, "Success")
      })
  ),
  behaviour("a run is ended from outside without a turn", ({ receipt, record, write }) =>
    Effect.gen(function*() {
      yield* write(start("r"), append("r", [turn(1)]))
      const event = { ...termination, seq: 3 }
      yield* same("the receipt", yield* receipt(post("r", termination)), {
        _tag: "Posted",
        runId: "r",
        notifications: [{ _tag: "Posted", owner: "a", runId: "r", event }]
      })
      yield* same("its end", (yield* record("r"))?.closed, event)
    })),
  behaviour(
    "a message reaches the newest run of its id, or nobody",
    ({ kinds, receipt, write }) =>
      Effect.gen(function*() {
        for (const message of [signal(), signal({ id: "1" }), cancelRequest, termination]) {
          yield* same("an unknown id", yield* receipt(post("nobody", message)), { _tag: "NotOpen", known: false })
        }
        yield* write(start("r"), post("r", signal({ id: "1" })), lastTurn("r", 2))
        yield* same("a run that has closed", yield* receipt(post("r", signal())), { _tag: "NotOpen", known: true })
        yield* same("a signal that it has", yield* receipt(post("r", signal({ id: "1" }))), {
          _tag: "NotOpen",
          known: true
        })
        yield* write(start("s", { workflowId: "id of r", reuse: "always" }))
        const sent = yield* receipt(post("r", signal({ id: "1" })))
        yield* same("the next run of its id", [sent._tag, "runId" in sent && sent.runId], ["Posted", "s"])
        yield* same("their histories", [yield* kinds("r"), yield* kinds("s")], [
          ["RunStarted", "SignalReceived", "TurnTaken", "RunClosed"],
          ["RunStarted", "SignalReceived"]
        ])
      })
  )
)
