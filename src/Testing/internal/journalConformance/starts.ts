/**
 * How runs begin.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RunRecord } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import {
  append,
  at,
  cancelRequest,
  closing,
  free,
  lastTurn,
  post,
  signal,
  start,
  termination,
  turn
} from "./entries.js"
import { fails, same } from "./expect.js"

const record = (runId: string, options?: Partial<RunRecord>): RunRecord => ({
  runId,
  workflowId: "w",
  workflow: "W",
  startedAt: at,
  status: "Running",
  events: 1,
  blocked: undefined,
  closed: undefined,
  ...options
})

const begun = { _tag: "RunStarted" as const, seq: 1, at, payload: "1" }

export const starts = theme(
  "starts",
  behaviour(
    "a run begins with RunStarted alone; its owner is told all it needs",
    ({ receipt, record: recordOf, store }) =>
      Effect.gen(function*() {
        yield* same("the receipt", yield* receipt(start("r", { workflowId: "w", started: { runTimeout: 50 } })), {
          _tag: "Started",
          created: true,
          record: record("r"),
          notifications: [{
            _tag: "RunCreated",
            owner: "a",
            run: {
              runId: "r",
              workflowId: "w",
              workflow: "W",
              startedAt: at,
              deadline: at + 50,
              epoch: 1,
              due: true,
              blocked: false
            },
            events: [{ ...begun, runTimeout: 50 }]
          }]
        })
        yield* same("its history", yield* store.history("r"), [{ ...begun, runTimeout: 50 }])
        yield* same("its record", yield* recordOf("r"), record("r"))
        yield* same("the newest run of its id", Option.getOrUndefined(yield* store.latest("w")), record("r"))
      })
  ),
  behaviour("a run that is started for nobody has no owner and epoch 0", ({ receipt }) =>
    Effect.gen(function*() {
      const started = yield* receipt(free("r", { workflowId: "w" }))
      yield* same("the notifications", started._tag === "Started" && started.notifications, [{
        _tag: "RunCreated",
        owner: undefined,
        run: {
          runId: "r",
          workflowId: "w",
          workflow: "W",
          startedAt: at,
          deadline: undefined,
          epoch: 0,
          due: true,
          blocked: false
        },
        events: [begun]
      }])
    })),
  behaviour(
    "its deadline is the earlier of its own time-out and that of all that go on from each other",
    ({ receipt }) =>
      Effect.gen(function*() {
        const limits = [
          [{ runTimeout: 5, executionDeadline: at + 9 }, at + 5],
          [{ runTimeout: 9, executionDeadline: at + 5 }, at + 5],
          [{ executionDeadline: at + 7 }, at + 7],
          [{}, undefined]
        ] as const
        for (const [i, [started, deadline]] of limits.entries()) {
          const written = yield* receipt(start(`r${i}`, { started }))
          const [notification] = written._tag === "Started" ? written.notifications : []
          yield* same(
            `the deadline of ${JSON.stringify(started)}`,
            notification?._tag === "RunCreated" ? notification.run.deadline : 0,
            deadline
          )
        }
      })
  ),
  behaviour(
    "an id with an open run: it is gone on with, refused, or terminated and begun anew",
    ({ kinds, receipt, store }) =>
      Effect.gen(function*() {
        yield* receipt(start("r1", { workflowId: "w" }))
        const attached = { _tag: "Started", created: false, record: record("r1"), notifications: [] }
        const refused = { _tag: "Exists", record: record("r1") }
        const again = (runId: string, options: Parameters<typeof start>[1]) =>
          receipt(start(runId, { workflowId: "w", ...options }))
        yield* same("attach", yield* again("r2", { conflict: "attach", reuse: "never" }), attached)
        yield* same("fail", yield* again("r3", { conflict: "fail", reuse: "always" }), refused)
        yield* same("attach to another workflow", yield* again("r4", { workflow: "V" }), refused)
        yield* same("terminate another workflow", yield* again("r5", { workflow: "V", conflict: "terminate" }), refused)
        yield* same("nothing was written", yield* kinds("r1"), ["RunStarted"])
        yield* same("nothing was begun", yield* store.count({}), 1)

        const replaced = yield* receipt(
          start("r6", { workflowId: "w", conflict: "terminate", reuse: "never", started: { at: at + 9 } })
        )
        const terminated = { _tag: "RunTerminated", seq: 2, at: at + 9, reason: "replaced by a new run of its id" }
        yield* same("terminate", replaced, {
          _tag: "Started",
          created: true,
          record: record("r6", { startedAt: at + 9 }),
          notifications: [
            { _tag: "Posted", owner: "a", runId: "r1", event: terminated },
            {
              _tag: "RunCreated",
              owner: "a",
              run: {
                runId: "r6",
                workflowId: "w",
                workflow: "W",
                startedAt: at + 9,
                deadline: undefined,
                epoch: 1,
                due: true,
                blocked: false
              },
              events: [{ ...begun, at: at + 9 }]
            }
          ]
        })
        yield* same("the run before has ended", (yield* store.history("r1")).at(-1), terminated)
        yield* same(
          "the new one is the newest",
          Option.map(yield* store.latest("w"), ({ runId }) => runId),
          Option.some("r6")
        )
      })
  ),
  behaviour("a run that was asked to end is still open", ({ receipt, tags }) =>
    Effect.gen(function*() {
      yield* tags(start("r1", { workflowId: "id of r1" }), post("r1", cancelRequest))
      yield* same(
        "the receipt",
        yield* receipt(start("r2", { workflowId: "id of r1", conflict: "fail", reuse: "always" })),
        { _tag: "Exists", record: record("r1", { workflowId: "id of r1", status: "Cancelling", events: 2 }) }
      )
    })),
  behaviour(
    "an id whose run has closed: the policy of reuse decides, by how it has ended",
    ({ receipt, write }) =>
      Effect.gen(function*() {
        const expected = {
          attach: { Success: "attached", Failure: "attached", Terminated: "attached", other: "refused" },
          always: { Success: "begun", Failure: "begun", Terminated: "begun", other: "begun" },
          whenFailed: { Success: "attached", Failure: "begun", Terminated: "begun", other: "refused" },
          never: { Success: "refused", Failure: "refused", Terminated: "refused", other: "refused" }
        } as const
        for (const reuse of ["attach", "always", "whenFailed", "never"] as const) {
          for (const end of ["Success", "Failure", "Terminated", "other"] as const) {
            const runId = `${reuse} ${end}`
            yield* write(start(runId))
            yield* write(
              end === "Terminated"
                ? post(runId, termination)
                : lastTurn(runId, 1, { outcome: end === "other" ? "Success" : end })
            )
            const again = yield* receipt(
              start(`${runId} again`, {
                workflowId: `id of ${runId}`,
                workflow: end === "other" ? "V" : "W",
                // Nothing is open, so this has no say.
                conflict: "fail",
                reuse
              })
            )
            yield* same(
              `reuse ${reuse} after ${end === "other" ? "another workflow" : end}`,
              again._tag === "Started" ? again.created ? "begun" : "attached" : again._tag,
              expected[reuse][end] === "refused" ? "Exists" : expected[reuse][end]
            )
            yield* same(
              `the run that its receipt names (${runId})`,
              "record" in again && again.record.runId,
              expected[reuse][end] === "begun" ? `${runId} again` : runId
            )
          }
        }
      })
  ),
  behaviour("what an entry of a group has started, the next entry finds", ({ write }) =>
    Effect.gen(function*() {
      const { receipts } = yield* write(
        start("r1", { workflowId: "w" }),
        start("r2", { workflowId: "w" }),
        start("r3"),
        start("r4", { workflowId: "w", conflict: "terminate" }),
        start("r5", { workflowId: "w", conflict: "fail" })
      )
      yield* same(
        "the runs",
        receipts.map((receipt) => "record" in receipt && [receipt._tag, receipt.record.runId]),
        [["Started", "r1"], ["Started", "r1"], ["Started", "r3"], ["Started", "r4"], ["Exists", "r4"]]
      )
    })),
  behaviour(
    "the newest run of an id is the one that was begun last, also where clocks differ",
    ({ store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r1", { workflowId: "w" }), append("r1", [turn(1), closing(1)]))
        yield* write(start("r2", { workflowId: "w", reuse: "always", started: { at: at - 60_000 } }))
        yield* same(
          "the newest",
          Option.map(yield* store.latest("w"), ({ runId }) => runId),
          Option.some("r2")
        )
      })
  ),
  behaviour(
    "a signal that comes with a start reaches the run that there is then, once",
    ({ kinds, receipt }) =>
      Effect.gen(function*() {
        const started = (runId: string, id?: string, options?: Parameters<typeof start>[1]) =>
          receipt(start(runId, { workflowId: "w", signal: signal(id === undefined ? {} : { id }), ...options }))
        const first = yield* started("r1", "one")
        yield* same("a new run: its record", "record" in first && first.record, record("r1", { events: 2 }))
        yield* same(
          "a new run: the notifications",
          "notifications" in first && first.notifications.map(({ _tag }) => _tag),
          [
            "RunCreated",
            "Posted"
          ]
        )
        yield* same(
          "a new run: the signal",
          "notifications" in first && first.notifications[1],
          { _tag: "Posted", owner: "a", runId: "r1", event: { ...signal({ id: "one" }), seq: 2 } }
        )
        yield* same("an open run that knows it", yield* started("r2", "one"), {
          _tag: "Started",
          created: false,
          record: record("r1", { events: 2 }),
          notifications: []
        })
        const third = yield* started("r3", "two")
        yield* same("an open run: its record", "record" in third && third.record, record("r1", { events: 3 }))
        const fourth = yield* started("r4")
        yield* same("without an id: its record", "record" in fourth && fourth.record, record("r1", { events: 4 }))
        yield* same("refused", (yield* started("r5", "three", { conflict: "fail" }))._tag, "Exists")
        yield* same("the history", yield* kinds("r1"), [
          "RunStarted",
          "SignalReceived",
          "SignalReceived",
          "SignalReceived"
        ])
      })
  ),
  behaviour(
    "a signal that comes with a start is never lost on a run that has closed",
    ({ kinds, receipt, write }) =>
      Effect.gen(function*() {
        yield* write(start("r1", { workflowId: "w" }), lastTurn("r1", 1))
        const again = (runId: string, reuse: "attach" | "whenFailed") =>
          receipt(start(runId, { workflowId: "w", reuse, signal: signal() }))
        yield* same("whenFailed after Success", (yield* again("r2", "whenFailed"))._tag, "Exists")
        yield* same("attach", (yield* again("r3", "attach"))._tag, "Started")
        yield* same("a new run takes it", yield* kinds("r3"), ["RunStarted", "SignalReceived"])
        yield* same("the old one does not", yield* kinds("r1"), ["RunStarted", "TurnTaken", "RunClosed"])
      })
  ),
  behaviour(
    "a run id is used once: to begin a second run under it fails, and writes nothing",
    ({ kinds, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"))
        yield* fails(
          "a group that begins a run under a known run id",
          write(start("before"), append("r", [turn(1)]), start("r", { workflowId: "another" }), start("after"))
        )
        yield* same("what was in the group before it", yield* store.count({}), 1)
        yield* same("the run whose id it is", yield* kinds("r"), ["RunStarted"])
        yield* write(start("before"), append("r", [turn(1)]))
        yield* same("the store goes on", yield* kinds("r"), ["RunStarted", "TurnTaken"])
        yield* same(
          "the same entry is fine where nothing is begun",
          (yield* write(start("r"))).receipts[0]?._tag,
          "Started"
        )
      })
  )
)
