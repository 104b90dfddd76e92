/**
 * A worker on a journal file, as a process that a test can kill.
 *
 *   node --import tsx test/Workflow/support/importWorker.ts JOURNAL owner|server
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Engine, Journal } from "holdfast/Workflow"
import { workers } from "./importWorkflow.js"

const [filename, role] = process.argv.slice(2)

const Live = workers[role as keyof typeof workers].pipe(
  Layer.provide(Engine.layer({ lease: "300 millis", queues: role === "server" ? { import: {} } : {} })),
  Layer.provide(Journal.layerSql({ pollInterval: "20 millis" })),
  Layer.provide(SqliteClient.layer({ filename: filename! }))
)

Effect.runFork(Layer.launch(Live))
