/**
 * A worker: runs the orders that are in the journal. `main.ts` starts it and kills it (`npm run demo`); alone it would be
 *
 *   node --import tsx examples/orders/worker.ts JOURNAL.db http://127.0.0.1:PORT
 *
 * It keeps nothing that would be missed. Whatever it has not yet written to the journal when it dies is done again by the
 * next worker, and the idempotency key makes that harmless.
 */
import { FetchHttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { Activity, Engine, Journal } from "holdfast/Workflow"
import { LogToStderr, say, whileParentLives } from "./child.js"
import { Report } from "./messages.js"
import { charge, PaymentsBreakerLive } from "./payments.js"
import { ChargeCard, OrderLive, ReserveStock, ShipParcel } from "./workflow.js"

const [journal = "orders.db", service = ""] = process.argv.slice(2)

const ReserveStockLive = ReserveStock.toLayer(({ item, order }) =>
  Effect.as(Effect.sleep("20 millis"), `${item} for ${order}`)
)

const ChargeCardLive = ChargeCard.toLayer((request) =>
  Effect.flatMap(Activity.idempotencyKey, (key) => charge(service, request, key))
)

const ShipParcelLive = ShipParcel.toLayer(({ order }) => Effect.as(Effect.sleep("20 millis"), `parcel of ${order}`))

const JournalLive = Journal.layerSql({ pollInterval: "50 millis" }).pipe(
  Layer.provide(SqliteClient.layer({ filename: journal }))
)

const WorkerLive = Layer.mergeAll(OrderLive, ReserveStockLive, ChargeCardLive, ShipParcelLive).pipe(
  Layer.provide(PaymentsBreakerLive),
  Layer.provide(FetchHttpClient.layer),
  // The next worker takes over what this one leaves behind after a second.
  Layer.provide(Engine.layer({ lease: "1 second", activityConcurrency: 32 })),
  Layer.provide(JournalLive),
  Layer.tap(() => say(Report)({ _tag: "Ready" })),
  Layer.provide(LogToStderr)
)

Layer.launch(WorkerLive).pipe(whileParentLives, (worker) => NodeRuntime.runMain(worker, { disablePrettyLogger: true }))
