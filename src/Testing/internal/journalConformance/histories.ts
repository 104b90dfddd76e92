/**
 * What is written is what is read.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Event, Unsequenced } from "../../../Workflow/Event.js"
import { behaviour, theme } from "./behaviour.js"
import * as entries from "./entries.js"
import { append, at, completed, post, queued, report, signal, start, termination, turn } from "./entries.js"
import { same } from "./expect.js"

/** One of each kind that an owner writes, with all its fields. */
const everyKind: ReadonlyArray<Unsequenced<Event>> = [
  turn(1),
  entries.scheduled(1, {
    retry: { _tag: "Policy", times: [1, 2.5, null], nested: { any: ["json", true] } },
    scheduleToStart: 1,
    startToClose: 2,
    scheduleToClose: 3,
    heartbeat: 4,
    payload: "\"é\\u0000\""
  }),
  queued(2),
  entries.timer(3, at + 2 ** 42),
  { _tag: "TimerCancelled", command: 4, target: 3 },
  entries.child(5, { parentClose: "abandon", runTimeout: 60_000, executionDeadline: at + 60_000 }),
  entries.left(6, 5),
  entries.signalSent(7, "nobody", { id: "once" }),
  entries.cancelSent(8, "nobody"),
  { _tag: "SideEffectRecorded", command: 9, label: "a label", payload: null },
  completed(1, "{\"ok\":[]}"),
  entries.failed(2),
  { ...entries.failed(2), failure: { reason: "TimedOut", timeout: "heartbeat", message: "too late" } },
  entries.attemptFailed(2, 1, at + 7),
  entries.fired(3),
  { _tag: "ActivityCancelled", command: 10, target: 1 },
  { _tag: "ChildClosed", target: 5, at, runId: "c", outcome: "Failure", message: "it broke", payload: "1" },
  { _tag: "SendAnswered", target: 7, at, outcome: "NotFound" },
  signal({ id: "two" }),
  entries.cancelRequest,
  {
    _tag: "RunClosed",
    command: 11,
    at,
    outcome: "Defect",
    digest: "",
    next: "elsewhere",
    message: "it died",
    payload: null
  }
]

/** What an id may look like: each is another one, to the byte. */
const ids: ReadonlyArray<string> = [
  " ",
  "a",
  "A",
  "a ",
  "a/b",
  "a/b/1",
  "a|b",
  "1700000000000|a|b",
  "'; DROP TABLE runs; --",
  "\"quoted\" `and` 'so'",
  "%",
  "_",
  "\\",
  "null",
  "__proto__",
  "constructor",
  "line\nbreak\tand tab",
  "é",
  "e\u0301",
  "\u{1F600}",
  "\uFF5E",
  "\u{1D11E}",
  "0",
  "00",
  "x".repeat(2_000)
]

const large = JSON.stringify("0123456789 é \u{1F600} ".repeat(100_000))

export const histories = theme(
  "histories",
  behaviour(
    "events are numbered from 1 without gaps, in the order in which they were written",
    ({ receipt, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("other"))
        yield* same("the first append", yield* receipt(append("r", [turn(1), entries.scheduled(1)])), {
          _tag: "Appended",
          lastSeq: 3,
          notifications: []
        })
        yield* write(append("other", [turn(1)]))
        yield* same("the second append", yield* receipt(append("r", [completed(1), turn(3, 1)])), {
          _tag: "Appended",
          lastSeq: 5,
          notifications: []
        })
        yield* same("nothing is nothing", yield* receipt(append("r", [])), {
          _tag: "Appended",
          lastSeq: 5,
          notifications: []
        })
        const history = yield* store.history("r")
        yield* same("the numbers", history.map(({ seq }) => seq), [1, 2, 3, 4, 5])
        yield* same("what comes after number 3 is what was written after it", history.filter(({ seq }) => seq > 3), [
          { ...completed(1), seq: 4 },
          { ...turn(3, 1), seq: 5 }
        ])
      })
  ),
  behaviour("every event comes back as it was written", ({ store, write }) =>
    Effect.gen(function*() {
      const started = {
        previous: "p",
        first: "f",
        parent: { workflowId: "w", runId: "p" },
        runTimeout: 1_000,
        executionDeadline: at + 9_000,
        payload: "null"
      }
      yield* write(start("r", { started }))
      yield* write(append("r", everyKind))
      yield* same(
        "the history",
        yield* store.history("r"),
        [{ _tag: "RunStarted", at, ...started }, ...everyKind].map((event, i) => ({ ...event, seq: i + 1 }))
      )
      yield* write(start("s", { started: { payload: null } }), post("s", signal()), post("s", termination))
      yield* same("the history of a terminated run", yield* store.history("s"), [
        { _tag: "RunStarted", seq: 1, at, payload: null },
        { ...signal(), seq: 2 },
        { ...termination, seq: 3 }
      ])
      yield* write(start("t"), append("t", [{ _tag: "RunTimedOut", at }]))
      yield* same("the end of a run that took too long", (yield* store.history("t"))[1], {
        _tag: "RunTimedOut",
        seq: 2,
        at
      })
    })),
  behaviour(
    "an unknown run has no history, no record, and nothing pending",
    ({ record, store, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"))
        yield* same("its history", yield* store.history("nobody"), [])
        yield* same("its record", yield* record("nobody"), undefined)
        yield* same("the run of an unknown id", Option.isNone(yield* store.latest("nobody")), true)
        yield* same("what is pending", yield* store.pending("nobody"), { activities: [], timers: [] })
        yield* same("what has closed", yield* store.closed(["nobody"]), [])
        yield* same("what has closed of nothing", yield* store.closed([]), [])
      })
  ),
  behaviour(
    "ids may be any text, and no two are taken for each other",
    ({ claim, store, take, write }) =>
      Effect.gen(function*() {
        yield* write(...ids.map((id) => start(id, { workflowId: id, worker: id, workflow: id })))
        const append = (id: string, events: ReadonlyArray<Unsequenced<Event>>) =>
          entries.append(id, events, { worker: id })
        yield* write(
          ...ids.map((id, i) =>
            append(id, [turn(1), queued(i + 1, { queue: id, activity: id }), entries.timer(i + 101, at + i)])
          )
        )
        yield* write(...ids.map((id) => ({ ...post(id, signal({ signal: id, id })), workflowId: id })))
        for (const [i, id] of ids.entries()) {
          const written = JSON.stringify(id)
          const latest = Option.getOrUndefined(yield* store.latest(id))
          yield* same(`the run of workflow id ${written}`, [latest?.runId, latest?.workflow, latest?.events], [
            id,
            id,
            5
          ])
          yield* same(
            `the history of run ${written}`,
            (yield* store.history(id)).at(-1),
            { ...signal({ signal: id, id }), seq: 5 }
          )
          const pending = yield* store.pending(id)
          yield* same(`the timers of run ${written}`, pending.timers, [{ runId: id, command: i + 101, fireAt: at + i }])
          for (const filter of [{ workflowId: id }, { workflow: id }]) {
            yield* same(`how many runs ${JSON.stringify(filter)} has`, yield* store.count(filter), 1)
          }
          const taken = yield* take(`taker ${id}`, { queue: id, activities: [id] })
          yield* same(`the queue ${written}`, taken.attempts.map(({ runId }) => runId), [id])
          yield* same(`what the worker has taken`, yield* store.taken(`taker ${id}`), [
            { runId: id, command: i + 1, attempt: 1 }
          ])
          yield* same(
            `what is due for worker ${written}`,
            (yield* claim(id, { workflows: [] })).due,
            [{ runId: id, dueSeq: 5 }]
          )
        }
        const runs = yield* store.list({ filter: {}, after: undefined, limit: 100 })
        yield* same("all in one list", runs.length, ids.length)
      })
  ),
  behaviour("large payloads and long histories come back whole", ({ store, write }) =>
    Effect.gen(function*() {
      yield* write(start("r", { started: { payload: large } }))
      const many = Array.from({ length: 1_500 }, (_, i) => entries.timer(i + 1, at + i))
      yield* write(append("r", [turn(1), entries.scheduled(2_000, { payload: large }), ...many]))
      yield* write(
        append("r", many.map(({ command }) => entries.fired(command))),
        post("r", signal({ payload: large }))
      )
      const history = yield* store.history("r")
      yield* same("how many events", history.length, 3 + 2 * many.length + 1)
      yield* same("the numbers", history.every(({ seq }, i) => seq === i + 1), true)
      for (const event of [history[0], history[2], history.at(-1)]) {
        yield* same(
          `the payload of ${event?._tag}`,
          event !== undefined && "payload" in event && event.payload === large,
          true
        )
      }
      yield* same("the last of the many", history.at(-2), { ...entries.fired(1_500), seq: 3 + 2 * many.length })
    })),
  behaviour("numbers and times are exact up to 2^53", ({ claim, record, store, write }) =>
    Effect.gen(function*() {
      const most = Number.MAX_SAFE_INTEGER
      yield* write(start("r", { started: { at: most - 1, executionDeadline: most } }))
      yield* write(append("r", [
        turn(1),
        entries.timer(most, most),
        entries.timer(2 ** 31, 2 ** 31),
        entries.scheduled(most - 1, { at: most, payload: "9007199254740993" }),
        entries.attemptFailed(most - 1, 2 ** 31, most)
      ]))
      yield* same("when it started", (yield* record("r"))?.startedAt, most - 1)
      const { activities, timers } = yield* store.pending("r")
      yield* same("the timers", timers, [
        { runId: "r", command: 2 ** 31, fireAt: 2 ** 31 },
        { runId: "r", command: most, fireAt: most }
      ])
      yield* same(
        "the activity",
        activities.map(({ attempt, notBefore, scheduled }) => [
          attempt,
          notBefore,
          scheduled.command,
          scheduled.at,
          scheduled.payload
        ]),
        [[2 ** 31 + 1, most, most - 1, most, "9007199254740993"]]
      )
      yield* store.release("a")
      const claimed = yield* claim("b", { now: most - 1, leaseUntil: most })
      yield* same("the deadline", claimed.runs.map(({ deadline }) => deadline), [most])
      yield* store.heartbeat("b", most)
      yield* same("a lease until then", (yield* claim("c", { now: most - 1, leaseUntil: most })).runs, [])
      yield* same(
        "a list from then",
        yield* store.count({ startedFrom: most - 1, startedBefore: most }),
        1
      )
    })),
  behaviour(
    "who changes what he was given changes nothing in the store",
    ({ claim, store, take, write }) =>
      Effect.gen(function*() {
        yield* write(start("r", { started: { parent: { workflowId: "w", runId: "p" } } }))
        yield* write(append("r", [
          turn(1),
          queued(1, { retry: { times: 1 } }),
          entries.timer(2, at),
          entries.attemptFailed(1, 1)
        ]))
        yield* write(start("closed"), entries.lastTurn("closed", 1))
        const reads = {
          history: store.history("r"),
          run: Effect.map(store.run("closed"), Option.getOrUndefined),
          latest: Effect.map(store.latest("id of closed"), Option.getOrUndefined),
          list: store.list({ filter: {}, after: undefined, limit: 10 }),
          closed: store.closed(["closed"]),
          pending: store.pending("r"),
          taken: store.taken("b")
        }
        yield* take("b")
        const before = structuredClone(yield* Effect.all(reads))
        for (const given of Object.values(yield* Effect.all(reads))) vandalise(given)
        vandalise(yield* write(start("again", { workflowId: "id of closed" }), post("r", signal())))
        vandalise(yield* claim("a"))
        vandalise(yield* take("c", { now: at + 1 }))
        const { history, ...others } = yield* Effect.all(reads)
        const { history: had, ...hadOthers } = before
        yield* same("the history", history, [...had, { ...signal(), seq: had.length + 1 }])
        vandalise(yield* write(start("new")))
        yield* same("a run that has just begun", yield* store.history("new"), [{
          _tag: "RunStarted",
          seq: 1,
          at,
          payload: "1"
        }])
        yield* same("the rest", { ...others, list: others.list.filter(({ runId }) => runId === "closed") }, {
          ...hadOthers,
          list: hadOthers.list.filter(({ runId }) => runId === "closed")
        })
      })
  ),
  behaviour(
    "who changes what he has written afterwards changes nothing in the store",
    ({ store }) =>
      Effect.gen(function*() {
        const entry = structuredClone(start("r", { started: { parent: { workflowId: "w", runId: "p" } } }))
        const turnOfIt = structuredClone(append("r", [turn(1), entries.scheduled(1, { retry: { times: [1] } })]))
        const ended = structuredClone(report("r", entries.failed(1)))
        const sent = structuredClone(post("r", signal({ id: "one" })))
        const group = [entry, turnOfIt, ended, sent]
        yield* store.write(group)
        const before = structuredClone(yield* store.history("r"))
        vandalise(group)
        yield* same("the history", yield* store.history("r"), before)
        yield* same("the run", (yield* store.list({ filter: {}, after: undefined, limit: 1 }))[0]?.runId, "r")
      })
  )
)

/** Changes everything that can be changed. What is frozen cannot, which is as good. */
const vandalise = (value: unknown): void => {
  if (typeof value !== "object" || value === null) return
  for (const [key, each] of Object.entries(value)) {
    vandalise(each)
    if (typeof each !== "object") Reflect.set(value, key, typeof each === "number" ? each + 1 : "changed")
  }
  if (Array.isArray(value)) Reflect.set(value, "length", 0)
}
