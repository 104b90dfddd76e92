import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, LogLevel, Option, Schema } from "effect"
import { Backoff, Retry, RetryPolicy } from "holdfast/Schedule"
import { Activity, Client, type Engine, Journal, WorkflowError } from "holdfast/Workflow"
import {
  describeOrder,
  ends,
  engineWith,
  failedAttempts,
  failureOf,
  handled,
  timedOut,
  watchedOrder
} from "./support/activities.js"
import * as journals from "./support/journals.js"
import { Declined, historyOf, kinds, Order, order, started } from "./support/orders.js"
import { adjust } from "./support/settling.js"

const charge = (options: Activity.RunOptions = {}) =>
  Activity.make("Charge", {
    payload: Schema.Number,
    success: Schema.String,
    error: Declined,
    heartbeatDetails: Schema.Number,
    ...options
  })

const every = (delay: number, retries: number | "unlimited" = "unlimited") =>
  RetryPolicy.make({ retries, backoff: Backoff.constant(delay) })

/** A handler that hands its tokens out, and leaves the end to whoever gets them. */
const handingOut = () => {
  const tokens: Array<string> = []
  const last = Effect.sync(() => tokens.at(-1)!)
  const handler = () =>
    Effect.gen(function*() {
      tokens.push(yield* Activity.token)
      return yield* Activity.outside
    })
  return { tokens, last, handler }
}

const reasonOf = (error: unknown) => error instanceof WorkflowError.AttemptNotPending ? error.reason : error

for (const [journal, layer] of journals.all) {
  for (const queue of [undefined, "desk"]) {
    const where = `${queue === undefined ? "beside its run" : "in a queue"} on ${journal}`
    const served: Engine.Options = { queues: { desk: { concurrency: 1 } } }

    describe(`an activity that ends from outside, ${where}`, () => {
      it.effect("succeeds with the value that is given with its token, once (W-60, B-9, W-16)", () => {
        const Charge = charge({ queue })
        const { handler, last } = handingOut()
        return Effect.gen(function*() {
          const { exit, history } = yield* watchedOrder
          yield* adjust("30 days")
          assert.isUndefined(yield* exit)
          assert.isTrue((yield* describeOrder).activities[0]?.outside)
          const token = yield* last
          yield* Client.completeActivity(Charge, token, "approved")
          yield* adjust(0)
          assert.deepStrictEqual(yield* exit, Exit.succeed("approved"))
          const late = Effect.flip(Client.completeActivity(Charge, token, "again"))
          assert.strictEqual(reasonOf(yield* late), "Ended")
          assert.strictEqual(
            reasonOf(yield* Effect.flip(Client.failActivity(Charge, token, new Declined({ cents: 1 })))),
            "Ended"
          )
          assert.strictEqual(reasonOf(yield* Effect.flip(Client.heartbeatActivity(Charge, token, 1))), "Ended")
          assert.lengthOf(ends(yield* history), 1)
        }).pipe(Effect.provide(Layer.provideMerge(engineWith(Charge, handler, served), layer)))
      })

      it.effect("that fails from outside is retried by its policy, with a token of its own each time (W-60, D5.4)", () => {
        const Charge = charge({ queue, retry: every(60_000, 2) })
        const { handler, last, tokens } = handingOut()
        return Effect.gen(function*() {
          const { exit, history } = yield* watchedOrder
          yield* adjust(1_000)
          yield* Client.failActivity(Charge, yield* last, new Declined({ cents: 1 }))
          yield* adjust(59_999)
          assert.lengthOf(tokens, 1)
          assert.strictEqual(
            reasonOf(yield* Effect.flip(Client.completeActivity(Charge, yield* last, "late"))),
            "Ended"
          )
          yield* adjust(1)
          assert.lengthOf(tokens, 2)
          yield* Client.failActivity(Charge, yield* last, Retry.nonRetryable(new Declined({ cents: 2 })))
          yield* adjust(0)
          assert.deepStrictEqual(failureOf(yield* exit), new Declined({ cents: 2 }))
          assert.deepStrictEqual(failedAttempts(yield* history), [[1, 1_000, 61_000]])
        }).pipe(Effect.provide(Layer.provideMerge(engineWith(Charge, handler, served), layer)))
      })

      it.effect("has its limits, and heartbeats from outside push them; the next attempt gets their details (W-60, D2.10, D5.13)", () => {
        const Charge = charge({ queue, heartbeat: 10_000, retry: every(1_000) })
        const tokens: Array<string> = []
        const seen: Array<number | undefined> = []
        return Effect.gen(function*() {
          const { exit, history } = yield* watchedOrder
          for (const line of [1, 2, 3]) {
            yield* adjust(9_000)
            yield* Client.heartbeatActivity(Charge, tokens[0]!, line)
          }
          yield* adjust(9_999)
          assert.deepStrictEqual(failedAttempts(yield* history), [])
          yield* adjust(1)
          assert.deepStrictEqual(failedAttempts(yield* history), [[1, 37_000, 38_000]])
          yield* adjust(1_000)
          assert.deepStrictEqual(seen, [undefined, 3])
          yield* Client.completeActivity(Charge, tokens[1]!, "approved")
          yield* adjust("1 hour")
          assert.deepStrictEqual(yield* exit, Exit.succeed("approved"))
          assert.lengthOf(ends(yield* history), 1)
        }).pipe(Effect.provide(Layer.provideMerge(
          engineWith(Charge, () =>
            Effect.gen(function*() {
              tokens.push(yield* Activity.token)
              seen.push(Option.getOrUndefined(yield* Charge.lastHeartbeat))
              return yield* Activity.outside
            }), served),
          layer
        )))
      })

      it.effect("is out of time though no engine is there to say so, by any of its limits (W-60, D5.9)", () =>
        Effect.gen(function*() {
          for (const limit of ["startToClose", "scheduleToClose", "heartbeat"] as const) {
            const Charge = charge({ queue, [limit]: "1 hour" })
            const { handler, last } = handingOut()
            const engine = engineWith(Charge, handler, served)
            yield* Effect.gen(function*() {
              yield* Effect.provide(Effect.zipRight(watchedOrder, adjust(0)), engine)
              const token = yield* last
              yield* adjust("61 minutes")
              const late = Client.completeActivity(Charge, token, "late")
              assert.strictEqual(reasonOf(yield* Effect.flip(Effect.provide(late, Client.layer))), "Ended")
              yield* Effect.gen(function*() {
                const { exit } = yield* watchedOrder
                yield* adjust(0)
                assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: limit, attempts: 1 })
              }).pipe(Effect.provide(engine))
            }).pipe(Effect.provide(Layer.fresh(layer)))
          }
        }))

      it.effect("survives a change of workers, with its token, its start and its limits (W-60, G8)", () => {
        const Charge = charge({ queue, startToClose: "2 hours" })
        const { handler, last, tokens } = handingOut()
        const engine = engineWith(Charge, handler, served)
        return Effect.gen(function*() {
          yield* Effect.provide(Effect.zipRight(watchedOrder, adjust("1 hour")), engine)
          yield* Effect.gen(function*() {
            const { exit, history } = yield* watchedOrder
            yield* adjust(3_600_000 - 1)
            assert.isUndefined(yield* exit)
            yield* adjust(1)
            assert.deepStrictEqual(timedOut(yield* exit), { reason: "TimedOut", timeout: "startToClose", attempts: 1 })
            assert.strictEqual(reasonOf(yield* Effect.flip(Client.completeActivity(Charge, yield* last, ""))), "Ended")
            assert.lengthOf(ends(yield* history), 1)
            assert.lengthOf(tokens, 1)
          }).pipe(Effect.provide(engine))
        }).pipe(Effect.provide(layer))
      })

      it.effect("may end before its handler has returned, which is interrupted then (W-16, D5.11)", () => {
        const Charge = charge({ queue })
        let interrupted = 0
        return Effect.gen(function*() {
          const token = yield* Deferred.make<string>()
          yield* Effect.gen(function*() {
            const { exit, history } = yield* watchedOrder
            yield* Client.completeActivity(Charge, yield* Deferred.await(token), "early")
            yield* adjust("1 hour")
            assert.deepStrictEqual(yield* exit, Exit.succeed("early"))
            assert.strictEqual(interrupted, 1)
            assert.lengthOf(ends(yield* history), 1)
          }).pipe(Effect.provide(Layer.provideMerge(
            engineWith(Charge, () =>
              Effect.gen(function*() {
                yield* Deferred.succeed(token, yield* Activity.token)
                return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
              }), served),
            layer
          )))
        })
      })

      it.effect("may fail before its handler has returned: it is interrupted, and retried (W-16, W-17)", () => {
        const Charge = charge({ queue, retry: every(1_000) })
        let interrupted = 0
        return Effect.gen(function*() {
          const token = yield* Deferred.make<string>()
          yield* Effect.gen(function*() {
            const { exit, history } = yield* watchedOrder
            yield* Client.failActivity(Charge, yield* Deferred.await(token), new Declined({ cents: 1 }))
            yield* adjust("1 hour")
            assert.deepStrictEqual(yield* exit, Exit.succeed("second"))
            assert.strictEqual(interrupted, 1)
            assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 1_000]])
          }).pipe(Effect.provide(Layer.provideMerge(
            engineWith(Charge, (_, attempt) =>
              attempt === 2 ? Effect.succeed("second") : Effect.gen(function*() {
                yield* Deferred.succeed(token, yield* Activity.token)
                return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
              }), served),
            layer
          )))
        })
      })
    })
  }
}

describe("tokens", () => {
  it.effect("that are wrong are told apart (W-60)", () => {
    const Charge = charge()
    const { handler, last } = handingOut()
    const Other = Activity.make("Other")
    return Effect.gen(function*() {
      yield* watchedOrder
      const token = yield* last
      const reason = (token: string) => Effect.map(Effect.flip(Client.completeActivity(Charge, token, "")), reasonOf)
      assert.strictEqual(yield* reason("nonsense"), "Malformed")
      assert.strictEqual(yield* reason(`${token}x`), "Malformed")
      const [, runId, rest, secret] = /^(.+)(\/1\/1\/)([0-9a-f]{32})$/.exec(token)!
      assert.strictEqual(yield* reason(`${runId}/1/2/${secret}`), "Ended")
      assert.strictEqual(yield* reason(`x${token}`), "Ended")
      // Who has seen the run in a log line, and even all but one digit of the secret, has no token.
      for (const [i, digit] of [...secret!].entries()) {
        const other = secret!.slice(0, i) + (digit === "0" ? "1" : "0") + secret!.slice(i + 1)
        assert.strictEqual(yield* reason(`${runId}${rest}${other}`), "Malformed")
      }
      assert.strictEqual(yield* reason(`${runId}/1/1`), "Malformed")
      assert.strictEqual(
        reasonOf(yield* Effect.flip(Client.completeActivity(Other, token, undefined))),
        "OtherActivity"
      )
      const unfit = yield* Effect.flip(Client.completeActivity(Charge, token, 7 as unknown as string))
      assert.instanceOf(unfit, WorkflowError.InvalidPayload)
    }).pipe(Effect.provide(Layer.provideMerge(engineWith(Charge, handler), Journal.layerMemory)))
  })

  for (const [name, journal] of journals.all) {
    it.effect(`are secrets of 128 random bits that nothing else shows, on ${name} (W-60)`, () => {
      const Charge = charge({ retry: every(1_000) })
      const { handler, last, tokens } = handingOut()
      const lines: Array<string> = []
      const logger = Logger.make(({ cause, message }) => void lines.push(`${String(message)} ${Cause.pretty(cause)}`))
      return Effect.gen(function*() {
        yield* watchedOrder
        yield* adjust(0)
        const first = yield* last
        yield* Client.failActivity(Charge, first, new Declined({ cents: 1 }))
        yield* adjust(1_000)
        const second = yield* last
        const secrets = tokens.map((token) => token.slice(token.lastIndexOf("/") + 1))
        assert.lengthOf(new Set(secrets), 2)
        const late = yield* Effect.flip(Client.completeActivity(Charge, first, "late"))
        const forged = `${second.slice(0, second.lastIndexOf("/"))}/${secrets[0]}`
        assert.strictEqual(reasonOf(yield* Effect.flip(Client.completeActivity(Charge, forged, ""))), "Malformed")
        const shown = [
          JSON.stringify(yield* describeOrder),
          JSON.stringify(yield* Client.history("order")),
          String(late),
          JSON.stringify(late),
          ...lines
        ].join()
        for (const secret of secrets) {
          assert.match(secret, /^[0-9a-f]{32}$/)
          assert.notInclude(shown, secret)
        }
        assert.include(late.message, "belongs to an attempt that has ended")
        yield* Client.completeActivity(Charge, second, "approved")
      }).pipe(
        Effect.provide(
          Layer.provideMerge(Layer.provideMerge(engineWith(Charge, handler), journal), Logger.add(logger))
        ),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
    })

    it.effect(`are the same for an attempt that is made again after a crash, on ${name} (W-60)`, () => {
      const Charge = charge()
      const tokens: Array<string> = []
      const engine = engineWith(Charge, () =>
        Effect.gen(function*() {
          tokens.push(yield* Activity.token)
          assert.strictEqual(yield* Activity.token, tokens.at(-1))
          // It has handed its token out, and dies with its process before it has said that its end comes from outside.
          return tokens.length === 1 ? yield* Effect.never : yield* Activity.outside
        }))
      return Effect.gen(function*() {
        yield* Effect.provide(Effect.zipRight(watchedOrder, adjust(0)), engine)
        yield* Effect.gen(function*() {
          const { exit } = yield* watchedOrder
          yield* adjust(0)
          assert.lengthOf(tokens, 2)
          assert.strictEqual(tokens[0], tokens[1])
          yield* Client.completeActivity(Charge, tokens[0]!, "approved")
          yield* adjust(0)
          assert.deepStrictEqual(yield* exit, Exit.succeed("approved"))
        }).pipe(Effect.provide(engine))
      }).pipe(Effect.provide(journal))
    })
  }

  it.effect("do not keep a handler from ending its activity itself, retries included (W-16)", () => {
    const Charge = charge({ retry: every(1_000) })
    return Effect.gen(function*() {
      const { exit, history } = yield* watchedOrder
      yield* adjust("1 hour")
      assert.deepStrictEqual(yield* exit, Exit.succeed("third"))
      assert.deepStrictEqual(failedAttempts(yield* history), [[1, 0, 1_000], [2, 1_000, 2_000]])
      assert.lengthOf(ends(yield* history), 1)
    }).pipe(Effect.provide(Layer.provideMerge(
      engineWith(
        Charge,
        (cents, attempt) =>
          Effect.zipRight(Activity.token, attempt < 3 ? new Declined({ cents }) : Effect.succeed("third"))
      ),
      Journal.layerMemory
    )))
  })
})

/** Two journals on one file know of each other what two processes do: only what is in it. */
const onFile = (filename: string, pollInterval: string) =>
  Layer.fresh(
    Journal.layerSql({ pollInterval: pollInterval as "10 millis" }).pipe(
      Layer.provide(journals.database(filename)),
      Layer.orDie
    )
  )

describe("ends from another process", () => {
  it.scopedLive("reach the owner of the run: a success, and a failure that is retried (W-60, W-2)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const Charge = charge({ retry: every(20) })
      const { handler, tokens } = handingOut()
      const elsewhere = Layer.provide(Client.layer, onFile(file, "10 millis"))
      yield* Effect.gen(function*() {
        const run = yield* order
        while (tokens.length < 1) yield* Effect.sleep("5 millis")
        yield* Effect.provide(Client.failActivity(Charge, tokens[0]!, new Declined({ cents: 1 })), elsewhere)
        while (tokens.length < 2) yield* Effect.sleep("5 millis")
        yield* Effect.provide(Client.completeActivity(Charge, tokens[1]!, "approved"), elsewhere)
        assert.strictEqual(yield* run.result, "approved")
        assert.lengthOf(ends(yield* historyOf(run.runId)), 1)
      }).pipe(
        Effect.provide(
          Layer.provideMerge(engineWith(Charge, handler, { lease: "300 millis" }), onFile(file, "10 millis"))
        )
      )
    }))

  it.scopedLive(
    "that the owner has not seen win over its own: an activity has one end (W-16, D5.11)",
    () =>
      Effect.gen(function*() {
        const file = yield* journals.temporaryFile
        const Charge = charge()
        const gate = yield* Deferred.make<void>()
        const again = yield* Deferred.make<void>()
        const tokens: Array<string> = []
        const live = handled(Charge, () =>
          Effect.gen(function*() {
            if (tokens.length === 0) {
              tokens.push(yield* Activity.token)
              return yield* Effect.never
            }
            // The same attempt, made again by the next owner of the run. It does not know that its token is out.
            yield* Deferred.succeed(again, undefined)
            yield* Deferred.await(gate)
            return "from inside"
          }))
        const engine = started(Layer.mergeAll(Order.toLayer(Charge.execute), live), { gracePeriod: 0 }).engine
        yield* Effect.gen(function*() {
          yield* order
          while (tokens.length === 0) yield* Effect.sleep("5 millis")
        }).pipe(Effect.provide(Layer.provideMerge(engine, onFile(file, "10 millis"))))
        // It does not look for what others write, so it does not see the end from outside in time.
        yield* Effect.gen(function*() {
          const run = yield* Client.get(Order, "order")
          yield* Deferred.await(again)
          yield* Effect.provide(
            Client.completeActivity(Charge, tokens[0]!, "from outside"),
            Layer.provide(Client.layer, onFile(file, "10 millis"))
          )
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual(yield* run.result, "from outside")
          const history = yield* historyOf(run.runId)
          assert.deepStrictEqual(kinds(ends(history)), ["ActivityCompleted"])
        }).pipe(Effect.provide(Layer.provideMerge(engine, onFile(file, "1 hour"))))
      }),
    20_000
  )

  it.scopedLive("interrupt a handler that still runs (W-60, D5.11)", () =>
    Effect.gen(function*() {
      const file = yield* journals.temporaryFile
      const Charge = charge()
      const token = yield* Deferred.make<string>()
      const interrupted = yield* Deferred.make<void>()
      const live = Layer.merge(
        // The run goes on after its activity.
        Order.toLayer((cents) => Effect.zipLeft(Charge.execute(cents), Effect.sleep("1 hour"))),
        handled(Charge, () =>
          Effect.gen(function*() {
            yield* Deferred.succeed(token, yield* Activity.token)
            return yield* Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          }))
      )
      yield* Effect.gen(function*() {
        yield* order
        yield* Effect.provide(
          Client.completeActivity(Charge, yield* Deferred.await(token), "from outside"),
          Layer.provide(Client.layer, onFile(file, "10 millis"))
        )
        yield* Deferred.await(interrupted)
      }).pipe(Effect.provide(Layer.provideMerge(started(live).engine, onFile(file, "10 millis"))))
    }))

  it.scopedLive(
    "a failure that the owner has not seen wins over the late success of that attempt (W-16, W-17, D5.11)",
    () =>
      Effect.gen(function*() {
        const file = yield* journals.temporaryFile
        const Charge = charge({ retry: every(1) })
        const token = yield* Deferred.make<string>()
        const gate = yield* Deferred.make<void>()
        yield* Effect.gen(function*() {
          const run = yield* order
          yield* Effect.provide(
            Client.failActivity(Charge, yield* Deferred.await(token), new Declined({ cents: 1 })),
            Layer.provide(Client.layer, onFile(file, "10 millis"))
          )
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual(yield* run.result, "second")
          const history = yield* historyOf(run.runId)
          assert.lengthOf(failedAttempts(history), 1)
          assert.lengthOf(ends(history), 1)
        }).pipe(
          Effect.provide(Layer.provideMerge(
            engineWith(Charge, (_, attempt) =>
              attempt === 2 ? Effect.succeed("second") : Effect.gen(function*() {
                yield* Deferred.succeed(token, yield* Activity.token)
                yield* Deferred.await(gate)
                return "late"
              })),
            // It does not look for what others write.
            onFile(file, "1 hour")
          ))
        )
      }),
    20_000
  )
})

it.effect("handlers may end themselves or leave it to others, case by case", () => {
  const Charge = charge()
  return Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.flatMap(order, (run) => run.result))
    assert.strictEqual(yield* Fiber.join(fiber), "at once")
  }).pipe(
    Effect.provide(Layer.provideMerge(
      engineWith(Charge, (cents) => cents > 50 ? Effect.succeed("at once") : Activity.outside),
      Journal.layerMemory
    ))
  )
})
