/** The journals that tests run on: in memory, and in a SQLite file of the test's own. */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Journal } from "holdfast/Workflow"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { memoryStore } from "../../../src/Workflow/internal/memory/memoryStore.js"
import type { Entry } from "../../../src/Workflow/Journal.js"

export const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-test-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "journal.db")
)

export const database = (filename: string) => Layer.orDie(SqliteClient.layer({ filename }))

export const sqliteFile = (filename: string): Layer.Layer<Journal.Journal | SqlClient.SqlClient> =>
  Journal.layerSql().pipe(Layer.provideMerge(database(filename)), Layer.orDie)

export const sqlite = Layer.unwrapScoped(Effect.map(temporaryFile, sqliteFile))

export const all: ReadonlyArray<readonly [name: string, layer: Layer.Layer<Journal.Journal>]> = [
  ["memory", Journal.layerMemory],
  ["SQLite", sqlite]
]

/** Notes all that is written to a journal in memory. */
export const recorded = (written: Array<Entry>) =>
  Layer.scoped(
    Journal.Journal,
    Effect.suspend(() => {
      const store = memoryStore()
      return Journal.make({
        ...store,
        write: (entries) => Effect.zipRight(Effect.sync(() => written.push(...entries)), store.write(entries))
      })
    })
  )
