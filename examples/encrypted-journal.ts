/**
 * A journal whose file holds no plain text, and the rotation of its key:
 *
 *   npx tsx examples/encrypted-journal.ts
 *
 * A run is started with no codec at all. The next process compresses and encrypts, the one after it writes with another
 * key, and still each reads what those before it have written.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Logger, LogLevel, Redacted, Schema } from "effect"
import { Client, Codec, Engine, Journal, Signal, Workflow } from "holdfast/Workflow"
import { randomBytes } from "node:crypto"

const Chapter = Signal.make("Chapter", { payload: Schema.String })

// Collects three chapters, which are sent by three processes.
const Diary = Workflow.make("Diary", { payload: Schema.String, success: Schema.String })
const DiaryLive = Diary.toLayer((title) =>
  Effect.gen(function*() {
    const chapters = [yield* Chapter.receive, yield* Chapter.receive, yield* Chapter.receive]
    return [title, ...chapters.map((chapter) => `${chapter.slice(0, 20)}… (${chapter.length} letters)`)].join("\n    ")
  }).pipe(Effect.orDie)
)

// In earnest they come from the configuration: `Config.redacted`, as base64.
const newKey = Effect.sync(() => Redacted.make(new Uint8Array(randomBytes(32))))

const secrets = (keys: Codec.Encryption["keys"], current: string) =>
  Codec.all(
    Codec.sizeLimit(1_000_000),
    Codec.compression(),
    Codec.encryption({ keys, current, context: "diaries" })
  )

// How the file holds what the run was sent.
const show = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly kind: string; readonly payload: string }>`
    SELECT kind, payload FROM holdfast_events WHERE payload IS NOT NULL ORDER BY seq`
  for (const { kind, payload } of rows) {
    const size = `${payload.length} characters`
    yield* Console.log(`    ${kind.padEnd(15)} ${size.padStart(16)}  ${payload.slice(0, 56)}`)
  }
})

const program = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const filename = `${yield* files.makeTempDirectoryScoped()}/diary.db`

  // What one process does, from its start to its end.
  const inProcess = <A, E>(
    codec: Codec.Codec,
    use: Effect.Effect<A, E, Client.Client | Journal.Journal | SqlClient.SqlClient>
  ) => {
    const JournalLive = Journal.layerSql().pipe(
      Layer.provide(Codec.layer(codec)),
      Layer.provideMerge(SqliteClient.layer({ filename }))
    )
    const Live = DiaryLive.pipe(Layer.provideMerge(Engine.layer()), Layer.provideMerge(JournalLive))
    // @effect-diagnostics-next-line strictEffectProvide:off
    return Effect.provide(use, Live)
  }

  const write = (chapter: string) => Client.signal("ada", Chapter, `${chapter} `.repeat(200))

  yield* Console.log("1. Without a codec everyone can read the file.")
  yield* inProcess(
    Codec.none,
    Effect.gen(function*() {
      yield* Client.start(Diary, { id: "ada", payload: "The diary of Ada" })
      yield* write("I was born.")
      yield* show
    })
  )

  const spring = yield* newKey
  yield* Console.log("2. Compressed and encrypted from now on; the run goes on.")
  yield* inProcess(secrets({ spring }, "spring"), Effect.zipRight(write("I met Charles."), show))

  const autumn = yield* newKey
  yield* Console.log("3. Without the key of spring the run waits.")
  yield* inProcess(
    secrets({ autumn }, "autumn"),
    Effect.gen(function*() {
      yield* write("I wrote a program.")
      const { runId } = yield* Client.start(Diary, { id: "ada", payload: "" })
      const { store } = yield* Journal.Journal
      const error = yield* Effect.flip(store.history(runId))
      yield* Console.log(`    ${error.message}`)
    })
  ).pipe(Logger.withMinimumLogLevel(LogLevel.None))

  yield* Console.log("4. With both keys it goes on, and what is new is written with that of autumn.")
  yield* inProcess(
    secrets({ spring, autumn }, "autumn"),
    Effect.gen(function*() {
      const diary = yield* Client.result(Diary, "ada")
      yield* show
      yield* Console.log(`5. The result:\n    ${diary}`)
    })
  )
})

// @effect-diagnostics-next-line strictEffectProvide:off
NodeRuntime.runMain(Effect.provide(Effect.scoped(program), NodeContext.layer))
