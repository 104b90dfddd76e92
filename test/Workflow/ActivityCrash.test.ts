import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Client, Engine, Journal } from "holdfast/Workflow"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { ends, failedAttempts } from "./support/activities.js"
import { Ingest, IngestLive } from "./support/importWorkflow.js"
import * as journals from "./support/journals.js"
import { historyOf, quiet } from "./support/orders.js"

const script = fileURLToPath(new URL("./support/importWorker.ts", import.meta.url))

/** A process with a worker, killed without a word at the end of the scope. */
const worker = (journal: string, role: "owner" | "server") =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, ["--import", "tsx", script, journal, role], { stdio: "ignore" })),
    (child) =>
      Effect.async<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

/** The last line that the heartbeats of the activity have told, once they have told one. */
const atLine = (line: number) =>
  Effect.repeat(Effect.delay(Client.describe("ingest"), "10 millis"), {
    until: ({ activities }) => activities[0]?.details === JSON.stringify({ line })
  })

describe("an activity whose worker is killed", () => {
  for (const [role, where] of [["server", "elsewhere"], ["owner", "here"]] as const) {
    it.scopedLive(
      `${where}: is taken over, with its number and its last details; a kill is no failure (D5.18, D5.2, D5.13, W-13, B-9)`,
      () =>
        Effect.gen(function*() {
          const file = yield* journals.temporaryFile
          const journal = Journal.layerSql({ pollInterval: "20 millis" }).pipe(Layer.provide(journals.database(file)))
          // The owner of a run whose activity is made elsewhere lives here.
          const here = role === "server"
            ? IngestLive.pipe(Layer.provideMerge(Engine.layer({ lease: "2 seconds" })), Layer.provide(quiet))
            : Client.layer
          yield* Effect.gen(function*() {
            const run = yield* Client.start(Ingest, { id: "ingest", payload: where })
            // Heartbeats are written once per second: the last one in time for the kill.
            yield* Effect.scoped(Effect.zipRight(worker(file, role), atLine(5)))
            yield* worker(file, role)
            assert.strictEqual(yield* run.result, "attempt 2 went on from line 5")
            const history = yield* historyOf(run.runId)
            assert.lengthOf(failedAttempts(history), 1)
            assert.lengthOf(ends(history), 1)
          }).pipe(Effect.provide(Layer.provideMerge(here, Layer.orDie(journal))))
        }),
      60_000
    )
  }
})
