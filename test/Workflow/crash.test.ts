import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { PCGRandom } from "effect/Utils"
import { Client, Journal } from "holdfast/Workflow"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Transfer } from "./support/crashWorkflow.js"

const worker = fileURLToPath(new URL("./support/crashWorker.ts", import.meta.url))

const kills = 20
const transfers = 150

/** Starts a worker, lets it work for a moment, and kills it. */
const killedAfter = (journal: string, ledger: string, millis: number) =>
  Effect.async<NodeJS.Signals | null>((resume) => {
    const child = spawn(process.execPath, ["--import", "tsx", worker, journal, ledger], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), millis))
    child.once("exit", (_code, signal) => resume(Effect.succeed(signal)))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("a worker that is killed", () => {
  it.live(
    `loses nothing and doubles nothing over ${kills} kills (T75, B-19, W-12, W-32, W-53)`,
    () =>
      Effect.gen(function*() {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-crash-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const [journal, ledger] = [join(folder, "journal.db"), join(folder, "ledger.db")]
        const seed = Math.trunc(Math.random() * 2 ** 32)
        const random = new PCGRandom(seed)

        yield* Effect.gen(function*() {
          const book = yield* SqlClient.SqlClient
          yield* book`CREATE TABLE attempts (id INTEGER PRIMARY KEY, key TEXT NOT NULL, pid INTEGER, ended INTEGER)`
          yield* book`CREATE TABLE entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, account TEXT, step INTEGER)`

          // The client lives here, on the same file, and starts more work while workers come and go.
          const results = yield* Effect.forEach(
            Array.from({ length: transfers }, (_, i) => `account-${i}`),
            (account, i) =>
              Effect.sleep(i * 40).pipe(
                Effect.zipRight(Client.start(Transfer, { id: account, payload: account })),
                Effect.flatMap((run) => run.result),
                Effect.map((entries) => ({ account, entries }))
              ),
            { concurrency: "unbounded" }
          ).pipe(
            Effect.provide(Client.layer.pipe(
              Layer.provide(Journal.layerSql({ pollInterval: "20 millis" })),
              Layer.provide(SqliteClient.layer({ filename: journal }))
            )),
            Effect.fork
          )

          for (let i = 0; i < kills; i++) {
            assert.strictEqual(yield* killedAfter(journal, ledger, 300 + random.integer(600)), "SIGKILL")
          }
          const last = yield* Effect.fork(killedAfter(journal, ledger, 60_000))
          const finished = yield* Fiber.join(results)
          yield* Fiber.interrupt(last)

          const entries = yield* book<
            { readonly id: number; readonly key: string; readonly account: string; readonly step: number }
          >`
            SELECT * FROM entries`
          const [cut] = yield* book<
            { readonly count: number }
          >`SELECT count(*) AS count FROM attempts WHERE ended IS NULL`
          assert.strictEqual(finished.length, transfers)
          assert.strictEqual(entries.length, 3 * transfers, `seed ${seed}`)
          for (const { account, entries: ids } of finished) {
            const mine = entries.filter((entry) => entry.account === account).sort((a, b) => a.step - b.step)
            assert.deepStrictEqual(mine.map((entry) => entry.id), [...ids], `seed ${seed}`)
            assert.deepStrictEqual(mine.map((entry) => entry.step), [1, 2, 3], `seed ${seed}`)
          }
          // The kills did hit activities under way: otherwise this test would show nothing.
          assert.isAbove(cut!.count, 0)
        }).pipe(Effect.provide(SqliteClient.layer({ filename: ledger })))
      }).pipe(Effect.scoped),
    { timeout: 150_000 }
  )
})
