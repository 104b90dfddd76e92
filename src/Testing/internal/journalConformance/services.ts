/**
 * Which workers are alive with the code of what, and what waits for one.
 */
import * as Effect from "effect/Effect"
import type { Services } from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import { append, at, closing, free, queued, start, turn } from "./entries.js"
import { same } from "./expect.js"

const services: Services = { workflows: ["W", "é"], activities: ["A"], queues: [] }

const nothing = { runs: [], attempts: [] }

export const workersAndBacklog = theme(
  "workers and what waits for them",
  behaviour(
    "a worker is known by what it has said that it has the code of, for as long as its lease",
    ({ claim, store }) =>
      Effect.gen(function*() {
        yield* same("nobody", yield* store.workers(at), [])
        yield* store.heartbeat("b", at + 10, services)
        yield* store.heartbeat("a", Infinity, { workflows: [], activities: [], queues: ["q"] })
        // It has said nothing yet.
        yield* claim("c")
        const a = { worker: "a", services: { workflows: [], activities: [], queues: ["q"] } }
        yield* same("both", yield* store.workers(at + 9), [a, { worker: "b", services }])
        yield* same("one whose lease is over", yield* store.workers(at + 10), [a])
        yield* store.heartbeat("b", at + 20)
        yield* same("who says nothing new has the same", yield* store.workers(at + 10), [a, { worker: "b", services }])
        yield* store.heartbeat("b", at + 20, { ...services, activities: [] })
        yield* same("who says something new", yield* store.workers(at), [
          a,
          { worker: "b", services: { ...services, activities: [] } }
        ])
        yield* store.release("b")
        yield* same("one that has gone", yield* store.workers(at), [a])
      })
  ),
  behaviour(
    "open runs wait that no live worker owns",
    ({ claim, store, write }) =>
      Effect.gen(function*() {
        yield* same("nothing", yield* store.backlog(at), nothing)
        yield* write(free("r1"), free("r2"), free("r3", { workflow: "V" }), start("r4", { worker: "d" }))
        const runs = [{ workflow: "V", count: 1 }, { workflow: "W", count: 2 }]
        yield* same("runs without an owner", yield* store.backlog(at), { runs, attempts: [] })
        yield* claim("b", { leaseUntil: at + 10 })
        yield* same("they are owned", yield* store.backlog(at), { runs: [{ workflow: "V", count: 1 }], attempts: [] })
        yield* same("their owner is dead", yield* store.backlog(at + 10), { runs, attempts: [] })
        yield* write(append("r1", [turn(1), closing(99)], { worker: "b" }))
        yield* same("one has closed", yield* store.backlog(at + 10), {
          runs: [{ workflow: "V", count: 1 }, { workflow: "W", count: 1 }],
          attempts: []
        })
      })
  ),
  behaviour(
    "attempts wait in queues that no live worker has taken, unless they end from outside",
    ({ store, take, write }) =>
      Effect.gen(function*() {
        yield* write(start("r"))
        yield* write(append("r", [
          turn(1),
          queued(1),
          queued(2, { at: at + 5 }),
          queued(3, { queue: "other", activity: "B" }),
          queued(4, { activity: "B" })
        ]))
        const [a, b, other] = [
          { queue: "q", activity: "A", count: 2 },
          { queue: "q", activity: "B", count: 1 },
          { queue: "other", activity: "B", count: 1 }
        ]
        yield* same("all", yield* store.backlog(at), { runs: [], attempts: [other, a, b] })
        yield* store.heartbeat("b", at + 10)
        yield* take("b", { limit: 1 })
        yield* same("one is taken", yield* store.backlog(at), { runs: [], attempts: [other, { ...a, count: 1 }, b] })
        yield* same("its worker is dead", yield* store.backlog(at + 10), { runs: [], attempts: [other, a, b] })
        yield* write({
          _tag: "Heartbeat",
          id: { runId: "r", command: 2, attempt: 1 },
          worker: undefined,
          at,
          outside: true
        })
        yield* same("one ends from outside", (yield* store.backlog(at + 10)).attempts[1], { ...a, count: 1 })
        yield* write(append("r", [turn(1), closing(99)]))
        yield* same("their run has closed", yield* store.backlog(at + 10), nothing)
      })
  ),
  behaviour(
    "the owner of an open run is known",
    ({ claim, store, write }) =>
      Effect.gen(function*() {
        yield* same("of no run", yield* store.owner("r"), undefined)
        yield* write(free("r"))
        yield* same("nobody", yield* store.owner("r"), undefined)
        yield* claim("b")
        yield* same("who has claimed it", yield* store.owner("r"), "b")
        yield* write(append("r", [turn(1), closing(99)], { worker: "b" }))
        yield* same("of a closed run", yield* store.owner("r"), undefined)
      })
  )
)
