/**
 * What is pending in a run.
 */
import * as Effect from "effect/Effect"
import { behaviour, theme } from "./behaviour.js"
import { append, at, completed, fired, queued, report, scheduled, start, timer, turn } from "./entries.js"
import { same } from "./expect.js"

export const pending = theme(
  "pending",
  behaviour(
    "timers are pending in the order of their times until they fire or are cancelled",
    ({ claim, store, write }) =>
      Effect.gen(function*() {
        const timers = (runId: string) =>
          Effect.map(store.pending(runId), ({ timers }) => timers.map(({ command, fireAt }) => [command, fireAt]))
        yield* write(start("r"), start("s"))
        yield* write(
          append("r", [turn(1), timer(1, at + 3_600_000), timer(2, at + 10), timer(3, at + 5), timer(4, at + 10)]),
          append("s", [turn(1), timer(1, at + 1)])
        )
        const all = [[3, at + 5], [2, at + 10], [4, at + 10], [1, at + 3_600_000]]
        yield* same("all", yield* timers("r"), all)
        yield* claim("b", { now: at + 11, leaseUntil: at + 100 })
        yield* same("reading takes none away, however late it is", yield* timers("r"), all)
        yield* write(append("r", [fired(3), turn(6, 1)]), append("r", [fired(2), turn(8, 1)]))
        yield* same("after two have fired", yield* timers("r"), [[4, at + 10], [1, at + 3_600_000]])
        yield* write(append("r", [turn(10), { _tag: "TimerCancelled", command: 5, target: 1 }]))
        yield* same("after one was cancelled", yield* timers("r"), [[4, at + 10]])
        yield* same("of another run", yield* timers("s"), [[1, at + 1]])
        yield* write(
          append("r", [timer(6, at), { _tag: "TimerCancelled", command: 7, target: 6 }, timer(8, at), fired(8)])
        )
        yield* same("what comes and goes at once", yield* timers("r"), [[4, at + 10]])
      })
  ),
  behaviour(
    "activities are pending in the order in which they were asked for, until they end",
    ({ store, write }) =>
      Effect.gen(function*() {
        const activities = Effect.map(
          store.pending("r"),
          ({ activities }) =>
            activities.map(({ scheduled }) => [scheduled.command, scheduled.activity, scheduled.queue])
        )
        yield* write(start("r"))
        yield* write(append("r", [turn(1), queued(1), scheduled(2), scheduled(3, { activity: "B" }), scheduled(10)]))
        yield* same("all", yield* activities, [
          [1, "A", "q"],
          [2, "A", undefined],
          [3, "B", undefined],
          [10, "A", undefined]
        ])
        yield* write(report("r", completed(2)), append("r", [{ _tag: "ActivityCancelled", command: 11, target: 1 }]))
        yield* same("after two have ended", yield* activities, [[3, "B", undefined], [10, "A", undefined]])
        yield* write(append("r", [scheduled(12), completed(12), completed(3), turn(8, 3)]))
        yield* same("what comes and goes at once", yield* activities, [[10, "A", undefined]])
      })
  ),
  behaviour("many are pending, and none is forgotten", ({ claim, store, write }) =>
    Effect.gen(function*() {
      const commands = Array.from({ length: 300 }, (_, i) => i + 1)
      yield* write(start("r"), append("r", [turn(1), ...commands.map((command) => scheduled(command))]))
      yield* write(append("r", commands.map((command) => timer(command + 1_000, at + 1_000 - command))))
      yield* write(...commands.filter((command) => command % 2 === 0).map((command) => report("r", completed(command))))
      const { activities, timers } = yield* store.pending("r")
      yield* same(
        "activities",
        activities.map(({ scheduled }) => scheduled.command),
        commands.filter((command) => command % 2 === 1)
      )
      yield* same("timers", timers.map(({ fireAt }) => fireAt), commands.map((command) => at + 699 + command))
      yield* store.release("a")
      const claimed = yield* claim("b")
      yield* same("a claim gives all", [claimed.activities.length, claimed.timers.length], [150, 300])
    }))
)
