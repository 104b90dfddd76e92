/**
 * Groups of entries: in order, as a whole, and many at a time.
 */
import * as Effect from "effect/Effect"
import { behaviour, theme } from "./behaviour.js"
import {
  append,
  at,
  beat,
  block,
  child,
  completed,
  fired,
  goOn,
  lastTurn,
  post,
  queued,
  report,
  scheduled,
  signal,
  signalSent,
  start,
  timer,
  turn
} from "./entries.js"
import { fails, same } from "./expect.js"

export const groups = theme(
  "groups",
  behaviour(
    "the entries of a group are written in their order, each with its receipt",
    ({ store, write }) =>
      Effect.gen(function*() {
        yield* same("an empty group", yield* write(), { receipts: [], consequences: [] })
        const { consequences, receipts } = yield* write(
          start("r"),
          post("r", signal()),
          append("r", [turn(2), queued(1), child(2), signalSent(3, "id of r")]),
          report("r", completed(1)),
          append("r", [turn(7)], { epoch: 9 }),
          append("r", [turn(7)]),
          post("nobody", signal()),
          block("r", "why"),
          lastTurn("r", 8)
        )
        yield* same(
          "the receipts",
          receipts.map((receipt) => [receipt._tag, "lastSeq" in receipt && receipt.lastSeq]),
          [
            ["Started", false],
            ["Posted", false],
            ["Appended", 6],
            ["Posted", false],
            ["Fenced", false],
            ["Appended", 8],
            ["NotOpen", false],
            ["Recorded", false],
            ["Appended", 10]
          ]
        )
        yield* same("the history", (yield* store.history("r")).map(({ _tag }) => _tag), [
          "RunStarted",
          "SignalReceived",
          "TurnTaken",
          "ActivityScheduled",
          "ChildScheduled",
          "SignalSent",
          "ActivityCompleted",
          "TurnTaken",
          "TurnTaken",
          "RunClosed"
        ])
        yield* same(
          "what follows comes after the entries, so that the run has closed by then",
          consequences.map((
            notification
          ) => [
            notification._tag,
            notification._tag === "RunCreated" ? notification.run.runId : notification.event._tag
          ]),
          [["RunCreated", "r/2"], ["Posted", "RunTerminated"]]
        )
      })
  ),
  behaviour(
    "a group that fails leaves nothing of what it would have written or changed",
    (subject) =>
      Effect.gen(function*() {
        const { claim, kinds, record, store, write } = subject
        yield* write(start("taken"), start("r"), start("s"), start("to"))
        yield* write(append("r", [turn(1), queued(1), queued(2), timer(3, at), child(4)]), block("s", "before"))
        const reads = Effect.all({
          list: store.list({ filter: {}, after: undefined, limit: 100 }),
          histories: Effect.forEach(["r", "s", "to", "r/4"], (runId) => store.history(runId)),
          pending: store.pending("r"),
          due: Effect.map(claim("a", { workflows: [] }), ({ due }) => due)
        })
        const before = structuredClone(yield* reads)
        const failing = (...ids: ReadonlyArray<string>) => [
          start("new"),
          post("to", signal({ id: "once" })),
          report("r", completed(1)),
          beat("r", 2, { details: "1", outside: true }),
          append("r", [fired(3), turn(9, 1), scheduled(8), timer(9, at), signalSent(10, "id of to")]),
          block("s", "after"),
          lastTurn("r", 9),
          goOn("s", 1, ids[0] ?? "s on"),
          start(ids[1] ?? "another", { workflowId: "yet another" })
        ]
        yield* fails("a group that begins a run under a known run id", write(...failing("s on", "taken")))
        yield* same("all is as before", yield* reads, before)
        yield* fails("also where it is a run that goes on", write(...failing("taken")))
        yield* same("all is as before", yield* reads, before)
        yield* fails(
          "also where it is a child",
          write(start("new"), { ...append("s", [turn(1), child(1)]), children: [{ runId: "taken", worker: "a" }] })
        )
        yield* same("all is as before", yield* reads, before)
        yield* fails("also where it is one of the group itself", write(...failing("new")))
        yield* same("all is as before", yield* reads, before)

        yield* same(
          "the same entries are written when nothing hinders them",
          (yield* write(...failing())).receipts.map(({ _tag }) => _tag),
          ["Started", "Posted", "Posted", "Recorded", "Appended", "Recorded", "Appended", "Appended", "Started"]
        )
        yield* same("the end of one", (yield* kinds("r")).at(-1), "RunClosed")
        yield* same("the end of its child", (yield* record("r/4"))?.status, "Terminated")
        yield* same("what was sent", yield* kinds("to"), ["RunStarted", "SignalReceived", "SignalReceived"])
      })
  ),
  behaviour("a large group is written as a whole", ({ store, write }) =>
    Effect.gen(function*() {
      const runIds = Array.from({ length: 300 }, (_, i) => `r${i}`)
      yield* write(...runIds.map((runId) => start(runId)))
      const { receipts } = yield* write(
        ...runIds.map((runId) => post(runId, signal({ id: "once" }))),
        ...runIds.map((runId) => append(runId, [turn(2), queued(1), timer(2, at)])),
        ...runIds.map((runId) => post(runId, signal({ id: "once" })))
      )
      yield* same("the receipts", [
        receipts.filter(({ _tag }) => _tag === "Posted").length,
        receipts.filter(({ _tag }) => _tag === "Appended").length,
        receipts.filter(({ _tag }) => _tag === "Duplicate").length
      ], [300, 300, 300])
      for (const runId of ["r0", "r150", "r299"]) {
        yield* same(`the history of ${runId}`, (yield* store.history(runId)).map(({ seq }) => seq), [1, 2, 3, 4, 5])
      }
      yield* same("all of them", yield* store.count({ status: "Running" }), 300)
    })),
  behaviour(
    "many who write at once each write in full, and numbers stay dense",
    ({ store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("s"))
        const written = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i),
          (i) =>
            Effect.map(
              write(post("r", signal({ id: `${i % 40}` })), append("s", [timer(i + 1, at), timer(i + 101, at)])),
              ({ receipts }) => receipts
            ),
          { concurrency: "unbounded" }
        )
        yield* same("signals", written.filter(([first]) => first?._tag === "Posted").length, 40)
        yield* same("signals that were known", written.filter(([first]) => first?._tag === "Duplicate").length, 20)
        const lasts = written.map(([, second]) => second?._tag === "Appended" ? second.lastSeq : 0)
        yield* same(
          "the number of the last event of each",
          [...lasts].sort((a, b) => a - b),
          Array.from({ length: 60 }, (_, i) => 2 * i + 3)
        )
        const history = yield* store.history("s")
        for (const [i, last] of lasts.entries()) {
          const [first, second] = history.slice(last - 2, last)
          yield* same(`what writer ${i} wrote stands together`, [
            first?._tag === "TimerStarted" && first.command,
            second?._tag === "TimerStarted" && second.command
          ], [i + 1, i + 101])
        }
      })
  ),
  behaviour(
    "of many who start one id at once, one begins it; of many who claim or take, one gets it",
    (subject) =>
      Effect.gen(function*() {
        const { claim, store, take, write } = subject
        const many = Array.from({ length: 20 }, (_, i) => i)
        const started = yield* Effect.forEach(many, (i) => subject.receipt(start(`r${i}`, { workflowId: "w" })), {
          concurrency: "unbounded"
        })
        const created = started.filter((receipt) => receipt._tag === "Started" && receipt.created)
        yield* same("it is begun once", [created.length, yield* store.count({})], [1, 1])
        const [record] = yield* store.list({ filter: {}, after: undefined, limit: 1 })
        yield* write(append(record!.runId, [turn(1), ...many.map((i) => queued(i + 1))]))
        yield* store.release("a")
        const claimed = yield* Effect.forEach(many, (i) => claim(`w${i}`), { concurrency: "unbounded" })
        yield* same("it is claimed once", claimed.flatMap(({ runs }) => runs.map(({ epoch }) => epoch)), [2])
        const taken = yield* Effect.forEach(many, (i) => take(`w${i}`, { limit: 3 }), { concurrency: "unbounded" })
        yield* same(
          "each attempt is taken once",
          taken.flatMap(({ attempts }) => attempts.map(({ scheduled }) => scheduled.command)).sort((a, b) => a - b),
          many.map((i) => i + 1)
        )
      })
  )
)
