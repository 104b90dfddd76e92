/**
 * The database is locked by another process: a real one, which holds `BEGIN EXCLUSIVE` on the file.
 */
import { Reactivity } from "@effect/experimental"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, FiberId, Layer, Logger, Schema, Scope, TestClock } from "effect"
import { Activity, Client, Engine, type Event, Journal, Workflow, WorkflowError } from "holdfast/Workflow"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { SharedClock } from "../../src/Workflow/internal/journal/sharedClock.js"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import * as journals from "./support/journals.js"

const holder = fileURLToPath(new URL("./support/lockHolder.ts", import.meta.url))

/** Locks a file in another process until the effect that is given is run, or the scope closes. */
const locked = (file: string): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly unlock: Effect.Effect<void>; readonly kill: () => void }>((resume) => {
        const child = spawn(process.execPath, ["--import", "tsx", holder, file], { stdio: ["pipe", "pipe", "inherit"] })
        const ended = Deferred.unsafeMake<void>(FiberId.none)
        child.once("exit", () => Deferred.unsafeDone(ended, Effect.void))
        child.stdout.once("data", () =>
          resume(Effect.succeed({
            unlock: Effect.zipRight(Effect.sync(() => child.stdin.end()), Deferred.await(ended)),
            kill: () => child.kill("SIGKILL")
          })))
      }),
      ({ kill }) => Effect.sync(kill)
    ),
    ({ unlock }) => unlock
  )

/** Gives the longest time for which nothing else could run in this process since. */
const longestGap = Effect.gen(function*() {
  let longest = 0
  let last = performance.now()
  const tick = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => setInterval(tick, 10)),
    (timer) => Effect.sync(() => clearInterval(timer))
  )
  return Effect.sync(() => {
    tick()
    return longest
  })
})

/** How long the other process holds its lock, in these tests, where somebody is to wait for it. */
const held = 4_000

/** Far below what is held, and far above what a process that does not wait for a lock stands still for. */
const blocked = 1_000

const collecting = (lines: Array<string>) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel.label} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
    })
  )

const Double = Activity.make("Double", { payload: Schema.Number, success: Schema.Number })
const Twice = Workflow.make("Twice", { payload: Schema.Number, success: Schema.Number })

const live = (attempts: Array<number>) =>
  Layer.mergeAll(
    Twice.toLayer((n) =>
      Effect.gen(function*() {
        const doubled = yield* Double.execute(n)
        yield* Effect.sleep("100 millis")
        return yield* Double.execute(doubled)
      }).pipe(Effect.orDie)
    ),
    Double.toLayer((n) =>
      Effect.sync(() => {
        attempts.push(n)
        return 2 * n
      })
    )
  )

const engine = (
  file: string,
  attempts: Array<number>,
  options?: { readonly lockTimeout?: "500 millis"; readonly disableWAL?: boolean }
) =>
  live(attempts).pipe(
    Layer.provideMerge(Engine.layer({ lease: "1 second" })),
    Layer.provideMerge(Journal.layerSql({ pollInterval: "20 millis", lockTimeout: options?.lockTimeout })),
    Layer.provide(SqliteClient.layer({ filename: file, disableWAL: options?.disableWAL }))
  )

const start = (id: string) => Client.start(Twice, { id, payload: 1 })

/** A journal's file, as a journal leaves it. */
const journalFile = (options?: { readonly disableWAL?: boolean }) =>
  Effect.tap(journals.temporaryFile, (file) =>
    Effect.scoped(Layer.build(
      Layer.provide(Journal.layerSql(), SqliteClient.layer({ filename: file, disableWAL: options?.disableWAL }))
    )))

const begun = (runId: string): Journal.Entry => ({
  _tag: "Start",
  run: { runId, worker: undefined },
  workflowId: `id of ${runId}`,
  workflow: "W",
  started: { _tag: "RunStarted", at: 1, payload: "1" } satisfies Event.Unsequenced,
  conflict: "attach",
  reuse: "attach"
})

type Refused = Effect.Effect.Error<ReturnType<typeof start> | ReturnType<typeof Client.history>>

describe("a database that another process has locked", () => {
  it.scopedLive(
    "stops nothing in a process with an engine, whose runs go on by themselves afterwards (B-2, W-32)",
    () =>
      Effect.gen(function*() {
        const file = yield* journalFile()
        const lines: Array<string> = []
        const attempts: Array<number> = []
        yield* Effect.gen(function*() {
          const before = yield* start("before")
          const unlock = yield* locked(file)
          const gap = yield* longestGap
          const during = yield* Effect.fork(start("during"))
          yield* Effect.sleep(held)
          assert.isTrue(during.unsafePoll() === null)
          assert.isBelow(yield* gap, blocked)
          yield* unlock
          assert.strictEqual(yield* before.result, 4)
          assert.strictEqual(yield* (yield* during).result, 4)
          assert.strictEqual(yield* (yield* start("after")).result, 4)
        }).pipe(Effect.provide(Layer.provideMerge(engine(file, attempts), collecting(lines))))
        // Whoever waited, and in how many ways: it is said once, and once that it is over.
        const warnings = lines.filter((line) => line.startsWith("WARN"))
        assert.lengthOf(warnings, 1)
        assert.match(warnings[0]!, /waits for the database .*journal\.db.*, which another process has locked since 20/)
        assert.lengthOf(lines.filter((line) => /^INFO .*journal\.db.* is free again/.test(line)), 1)
        // Nobody has taken the runs away, and no activity ran twice.
        assert.deepStrictEqual([...attempts].sort(), [1, 1, 1, 2, 2, 2])
      }),
    30_000
  )

  for (const disableWAL of [false, true]) {
    const mode = disableWAL ? "with a rollback journal" : "in WAL mode"
    it.scopedLive(`lets an engine that starts meanwhile come up late (${mode})`, () =>
      Effect.gen(function*() {
        const file = yield* journalFile({ disableWAL })
        const unlock = yield* locked(file)
        const gap = yield* longestGap
        const result = yield* Effect.fork(
          Effect.provide(Effect.flatMap(start("late"), (run) => run.result), engine(file, [], { disableWAL }))
        )
        yield* Effect.sleep(held)
        assert.isTrue(result.unsafePoll() === null)
        assert.isBelow(yield* gap, blocked)
        yield* unlock
        assert.strictEqual(yield* Fiber.join(result), 4)
      }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))), 30_000)

    it.scopedLive(
      `fails what a client asks for, typed, when it lasts too long (${mode})`,
      () =>
        Effect.gen(function*() {
          const file = yield* journalFile({ disableWAL })
          yield* Effect.gen(function*() {
            const unlock = yield* locked(file)
            const gap = yield* longestGap
            const reads = [Client.count(), Client.history("a")]
            const asked: ReadonlyArray<Effect.Effect<unknown, Refused, Client.Client>> = [
              start("a"),
              start("b"),
              ...(disableWAL ? reads : [])
            ]
            const errors = yield* Effect.all(asked.map((effect) => Effect.flip(effect)), { concurrency: "unbounded" })
            for (const error of errors) {
              assert.isTrue(error._tag === "JournalError" && error.reason === "Locked")
              assert.include(error.message, file)
              assert.match(error.message, /waited \d.*another process .*lockTimeout/)
            }
            assert.isBelow(yield* gap, blocked)
            yield* unlock
            // Nothing of it was written, and everything is usable.
            assert.strictEqual(yield* Client.count(), 0)
            assert.strictEqual(yield* (yield* start("a")).result, 4)
            assert.isAbove((yield* Client.history("a")).length, 5)
          }).pipe(Effect.provide(engine(file, [], { lockTimeout: "500 millis", disableWAL })))
        }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))),
      30_000
    )
  }

  it.scopedLive("fails the opening of a journal, typed, when it lasts too long", () =>
    Effect.gen(function*() {
      const file = yield* journalFile({ disableWAL: true })
      yield* Effect.asVoid(locked(file))
      const error = yield* Effect.flip(Layer.build(
        Layer.provide(
          Journal.layerSql({ lockTimeout: "200 millis" }),
          SqliteClient.layer({ filename: file, disableWAL: true })
        )
      ))
      assert.isTrue(error._tag === "JournalError" && error.reason === "Locked")
      assert.include(error.message, file)
    }), 30_000)

  it.scopedLive("does not keep an engine from stopping", () =>
    Effect.gen(function*() {
      const file = yield* journalFile()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(engine(file, [], { lockTimeout: "500 millis" }), scope)
      yield* Effect.asVoid(locked(file))
      yield* Effect.fork(Effect.provide(start("s"), context))
      yield* Effect.sleep("300 millis")
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))), 30_000)

  it.scopedLive("leaves no connection inside a transaction, and none taken", () =>
    Effect.gen(function*() {
      const file = yield* journalFile()
      const sql = yield* SqliteClient.make({ filename: file })
      const context = yield* Layer.build(Layer.provide(
        Journal.layerSql(),
        Layer.succeed(SqlClient.SqlClient, sql)
      ))
      const { store } = Context.get(context, Journal.Journal)
      const unlock = yield* locked(file)
      const written = yield* Effect.fork(store.write([begun("r")]))
      yield* Effect.sleep("300 millis")
      // Somebody else's statement on the same client: it has its turn, and is in no transaction of ours.
      yield* sql`SELECT count(*) FROM holdfast_runs`
      assert.match(String((yield* Effect.flip(sql`COMMIT`)).cause), /no transaction is active/)
      yield* unlock
      assert.lengthOf((yield* written).receipts, 1)
    }).pipe(Effect.provide(Layer.merge(Reactivity.layer, Logger.remove(Logger.defaultLogger)))), 30_000)
})

describe("a store that says that somebody has locked it", () => {
  /** A store that all processes share, and whether one of them finds it locked. */
  const shared = (store: Journal.JournalStore, isLocked: () => boolean): Journal.JournalStore => {
    const guarded = <A>(effect: Effect.Effect<A, WorkflowError.JournalError>) =>
      Effect.suspend(() =>
        isLocked() ? new WorkflowError.JournalError({ reason: "Locked", detail: "by a test" }) : effect
      )
    return {
      ...store,
      write: (entries) => guarded(store.write(entries)),
      claim: (options) => guarded(store.claim(options)),
      heartbeat: (worker, leaseUntil) => guarded(store.heartbeat(worker, leaseUntil)),
      version: Effect.succeed(1)
    }
  }

  it.scoped("does not make one engine take the runs of another that could not renew its lease (W-32)", () =>
    Effect.gen(function*() {
      const Wait = Workflow.make("Wait")
      const store = memoryStore()
      const locked = new Set<string>()
      const claimed: Array<string> = []
      const process = (name: string) =>
        Layer.build(
          Wait.toLayer(() => Effect.sleep("1 hour")).pipe(
            Layer.provideMerge(Engine.layer({ lease: "1 second" })),
            Layer.provide(Layer.scoped(
              Journal.Journal,
              Journal.make({
                ...shared(store, () => locked.has(name)),
                claim: (options) =>
                  Effect.tap(shared(store, () => locked.has(name)).claim(options), ({ runs }) => {
                    claimed.push(...runs.map(({ runId }) => `${name} takes ${runId}`))
                  })
              })
            ))
          )
        )
      const play = Effect.gen(function*() {
        const one = yield* process("one")
        yield* process("other")
        yield* Effect.provide(Client.start(Wait, { id: "w" }), one)
        locked.add("one").add("other")
        yield* TestClock.adjust("1500 millis")
        // Whichever comes first afterwards, finds the lease of the other over.
        locked.delete("other")
        yield* TestClock.adjust("150 millis")
        locked.delete("one")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(claimed, [])
      })
      yield* Effect.provideService(play, SharedClock, yield* Effect.clock)
    }))

  it.scoped("is asked again by the writer, in the order of what was written, while a client waits so long (B-2)", () =>
    Effect.gen(function*() {
      const store = memoryStore()
      let locked = true
      const asked: Array<ReadonlyArray<string>> = []
      const play = Effect.gen(function*() {
        const journal = yield* Journal.make({
          ...store,
          write: (entries) => {
            asked.push(entries.map((entry) => "workflowId" in entry ? entry.workflowId : ""))
            return shared(store, () => locked).write(entries)
          }
        }, { lockTimeout: "2 seconds" })
        const early = yield* Effect.fork(Effect.flip(journal.commit(begun("early"))))
        const ends: Array<string> = []
        journal.unsafeCommit(begun("engine"), (exit) => ends.push(exit._tag))
        yield* TestClock.adjust("1 second")
        const late = yield* Effect.fork(journal.commit(begun("late")))
        yield* TestClock.adjust("1200 millis")
        const error = yield* early
        assert.isTrue(error._tag === "JournalError" && error.reason === "Locked")
        assert.isTrue(late.unsafePoll() === null)
        assert.deepStrictEqual(ends, [])
        locked = false
        yield* TestClock.adjust("200 millis")
        assert.strictEqual((yield* late)._tag, "Started")
        assert.deepStrictEqual(ends, ["Success"])
        assert.deepStrictEqual(asked.at(-1), ["id of engine", "id of late"])
        // It backs off, and asks no more often than ten times in a second or so.
        assert.isBelow(asked.length, 60)
      })
      yield* Effect.provideService(play, SharedClock, yield* Effect.clock)
    }))
})
