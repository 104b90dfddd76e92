/**
 * What becomes of the children of a run that ends, or that waits for them no more.
 */
import * as Effect from "effect/Effect"
import type { Message, Unsequenced } from "../../../Workflow/Event.js"
import type { Entry } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import {
  append,
  asking,
  at,
  cancelRequest,
  child,
  closing,
  lastTurn,
  left,
  post,
  start,
  termination,
  turn
} from "./entries.js"
import { same } from "./expect.js"

const parentEnded = "its parent has ended"

export const families = theme(
  "families",
  behaviour(
    "when a parent ends, its children are terminated, asked to end, or left alone",
    ({ kinds, store, write }) =>
      Effect.gen(function*() {
        const ends: ReadonlyArray<readonly [at: number, end: (runId: string) => Entry]> = [
          [at + 5, (runId) => lastTurn(runId, 1)],
          [at, (runId) => post(runId, termination)],
          [at + 7, (runId) => append(runId, [{ _tag: "RunTimedOut", at: at + 7 }])]
        ]
        for (const [i, [endedAt, end]] of ends.entries()) {
          const parent = `p${i}`
          yield* write(start(parent))
          const policies = ["terminate", "cancel", "abandon"] as const
          yield* write(append(parent, [
            turn(1),
            ...policies.map((parentClose, n) => child(n + 1, { workflowId: `${parentClose} ${i}`, parentClose }))
          ]))
          const { consequences } = yield* write(end(parent))
          const messages: ReadonlyArray<Unsequenced<Message>> = [
            { _tag: "RunTerminated", at: endedAt, reason: parentEnded },
            { _tag: "CancelRequested", at: endedAt, reason: parentEnded }
          ]
          yield* same(
            `what follows from end ${i}`,
            consequences,
            messages.map((message, n) => ({
              _tag: "Posted",
              owner: "a",
              runId: `${parent}/${n + 1}`,
              event: { ...message, seq: 2 }
            }))
          )
          yield* same("the one that was left alone", (yield* store.history(`${parent}/3`)).length, 1)
          yield* write(lastTurn(`${parent}/2`, 2), lastTurn(`${parent}/3`, 1))
          yield* same("its parent is told of none of them", (yield* kinds(parent)).includes("ChildClosed"), false)
        }
      })
  ),
  behaviour(
    "what ends with a parent ends its own children in turn, to the last",
    ({ record, write }) =>
      Effect.gen(function*() {
        yield* write(start("r0"))
        for (let n = 0; n < 5; n++) {
          yield* write({
            ...asking({ workflowId: `id of r${n + 1}`, parentClose: n === 3 ? "cancel" : "terminate" }, `r${n}`),
            children: [{ runId: `r${n + 1}`, worker: "a" }]
          })
        }
        const { consequences } = yield* write(post("r0", termination))
        yield* same(
          "who is told",
          consequences.map((notification) =>
            notification._tag === "Posted" && [notification.runId, notification.event._tag]
          ),
          [["r1", "RunTerminated"], ["r2", "RunTerminated"], ["r3", "RunTerminated"], ["r4", "CancelRequested"]]
        )
        const statuses = yield* Effect.forEach([0, 1, 2, 3, 4, 5], (n) => record(`r${n}`))
        yield* same("how they are", statuses.map((run) => run?.status), [
          "Terminated",
          "Terminated",
          "Terminated",
          "Terminated",
          "Cancelling",
          "Running"
        ])
      })
  ),
  behaviour(
    "a child that ends before its parent is no longer ended by it",
    ({ kinds, write }) =>
      Effect.gen(function*() {
        yield* write(start("p"), asking())
        yield* write(lastTurn("p/1", 1))
        yield* write(start("again", { workflowId: "child 1", workflow: "C", reuse: "always" }))
        const { consequences } = yield* write(lastTurn("p", 4))
        yield* same("what follows", consequences, [])
        yield* same("another run of its id", yield* kinds("again"), ["RunStarted"])
      })
  ),
  behaviour(
    "a child that nobody waits for any more is asked to end, unless it was to be abandoned",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, write } = subject
        yield* write(start("p"))
        const policies = ["terminate", "cancel", "abandon"] as const
        yield* write(append("p", [turn(1), ...policies.map((parentClose, n) => child(n + 1, { parentClose }))]))
        const { consequences } = yield* write(append("p", [turn(5), left(4, 1), left(5, 2), left(6, 3), left(7, 99)]))
        const event = { _tag: "CancelRequested", seq: 2, at: at + 3, reason: "its parent has stopped waiting for it" }
        yield* same("what follows", consequences, [
          { _tag: "Posted", owner: "a", runId: "p/1", event },
          { _tag: "Posted", owner: "a", runId: "p/2", event }
        ])
        yield* same("the end of one is not told", (yield* write(lastTurn("p/1", 2))).consequences, [])
        yield* same("nor ended with the parent", (yield* write(lastTurn("p", 5))).consequences, [])
        yield* same("the one that was abandoned", yield* kinds("p/3"), ["RunStarted"])
        yield* write(start("q"), asking({ workflowId: "of q" }, "q"))
        yield* write(append("q", [turn(3), left(2, 1), closing(3)]))
        yield* same("where the parent ends in the same turn", yield* kinds("q/1"), ["RunStarted", "CancelRequested"])
      })
  ),
  behaviour(
    "a child that nobody waits for before it has begun is not begun, unless it was to be abandoned",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, record, write } = subject
        yield* write(start("p"))
        const { consequences, receipts } = yield* write(append("p", [
          turn(1),
          child(1),
          child(2, { parentClose: "abandon" }),
          child(3, { parentClose: "cancel" }),
          child(4),
          left(5, 1),
          left(6, 2),
          left(7, 3)
        ]))
        yield* same("the receipt", receipts[0]?._tag, "Appended")
        yield* same(
          "what follows",
          consequences.map((notification) =>
            notification._tag === "RunCreated" && [notification.run.runId, notification.run.workflowId]
          ),
          [["p/2", "child 2"], ["p/4", "child 4"]]
        )
        yield* same("the others", [yield* record("p/1"), yield* record("p/3")], [undefined, undefined])
        yield* write(lastTurn("p/2", 1), lastTurn("p/4", 1))
        yield* same("what the parent is told", (yield* kinds("p")).slice(9), ["ChildClosed"])
      })
  ),
  behaviour(
    "a child that is asked for in the turn that ends its parent goes its way by the policy",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, write } = subject
        yield* write(start("p"))
        yield* write(append("p", [
          turn(1),
          child(1, { parentClose: "terminate" }),
          child(2, { parentClose: "cancel" }),
          child(3, { parentClose: "abandon" }),
          child(4, { workflowId: "id of p" }),
          closing(5)
        ]))
        yield* same("the children", yield* Effect.forEach([1, 2, 3, 4], (n) => kinds(`p/${n}`)), [
          ["RunStarted", "RunTerminated"],
          ["RunStarted", "CancelRequested"],
          ["RunStarted"],
          []
        ])
        yield* same("their parent", (yield* kinds("p")).at(-1), "RunClosed")
      })
  ),
  behaviour(
    "a run that is replaced is told to whoever waits for it, and ends its own children",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, record, write } = subject
        yield* write(start("p"), start("q"))
        yield* write({
          ...asking({ workflowId: "w", conflict: "terminate" }),
          children: [{ runId: "c1", worker: "a" }]
        })
        yield* write({ ...asking({ workflowId: "grandchild" }, "c1"), children: [{ runId: "g", worker: "a" }] })
        const replacing = { ...asking({ workflowId: "w", conflict: "terminate", at: at + 6 }, "q") }
        const { consequences } = yield* write({ ...replacing, children: [{ runId: "c2", worker: "a" }] })
        yield* same(
          "what follows",
          consequences.map((notification) =>
            notification._tag === "RunCreated"
              ? [notification.run.runId]
              : [notification.runId, notification.event._tag]
          ),
          [["c1", "RunTerminated"], ["c2"], ["p", "ChildClosed"], ["g", "RunTerminated"]]
        )
        yield* same("the end of the one before", (yield* record("c1"))?.closed, {
          _tag: "RunTerminated",
          seq: 4,
          at: at + 6,
          reason: "replaced by a new run of its id"
        })
        yield* same("the one in its place", [(yield* record("c2"))?.status, yield* kinds("q")], [
          "Running",
          ["RunStarted", "TurnTaken", "ChildScheduled"]
        ])
        const again = yield* write(start("c3", { workflowId: "w", workflow: "C", conflict: "terminate" }))
        yield* same(
          "also by a start",
          again.consequences.map((notification) => notification._tag === "Posted" && notification.runId),
          ["q"]
        )
      })
  ),
  behaviour(
    "one message may end several runs of a family, and each is told of once",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, tags, write } = subject
        yield* write(start("p"), asking({ parentClose: "terminate" }))
        yield* same(
          "in one group, both end by hand",
          yield* tags({ ...post("x", cancelRequest), workflowId: "child 1" }, post("p", termination), {
            ...post("x", termination),
            workflowId: "child 1"
          }),
          ["Posted", "Posted", "Posted"]
        )
        yield* same("each ends once", [yield* kinds("p"), yield* kinds("p/1")], [
          ["RunStarted", "TurnTaken", "ChildScheduled", "RunTerminated"],
          ["RunStarted", "CancelRequested", "RunTerminated"]
        ])
      })
  )
)
