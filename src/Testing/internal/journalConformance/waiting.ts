/**
 * A store behind the one writer of a process.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Journal from "../../../Workflow/Journal.js"
import { behaviour, theme } from "./behaviour.js"
import {
  append,
  child,
  closing,
  completed,
  goOn,
  lastTurn,
  post,
  scheduled,
  signal,
  start,
  termination,
  turn
} from "./entries.js"
import { type Checked, type Mismatch, same } from "./expect.js"

export const waiting = theme(
  "waiting",
  behaviour(
    "whoever waits for a run to close is told of its first end, all of them, also when it has closed",
    (subject) =>
      Effect.scoped(Effect.gen(function*() {
        const journal = yield* Journal.make(subject.store)
        yield* subject.write(start("r"), start("s"), start("closed"), start("p"))
        yield* subject.write(lastTurn("closed", 1), append("p", [turn(1), child(1)]))
        yield* same("one that has closed", yield* journal.awaitClosed("closed"), { ...closing(99), seq: 3 })
        const waiters = yield* Effect.forEach(
          ["r", "r", "s", "p/1"],
          (runId) => Effect.fork(journal.awaitClosed(runId))
        )
        yield* Effect.yieldNow()
        yield* Effect.all([
          commit(journal, goOn("r", 1, "r on")),
          commit(journal, post("s", termination)),
          commit(journal, lastTurn("p", 1)),
          commit(journal, post("s", termination))
        ], { concurrency: "unbounded" })
        const ends = yield* Fiber.join(Fiber.all(waiters))
        yield* same("their ends", ends.map((end) => [end._tag, end.seq]), [
          ["RunClosed", 3],
          ["RunClosed", 3],
          ["RunTerminated", 2],
          ["RunTerminated", 2]
        ])
        yield* same("a run that has gone on has ended", (yield* journal.awaitClosed("r"))._tag, "RunClosed")
      }))
  ),
  behaviour(
    "an owner in this process is told of all that others write to its runs, in the order of the history",
    (subject) =>
      Effect.scoped(Effect.gen(function*() {
        const journal = yield* Journal.make(subject.store)
        const told: Array<unknown> = []
        const begun = yield* Deferred.make<void>()
        yield* journal.attach({
          worker: "a",
          takes: (workflow) => workflow === "W",
          onBegun: (run, events) => {
            told.push([run.runId, ...events.map(({ seq }) => seq)])
            Deferred.unsafeDone(begun, Effect.void)
          },
          onPosted: (runId, { _tag, seq }) => told.push([runId, seq, _tag]),
          onQueued: () => {},
          onDropped: () => {},
          onForeignWrite: () => {}
        })
        yield* commit(journal, { ...start("r"), run: { runId: "r", worker: undefined } })
        yield* Deferred.await(begun)
        yield* commit(journal, append("r", [turn(1), scheduled(1)]))
        yield* Effect.forEach(
          [
            post("r", signal()),
            { _tag: "Report" as const, runId: "r", attempt: 1, worker: undefined, event: completed(1) },
            post("r", termination)
          ],
          (entry) => commit(journal, entry),
          { concurrency: "unbounded" }
        )
        yield* same("what it is told", told, [
          ["r", 1],
          ["r", 4, "SignalReceived"],
          ["r", 5, "ActivityCompleted"],
          ["r", 6, "RunTerminated"]
        ])
      }))
  )
)

const commit = (journal: Journal.Journal["Type"], entry: Journal.Entry): Checked<unknown> =>
  Effect.catchTag(
    journal.commit(entry),
    "StaleOwner",
    ({ message }) =>
      Effect.fail<Mismatch>({
        _tag: "Mismatch",
        expectation: "an owner may write",
        expected: undefined,
        actual: message
      })
  )
