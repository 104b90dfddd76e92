/**
 * Attempts that workers take from queues.
 */
import * as Effect from "effect/Effect"
import { behaviour, theme } from "./behaviour.js"
import { append, at, attemptFailed, completed, lastTurn, queued, report, scheduled, start, turn } from "./entries.js"
import { same } from "./expect.js"

export const queues = theme(
  "queues",
  behaviour(
    "an attempt is taken with all that belongs to it, by one worker",
    ({ store, take, write }) =>
      Effect.gen(function*() {
        yield* same("an empty queue", yield* take("b"), { attempts: [], next: undefined })
        yield* write(
          start("r"),
          append("r", [turn(1), scheduled(1), queued(2, { payload: "{\"é\":1}", retry: { x: 1 } })])
        )
        const activity = {
          workflow: "W",
          workflowId: "id of r",
          runId: "r",
          scheduled: { ...queued(2, { payload: "{\"é\":1}", retry: { x: 1 } }), seq: 4 },
          attempt: 1,
          notBefore: 0,
          startedAt: at + 1,
          outside: false,
          beatAt: undefined,
          details: undefined
        }
        yield* same("what is taken", yield* take("b", { now: at + 1 }), { attempts: [activity], next: undefined })
        yield* same("it is noted", (yield* store.pending("r")).activities[1], activity)
        yield* same("another worker", yield* take("c", { now: at + 2 }), { attempts: [], next: undefined })
        yield* same("the same worker again", (yield* take("b", { now: at + 2 })).attempts, [])
        yield* same("what it has taken", yield* store.taken("b"), [{ runId: "r", command: 2, attempt: 1 }])
        yield* same("what the other has taken", yield* store.taken("c"), [])
      })
  ),
  behaviour(
    "first scheduled, first taken, as many as are wanted, of that queue and these activities",
    ({ take, write }) =>
      Effect.gen(function*() {
        yield* write(start("r1"), start("r2"))
        yield* write(append("r2", [
          turn(1),
          queued(1, { at: at + 3 }),
          queued(2, { at: at + 1 }),
          queued(3, { queue: "other" }),
          queued(4, { activity: "B" }),
          queued(5, { activity: "C" }),
          scheduled(6)
        ]))
        yield* write(append("r1", [turn(1), queued(1, { at: at + 2 }), queued(2, { at: at + 4 })]))
        const names = (options: Parameters<typeof take>[1]) =>
          Effect.map(
            take("b", { now: at + 9, ...options }),
            ({ attempts }) => attempts.map(({ runId, scheduled }) => `${runId} ${scheduled.command}`)
          )
        yield* same("none", yield* names({ limit: 0 }), [])
        yield* same("of no activities", yield* names({ activities: [] }), [])
        yield* same("three", yield* names({ limit: 3 }), ["r2 2", "r1 1", "r2 1"])
        yield* same("the rest", yield* names({ limit: 3 }), ["r1 2"])
        yield* same("of two activities", yield* names({ activities: ["A", "B", "C"] }), ["r2 4", "r2 5"])
        yield* same("of the other queue", yield* names({ queue: "other" }), ["r2 3"])
        yield* same("of no queue", yield* names({ queue: "none" }), [])
      })
  ),
  behaviour(
    "more attempts than fit one statement are taken each once",
    ({ store, take, write }) =>
      Effect.gen(function*() {
        const commands = Array.from({ length: 200 }, (_, i) => i + 1)
        yield* write(start("r"), append("r", [turn(1), ...commands.map((command) => queued(command))]))
        const first = yield* take("b", { limit: 150 })
        const rest = yield* take("c", { limit: 150 })
        yield* same(
          "their commands",
          [...first.attempts, ...rest.attempts].map(({ scheduled }) => scheduled.command),
          commands
        )
        yield* same("what each has", [(yield* store.taken("b")).length, (yield* store.taken("c")).length], [150, 50])
      })
  ),
  behaviour(
    "an attempt that waits is not taken before its time, and `next` says when that is",
    ({ take, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), append("r", [turn(1), queued(1), queued(2), queued(3, { queue: "other" })]))
        yield* write(
          report("r", attemptFailed(1, 1, at + 70)),
          report("r", attemptFailed(2, 1, at + 50)),
          report("r", attemptFailed(3, 1, at + 20))
        )
        yield* same("before", yield* take("b", { now: at + 49 }), { attempts: [], next: at + 50 })
        const second = yield* take("b", { now: at + 50 })
        yield* same(
          "at the time of the second",
          second.attempts.map(({ attempt, notBefore, scheduled, startedAt }) => [
            scheduled.command,
            attempt,
            notBefore,
            startedAt
          ]),
          [[2, 2, at + 50, at + 50]]
        )
        yield* same("what comes next", second.next, at + 70)
        const first = yield* take("b", { now: at + 1_000 })
        yield* same("after the time of the first", first.attempts.map(({ scheduled }) => scheduled.command), [1])
        yield* same("nothing comes next", first.next, undefined)
      })
  ),
  behaviour(
    "attempts of workers that are dead or gone are taken by others, and their own reports refused",
    (subject) =>
      Effect.gen(function*() {
        const { store, tags, take, write } = subject
        yield* write(start("r"), append("r", [turn(1), queued(1), queued(2), queued(3)]))
        yield* store.heartbeat("b", at + 10)
        yield* take("b", { limit: 1 })
        yield* take("no lease", { limit: 1 })
        yield* store.heartbeat("d", at + 1_000)
        yield* take("d", { limit: 1 })
        yield* same("a worker that lives", (yield* take("c", { now: at + 9 })).attempts, [])
        const { attempts } = yield* take("c", { now: at + 10 })
        yield* same(
          "at the end of its lease",
          attempts.map(({ attempt, scheduled, startedAt }) => [
            scheduled.command,
            attempt,
            startedAt
          ]),
          [[1, 1, at + 10]]
        )
        yield* same(
          "reports",
          yield* tags(
            report("r", completed(1), { attempt: 1, worker: "b" }),
            report("r", completed(1), { attempt: 1, worker: "c" })
          ),
          ["NotPending", "Posted"]
        )
        yield* store.release("d")
        const given = yield* take("c", { now: at + 11 })
        yield* same("what was given up", given.attempts.map(({ scheduled }) => scheduled.command), [3])
        yield* same("what its worker has", yield* store.taken("d"), [])
        yield* same("who has no lease lives for ever", (yield* store.taken("no lease")).length, 1)
      })
  ),
  behaviour(
    "a worker that is dead is not forgotten as long as it has something",
    ({ claim, store, take, write }) =>
      Effect.gen(function*() {
        const late = at + 10 ** 11
        yield* write(start("r"), append("r", [turn(1), queued(1)]), start("s", { worker: "b" }))
        yield* store.heartbeat("a", at + 10)
        yield* store.heartbeat("b", at + 10)
        yield* store.heartbeat("c", at + 10)
        yield* take("c")
        for (const now of [at + 10, late]) yield* claim("another", { workflows: ["V"], now })
        yield* same("its attempt", (yield* take("d", { now: late })).attempts.length, 1)
        yield* same("its runs", (yield* claim("d", { now: late })).runs.length, 2)
        yield* store.heartbeat("e", at + 10)
        yield* claim("another", { now: at + 20 })
        yield* write(start("late", { worker: "e" }))
        yield* same(
          "nor where it had nothing, and gets something",
          (yield* claim("d", { now: at + 20 })).runs.length,
          1
        )
      })
  ),
  behaviour(
    "what has ended, failed or been cancelled is taken no more",
    ({ store, take, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"), start("s"))
        yield* write(
          append("r", [turn(1), queued(1), queued(2), queued(3), queued(4)]),
          append("s", [turn(1), queued(1)])
        )
        yield* take("b")
        yield* write(
          report("r", completed(1)),
          append("r", [{ _tag: "ActivityCancelled", command: 9, target: 2 }]),
          report("r", attemptFailed(3, 1, at + 5)),
          lastTurn("s", 1)
        )
        yield* same("what is taken still", yield* store.taken("b"), [{ runId: "r", command: 4, attempt: 1 }])
        yield* same(
          "what is left",
          (yield* take("c", { now: at + 5 })).attempts.map(({ scheduled }) => scheduled.command),
          [
            3
          ]
        )
      })
  ),
  behaviour("what is scheduled after a look is there at the next one", ({ take, write }) =>
    Effect.gen(function*() {
      yield* write(start("r"), append("r", [turn(1)]))
      yield* same("before", (yield* take("b")).attempts.length, 0)
      yield* write(append("r", [turn(1), queued(1)]))
      yield* same("after", (yield* take("b")).attempts.length, 1)
    }))
)
