/**
 * A worker whose runs hang, as a process that a test looks at from outside.
 *
 *   node --import tsx test/Workflow/support/hangingWorker.ts JOURNAL report|exit
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Engine, Journal } from "holdfast/Workflow"
import { Live } from "./hangingWorkflow.js"

const [filename, onHang] = process.argv.slice(2)

const Worker = Live.pipe(
  Layer.provide(Engine.layer({ hangAfter: "200 millis", lease: "200 millis", onHang: onHang as "report" | "exit" })),
  Layer.provide(Journal.layerSql({ pollInterval: "20 millis" })),
  Layer.provide(SqliteClient.layer({ filename: filename! }))
)

Effect.runFork(Layer.launch(Worker))
