import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Option, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Client, Journal } from "holdfast/Workflow"
import type { Entry } from "../../src/Workflow/Journal.js"
import { describeOrder, engineWith, failedAttempts, failureOf, timedOut, watchedOrder } from "./support/activities.js"
import * as journals from "./support/journals.js"
import { recorded } from "./support/journals.js"
import { Declined, Order, order, started } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const Line = Schema.Struct({ line: Schema.NumberFromString })

const charge = (options: Activity.RunOptions) =>
  Activity.make("Charge", {
    payload: Schema.Number,
    success: Schema.String,
    error: Declined,
    heartbeatDetails: Line,
    ...options
  })

const every = (delay: number, retries: number | "unlimited" = "unlimited") =>
  RetryPolicy.make({ retries, backoff: Backoff.constant(delay) })

const lineOf = Option.match({ onNone: () => "none", onSome: ({ line }: typeof Line.Type) => String(line) })

/** Beats at these times, in milliseconds from its start. */
const beating = (activity: ReturnType<typeof charge>, times: ReadonlyArray<number>) =>
  Effect.forEach(
    times,
    (at, i) =>
      Effect.zipRight(Effect.sleep(Duration.millis(at - (times[i - 1] ?? 0))), activity.heartbeat({ line: i + 1 }))
  )

for (const [journal, layer] of journals.all) {
  describe(`heartbeats on ${journal}`, () => {
    it.effect("an activity that gives them, and ends (T79)", () => {
      const beats = charge({ heartbeat: "1 minute" })
      return Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust("2 minutes")
        assert.deepStrictEqual(yield* exit, Exit.succeed("charged"))
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(beats, () => Effect.as(beating(beats, [30_000, 70_000]), "charged")),
          layer
        ))
      )
    })

    it.effect("silence ends an attempt, at the limit and not before (T80, C21, D5.10)", () => {
      let interrupted = 0
      return Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust(59_999)
        assert.isUndefined(yield* exit)
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "heartbeat", attempts: 1 })
        assert.strictEqual(interrupted, 1)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(
            charge({ heartbeat: "1 minute" }),
            () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
          ),
          layer
        ))
      )
    })

    it.effect("each pushes the limit, and silence after them ends the attempt (T81, D2.10)", () => {
      const beats = charge({ heartbeat: "1 minute" })
      return Effect.gen(function*() {
        const { exit } = yield* watchedOrder
        yield* adjust(149_999)
        assert.isUndefined(yield* exit)
        yield* adjust(1)
        assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "heartbeat", attempts: 1 })
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(beats, () => Effect.zipRight(beating(beats, [30_000, 60_000, 90_000]), Effect.never)),
          layer
        ))
      )
    })

    it.effect("without a limit they are kept all the same, and a new worker hands them on (T82, D5.13)", () => {
      const beats = charge({})
      const engine = engineWith(beats, () =>
        Effect.gen(function*() {
          const last = lineOf(yield* beats.lastHeartbeat)
          if (last !== "none") return `went on from ${last}`
          yield* beating(beats, [1_000, 5_000])
          return yield* Effect.never
        }))
      return Effect.gen(function*() {
        yield* Effect.gen(function*() {
          yield* watchedOrder
          yield* adjust("1 hour")
          const [pending] = (yield* describeOrder).activities
          assert.strictEqual(pending?.details, JSON.stringify({ line: "2" }))
          assert.strictEqual(pending?.beatAt, 5_000)
        }).pipe(Effect.provide(engine))
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          assert.strictEqual(yield* run.result, "went on from 2")
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(layer))
    })

    it.effect("those of a failed attempt reach the next one, the very last too (D5.13, B-9, D2.9)", () => {
      const beats = charge({ heartbeat: "1 hour", retry: every(1_000) })
      const seen: Array<string> = []
      return Effect.gen(function*() {
        const { exit, history } = yield* watchedOrder
        yield* adjust("1 minute")
        assert.deepStrictEqual(yield* exit, Exit.succeed("done"))
        // The third attempt gave none of its own.
        assert.deepStrictEqual(seen, ["none", "20", "40", "40"])
        assert.lengthOf(failedAttempts(yield* history), 3)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          engineWith(beats, (cents, attempt) =>
            Effect.gen(function*() {
              seen.push(lineOf(yield* beats.lastHeartbeat))
              if (attempt === 4) return "done"
              if (attempt < 3) {
                for (let i = 1; i <= 20; i++) yield* beats.heartbeat({ line: 20 * (attempt - 1) + i })
              }
              return yield* new Declined({ cents })
            })),
          layer
        ))
      )
    })
  })
}

describe("heartbeats", () => {
  it.effect("that come after the end are ignored (T83, D5.14)", () => {
    const beats = charge({ heartbeat: "1 minute" })
    const written: Array<Entry> = []
    return Effect.gen(function*() {
      const { exit } = yield* watchedOrder
      yield* adjust("1 hour")
      assert.deepStrictEqual(yield* exit, Exit.succeed("charged"))
      assert.deepStrictEqual(written.flatMap((entry) => entry._tag === "Heartbeat" ? [entry.details] : []), [
        JSON.stringify({ line: "1" })
      ])
    }).pipe(
      Effect.provide(Layer.provideMerge(
        engineWith(beats, () =>
          Effect.gen(function*() {
            yield* beats.heartbeat({ line: 1 })
            // Not written at once, and then not any more.
            yield* beats.heartbeat({ line: 2 })
            yield* Effect.forkDaemon(Effect.delay(beats.heartbeat({ line: 3 }), 1_000))
            return "charged"
          })),
        recorded(written)
      ))
    )
  })

  it.effect("are written about once per second, the first at once and the last of a failed attempt before its failure (D5.13, B-9)", () => {
    const beats = charge({ heartbeat: "1 hour" })
    const written: Array<Entry> = []
    return Effect.gen(function*() {
      const { exit } = yield* watchedOrder
      yield* adjust("1 minute")
      assert.instanceOf(failureOf(yield* exit), Declined)
      const told = written.flatMap((entry) => entry._tag === "Heartbeat" ? [[entry.at, entry.details]] : [])
      const details = (line: number) => JSON.stringify({ line: String(line) })
      assert.deepStrictEqual(told, [[0, details(1)], [900, details(4)], [1_800, details(7)], [2_400, details(9)]])
      const kinds = written.map((entry) =>
        entry._tag === "Append" && entry.events.some(({ _tag }) => _tag === "ActivityFailed") ? "failed" : entry._tag
      )
      assert.isBelow(kinds.lastIndexOf("Heartbeat"), kinds.indexOf("failed"))
    }).pipe(
      Effect.provide(Layer.provideMerge(
        engineWith(beats, (cents) =>
          Effect.gen(function*() {
            for (let i = 1; i <= 9; i++) {
              yield* beats.heartbeat({ line: i })
              if (i < 9) yield* Effect.sleep("300 millis")
            }
            return yield* new Declined({ cents })
          })),
        recorded(written)
      ))
    )
  })

  it.effect("whose details do not fit end the attempt for good (D5.7, D5.13)", () => {
    const beats = charge({ retry: every(1_000) })
    return Effect.gen(function*() {
      const { exit } = yield* watchedOrder
      assert.deepInclude(failureOf(yield* exit), { _tag: "ActivityError", reason: "Codec", attempts: 1 })
    }).pipe(
      Effect.provide(Layer.provideMerge(
        engineWith(beats, () => Effect.as(beats.heartbeat({ line: "x" as unknown as number }), "charged")),
        Journal.layerMemory
      ))
    )
  })

  it.effect("are nobody's where a handler runs without an engine (D5.13)", () => {
    const beats = charge({})
    return Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* beats.lastHeartbeat))
      yield* beats.heartbeat({ line: 1 })
    }).pipe(Effect.provideService(Activity.Attempt, {
      activity: "Charge",
      attempt: 1,
      workflow: "Order",
      workflowId: "order",
      runId: "run",
      idempotencyKey: "run/1"
    }))
  })

  it.effect("an activity without details gives them too", () => {
    const Plain = Activity.make("Plain", { heartbeat: "1 minute" })
    return Effect.gen(function*() {
      const run = yield* Effect.fork(Effect.flatMap(order, (run) => run.result))
      yield* adjust("2 minutes")
      assert.strictEqual(yield* run, "alive")
    }).pipe(
      Effect.provide(Layer.provideMerge(
        started(Layer.mergeAll(
          Order.toLayer(() => Effect.as(Plain.execute(), "alive")),
          Plain.toLayer(() => Effect.repeatN(Effect.delay(Plain.heartbeat(), "40 seconds"), 2))
        )).engine,
        Journal.layerMemory
      ))
    )
  })
})
