/**
 * Runs that other runs ask for.
 */
import * as Effect from "effect/Effect"
import type { Entry } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import { append, asking, at, child, lastTurn, post, start, termination, turn } from "./entries.js"
import { same } from "./expect.js"

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
        yield* same("the receipt", receipts, [{ _tag: "Appended", lastSeq: 3, notifications: [] }])
        yield* same("what follows", consequences, [{
          _tag: "RunCreated",
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
        yield* same("the receipt", receipts[0], { _tag: "Appended", lastSeq: 6, notifications: [] })
        yield* same(
          "who is told",
          consequences.map((
            notification
          ) => [notification._tag, notification.owner, notification._tag === "RunCreated" && notification.run.runId]),
          [["RunCreated", "a", "c1"], ["RunCreated", undefined, "c2"], ["RunCreated", "a", "c3"]]
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
                  consequences.map((
                    notification
                  ) => [
                    notification._tag,
                    notification._tag === "RunCreated" ? notification.run.runId : notification.runId
                  ]),
                  [
                    ...expected === "replaced" ? [["Posted", old]] : [],
                    ...begun ? [["RunCreated", child]] : expected === "attached" ? [] : [["Posted", parent]]
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
        consequences.map((notification) =>
          notification._tag === "Posted" && [notification.runId, notification.event._tag]
        ),
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
    }))
)
