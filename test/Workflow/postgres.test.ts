/**
 * A journal on PostgreSQL when its connections break, and when several processes write at once.
 */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random, Redacted, Schema } from "effect"
import { Activity, Client, Engine, type Event, Journal, Workflow } from "holdfast/Workflow"
import { inject } from "vitest"
import { client, freshSchema } from "../support/postgresServer.js"
import { relay } from "../support/relay.js"
import * as journals from "./support/journals.js"
import { quiet } from "./support/orders.js"
import { problemsIn } from "./support/soundHistory.js"

const at = 1_700_000_000_000

const start = (runId: string): Journal.Entry => ({
  _tag: "Start",
  run: { runId, worker: "a" },
  workflowId: `id of ${runId}`,
  workflow: "W",
  started: { _tag: "RunStarted", at, payload: "1" },
  conflict: "attach",
  reuse: "attach"
})

const turn = (upTo: number): Event.Unsequenced => ({ _tag: "TurnTaken", at, consumedUpTo: upTo, inlineArrivals: 0 })

const append = (runId: string, events: ReadonlyArray<Event.Unsequenced>): Journal.Entry => ({
  _tag: "Append",
  runId,
  worker: "a",
  epoch: 1,
  events
})

/** A relay before the server, and a client that goes through it. */
const relayed = Effect.gen(function*() {
  const url = new URL(inject("postgresUrl"))
  const between = yield* relay(url.hostname, Number(url.port))
  url.port = String(between.port)
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url.href), maxConnections: 3 }))
  return { between, client }
})

const storeIn = (schema: string, client: Layer.Layer<SqlClient.SqlClient>) =>
  Effect.map(
    Layer.build(Layer.provide(Journal.layerSql({ schema }), client)),
    (context) => Context.get(context, Journal.Journal).store
  )

describe("a commit on PostgreSQL that has no answer", () => {
  it.scopedLive("was written, and is not written again (B-2, W-5)", () =>
    Effect.gen(function*() {
      const { between, client } = yield* relayed
      const store = yield* storeIn(yield* freshSchema, client)
      yield* store.write([start("r")])
      between.loseNext("\nCOMMIT", "answer")
      const { receipts } = yield* store.write([append("r", [turn(1)])])
      assert.deepStrictEqual(receipts.map(({ _tag }) => _tag), ["Appended"])
      assert.strictEqual(between.broken(), 1)
      assert.lengthOf(yield* store.history("r"), 2)
    }))

  it.scopedLive("was not written, and is said to have failed: it can be written then (B-2, W-5)", () =>
    Effect.gen(function*() {
      const { between, client } = yield* relayed
      const store = yield* storeIn(yield* freshSchema, client)
      yield* store.write([start("r")])
      between.loseNext("\nCOMMIT", "request")
      assert.strictEqual((yield* Effect.flip(store.write([append("r", [turn(1)])]))).reason, "Write")
      assert.lengthOf(yield* store.history("r"), 1)
      yield* store.write([append("r", [turn(1)])])
      assert.lengthOf(yield* store.history("r"), 2)
    }))

  it.scopedLive(
    "loses nothing and doubles nothing, whenever connections break (T75, B-2, W-32)",
    () =>
      Effect.gen(function*() {
        const { between, client } = yield* relayed
        const schema = yield* freshSchema
        const Step = Activity.make("Step", { payload: Schema.Number, success: Schema.Number })
        const Chain = Workflow.make("Chain", { payload: Schema.Number, success: Schema.Number })
        const live = Layer.mergeAll(
          Chain.toLayer((n) =>
            Effect.orDie(Effect.iterate(n, { while: (i) => i < n + 5, body: (i) => Step.execute(i) }))
          ),
          Step.toLayer((n) => Effect.succeed(n + 1))
        ).pipe(
          Layer.provideMerge(Engine.layer({ lease: "30 seconds" })),
          Layer.provide(quiet),
          Layer.provideMerge(Layer.provide(Journal.layerSql({ schema }), client))
        )
        const random = Random.make("connections")
        between.loseSome("\nCOMMIT", () =>
          Effect.runSync(
            Effect.map(random.next, (drawn) => drawn < 0.15 ? "request" : drawn < 0.3 ? "answer" : undefined)
          ))
        const histories = yield* Effect.gen(function*() {
          const insistently = <A, E>(effect: Effect.Effect<A, E, Client.Client>) => Effect.retry(effect, { times: 20 })
          const ids = Array.from({ length: 30 }, (_, i) => `chain-${i}`)
          yield* Effect.forEach(ids, (id) =>
            Effect.gen(function*() {
              yield* insistently(Client.start(Chain, { id, payload: 0 }))
              assert.strictEqual(yield* insistently(Client.result(Chain, id)), 5)
            }), { concurrency: 10 })
          return yield* Effect.forEach(ids, (id) => insistently(Client.history(id)))
        }).pipe(Effect.provide(live))
        assert.isAbove(between.broken(), 5)
        for (const history of histories) {
          assert.deepStrictEqual(problemsIn(history), [])
          assert.lengthOf(history.filter(({ _tag }) => _tag === "ActivityCompleted"), 5)
        }
      }),
    120_000
  )
})

describe("a group of turns on PostgreSQL", () => {
  it.scopedLive("takes no message for what it writes, beside those for what it reads and the commit (W-48)", () =>
    Effect.gen(function*() {
      let messages = 0
      const store = yield* storeIn(yield* freshSchema, journals.watched(client, () => void messages++))
      const written = (events: ReadonlyArray<Event.Unsequenced>, runId: string) =>
        Effect.gen(function*() {
          yield* store.write([start(runId)])
          messages = 0
          yield* store.write([append(runId, [turn(1), ...events])])
          return messages
        })
      const more: ReadonlyArray<Event.Unsequenced> = [
        { _tag: "ActivityScheduled", command: 1, activity: "A", at, digest: "d", payload: "1", queue: "q" },
        { _tag: "TimerStarted", command: 2, fireAt: at + 1 }
      ]
      assert.deepStrictEqual([yield* written([], "little"), yield* written(more, "much")], [2, 2])
    }))
})

describe("several writers on PostgreSQL", () => {
  it.scopedLive(
    "begin one run of an id, whoever is first, and number the events of a run without gaps (D2.1, D2.3)",
    () =>
      Effect.gen(function*() {
        const schema = yield* freshSchema
        const stores = yield* Effect.all(Array.from({ length: 4 }, () => storeIn(schema, client)), {
          concurrency: "unbounded"
        })
        const ids = Array.from({ length: 10 }, (_, i) => `id-${i}`)
        yield* Effect.forEach(stores, (store, writer) =>
          Effect.forEach(ids, (workflowId, i) =>
            Effect.gen(function*() {
              const runId = `run-${i}-of-${writer}`
              yield* store.write([{ ...start(runId), workflowId, run: { runId, worker: undefined } } as Journal.Entry])
              for (let n = 0; n < 5; n++) {
                yield* store.write([{
                  _tag: "Post",
                  workflowId,
                  event: { _tag: "SignalReceived", signal: "S", at, payload: `${writer}.${n}` }
                }])
              }
            }), { concurrency: 5 }), { concurrency: "unbounded" })
        const [store] = stores
        const runs = yield* store!.list({ filter: {}, after: undefined, limit: 100 })
        assert.deepStrictEqual(runs.map(({ workflowId }) => workflowId).sort(), [...ids].sort())
        for (const { runId } of runs) {
          const history = yield* store!.history(runId)
          assert.deepStrictEqual(history.map(({ seq }) => seq), Array.from({ length: 21 }, (_, i) => i + 1))
          const payloads = history.flatMap((event) => event._tag === "SignalReceived" ? [event.payload] : [])
          assert.strictEqual(new Set(payloads).size, 20)
        }
      }),
    60_000
  )

  it.scopedLive("may start at once on an empty database: its tables are made once", () =>
    Effect.gen(function*() {
      const schema = yield* freshSchema
      const stores = yield* Effect.all(Array.from({ length: 20 }, () => storeIn(schema, client)), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(stores, (store, i) => store.write([start(`r${i}`)]), { concurrency: "unbounded" })
      assert.strictEqual(yield* stores[0]!.count({}), 20)
    }), 60_000)
})
