/**
 * Several workers on one PostgreSQL journal, as processes of their own: killed, and stopped beyond their lease and continued.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Client, Journal } from "holdfast/Workflow"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import { client, freshSchema } from "../support/postgresServer.js"
import { Transfer } from "./support/crashWorkflow.js"
import { problemsIn } from "./support/soundHistory.js"

const program = fileURLToPath(new URL("./support/crashWorker.ts", import.meta.url))

const kills = 5
const workers = 3

/** A worker that has begun to work. */
const begun = (schema: string, ledger: string) =>
  Effect.async<ChildProcess>((resume) => {
    const child = spawn(process.execPath, ["--import", "tsx", program, inject("postgresUrl"), ledger, schema], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.once("data", () => resume(Effect.succeed(child)))
  })

describe(`${workers} workers on one PostgreSQL`, () => {
  it.scopedLive(
    `lose nothing and double nothing over ${kills} kills, one of them being stopped beyond its lease and continued (T75, B-19, W-12, W-32)`,
    () =>
      Effect.gen(function*() {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-crash-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const ledger = join(folder, "ledger.db")
        const schema = yield* freshSchema
        const alive: Array<ChildProcess> = []
        yield* Effect.addFinalizer(() => Effect.sync(() => alive.forEach((child) => child.kill("SIGKILL"))))
        let stopped: ChildProcess | undefined
        const begin = Effect.map(begun(schema, ledger), (child) => void alive.push(child))

        yield* Effect.gen(function*() {
          const book = yield* SqlClient.SqlClient
          yield* book`CREATE TABLE attempts (id INTEGER PRIMARY KEY, key TEXT NOT NULL, pid INTEGER, ended INTEGER)`
          yield* book`CREATE TABLE entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, account TEXT, step INTEGER)`
          /** A worker in the middle of an attempt. */
          const busy: Effect.Effect<ChildProcess, SqlError.SqlError> = Effect.gen(function*() {
            const open = yield* book<{ readonly pid: number }>`SELECT DISTINCT pid FROM attempts WHERE ended IS NULL`
            const child = alive.find((child) => child !== stopped && open.some(({ pid }) => pid === child.pid))
            return child ?? (yield* Effect.delay(busy, "3 millis"))
          })

          // More work for as long as workers are killed.
          let killed = 0
          const transfers: Array<readonly [account: string, Fiber.Fiber<ReadonlyArray<number>, unknown>]> = []
          const client = yield* Effect.context<Client.Client>()
          const working = yield* Effect.gen(function*() {
            const account = `account-${transfers.length}`
            const result = Effect.flatMap(
              Client.start(Transfer, { id: account, payload: account }),
              (run) => run.result
            )
            transfers.push([account, yield* Effect.forkDaemon(Effect.provide(result, client))])
            yield* Effect.sleep("40 millis")
          }).pipe(Effect.repeat({ until: () => killed === kills }), Effect.fork)

          yield* Effect.replicateEffect(begin, workers, { concurrency: workers, discard: true })
          stopped = alive[0]
          stopped?.kill("SIGSTOP")
          while (killed < kills) {
            yield* Effect.sleep("500 millis")
            const child = yield* busy
            child.kill("SIGKILL")
            alive[alive.indexOf(child)] = yield* begun(schema, ledger)
            // The one that was stopped goes on when others own what it had, and may be killed like them.
            if (++killed === 3) {
              stopped?.kill("SIGCONT")
              stopped = undefined
            }
          }
          yield* Fiber.join(working)
          const finished = yield* Effect.forEach(
            transfers,
            ([account, fiber]) => Effect.map(Fiber.join(fiber), (ids) => [account, ids] as const)
          )

          const entries = yield* book<{ readonly id: number; readonly account: string; readonly step: number }>`
            SELECT id, account, step FROM entries ORDER BY account, step`
          assert.lengthOf(entries, 3 * transfers.length)
          for (const [account, ids] of finished) {
            const mine = entries.filter((entry) => entry.account === account)
            assert.deepStrictEqual(mine.map(({ id }) => id), [...ids])
          }
          const [cut] = yield* book<
            { readonly count: number }
          >`SELECT count(*) AS count FROM attempts WHERE ended IS NULL`
          assert.isAbove(cut!.count, 0)
          for (const [account] of finished) {
            assert.deepStrictEqual(problemsIn(yield* Client.history(account)), [], account)
          }
        }).pipe(Effect.provide(Layer.merge(
          SqliteClient.layer({ filename: ledger }),
          Client.layer.pipe(
            Layer.provide(Journal.layerSql({ schema, pollInterval: "20 millis" })),
            Layer.provide(client)
          )
        )))
      }),
    { timeout: 120_000 }
  )
})
