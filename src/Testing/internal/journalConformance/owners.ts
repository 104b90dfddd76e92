/**
 * Who may write to a run, and what its owner has to hear of.
 */
import * as Effect from "effect/Effect"
import { behaviour, type Subject, theme } from "./behaviour.js"
import * as entries from "./entries.js"
import {
  append,
  at,
  block,
  cancelRequest,
  completed,
  free,
  post,
  queued,
  report,
  scheduled,
  signal,
  start,
  turn
} from "./entries.js"
import { same } from "./expect.js"

/** The number up to which the owner has something to consume; `undefined`: nothing. */
const dueOf = ({ claim }: Subject, runId: string) =>
  Effect.map(
    claim("a", { workflows: [], leaseUntil: at + 1_000 }),
    ({ due }) => due.find((each) => each.runId === runId)?.dueSeq
  )

export const owners = theme(
  "owners",
  behaviour(
    "only the owner appends, and only in its epoch; whatever is refused writes nothing",
    (subject) =>
      Effect.gen(function*() {
        const { claim, kinds, record, store, tags, write } = subject
        yield* write(start("r"), free("free"))
        yield* same(
          "the receipts",
          yield* tags(
            append("r", [turn(1)], { worker: "b" }),
            append("r", [turn(1)], { epoch: 0 }),
            append("r", [turn(1)], { epoch: 2 }),
            append("free", [turn(1)], { epoch: 0 }),
            append("free", [turn(1)]),
            append("unknown", [turn(1)]),
            block("r", "why", { worker: "b" }),
            block("r", "why", { epoch: 2 }),
            block("unknown", "why")
          ),
          Array.from({ length: 9 }, () => "Fenced")
        )
        yield* same("nothing was written", [
          yield* kinds("r"),
          yield* kinds("free"),
          yield* kinds("unknown"),
          yield* record("unknown"),
          (yield* record("r"))?.blocked
        ], [["RunStarted"], ["RunStarted"], [], undefined, undefined])

        yield* claim("b")
        yield* store.release("a")
        yield* same("after a release", yield* tags(append("r", [turn(1)])), ["Fenced"])
        yield* same("the next epoch", (yield* claim("a")).runs.map(({ epoch, runId }) => [runId, epoch]), [["r", 2]])
        yield* same("the epoch before", yield* tags(append("r", [turn(1)])), ["Fenced"])
        yield* same("this one", yield* tags(append("r", [turn(1)], { epoch: 2 })), ["Appended"])
        yield* same("what was written", yield* kinds("r"), ["RunStarted", "TurnTaken"])
      })
  ),
  behaviour("a run is due from an arrival to the turn that has consumed it", (subject) =>
    Effect.gen(function*() {
      const { write } = subject
      yield* write(start("r"))
      yield* same("as it begins", yield* dueOf(subject, "r"), 1)
      yield* write(append("r", [turn(1), scheduled(1), scheduled(2), entries.timer(3, at)]))
      yield* same("after its first turn", yield* dueOf(subject, "r"), undefined)
      yield* write(append("r", [completed(1), turn(5, 1)]))
      yield* same("after a turn that carries what has arrived", yield* dueOf(subject, "r"), undefined)
      yield* write(append("r", [completed(2)]))
      yield* same("what lands while a turn is under way", yield* dueOf(subject, "r"), 8)
      yield* write(append("r", [turn(7), scheduled(4)]))
      yield* same("a turn that has not seen it", yield* dueOf(subject, "r"), 8)
      yield* write(append("r", [entries.fired(3), turn(10, 1)]))
      yield* same("a later one that has", yield* dueOf(subject, "r"), undefined)
      yield* write(append("r", [entries.attemptFailed(4, 1)]))
      yield* same("a failed attempt is no arrival", yield* dueOf(subject, "r"), undefined)
      yield* write(report("r", entries.failed(4)), post("r", signal()))
      yield* same("of several the last", yield* dueOf(subject, "r"), 15)
      yield* write(append("r", [turn(14)]))
      yield* same("a turn that has seen all but the last", yield* dueOf(subject, "r"), 15)
      yield* write(append("r", [turn(15)]))
      yield* same("in the end", yield* dueOf(subject, "r"), undefined)
    })),
  behaviour(
    "every arrival makes a run due; many that come before a turn are one thing to do",
    (subject) =>
      Effect.gen(function*() {
        const { write } = subject
        const arrivals = [
          completed(1),
          entries.failed(1),
          entries.fired(2),
          { _tag: "ChildClosed" as const, target: 3, at, runId: "c", outcome: "Success" as const, payload: null },
          { _tag: "SendAnswered" as const, target: 4, at, outcome: "Delivered" as const },
          signal(),
          cancelRequest
        ]
        yield* write(start("all"), append("all", [turn(1)]))
        for (const [i, arrival] of arrivals.entries()) {
          const runId = `r${i}`
          yield* write(start(runId), append(runId, [turn(1)]), append(runId, [arrival]), append("all", [arrival]))
          yield* same(`after ${arrival._tag}`, yield* dueOf(subject, runId), 3)
          yield* same("after all of them", yield* dueOf(subject, "all"), i + 3)
        }
        const { due } = yield* subject.claim("a", { workflows: [] })
        yield* same("each run is there once", due.length, arrivals.length + 1)
      })
  ),
  behaviour(
    "a turn that carries an end which somebody else has written is outrun",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, store, tags, write } = subject
        yield* write(start("r"))
        yield* write(append("r", [turn(1), queued(1), queued(2), queued(3), scheduled(4), scheduled(5)]))
        yield* write(report("r", completed(1)))
        yield* same(
          "the receipts",
          yield* tags(
            append("r", [completed(1), turn(7, 1), entries.timer(6, at)]),
            append("r", [entries.failed(1), turn(7, 1)]),
            // Another end, which nobody else has written.
            append("r", [completed(4), turn(7, 1)]),
            // It has seen the end, and so carries none.
            append("r", [turn(8)])
          ),
          ["Conflict", "Conflict", "Appended", "Appended"]
        )
        yield* same("nothing of what was outrun is written", (yield* kinds("r")).slice(7), [
          "ActivityCompleted",
          "ActivityCompleted",
          "TurnTaken",
          "TurnTaken"
        ])
        yield* same("nor pending", (yield* store.pending("r")).timers, [])
        yield* same(
          "in one group, where the end stands before the turn",
          yield* tags(report("r", completed(2)), append("r", [completed(2), turn(11, 1)])),
          ["Posted", "Conflict"]
        )
        yield* same(
          "where the owner has written meanwhile, it is not",
          yield* tags(append("r", [entries.attemptFailed(5, 1)]), append("r", [completed(5), turn(12, 1)])),
          ["Appended", "Appended"]
        )
        yield* same(
          "in a group that begins the run, it is not",
          yield* tags(
            start("s"),
            append("s", [turn(1), scheduled(1), scheduled(2)]),
            append("s", [completed(1), turn(4, 1)]),
            append("s", [completed(2), turn(4, 1)])
          ),
          ["Started", "Appended", "Appended", "Appended"]
        )
      })
  ),
  behaviour("a run goes on as another one only when it has seen everything", (subject) =>
    Effect.gen(function*() {
      const { kinds, record, tags, write } = subject
      yield* write(start("r"), append("r", [turn(1)]))
      yield* write(post("r", signal()))
      yield* same("unseen", yield* tags(entries.goOn("r", 2, "s")), ["Conflict"])
      yield* same("in one group", yield* tags(post("r", signal()), entries.goOn("r", 3, "s")), ["Posted", "Conflict"])
      yield* same("nothing is written", [yield* kinds("r"), yield* record("s")], [
        ["RunStarted", "TurnTaken", "SignalReceived", "SignalReceived"],
        undefined
      ])
      yield* same("seen", yield* tags(entries.goOn("r", 4, "s")), ["Appended"])
      yield* same(
        "a run that ends need not have seen all",
        yield* tags(
          start("t"),
          append("t", [turn(1)]),
          post("t", signal()),
          entries.lastTurn("t", 2)
        ),
        ["Started", "Appended", "Posted", "Appended"]
      )
    })),
  behaviour("why a run is blocked is kept until it is not", (subject) =>
    Effect.gen(function*() {
      const { claim, kinds, receipt, record, store, write } = subject
      yield* write(start("r"))
      yield* same("the receipt", yield* receipt(block("r", "line 1\n\"line 2\"")), { _tag: "Recorded" })
      yield* same("its record", (yield* record("r"))?.blocked, "line 1\n\"line 2\"")
      yield* store.release("a")
      yield* same("a claim says so", (yield* claim("b")).runs.map(({ blocked }) => blocked), [true])
      yield* write(block("r", undefined, { worker: "b", epoch: 2 }))
      yield* same("its record, when it can go on", (yield* record("r"))?.blocked, undefined)
      yield* store.release("b")
      yield* same("a claim then", (yield* claim("a")).runs.map(({ blocked }) => blocked), [false])
      yield* same("it is no event", yield* kinds("r"), ["RunStarted"])
    })),
  behaviour("what is repeated is not written twice", (subject) =>
    Effect.gen(function*() {
      const { kinds, tags, write } = subject
      yield* write(start("r"), append("r", [turn(1), queued(1), scheduled(2)]))
      const repeated = [
        start("r"),
        post("r", signal({ id: "once" })),
        report("r", completed(1)),
        append("r", [completed(2), turn(4, 1)]),
        entries.lastTurn("r", 8)
      ]
      yield* same("the first time", yield* tags(...repeated), [
        "Started",
        "Posted",
        "Posted",
        "Appended",
        "Appended"
      ])
      const written = yield* kinds("r")
      yield* same("the second time", yield* tags(...repeated.slice(0, 1)), ["Started"])
      yield* same("the rest", yield* tags(...repeated.slice(1)), ["NotOpen", "NotPending", "Fenced", "Fenced"])
      yield* same("the history", yield* kinds("r"), written)
      yield* write(start("s"), append("s", [turn(1), queued(1), scheduled(2)]))
      const open = [
        post("s", signal({ id: "once" })),
        report("s", completed(1)),
        append("s", [completed(2), turn(4, 1)])
      ]
      yield* same("of an open run", yield* tags(...open), ["Posted", "Posted", "Appended"])
      yield* same("again", yield* tags(...open), ["Duplicate", "NotPending", "Conflict"])
      yield* same("its history", (yield* kinds("s")).length, 8)
    }))
)
