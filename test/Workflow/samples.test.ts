/**
 * Journals that versions before this one have left, opened by this one: every history is read, every closed run replayed, and
 * every open one goes on to its end. `support/makeSample.ts` makes one of the tables as they are.
 */
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Client, Engine, Journal, Replay } from "holdfast/Workflow"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as journals from "./support/journals.js"
import * as sample from "./support/sampleWorkflows.js"

const folder = join(import.meta.dirname, "samples")

/** The database that a sample's statements make, and the token in its first line. */
const restored = (name: string) => {
  const [first = "", ...lines] = readFileSync(join(folder, name), "utf8").trimEnd().split(";\n")
  const [, token = "", statement = ""] = /^-- token: (\S+)\n([^]*)$/.exec(first) ?? []
  const database = Layer.effectDiscard(Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const each of [statement, ...lines]) yield* sql.unsafe(each)
  })).pipe(
    Layer.provideMerge(Layer.unwrapScoped(Effect.map(journals.temporaryFile, journals.database))),
    Layer.orDie
  )
  return { token, journal: Journal.layerSql().pipe(Layer.provideMerge(database)) }
}

const ready = Layer.mergeAll(
  sample.live,
  sample.changedLive,
  sample.Slow.toLayer((item) => Effect.succeed(`${item}, at last`)),
  sample.Flaky.toLayer((item) => Effect.succeed(`${item}, the second time`)),
  sample.Queued.toLayer((item) => Effect.succeed(`${item}, from the queue`)),
  sample.Approval.toLayer(() => Effect.succeed(false))
)

const statuses = Effect.map(
  Client.list(),
  ({ runs }) => runs.map((run): string => `${run.workflowId}: ${run.status}`).sort()
)

for (const name of readdirSync(folder)) {
  describe(`a journal that an earlier version has left (${name})`, () => {
    it.effect("is listed and described as it was left (T55, G7)", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* statuses, [
          "blocked: Running",
          "cancelled: Cancelled",
          "child of tea: Running",
          "mixed: Running",
          "not begun: Running",
          "packed: Success",
          "parent: Running",
          "refused: Failure",
          "rounds: Continued",
          "rounds: Running",
          "sleeps: Running",
          "terminated: Terminated",
          "timed out: TimedOut",
          "waits for a retry: Running",
          "waits for a signal: Running",
          "waits for a token: Running",
          "waits for an activity: Running",
          "waits in a queue: Running"
        ])
        assert.include((yield* Client.describe("blocked")).blocked, "command 1: a timer for 2026-01-05")
        const { activities } = yield* Client.describe("waits for a retry")
        assert.deepStrictEqual(activities.map(({ attempt }) => attempt), [2])
        assert.isTrue((yield* Client.describe("waits for a token")).activities[0]?.outside)
        assert.lengthOf((yield* Client.describe("sleeps")).timers, 1)
      }).pipe(Effect.provide(Layer.provideMerge(Client.layer, restored(name).journal))))

    it.effect("holds histories that today's code replays (W-61)", () =>
      Effect.gen(function*() {
        const { runs } = yield* Client.list()
        for (const { workflowId } of runs) {
          const { difference } = yield* Replay.fromJournal(workflowId)
          assert.isUndefined(difference, workflowId)
        }
      }).pipe(
        Effect.provide(ready.pipe(
          Layer.provideMerge(Layer.merge(Replay.layer, Client.layer)),
          Layer.provideMerge(restored(name).journal)
        ))
      ))

    it.live("is gone on with, to the end of every run", () => {
      const { journal, token } = restored(name)
      return Effect.gen(function*() {
        yield* Client.completeActivity(sample.Approval, token, true)
        for (const word of ["one", "two"]) {
          // The first was sent before, under this id.
          yield* Client.signal("waits for a signal", sample.Go, word, word === "one" ? { id: "first" } : {})
          yield* Client.signal("child of tea", sample.Go, word)
        }
        assert.deepStrictEqual(
          {
            "packed": yield* Client.result(sample.Packing, "packed"),
            "refused": yield* Effect.flip(Client.result(sample.Packing, "refused")),
            "waits for a signal": yield* Client.result(sample.WaitsForSignal, "waits for a signal"),
            "sleeps": yield* Client.result(sample.Sleeps, "sleeps"),
            "waits for an activity": yield* Client.result(sample.WaitsForSlow, "waits for an activity"),
            "waits for a retry": yield* Client.result(sample.WaitsForFlaky, "waits for a retry"),
            "waits in a queue": yield* Client.result(sample.WaitsForQueued, "waits in a queue"),
            "waits for a token": yield* Client.result(sample.WaitsForApproval, "waits for a token"),
            "mixed": yield* Client.result(sample.Mixed, "mixed"),
            "parent": yield* Client.result(sample.Parent, "parent"),
            "rounds": yield* Client.result(sample.Rounds, "rounds"),
            "blocked": yield* Client.result(sample.Changed, "blocked"),
            "not begun": yield* Client.result(sample.Packing, "not begun")
          },
          {
            "packed": "BOX LAMP",
            "refused": new sample.Refused({ item: "bad" }),
            "waits for a signal": "CUP one two",
            "sleeps": "BED",
            "waits for an activity": "dish, at last",
            "waits for a retry": "mug, the second time",
            "waits in a queue": "bowl, from the queue",
            "waits for a token": true,
            "mixed": "17 true TRAY LEFT right",
            "parent": "TEA one two",
            "rounds": 1,
            "blocked": "BOX",
            "not begun": "BOX JAR"
          }
        )
        assert.strictEqual(yield* Client.count({ status: "Running" }), 0)
      }).pipe(
        Effect.provide(ready.pipe(
          Layer.provideMerge(Engine.layer({ queues: { desk: {} } })),
          Layer.provideMerge(journal)
        ))
      )
    })
  })
}
