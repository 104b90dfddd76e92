/**
 * Two stores over the same data, as two processes have them.
 */
import * as Effect from "effect/Effect"
import type { Entry, JournalStore } from "../../../Workflow/Journal.js"
import { audit } from "./audit.js"
import { type Subject, subjectOf } from "./behaviour.js"
import {
  append,
  at,
  block,
  child,
  completed,
  free,
  lastTurn,
  post,
  queued,
  report,
  signal,
  start,
  turn
} from "./entries.js"
import { type Checked, same } from "./expect.js"

export interface SharedBehaviour {
  readonly name: string
  readonly run: (one: JournalStore, other: JournalStore) => Checked
}

const shared = (name: string, run: (one: Subject, other: Subject) => Checked): SharedBehaviour => ({
  name,
  run: (one, other) => Effect.zipRight(run(subjectOf(one), subjectOf(other)), Effect.zipRight(audit(one), audit(other)))
})

export const sharing: ReadonlyArray<SharedBehaviour> = [
  shared("what one writes the other reads at once, and goes on from", (one, other) =>
    Effect.gen(function*() {
      yield* one.write(start("r", { workflowId: "w" }), start("p"))
      yield* same("the run of its id", (yield* other.receipt(start("s", { workflowId: "w" })))._tag, "Started")
      yield* same("one run", [yield* one.record("s"), yield* other.record("s")], [undefined, undefined])
      for (let n = 0; n < 5; n++) {
        yield* (n % 2 === 0 ? one : other).write(append("r", [turn(1)]))
        yield* (n % 2 === 0 ? other : one).write(append("r", [turn(1)]), append("p", [turn(1)]))
      }
      yield* one.write(append("p", [child(1), queued(2)]))
      yield* same("a report", yield* other.tags(report("p", completed(2))), ["Posted"])
      yield* same("the same report", yield* one.tags(report("p", completed(2))), ["NotPending"])
      yield* other.write(lastTurn("p/1", 1))
      yield* same("both histories", yield* one.kinds("p"), yield* other.kinds("p"))
      yield* same("the end of the child", (yield* one.kinds("p")).at(-1), "ChildClosed")
      yield* other.write(block("r", "why"), { ...post("x", signal({ id: "1" })), workflowId: "w" })
      yield* same("why it is blocked", (yield* one.record("r"))?.blocked, "why")
      yield* same("a known signal", yield* one.tags({ ...post("x", signal({ id: "1" })), workflowId: "w" }), [
        "Duplicate"
      ])
      yield* same("lists", yield* one.store.count({}), yield* other.store.count({}))
    })),

  shared("the version of one changes when the other has written", (one, other) =>
    Effect.gen(function*() {
      const steps: Readonly<Record<string, Checked<unknown>>> = {
        "a start": other.write(free("r")),
        "a claim": other.claim("b"),
        "an append": other.write(append("r", [turn(1), queued(1)], { worker: "b" })),
        "a message": other.write(post("r", signal())),
        "a release": other.store.release("b")
      }
      for (const [what, step] of Object.entries(steps)) {
        const before = yield* one.store.version
        yield* same("there is a version", before !== undefined, true)
        yield* step
        yield* same(`it changes with ${what}`, (yield* one.store.version) !== before, true)
      }
    })),

  shared("a run belongs to one of them, and the other is refused", (one, other) =>
    Effect.gen(function*() {
      yield* one.write(free("r"))
      yield* same("the one", (yield* one.claim("a")).runs.length, 1)
      yield* same("the other, while it lives", (yield* other.claim("b", { now: at + 9 })).runs.length, 0)
      const { runs } = yield* other.claim("b", { now: at + 10, leaseUntil: at + 99 })
      yield* same("the other, then", runs.map(({ epoch }) => epoch), [2])
      yield* same("the one", yield* one.tags(append("r", [turn(1)]), block("r", "why")), ["Fenced", "Fenced"])
      yield* same("the other", yield* other.tags(append("r", [turn(1), queued(1)], { worker: "b", epoch: 2 })), [
        "Appended"
      ])
      yield* one.store.heartbeat("c", at + 1)
      yield* same("an attempt", (yield* one.take("c")).attempts.length, 1)
      yield* same("taken once", (yield* other.take("d")).attempts.length, 0)
      yield* same("taken over", (yield* other.take("d", { now: at + 1 })).attempts.length, 1)
      yield* same("what each has", [(yield* other.store.taken("c")).length, (yield* one.store.taken("d")).length], [
        0,
        1
      ])
      yield* other.store.release("b")
      yield* same("given up", (yield* one.claim("a")).runs.map(({ epoch }) => epoch), [3])
    })),

  shared("both write at once, and numbers stay dense", (one, other) =>
    Effect.gen(function*() {
      yield* one.write(start("r"))
      const entries = Array.from({ length: 40 }, (_, i): Entry => post("r", signal({ id: `${i % 30}` })))
      const receipts = yield* Effect.forEach(
        entries,
        (entry, i) => (i % 2 === 0 ? one : other).receipt(entry),
        { concurrency: "unbounded" }
      )
      yield* same("written", receipts.filter(({ _tag }) => _tag === "Posted").length, 30)
      yield* same("the history", (yield* other.kinds("r")).length, 31)
    }))
]
