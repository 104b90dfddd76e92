/**
 * Who owns which run: claims, leases, releases, and runs that may be what kills their owners.
 */
import * as Effect from "effect/Effect"
import type { Claimed } from "../../../Workflow/Journal.js"
import { behaviour, type Subject, theme } from "./behaviour.js"
import {
  append,
  at,
  attemptFailed,
  cancelRequest,
  completed,
  free,
  lastTurn,
  post,
  queued,
  report,
  scheduled,
  signal,
  start,
  timer,
  turn
} from "./entries.js"
import { same, sameSet } from "./expect.js"

const idsOf = ({ runs }: Claimed): ReadonlyArray<string> => runs.map(({ runId }) => runId)

export const claims = theme(
  "claims",
  behaviour(
    "a run that nobody owns is claimed once, with what its owner has to know",
    ({ claim, write }) =>
      Effect.gen(function*() {
        yield* same("nothing", yield* claim("b"), {
          due: [],
          moreQuarantined: false,
          runs: [],
          activities: [],
          timers: []
        })
        yield* write(free("r", { started: { runTimeout: 100 } }))
        yield* same("the claim", yield* claim("b"), {
          due: [],
          moreQuarantined: false,
          runs: [{
            runId: "r",
            workflowId: "id of r",
            workflow: "W",
            startedAt: at,
            deadline: at + 100,
            cancelBy: undefined,
            epoch: 1,
            due: true,
            blocked: false
          }],
          activities: [],
          timers: []
        })
        yield* same("by another worker", (yield* claim("c")).runs, [])
        const again = yield* claim("b")
        yield* same("by the same worker", [again.runs, again.due], [[], [{ runId: "r", dueSeq: 1 }]])
      })
  ),
  behaviour(
    "a request to end may say by when: the earliest of these times is for every owner to keep",
    ({ claim, write }) =>
      Effect.gen(function*() {
        yield* write(free("r"))
        yield* write(
          post("r", { ...cancelRequest, by: at + 900 }),
          post("r", cancelRequest),
          post("r", { ...cancelRequest, by: at + 500 }),
          post("r", { ...cancelRequest, by: at + 700 })
        )
        yield* same("the claim", (yield* claim("b")).runs.map(({ cancelBy }) => cancelBy), [at + 500])
      })
  ),
  behaviour(
    "one claim gives the runs of several workflows, and no others",
    ({ claim, write }) =>
      Effect.gen(function*() {
        yield* write(
          free("r1"),
          free("r2", { workflow: "V" }),
          free("r3", { workflow: "U" }),
          free("r4"),
          start("owned")
        )
        yield* write(append("owned", [turn(1)]))
        const some = yield* claim("b", { workflows: ["W", "V", "unknown"] })
        yield* sameSet("the runs", idsOf(some), ["r1", "r2", "r4"])
        yield* same("none", idsOf(yield* claim("b", { workflows: [] })), [])
        yield* same("the rest", idsOf(yield* claim("b", { workflows: ["U"] })), ["r3"])
      })
  ),
  behaviour("what is pending in claimed runs comes with them", ({ claim, store, write }) =>
    Effect.gen(function*() {
      yield* write(start("r"), free("none"), start("other"))
      yield* write(
        append("r", [turn(1), scheduled(1), queued(2), scheduled(3), timer(4, at + 77), timer(5, at + 66)]),
        append("r", [attemptFailed(1, 4, at + 55), completed(3), turn(9, 1)]),
        append("other", [turn(1), scheduled(1), timer(2, at)])
      )
      const { activities, timers } = yield* store.pending("r")
      yield* store.heartbeat("a", at + 10)
      yield* store.heartbeat("z", at + 10)
      const early = yield* claim("b")
      yield* same("a run without anything", [idsOf(early), early.activities, early.timers], [["none"], [], []])
      yield* write(lastTurn("other", 4))
      const claimed = yield* claim("b", { now: at + 10, leaseUntil: at + 20 })
      yield* same("the run", claimed.runs.map(({ due, epoch, runId }) => [runId, epoch, due]), [["r", 2, false]])
      yield* same("its activities", claimed.activities, activities)
      yield* same(
        "their attempts",
        activities.map(({ attempt, notBefore, scheduled }) => [
          scheduled.command,
          attempt,
          notBefore
        ]),
        [[1, 5, at + 55], [2, 1, 0]]
      )
      yield* sameSet("its timers", claimed.timers, timers)
    })),
  behaviour(
    "a run is taken over when the lease of its owner is over, and its history is as it was",
    (subject) =>
      Effect.gen(function*() {
        const { claim, record, store, tags, write } = subject
        yield* write(free("r"))
        yield* claim("a", { now: at, leaseUntil: at + 10 })
        yield* write(append("r", [turn(1), queued(1)]))
        const [history, before] = [yield* store.history("r"), yield* record("r")]
        yield* same("while its owner lives", idsOf(yield* claim("b", { now: at + 9, leaseUntil: at + 100 })), [])
        const { runs } = yield* claim("b", { now: at + 10, leaseUntil: at + 100 })
        yield* same("the claim", runs, [{
          runId: "r",
          workflowId: "id of r",
          workflow: "W",
          startedAt: at,
          deadline: undefined,
          epoch: 2,
          due: false,
          blocked: false
        }])
        yield* same("its history and record", [yield* store.history("r"), yield* record("r")], [history, before])
        yield* same("the old owner", yield* tags(append("r", [turn(1)])), ["Fenced"])
        yield* same("the new one", yield* tags(append("r", [turn(1)], { worker: "b", epoch: 2 })), ["Appended"])
        yield* same("it is not claimed back", idsOf(yield* claim("a", { now: at + 50, leaseUntil: at + 60 })), [])
      })
  ),
  behaviour(
    "a claim or a heartbeat keeps what a worker owns; without a lease it lives for ever",
    (subject) =>
      Effect.gen(function*() {
        const { claim, store, write } = subject
        yield* write(start("r"))
        yield* same("no lease", idsOf(yield* claim("b", { now: at + 10 ** 9 })), [])
        yield* claim("a", { workflows: [], now: at, leaseUntil: at + 10 })
        yield* store.heartbeat("a", at + 100)
        yield* store.heartbeat("a", at + 100)
        yield* same("after a heartbeat", idsOf(yield* claim("b", { now: at + 99 })), [])
        yield* claim("a", { workflows: [], now: at + 99, leaseUntil: at + 200 })
        yield* same("after a claim", idsOf(yield* claim("b", { now: at + 199 })), [])
        yield* store.heartbeat("a", at + 150)
        yield* same("a lease may also become shorter", idsOf(yield* claim("b", { now: at + 199 })), ["r"])
        yield* same(
          "a worker that claims after its lease keeps what it has",
          idsOf(yield* claim("b", { now: at + 10 ** 6, leaseUntil: at + 10 ** 7 })),
          []
        )
      })
  ),
  behaviour("a lease of no end is never over", ({ claim, store, write }) =>
    Effect.gen(function*() {
      yield* write(start("r"))
      yield* store.heartbeat("a", Infinity)
      yield* same("long after", idsOf(yield* claim("b", { now: Number.MAX_SAFE_INTEGER, leaseUntil: Infinity })), [])
    })),
  behaviour("a release gives up everything at once, as often as it is asked for", (subject) =>
    Effect.gen(function*() {
      const { claim, store, take, write } = subject
      yield* write(start("r1"), start("r2"), start("done"), start("other", { worker: "z" }))
      yield* write(append("r1", [turn(1), queued(1)]), lastTurn("done", 1))
      yield* store.heartbeat("a", at + 1_000)
      yield* take("a")
      yield* store.release("a")
      yield* store.release("a")
      yield* store.release("nobody")
      yield* same("what it has taken", yield* store.taken("a"), [])
      const claimed = yield* claim("b")
      yield* sameSet("its runs", idsOf(claimed), ["r1", "r2"])
      yield* same("their epoch", claimed.runs.map(({ epoch }) => epoch), [2, 2])
      yield* same("its attempt has not started", claimed.activities.map(({ startedAt }) => startedAt), [undefined])
      yield* same("others keep theirs", (yield* claim("z", { workflows: [] })).due.length, 1)
    })),
  behaviour(
    "runs that others have written to are due for their owner, each up to its last arrival",
    (subject) =>
      Effect.gen(function*() {
        const { claim, store, write } = subject
        const names = Array.from({ length: 100 }, (_, i) => `r${i}`)
        yield* write(
          ...names.map((name) => start(name)),
          start("not mine", { worker: "z" }),
          free("free", { workflow: "V" })
        )
        yield* write(...names.map((name) => append(name, [turn(1), queued(1)])))
        yield* same("nothing", (yield* claim("a")).due, [])
        yield* write(post("r1", signal()), post("r1", signal()), report("r2", completed(1)), post("not mine", signal()))
        yield* sameSet("what is due", (yield* claim("a")).due, [{ runId: "r1", dueSeq: 5 }, { runId: "r2", dueSeq: 4 }])
        yield* sameSet("it stays due until a turn", (yield* claim("a")).due.map(({ runId }) => runId), ["r1", "r2"])
        yield* write(append("r1", [turn(5)]), lastTurn("r2", 3))
        yield* same("after turns", (yield* claim("a")).due, [])
        yield* store.release("a")
        yield* write(post("r1", signal()))
        const back = yield* claim("a")
        yield* same("what is claimed is not due beside that", back.due, [])
        yield* same("it says so itself", back.runs.filter(({ due }) => due).map(({ runId }) => runId), ["r1"])
        yield* same("all are back", back.runs.length, 99)
      })
  ),
  behaviour(
    "a run that has outlived three owners while they had something to do is in quarantine",
    (subject) =>
      Effect.gen(function*() {
        const { claim, record, store, tags, write } = subject
        yield* write(free("idle"), free("busy"), free("pending"), free("worst"))
        const die = dying(subject)
        yield* claim("w0", { leaseUntil: at + 1 })
        yield* write(
          append("idle", [turn(1)], { worker: "w0" }),
          append("pending", [turn(1), scheduled(1)], { worker: "w0" })
        )
        yield* same("one death", (yield* die(10)).length, 4)
        yield* same("two", (yield* die(10)).length, 4)
        yield* same("three", (yield* die(10)).length, 4)
        yield* sameSet("then none without a leave, but who had nothing to do", yield* die(0), ["idle"])
        const more = yield* die.claim(2)
        yield* same("as many as are wanted, and whether there are more", [more.runs.length, more.moreQuarantined], [
          3,
          true
        ])
        const rest = yield* die.claim(1)
        // The one that was left has died less often than the others.
        const first = rest.runs.find(({ runId }) => runId !== "idle")
        yield* same("those with the fewest deaths come first", [
          first !== undefined && !more.runs.some(({ runId }) => runId === first.runId),
          rest.moreQuarantined
        ], [true, true])
        const all = yield* die.claim(3)
        yield* same("all, and no more", [all.runs.length, all.moreQuarantined], [4, false])

        const busy = all.runs.find(({ runId }) => runId === "busy")!
        yield* same(
          "its owner appends",
          yield* tags(append("busy", [turn(1), scheduled(1)], { worker: die.owner(), epoch: busy.epoch })),
          ["Appended"]
        )
        yield* sameSet("then it is none any more", yield* die(0), ["idle", "busy"])
        yield* store.release(die.owner())
        yield* same(
          "who gives a run up has not died of it",
          (yield* claim("b", { now: at + 10 ** 6, quarantined: 0 })).runs.length,
          2
        )
        yield* same("nothing of that is in the history", (yield* record("worst"))?.events, 1)
      })
  ),
  behaviour(
    "from six deaths on a run in quarantine rests, each time twice as long",
    (subject) =>
      Effect.gen(function*() {
        const { write } = subject
        yield* write(free("r"))
        const die = dying(subject)
        // The first claim is not from a dead owner; each of the next is one death more.
        for (let claims = 0; claims < 6; claims++) yield* die(1)
        for (let deaths = 6; deaths < 17; deaths++) {
          yield* same(`it is claimed, death ${deaths}`, yield* die(1), ["r"])
          const rest = 1_000 * 2 ** Math.min(deaths - 6, 8)
          const early = yield* die.claim(1, rest - 1)
          yield* same(`it rests for ${rest} ms`, [early.runs, early.moreQuarantined], [[], false])
        }
      })
  )
)

/** Claims with ever new workers, each of which is dead a millisecond later. */
const dying = ({ claim }: Subject) => {
  let now = at
  let workers = 0
  const next = (quarantined: number, after = 1) =>
    claim(`w${++workers}`, { now: now += after, leaseUntil: now + 1, quarantined })
  return Object.assign((quarantined: number) => Effect.map(next(quarantined), idsOf), {
    claim: next,
    owner: () => `w${workers}`
  })
}
