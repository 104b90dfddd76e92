/**
 * Runs that other runs ask for.
 */
import * as Effect from "effect/Effect"
import type { Message, Unplaced } from "../../../Workflow/Event.js"
import type { Entry } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import { append, at, cancelRequest, child, closing, lastTurn, left, post, start, termination, turn } from "./entries.js"
import { same } from "./expect.js"

const parentEnded = "its parent has ended"

/** What the run `p` writes to ask for a child, in its first turn. */
const asking = (options?: Parameters<typeof child>[1], runId = "p") => append(runId, [turn(1), child(1, options)])

export const children = theme(
  "children",
  behaviour(
    "a child is begun in the transaction that asks for it, and knows its parent",
    ({ store, write }) =>
      Effect.gen(function*() {
        yield* write(start("p"))
        const { consequences, receipts } = yield* write({
          ...asking({ runTimeout: 50, executionDeadline: at + 90, at: at + 2 }),
          children: [{ runId: "c", worker: "b" }]
        })
        const event = {
          _tag: "RunStarted" as const,
          seq: 1,
          at: at + 2,
          parent: { workflowId: "id of p", runId: "p" },
          runTimeout: 50,
          executionDeadline: at + 90,
          payload: "6"
        }
        yield* same("the receipt", receipts, [{ _tag: "Appended", lastSeq: 3, news: [] }])
        yield* same("what follows", consequences, [{
          _tag: "Begun",
          owner: "b",
          run: {
            runId: "c",
            workflowId: "child 1",
            workflow: "C",
            startedAt: at + 2,
            deadline: at + 52,
            epoch: 1,
            due: true,
            blocked: false
          },
          events: [event]
        }])
        yield* same("its history", yield* store.history("c"), [event])
        yield* same("that of its parent", (yield* store.history("p"))[2], {
          ...child(1, { runTimeout: 50, executionDeadline: at + 90, at: at + 2 }),
          seq: 3
        })
      })
  ),
  behaviour(
    "several children of one append each get a run of their own",
    ({ claim, kinds, record, write }) =>
      Effect.gen(function*() {
        yield* write(start("p"))
        const { consequences, receipts } = yield* write({
          ...append("p", [turn(1), child(1), turn(1), child(2), child(3)]),
          children: [1, 2, 3].map((n) => ({ runId: `c${n}`, worker: n === 2 ? undefined : "a" }))
        })
        yield* same("the receipt", receipts[0], { _tag: "Appended", lastSeq: 6, news: [] })
        yield* same(
          "who is told",
          consequences.map((news) => [news._tag, news.owner, news._tag === "Begun" && news.run.runId]),
          [["Begun", "a", "c1"], ["Begun", undefined, "c2"], ["Begun", "a", "c3"]]
        )
        for (const n of [1, 2, 3]) {
          yield* same(`child ${n}`, [(yield* record(`c${n}`))?.workflowId, yield* kinds(`c${n}`)], [
            `child ${n}`,
            ["RunStarted"]
          ])
        }
        yield* same(
          "who was begun for nobody is claimed",
          (yield* claim("b", { workflows: ["C"] })).runs.map((run) => run.runId),
          ["c2"]
        )
      })
  ),
  behaviour("the end of a child is told to its parent as it was", ({ record, store, write }) =>
    Effect.gen(function*() {
      const told: ReadonlyArray<readonly [end: Entry | ReadonlyArray<Entry>, told: Readonly<Record<string, unknown>>]> =
        [
          [lastTurn("c", 1, { payload: "\"ok\"" }), { at: at + 5, outcome: "Success", payload: "\"ok\"" }],
          [lastTurn("c", 1, { outcome: "Failure", payload: "1" }), { at: at + 5, outcome: "Failure", payload: "1" }],
          [lastTurn("c", 1, { outcome: "Defect", message: "it died", payload: null }), {
            at: at + 5,
            outcome: "Defect",
            message: "it died",
            payload: null
          }],
          [lastTurn("c", 1, { outcome: "Cancelled", payload: null }), {
            at: at + 5,
            outcome: "Cancelled",
            payload: null
          }],
          [{ ...post("c", termination), workflowId: "child 1" }, {
            at,
            outcome: "Terminated",
            message: "by hand",
            payload: null
          }],
          [append("c", [{ _tag: "RunTimedOut", at: at + 8 }]), { at: at + 8, outcome: "TimedOut", payload: null }]
        ]
      for (const [i, [end, expected]] of told.entries()) {
        const [parent, runId, workflowId] = [`p${i}`, `c${i}`, `child ${i}`]
        yield* write(start(parent))
        yield* write({ ...asking({ workflowId }, parent), children: [{ runId, worker: "a" }] })
        const entry = "_tag" in end ? end : end[0]!
        const { consequences } = yield* write(
          entry._tag === "Append" ? { ...entry, runId } : { ...entry as Extract<Entry, { _tag: "Post" }>, workflowId }
        )
        const event = { _tag: "ChildClosed", seq: 4, target: 1, runId, ...expected }
        yield* same(`what follows from ${expected["outcome"]}`, consequences, [
          { _tag: "Posted", owner: "a", runId: parent, event }
        ])
        yield* same("the history of the parent", (yield* store.history(parent))[3], event)
        yield* same("the child", (yield* record(runId))?.status, expected["outcome"])
      }
    })),
  behaviour(
    "a child of an id that has a run: begun, gone on with, refused, or put in its place",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, write } = subject
        const open = {
          attach: "attached",
          fail: "refused",
          terminate: "replaced"
        } as const
        const closed = {
          attach: { Success: "told", Failure: "told" },
          always: { Success: "begun", Failure: "begun" },
          whenFailed: { Success: "told", Failure: "begun" },
          never: { Success: "refused", Failure: "refused" }
        } as const
        for (const conflict of ["attach", "fail", "terminate"] as const) {
          for (const reuse of ["attach", "always", "whenFailed", "never"] as const) {
            for (const state of ["open", "Success", "Failure"] as const) {
              for (const workflow of ["C", "another"]) {
                const it = `${conflict} ${reuse} ${state} ${workflow}`
                const [old, parent, child] = [`old ${it}`, `p ${it}`, `c ${it}`]
                yield* write(start(parent), start(old, { workflow }))
                if (state !== "open") yield* write(lastTurn(old, 1, { outcome: state }))
                const { consequences } = yield* write({
                  ...asking({ workflowId: `id of ${old}`, conflict, reuse }, parent),
                  children: [{ runId: child, worker: "a" }]
                })
                const expected = workflow === "C"
                  ? state === "open" ? open[conflict] : closed[reuse][state]
                  : state !== "open" && (reuse === "always" || (reuse === "whenFailed" && state === "Failure"))
                  ? "begun"
                  : "refused"
                const begun = expected === "begun" || expected === "replaced"
                yield* same(`${it}: the child`, yield* kinds(child), begun ? ["RunStarted"] : [])
                yield* same(
                  `${it}: its parent`,
                  (yield* subject.store.history(parent)).slice(3).map((event) =>
                    event._tag === "ChildClosed" && [event.runId, event.outcome]
                  ),
                  expected === "refused" ? [[old, "Refused"]] : expected === "told" ? [[old, state]] : []
                )
                yield* same(
                  `${it}: the run before`,
                  (yield* subject.record(old))?.status,
                  expected === "replaced" ? "Terminated" : state === "open" ? "Running" : state
                )
                yield* same(
                  `${it}: who is told`,
                  consequences.map((news) => [news._tag, news._tag === "Begun" ? news.run.runId : news.runId]),
                  [
                    ...expected === "replaced" ? [["Posted", old]] : [],
                    ...begun ? [["Begun", child]] : expected === "attached" ? [] : [["Posted", parent]]
                  ]
                )
              }
            }
          }
        }
      })
  ),
  behaviour("a refused child names the run that has its id", ({ store, write }) =>
    Effect.gen(function*() {
      yield* write(start("old", { workflow: "V" }), start("p"))
      yield* write(asking({ workflowId: "id of old", at: at + 2 }))
      yield* same("what the parent is told", (yield* store.history("p"))[3], {
        _tag: "ChildClosed",
        seq: 4,
        target: 1,
        at: at + 2,
        runId: "old",
        outcome: "Refused",
        message: "workflow id \"id of old\" has a run of V already (Running)",
        payload: null
      })
    })),
  behaviour("nobody is a child of himself", ({ kinds, store, write }) =>
    Effect.gen(function*() {
      yield* write(start("p", { workflow: "C" }))
      const conflicts = ["attach", "fail", "terminate"] as const
      yield* write(append("p", [
        turn(1),
        ...conflicts.map((conflict, i) => child(i + 1, { workflowId: "id of p", conflict, reuse: "always" }))
      ]))
      yield* same(
        "its children",
        (yield* store.history("p")).slice(5).map((event) =>
          event._tag === "ChildClosed" && [event.target, event.outcome]
        ),
        [[1, "Refused"], [2, "Refused"], [3, "Refused"]]
      )
      yield* same("it goes on", (yield* kinds("p")).length, 8)
      yield* same("it is the only one", yield* store.count({}), 1)
    })),
  behaviour("two parents wait for one child, and both are told", ({ record, store, write }) =>
    Effect.gen(function*() {
      yield* write(start("p1"), start("p2"))
      const workflowId = "shared"
      yield* write(
        { ...asking({ workflowId }, "p1"), children: [{ runId: "c1", worker: "a" }] },
        { ...asking({ workflowId }, "p2"), children: [{ runId: "c2", worker: "a" }] }
      )
      yield* same("one child", [(yield* record("c1"))?.events, yield* record("c2")], [1, undefined])
      const { consequences } = yield* write(lastTurn("c1", 1))
      yield* same(
        "in the order in which they have asked",
        consequences.map((news) => news._tag === "Posted" && [news.runId, news.event._tag]),
        [["p1", "ChildClosed"], ["p2", "ChildClosed"]]
      )
      for (const parent of ["p1", "p2"]) {
        const told = (yield* store.history(parent))[3]
        yield* same(`${parent} is told`, told?._tag === "ChildClosed" && [told.target, told.runId, told.outcome], [
          1,
          "c1",
          "Success"
        ])
      }
    })),
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
          const messages: ReadonlyArray<Unplaced<Message>> = [
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
          consequences.map((news) => news._tag === "Posted" && [news.runId, news.event._tag]),
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
          consequences.map((news) => news._tag === "Begun" && [news.run.runId, news.run.workflowId]),
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
          consequences.map((news) => news._tag === "Begun" ? [news.run.runId] : [news.runId, news.event._tag]),
          [["c1", "RunTerminated"], ["c2"], ["p", "ChildClosed"], ["g", "RunTerminated"]]
        )
        yield* same("the one in its place", [(yield* record("c2"))?.status, yield* kinds("q")], [
          "Running",
          ["RunStarted", "TurnTaken", "ChildScheduled"]
        ])
        const again = yield* write(start("c3", { workflowId: "w", workflow: "C", conflict: "terminate" }))
        yield* same("also by a start", again.consequences.map((news) => news._tag === "Posted" && news.runId), ["q"])
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
