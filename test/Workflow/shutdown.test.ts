import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Client, Journal } from "holdfast/Workflow"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as journals from "./support/journals.js"
import { Long } from "./support/signalledWorker.js"

const worker = fileURLToPath(new URL("./support/signalledWorker.ts", import.meta.url))

/** Lets the worker start an activity, and then asks it to end. Gives what it has said, and how it ended. */
const signalled = (file: string) =>
  Effect.async<{ readonly said: string; readonly code: number | null }>((resume) => {
    const child = spawn(process.execPath, ["--import", "tsx", worker, file], { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    child.stdout.on("data", (data: Buffer) => {
      if (!said.includes("started") && String(data).includes("started")) child.kill("SIGTERM")
      said += String(data)
    })
    child.once("exit", (code) => resume(Effect.succeed({ said, code })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("a worker that the operating system asks to end", () => {
  it.scopedLive(
    "lets its activity end, writes that down, gives its runs up, and ends by itself (B-18, W-30)",
    () =>
      Effect.gen(function*() {
        const file = yield* journals.temporaryFile
        yield* Effect.gen(function*() {
          const run = yield* Client.start(Long, { id: "l", payload: 500 })
          const { code, said } = yield* signalled(file)
          assert.strictEqual(said, "started\ndone\nended\n")
          assert.strictEqual(code, 0)
          const history = yield* Client.history("l")
          assert.include(history.map(({ _tag }) => _tag), "ActivityCompleted")
          const sql = yield* SqlClient.SqlClient
          assert.deepStrictEqual(yield* sql`SELECT run_id, owner FROM holdfast_runs`, [{
            run_id: run.runId,
            owner: null
          }])
          assert.deepStrictEqual(yield* sql`SELECT * FROM holdfast_workers`, [])
        }).pipe(
          Effect.provide(Layer.provideMerge(
            Layer.provide(Client.layer, Layer.orDie(Journal.layerSql())),
            journals.database(file)
          ))
        )
      }),
    30_000
  )
})
