/**
 * What becomes of the attempts of activities.
 */
import * as Effect from "effect/Effect"
import type { PendingActivity } from "../../../Workflow/Journal.js"
import { behaviour, type Subject, theme } from "./behaviour.js"
import {
  append,
  at,
  attemptFailed,
  beat,
  completed,
  failed,
  queued,
  report,
  scheduled,
  start,
  turn
} from "./entries.js"
import { same } from "./expect.js"

const pendingActivity = (runId: string, options?: Partial<PendingActivity>): PendingActivity => ({
  workflow: "W",
  workflowId: `id of ${runId}`,
  runId,
  scheduled: { ...queued(1), seq: 3 },
  attempt: 1,
  notBefore: 0,
  startedAt: undefined,
  outside: false,
  beatAt: undefined,
  details: undefined,
  ...options
})

/** The only activity that is pending in the run `r`. */
const pendingOf = ({ store }: Subject) => Effect.map(store.pending("r"), ({ activities }) => activities)

export const attempts = theme(
  "attempts",
  behaviour("an end that is reported is in the history, and the owner is told", (subject) =>
    Effect.gen(function*() {
      const { claim, receipt, store, write } = subject
      yield* write(start("r"), append("r", [turn(1), queued(1), scheduled(2)]))
      yield* same("the receipt", yield* receipt(report("r", completed(1, "\"ok\""))), {
        _tag: "Posted",
        runId: "r",
        notifications: [{ _tag: "Posted", owner: "a", runId: "r", event: { ...completed(1, "\"ok\""), seq: 5 } }]
      })
      yield* same("what is pending", (yield* pendingOf(subject)).map(({ scheduled }) => scheduled.command), [2])
      yield* same("what is due", (yield* claim("a", { workflows: [] })).due, [{ runId: "r", dueSeq: 5 }])
      yield* write(report("r", failed(2)))
      yield* same("the history", (yield* store.history("r")).slice(4), [
        { ...completed(1, "\"ok\""), seq: 5 },
        { ...failed(2), seq: 6 }
      ])
    })),
  behaviour(
    "an attempt that is over cannot be reported again, whatever is said of it",
    ({ kinds, tags, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), append("r", [turn(1), queued(1), queued(2), queued(3), scheduled(4)]))
        yield* write(append("r", [{ _tag: "ActivityCancelled", command: 5, target: 3 }, completed(4), turn(6, 1)]))
        yield* same(
          "the receipts",
          yield* tags(
            report("r", completed(1)),
            report("r", completed(1)),
            report("r", failed(1)),
            report("r", attemptFailed(1, 1)),
            report("r", failed(2)),
            report("r", completed(2)),
            report("r", completed(3)),
            report("r", completed(4)),
            report("r", completed(99)),
            report("unknown", completed(1))
          ),
          [
            "Posted",
            "NotPending",
            "NotPending",
            "NotPending",
            "Posted",
            ...Array.from({ length: 5 }, () => "NotPending")
          ]
        )
        yield* same("of another transaction", yield* tags(report("r", completed(1)), report("r", completed(3))), [
          "NotPending",
          "NotPending"
        ])
        yield* same(
          "nor can one that fails once more after its end",
          yield* tags(
            append("r", [attemptFailed(1, 1)]),
            report("r", completed(1)),
            report("r", completed(1), { attempt: 2 })
          ),
          ["Appended", "NotPending", "NotPending"]
        )
        yield* same("ends in the history", (yield* kinds("r")).slice(-3), [
          "ActivityCompleted",
          "ActivityFailed",
          "AttemptFailed"
        ])
      })
  ),
  behaviour(
    "a secret is kept for as long as its attempt is pending, and the first one stays",
    ({ receipt, store, write }) =>
      Effect.gen(function*() {
        const secret = (command: number, attempt = 1) => store.secret({ runId: "r", command, attempt })
        yield* same("of no run", yield* secret(1), undefined)
        yield* write(start("r"), append("r", [turn(1), queued(1), scheduled(2)]))
        yield* same("before there is one", yield* secret(1), undefined)
        yield* write(beat("r", 1, { secret: "one" }))
        yield* write(beat("r", 1, { secret: "two" }), beat("r", 1))
        yield* same("the first", yield* secret(1), "one")
        yield* same("of another activity", yield* secret(2), undefined)
        yield* same("of another attempt", yield* secret(1, 2), undefined)
        yield* write(report("r", attemptFailed(1, 1), { attempt: 1 }))
        yield* same("of an attempt that is over", yield* secret(1), undefined)
        yield* same("of the next attempt", yield* secret(1, 2), undefined)
        yield* same("too late", yield* receipt(beat("r", 1, { secret: "three" })), { _tag: "NotPending" })
        yield* write(beat("r", 1, { attempt: 2, secret: "four" }))
        yield* same("its own", yield* secret(1, 2), "four")
        yield* write(report("r", completed(1), { attempt: 2 }))
        yield* same("of an activity that has ended", yield* secret(1, 2), undefined)
      })
  ),
  behaviour("a failed attempt is followed by the next one, not before its time", (subject) =>
    Effect.gen(function*() {
      const { claim, kinds, tags, write } = subject
      yield* write(start("r"), append("r", [turn(1), queued(1)]))
      yield* write(beat("r", 1, { details: "\"half\"" }))
      yield* same("the receipt", yield* tags(report("r", attemptFailed(1, 1, at + 70), { attempt: 1 })), ["Posted"])
      yield* same("the next attempt, with the details of the last", yield* pendingOf(subject), [
        pendingActivity("r", { attempt: 2, notBefore: at + 70, details: "\"half\"" })
      ])
      yield* same(
        "by the number of its attempt",
        yield* tags(
          report("r", completed(1), { attempt: 1 }),
          report("r", completed(1), { attempt: 3 }),
          report("r", attemptFailed(1, 2, at + 90), { attempt: 2 }),
          report("r", attemptFailed(1, 2, at + 95), { attempt: 2 })
        ),
        ["NotPending", "NotPending", "Posted", "NotPending"]
      )
      yield* write(append("r", [attemptFailed(1, 3, at + 99)]))
      yield* same("also where its owner writes it", yield* pendingOf(subject), [
        pendingActivity("r", { attempt: 4, notBefore: at + 99, details: "\"half\"" })
      ])
      yield* same("without a number: whichever is pending", yield* tags(report("r", completed(1))), ["Posted"])
      yield* same("the history", (yield* kinds("r")).slice(3), [
        "AttemptFailed",
        "AttemptFailed",
        "AttemptFailed",
        "ActivityCompleted"
      ])
      yield* same("a failed attempt wakes nobody", (yield* claim("a", { workflows: [] })).due, [{
        runId: "r",
        dueSeq: 7
      }])
    })),
  behaviour(
    "a worker reports only what it has taken; a time-out is reported by anybody",
    (subject) =>
      Effect.gen(function*() {
        const { tags, take, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1), queued(2), queued(3)]))
        yield* take("b", { limit: 2 })
        yield* same(
          "the receipts",
          yield* tags(
            report("r", completed(1), { attempt: 1, worker: "c" }),
            report("r", completed(3), { attempt: 1, worker: "b" }),
            report("r", completed(1), { attempt: 1, worker: "b" }),
            report("r", failed(2), { attempt: 1 })
          ),
          ["NotPending", "NotPending", "Posted", "Posted"]
        )
        yield* take("b", { limit: 1 })
        yield* same(
          "a failed attempt belongs to nobody",
          yield* tags(
            report("r", attemptFailed(3, 1), { attempt: 1, worker: "b" }),
            report("r", completed(3), { attempt: 2, worker: "b" })
          ),
          ["Posted", "NotPending"]
        )
      })
  ),
  behaviour("a limit of the wait for a start holds only until the start", (subject) =>
    Effect.gen(function*() {
      const { kinds, store, tags, take, write } = subject
      yield* write(start("r"), append("r", [turn(1), queued(1), queued(2), scheduled(3), scheduled(4), queued(5)]))
      yield* take("b", { limit: 1 })
      yield* write(beat("r", 3, { outside: true }), beat("r", 4))
      const unstarted = (command: number) => report("r", failed(command), { unstarted: true })
      yield* same(
        "the receipts",
        yield* tags(unstarted(1), unstarted(2), unstarted(3), unstarted(4)),
        ["NotPending", "Posted", "NotPending", "Posted"]
      )
      yield* same(
        "what starts in the same group has started",
        yield* tags(beat("r", 5, { outside: true }), unstarted(5)),
        ["Recorded", "NotPending"]
      )
      yield* store.release("b")
      yield* same("what was given up has not", yield* tags(unstarted(1)), ["Posted"])
      yield* same("the history", (yield* kinds("r")).slice(7), [
        "ActivityFailed",
        "ActivityFailed",
        "ActivityFailed"
      ])
    })),
  behaviour("nothing ends by itself, however late it is", (subject) =>
    Effect.gen(function*() {
      const { claim, kinds, take, write } = subject
      const limits = { scheduleToStart: 1, startToClose: 2, scheduleToClose: 3, heartbeat: 1 }
      yield* write(start("r", { started: { runTimeout: 1 } }), append("r", [turn(1), queued(1, limits)]))
      const late = at + 1_000_000
      yield* claim("b", { now: late, leaseUntil: late + 1 })
      const { attempts } = yield* take("b", { now: late })
      const taken = pendingActivity("r", { scheduled: { ...queued(1, limits), seq: 3 }, startedAt: late })
      yield* same("what is taken has its limits, and when it started", attempts, [taken])
      yield* same("what is pending", yield* pendingOf(subject), [taken])
      yield* same("the history", (yield* kinds("r")).length, 3)
      yield* write(report("r", failed(1)))
      yield* same("of several limits the first that is reported counts", yield* pendingOf(subject), [])
    })),
  behaviour(
    "a heartbeat is kept with its attempt, and its details until there are others",
    (subject) =>
      Effect.gen(function*() {
        const { kinds, receipt, store, take, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1)]))
        yield* same("the receipt", yield* receipt(beat("r", 1, { at: at + 1, details: "1" })), { _tag: "Recorded" })
        yield* same("the first", yield* pendingOf(subject), [pendingActivity("r", { beatAt: at + 1, details: "1" })])
        yield* write(beat("r", 1, { at: at + 2 }))
        yield* same("one without details", yield* pendingOf(subject), [
          pendingActivity("r", { beatAt: at + 2, details: "1" })
        ])
        yield* write(beat("r", 1, { at: at + 3, details: "2" }), beat("r", 1, { at: at + 4, details: "3" }))
        yield* same("two in a group", yield* pendingOf(subject), [
          pendingActivity("r", { beatAt: at + 4, details: "3" })
        ])
        const { attempts } = yield* take("b", { now: at + 5 })
        const taken = pendingActivity("r", { startedAt: at + 5, details: "3" })
        yield* same("who takes the attempt has the details", attempts, [taken])
        yield* write(report("r", attemptFailed(1, 1)))
        yield* same("the next attempt has them, and no heartbeat", yield* pendingOf(subject), [
          pendingActivity("r", { attempt: 2, notBefore: at, details: "3" })
        ])
        yield* store.release("a")
        const claimed = yield* subject.claim("b")
        yield* same("a claim gives them", claimed.activities, yield* pendingOf(subject))
        yield* same("it is no event", yield* kinds("r"), [
          "RunStarted",
          "TurnTaken",
          "ActivityScheduled",
          "AttemptFailed"
        ])
      })
  ),
  behaviour(
    "a heartbeat of another attempt, another worker, or of nothing is refused and changes nothing",
    (subject) =>
      Effect.gen(function*() {
        const { tags, take, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1)]))
        yield* take("b")
        yield* same(
          "the receipts",
          yield* tags(
            beat("r", 1, { attempt: 2, details: "1" }),
            beat("r", 1, { worker: "c", details: "1", outside: true }),
            beat("r", 2, { details: "1" }),
            beat("unknown", 1),
            beat("r", 1, { worker: "b", at: at + 9 })
          ),
          ["NotPending", "NotPending", "NotPending", "NotPending", "Recorded"]
        )
        yield* same("what is pending", yield* pendingOf(subject), [
          pendingActivity("r", { startedAt: at, beatAt: at + 9 })
        ])
        yield* same(
          "after a failed attempt, in one group",
          yield* tags(report("r", attemptFailed(1, 1)), beat("r", 1, { attempt: 1 }), beat("r", 1, { attempt: 2 })),
          ["Posted", "NotPending", "Recorded"]
        )
        yield* same(
          "after the end, in one group",
          yield* tags(report("r", completed(1)), beat("r", 1, { attempt: 2 })),
          [
            "Posted",
            "NotPending"
          ]
        )
      })
  ),
  behaviour(
    "an attempt that is completed from outside has started, and nobody takes it",
    (subject) =>
      Effect.gen(function*() {
        const { store, tags, take, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1)]))
        yield* take("b", { now: at + 1 })
        yield* store.heartbeat("b", at + 5)
        yield* write(beat("r", 1, { worker: "b", at: at + 2, outside: true }))
        const outside = pendingActivity("r", { startedAt: at + 1, beatAt: at + 2, outside: true })
        yield* same("what is pending", yield* pendingOf(subject), [outside])
        yield* write(beat("r", 1, { at: at + 3 }))
        yield* same("it stays outside", (yield* pendingOf(subject))[0]?.outside, true)
        yield* same("when its worker is dead", (yield* take("c", { now: at + 10 })).attempts, [])
        yield* store.release("b")
        yield* same("when its worker has gone", (yield* take("c", { now: at + 10 })).attempts, [])
        yield* same("it has started all the same", yield* pendingOf(subject), [{ ...outside, beatAt: at + 3 }])
        yield* same("its end", yield* tags(report("r", attemptFailed(1, 1), { attempt: 1 })), ["Posted"])
        yield* same("the next attempt is not outside", (yield* take("c", { now: at + 10 })).attempts, [
          pendingActivity("r", { attempt: 2, notBefore: at, startedAt: at + 10 })
        ])
      })
  ),
  behaviour(
    "one that is completed from outside without a queue has started at that heartbeat",
    (subject) =>
      Effect.gen(function*() {
        const { tags, write } = subject
        yield* write(start("r"), append("r", [turn(1), scheduled(1)]))
        yield* write(beat("r", 1, { at: at + 2, outside: true }), beat("r", 1, { at: at + 4, outside: true }))
        yield* same("what is pending", yield* pendingOf(subject), [
          pendingActivity("r", {
            scheduled: { ...scheduled(1), seq: 3 },
            startedAt: at + 2,
            beatAt: at + 4,
            outside: true
          })
        ])
        yield* same("its end, once", yield* tags(report("r", completed(1)), report("r", completed(1))), [
          "Posted",
          "NotPending"
        ])
      })
  ),
  behaviour(
    "what a group schedules can be reported in the same group",
    ({ kinds, store, tags }) =>
      Effect.gen(function*() {
        yield* same(
          "the receipts",
          yield* tags(
            start("r"),
            report("r", completed(1)),
            append("r", [turn(1), queued(1), queued(2)]),
            beat("r", 2, { details: "1" }),
            report("r", completed(1), { attempt: 1 }),
            report("r", completed(1)),
            report("r", attemptFailed(2, 1), { attempt: 1 }),
            report("r", failed(2), { attempt: 1 })
          ),
          ["Started", "NotPending", "Appended", "Recorded", "Posted", "NotPending", "Posted", "NotPending"]
        )
        yield* same("the history", (yield* kinds("r")).slice(4), ["ActivityCompleted", "AttemptFailed"])
        yield* same(
          "what is pending",
          (yield* store.pending("r")).activities.map(({ attempt, details, scheduled }) => [
            scheduled.command,
            attempt,
            details
          ]),
          [[2, 2, "1"]]
        )
      })
  )
)
