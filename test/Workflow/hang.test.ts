/** Code that never gives the process back: a thread beside it says what holds it up. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Layer, Ref } from "effect"
import { Client, Engine, Journal } from "holdfast/Workflow"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { Beside, Hang } from "./support/hangingWorkflow.js"
import * as journals from "./support/journals.js"

const script = fileURLToPath(new URL("./support/hangingWorker.ts", import.meta.url))

interface Ended {
  readonly signal: NodeJS.Signals | null
  readonly errors: string
}

/** A worker process; it is killed at the end of the scope. */
const worker = (journal: string, onHang: "report" | "exit") =>
  Effect.gen(function*() {
    const reported = yield* Deferred.make<string>()
    const ended = yield* Deferred.make<Ended>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--import", "tsx", script, journal, onHang], { stdio: ["ignore", "ignore", "pipe"] })
      ),
      (child) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(ended))
    )
    let errors = ""
    child.stderr.on("data", (chunk) => {
      errors += String(chunk)
      if (errors.includes("\n")) Deferred.unsafeDone(reported, Effect.succeed(errors))
    })
    child.once("close", (_code, signal) => Deferred.unsafeDone(ended, Effect.succeed({ signal, errors })))
    return { reported: Deferred.await(reported), ended: Deferred.await(ended) }
  })

const onJournal = <A, E, R>(test: (file: string) => Effect.Effect<A, E, R | Client.Client>) =>
  Effect.gen(function*() {
    const file = yield* journals.temporaryFile
    const journal = Journal.layerSql({ pollInterval: "20 millis" }).pipe(Layer.provide(journals.database(file)))
    return yield* Effect.provide(test(file), Client.layer.pipe(Layer.provide(Layer.orDie(journal))))
  })

describe("what holds up its process", () => {
  for (
    const [how, what] of [
      ["loop", (runId) => `a turn of run ${runId} of workflow Hang (id "hangs")`],
      ["generator", (runId) => `a turn of run ${runId} of workflow Hang (id "hangs")`],
      ["activity", () => "a step of activity Compute"]
    ] satisfies ReadonlyArray<readonly ["loop" | "generator" | "activity", (runId: string) => string]>
  ) {
    it.scopedLive(`is named on standard error: ${how}`, () =>
      onJournal((file) =>
        Effect.gen(function*() {
          const run = yield* Client.start(Hang, { id: "hangs", payload: how })
          const { reported } = yield* worker(file, "report")
          assert.include(yield* reported, `holdfast: ${what(run.runId)} has held up its process for`)
        })
      ), 60_000)
  }

  it.scopedLive(
    "is killed where that is wanted, and held back when it has killed often (W-8, B-7)",
    () =>
      onJournal((file) =>
        Effect.gen(function*() {
          yield* Client.start(Hang, { id: "hangs", payload: "loop" })
          const beside = yield* Client.start(Beside, { id: "beside" })
          const kills = yield* Ref.make(0)
          const started = Effect.scoped(Effect.flatMap(worker(file, "exit"), ({ ended }) => ended))
          const restarted = yield* Effect.fork(Effect.forever(Effect.gen(function*() {
            const { errors, signal } = yield* started
            assert.strictEqual(signal, "SIGKILL")
            assert.include(errors, "the process ends")
            yield* Ref.update(kills, (n) => n + 1)
          })))
          assert.strictEqual(yield* Effect.raceFirst(beside.result, Fiber.join(restarted)), "done")
          assert.isAbove(yield* Ref.get(kills), 2)
          yield* Fiber.interrupt(restarted)
        })
      ),
    60_000
  )

  it.effect("is looked for by options that can work", () =>
    Effect.gen(function*() {
      for (const options of [{ hangAfter: 0 }, { hangAfter: -1 }, { onHang: "stop" as "exit" }]) {
        const cause = yield* Effect.flip(
          Effect.sandbox(Effect.provide(Effect.void, Layer.provide(Engine.layer(options), Journal.layerMemory)))
        )
        assert.instanceOf(Cause.squash(cause), InvalidOptions)
      }
    }))
})
