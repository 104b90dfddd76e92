/** The journals that tests run on: in memory, and in a SQLite file of the test's own. */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Context, Effect, Layer } from "effect"
import { Journal } from "holdfast/Workflow"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

import { memoryStore } from "../../../src/Workflow/internal/memory/memoryStore.js"
import type { Entry } from "../../../src/Workflow/Journal.js"
import { client, freshSchema } from "../../support/postgresServer.js"
import { awaited } from "./settling.js"

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

export const postgresIn = (schema: string): Layer.Layer<Journal.Journal | SqlClient.SqlClient> =>
  Journal.layerSql({ schema }).pipe(Layer.provideMerge(awaited(client)), Layer.orDie)

export const postgres = Layer.unwrapScoped(Effect.map(freshSchema, postgresIn))

export const all: ReadonlyArray<readonly [name: string, layer: Layer.Layer<Journal.Journal>]> = [
  ["memory", Journal.layerMemory],
  ["SQLite", sqlite],
  ["PostgreSQL", postgres]
]

/** A database that tells of each statement before it is executed. */
export const watched = <E>(
  database: Layer.Layer<SqlClient.SqlClient, E>,
  onStatement: (text: string, values: ReadonlyArray<unknown>) => void
): Layer.Layer<SqlClient.SqlClient, E> =>
  Layer.map(database, (context) => {
    const sql = Context.get(context, SqlClient.SqlClient)
    const reserve = Effect.map(sql.reserve, (connection) => ({
      ...connection,
      execute: (text: string, values: ReadonlyArray<unknown>, transform: undefined) => {
        onStatement(text, values)
        return connection.execute(text, values, transform)
      }
    }))
    // A client is a function with fields.
    const client = new Proxy(sql, { get: (_, key) => key === "reserve" ? reserve : Reflect.get(sql, key) })
    return Context.make(SqlClient.SqlClient, client)
  })

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
