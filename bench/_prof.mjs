import { SqliteClient } from "@effect/sql-sqlite-node";
import { Effect, Layer, Schema } from "effect";
import { Activity, Client, Engine, Journal, Workflow } from "../dist/Workflow/index.js";
import { mkdtempSync } from "node:fs";
const steps = 10;
const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number });
const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number });
const Live = Layer.mergeAll(
  Chain.toLayer((n) => Effect.iterate(n, { while: (i) => i < n + steps, body: (i) => Step.execute(i) })),
  Step.toLayer((n) => Effect.succeed(n + 1))
).pipe(Layer.provideMerge(Engine.layer()), Layer.provide(process.argv[2] === "memory" ? Journal.layerMemory : Journal.layerSql().pipe(Layer.provide(SqliteClient.layer({ filename: mkdtempSync("/tmp/hf-") + "/j.db" })))));
const N = Number(process.argv[3] ?? 6e3);
await Effect.gen(function* () {
  const t0 = performance.now();
  yield* Effect.forEach(Array.from({ length: N }, (_, i) => i), (id) => Effect.flatMap(Client.start(Chain, { id: `${id}`, payload: 0 }), (h) => h.result), { concurrency: 100 });
  const s = (performance.now() - t0) / 1e3;
  console.log(`${Math.round(N * steps / s)} activities/s`, process.cpuUsage());
}).pipe(Effect.provide(Live), Effect.runPromise);
