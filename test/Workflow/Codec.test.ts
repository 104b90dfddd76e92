import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import {
  Activity,
  Client,
  Codec,
  Engine,
  Event,
  Journal,
  type Run,
  Signal,
  Workflow,
  WorkflowError
} from "holdfast/Workflow"
import { existsSync, readFileSync } from "node:fs"
import { InvalidOptions } from "../../src/InvalidOptions.js"
import { codedStore } from "../../src/Workflow/internal/codec/codedStore.js"
import * as envelope from "../../src/Workflow/internal/codec/envelope.js"
import { memoryStore } from "../../src/Workflow/internal/memory/memoryStore.js"
import * as journals from "./support/journals.js"
import { Declined, historyOf, quiet } from "./support/orders.js"
import { changeEvent, replaceEvents } from "./support/storedEvents.js"

const key = (seed: number) => Redacted.make(Uint8Array.from({ length: 32 }, (_, i) => (seed * 31 + i * 7) % 256))
const encryption = Codec.encryption({ keys: { a: key(1) }, current: "a" })
const reversed = Codec.make({
  id: "reversed",
  encode: (plain) => Effect.delay(Effect.succeed(plain.toReversed()), 0),
  decode: (stored) => Effect.delay(Effect.succeed(stored.toReversed()), 0)
})

const codecs: ReadonlyArray<readonly [name: string, codec: Codec.Codec]> = [
  ["no codec", Codec.none],
  ["compression", Codec.compression({ threshold: 0 })],
  ["encryption", encryption],
  ["a limit, compression and encryption", Codec.all(Codec.sizeLimit(1 << 20), Codec.compression(), encryption)],
  ["a codec that waits, and encryption", Codec.all(reversed, encryption)]
]

const json = fc.jsonValue().map((value) => JSON.stringify(value))
/** Texts of messages, also such as look like an envelope. */
const free = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string().map((text) => `~hf1:${text}`),
  fc.string().map((text) => `\u0001${text}`)
)
  .filter((text) => Buffer.from(text).toString() === text)

const encoded = (codec: Codec.Codec, text: string) => envelope.encode(codec, text)

const database = (filename: string, codec: Codec.Codec) =>
  Journal.layerSql({ pollInterval: "10 millis" }).pipe(
    Layer.provide(Codec.layer(codec)),
    Layer.provideMerge(journals.database(filename)),
    Layer.orDie
  )

const fileWith = (codec: Codec.Codec) =>
  Layer.unwrapScoped(Effect.map(journals.temporaryFile, (filename) => database(filename, codec)))

const on = (codec: Codec.Codec): ReadonlyArray<readonly [name: string, layer: Layer.Layer<Journal.Journal>]> => [
  ["memory", Layer.provide(Journal.layerMemory, Codec.layer(codec))],
  ["SQLite", fileWith(codec)]
]

/** Looks again and again, in real time, until it sees what it waits for. */
const seen = <A, E, R>(look: Effect.Effect<A, E, R>, wanted: (seen: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.repeat(Effect.delay(look, "5 millis"), { until: wanted })

/** All that lies on the disk. */
const bytesOf = (filename: string): string =>
  [filename, `${filename}-wal`].filter(existsSync).map((file) => readFileSync(file, "latin1")).join("")

const needle = "NEEDLE-7f3a"

describe("the stored form", () => {
  for (const [name, codec] of codecs) {
    it.live(`gives every payload and every message back: ${name} (B-23)`, () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(codec.steps.length === 0 ? json : fc.oneof(json, free), (text) =>
            Effect.runPromise(Effect.gen(function*() {
              const stored = yield* encoded(codec, text)
              assert.strictEqual(
                envelope.isEnvelope("json", stored) ? yield* envelope.decode(codec, stored) : stored,
                text
              )
            }))),
          { numRuns: 200 }
        )
      ))
  }

  it("JSON is never taken for an envelope, nor what encryption gives for JSON (B-23)", () => {
    fc.assert(fc.property(json, fc.constantFrom("", " ", "\n\t"), (text, space) => {
      assert.isFalse(envelope.isEnvelope("json", space + text))
      const stored = Effect.runSync(encoded(encryption, text))
      assert.isTrue(envelope.isEnvelope("json", stored) && envelope.isEnvelope("text", stored))
      assert.throws(() => JSON.parse(stored))
    }))
  })

  it.effect("says its version and its codec; what only a newer version can read is an error (B-23)", () =>
    Effect.gen(function*() {
      const stored = yield* encoded(encryption, "{}")
      assert.match(stored, /^~hf1:aes:/)
      const newer = yield* Effect.flip(envelope.decode(encryption, stored.replace("~hf1", "~hf2")))
      const shapeless = yield* Effect.flip(envelope.decode(encryption, "~hf2:{another: shape}"))
      for (const { message, reason } of [newer, shapeless]) {
        assert.strictEqual(reason, "Version")
        assert.match(message, /version 2, and this version of holdfast reads 1; run the version/)
      }
    }))

  it.effect("is never the same twice, and reveals no text under a different key (B-23)", () =>
    Effect.gen(function*() {
      const texts = yield* Effect.replicateEffect(Effect.suspend(() => encoded(encryption, `"${needle}"`)), 100)
      assert.strictEqual(new Set(texts).size, 100)
      const nonces = texts.map((text) => Buffer.from(text.split(":")[2]!, "base64").subarray(2, 14).toString("hex"))
      assert.strictEqual(new Set(nonces).size, 100)
    }))

  it("every flipped bit and every cut of an encrypted value is an error (B-23)", () => {
    const stored = Effect.runSync(encoded(encryption, JSON.stringify({ cents: 100 })))
    const [head, data] = [stored.slice(0, 9), Buffer.from(stored.slice(9), "base64")]
    const reasons = new Set<string>()
    const refused = (text: string) => {
      const exit = Effect.runSyncExit(envelope.decode(encryption, text))
      assert.isTrue(Exit.isFailure(exit), text)
      if (Exit.isFailure(exit)) reasons.add(Option.getOrThrow(Cause.failureOption(exit.cause)).reason)
    }
    for (let bit = 0; bit < data.length * 8; bit++) {
      const changed = Buffer.from(data)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      refused(head + changed.toString("base64"))
    }
    for (let length = 0; length < data.length; length++) refused(head + data.subarray(0, length).toString("base64"))
    for (let length = 1; length < stored.length; length++) refused(stored.slice(0, length))
    assert.sameMembers([...reasons], ["Tampered", "UnknownKey", "Malformed"])
  })

  it.effect("of another context, another key, another codec is an error that says which (B-23)", () =>
    Effect.gen(function*() {
      const stored = yield* encoded(encryption, "1")
      const reasonOf = (codec: Codec.Codec) => Effect.flip(envelope.decode(codec, stored))
      const context = yield* reasonOf(Codec.encryption({ keys: { a: key(1) }, current: "a", context: "elsewhere" }))
      const sameId = yield* reasonOf(Codec.encryption({ keys: { a: key(2) }, current: "a" }))
      const otherId = yield* reasonOf(Codec.encryption({ keys: { b: key(1) }, current: "b" }))
      const none = yield* reasonOf(Codec.compression())
      assert.deepStrictEqual([context, sameId, otherId, none].map((error) => error.reason), [
        "Tampered",
        "Tampered",
        "UnknownKey",
        "UnknownCodec"
      ])
      assert.include(otherId.message, `"a"`)
      assert.include(otherId.message, "add that key")
      assert.include(none.message, `"aes"`)
    }))

  it.effect("damage to what is only compressed is found too (B-23)", () =>
    Effect.gen(function*() {
      const compression = Codec.compression({ threshold: 0 })
      const stored = yield* encoded(compression, JSON.stringify("x".repeat(300)))
      const data = Buffer.from(stored.slice("~hf1:deflate:".length), "base64")
      for (let bit = 0; bit < data.length * 8; bit++) {
        const changed = Buffer.from(data)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        const exit = yield* Effect.exit(envelope.decode(compression, `~hf1:deflate:${changed.toString("base64")}`))
        // A changed bit that means nothing leaves the text as it was.
        assert.isTrue(Exit.isFailure(exit) || exit.value === JSON.stringify("x".repeat(300)))
      }
    }))

  it.effect("compression is left out where it makes nothing smaller, and read by any journal (B-23)", () =>
    Effect.gen(function*() {
      const large = JSON.stringify(Array.from({ length: 200 }, (_, i) => ({ id: i, label: "an item" })))
      assert.strictEqual(yield* encoded(Codec.compression(), "1"), "1")
      assert.strictEqual(yield* encoded(Codec.compression({ threshold: 0 }), "1"), "1")
      const stored = yield* encoded(Codec.compression(), large)
      assert.isBelow(stored.length, large.length / 5)
      assert.isBelow((yield* encoded(Codec.all(Codec.compression(), encryption), large)).length, large.length / 5)
      for (const codec of [Codec.none, encryption]) assert.strictEqual(yield* envelope.decode(codec, stored), large)
    }))

  it.effect("a read-only codec reads and writes nothing (B-23)", () =>
    Effect.gen(function*() {
      const stored = yield* encoded(encryption, "1")
      const readOnly = Codec.readOnly(encryption)
      assert.strictEqual(yield* envelope.decode(readOnly, stored), "1")
      assert.strictEqual(yield* encoded(readOnly, "1"), "1")
    }))
})

describe("bad options", () => {
  it("are refused, and show no key (B-23)", () => {
    const secret = "c2VjcmV0IQ=="
    const refused = (make: () => unknown): InvalidOptions => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, InvalidOptions)
        return error
      }
      return assert.fail("nothing was refused")
    }
    const short = refused(() => Codec.encryption({ keys: { a: Redacted.make(secret) }, current: "a" }))
    assert.strictEqual(
      short.message,
      `Codec.encryption: option "keys.a" must be 32 bytes, or base64 of them, not "7 bytes"`
    )
    assert.notInclude(
      refused(() => Codec.encryption({ keys: { a: Redacted.make("s$cret") }, current: "a" })).message,
      "s$cret"
    )
    assert.strictEqual(refused(() => Codec.encryption({ keys: { a: key(1) }, current: "b" })).option, "current")
    assert.strictEqual(refused(() => Codec.encryption({ keys: { "": key(1) }, current: "" })).option, "keys")
    refused(() => Codec.sizeLimit(0))
    refused(() => Codec.compression({ threshold: -1 }))
    refused(() => Codec.all(encryption, encryption))
    const { decode, encode } = reversed.steps[0]!
    for (const id of ["", "A", "a:b", "aes", "text", "deflate"]) refused(() => Codec.make({ id, encode, decode }))
  })

  it.effect("a key may be given as base64 of its bytes", () =>
    Effect.gen(function*() {
      const text = Redacted.make(Buffer.from(Redacted.value(key(1))).toString("base64"))
      const same = Codec.encryption({ keys: { a: text }, current: "a" })
      assert.strictEqual(yield* envelope.decode(same, yield* encoded(encryption, "1")), "1")
    }))
})

// --- events of every kind

/** As an arbitrary gives it, but with numbers and texts that JSON keeps and payloads that are JSON. */
const storable = (thing: unknown, number: (n: number) => number, key?: string): unknown =>
  typeof thing === "number"
    ? number(thing)
    : typeof thing === "string"
    ? key === "payload" ? JSON.stringify(thing) : Buffer.from(thing).toString().replace(/^~/, "-")
    : typeof thing === "bigint" || typeof thing === "symbol" || typeof thing === "function"
    ? String(thing)
    : Array.isArray(thing)
    ? thing.map((item) => storable(item, number) ?? null)
    : typeof thing === "object" && thing !== null
    ? Object.fromEntries(
      Object.entries(thing).filter(([, value]) => value !== undefined).map(([name, value]) => [
        name,
        storable(value, number, name)
      ])
    )
    : thing

const safe = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })

/** For each kind of event some of it; integers up to 2^53 - 1. */
const eventsOfEveryKind: fc.Arbitrary<ReadonlyArray<Event.Event>> = fc.tuple(
  ...Event.Event.members.map((member) => Arbitrary.make(member as Schema.Schema<Event.Event>))
).chain((events) =>
  fc.array(safe, { minLength: 8, maxLength: 8 }).map((numbers) => {
    let next = 0
    return events.map((event) => storable(event, () => numbers[next++ % numbers.length]!) as Event.Event)
  })
)

const at = 1_700_000_000_000

const ownerless = { worker: "w", epoch: 1 }

const started = (
  runId: string,
  options?: { readonly workflowId?: string; readonly payload?: string }
): Journal.Entry => ({
  _tag: "Start",
  run: { runId, worker: "w" },
  workflowId: options?.workflowId ?? runId,
  workflow: "W",
  started: { _tag: "RunStarted", at, payload: options?.payload ?? "1" },
  conflict: "attach",
  reuse: "attach"
})

const written = (runId: string, events: ReadonlyArray<Event.Unsequenced<Event.Event>>): Journal.Entry => ({
  _tag: "Append",
  runId,
  ...ownerless,
  events,
  children: events.filter((event) => event._tag === "ChildScheduled").map(() => ({
    runId: `child of ${runId}`,
    worker: undefined
  }))
})

describe("events of every kind", () => {
  for (const [name, codec] of codecs) {
    for (const [store, layer] of on(codec)) {
      it.live(`come back from ${store} with every field and exact integers: ${name} (D1.2, D1.3, D1.5, T157, B-23)`, () =>
        Effect.gen(function*() {
          const journal = yield* Journal.Journal
          const runtime = yield* Effect.runtime()
          let runs = 0
          yield* Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(eventsOfEveryKind, (events) =>
                Effect.runPromise(
                  Effect.gen(function*() {
                    for (const event of events) {
                      const runId = `run-${runs++}`
                      yield* journal.store.write([started(runId)])
                      const { seq: _, ...unplaced } = event
                      yield* journal.store.write([written(runId, [unplaced as Event.Unsequenced<Event.Event>])])
                      const [, back] = yield* journal.store.history(runId)
                      assert.deepStrictEqual(back, { ...event, seq: 2 })
                      // Not to be found by the events that come after it.
                      yield* journal.store.write([{
                        _tag: "Post",
                        workflowId: runId,
                        event: { _tag: "RunTerminated", at, reason: "" }
                      }])
                    }
                  }).pipe(Effect.provide(runtime))
                )),
              { numRuns: 10 }
            )
          )
        }).pipe(Effect.provide(layer)))
    }
  }

  it("hide all text but names (B-23)", () => {
    // A new event with another text has to say here that it is a name, or be named as a text in codedStore.ts.
    const names = new Set(
      `_tag activity queue label signal id tag outcome timeout workflow workflowId runId previous first next parentClose
      conflict reuse`.split(/\s+/)
    )
    return fc.assert(
      fc.asyncProperty(eventsOfEveryKind, (events) =>
        Effect.runPromise(
          Effect.gen(function*() {
            const stored: Array<Event.Unsequenced<Event.Event>> = []
            const store: Journal.JournalStore = {
              ...memoryStore(),
              write: (entries) =>
                Effect.sync(() => {
                  for (const entry of entries) if (entry._tag === "Append") stored.push(...entry.events)
                  return { receipts: [], consequences: [] }
                })
            }
            const journal = yield* Effect.provide(Journal.make(store), Codec.layer(encryption))
            yield* journal.store.write([written("r", events)])
            const look = (thing: object): void => {
              for (const [name, value] of Object.entries(thing)) {
                if (name === "retry") continue
                if (typeof value === "object" && value !== null) look(value)
                if (typeof value !== "string" || value === "") continue
                if (!names.has(name) && !/^(Failure|Defect|TimedOut|Codec)$/.test(value)) {
                  assert.match(value, /^~hf1:aes:/, name)
                }
              }
            }
            for (const event of stored) look(event)
          }).pipe(Effect.scoped)
        )),
      { numRuns: 20 }
    )
  })

  for (const codec of [Codec.none, encryption]) {
    it.scopedLive(`of an unknown kind, or in bad JSON, are errors that say which${codec === encryption ? ", encrypted" : ""} (T158, T159, D1.2)`, () =>
      Effect.gen(function*() {
        const filename = yield* journals.temporaryFile
        yield* Effect.gen(function*() {
          const { store } = yield* Journal.Journal
          yield* store.write([started("unknown"), started("broken")])
          yield* store.write(
            ["unknown", "broken"].map((run) =>
              written(run, [{ _tag: "TurnTaken", at, consumedUpTo: 1, inlineArrivals: 0 }])
            )
          )
          yield* changeEvent("unknown", 2, (event) => ({ ...event, _tag: "Surprise" }))
          yield* replaceEvents("broken", 2, "[{\"seq\":")
          const unknown = yield* Effect.flip(store.history("unknown"))
          assert.strictEqual(unknown.reason, "Version")
          assert.match(unknown.message, /event 2 is a Surprise, .* run the version/)
          const broken = yield* Effect.flip(store.history("broken"))
          assert.strictEqual(broken.reason, "Corrupt")
          assert.match(broken.message, /the events up to 2: .*JSON/)
        }).pipe(Effect.provide(database(filename, codec)))
      }))
  }
})

// --- runs

const Note = Signal.make("Note", { payload: Schema.String })
const Leak = Activity.make("Leak", { payload: Schema.String, success: Schema.String, error: Schema.String })
const Story = Workflow.make("Story", { payload: Schema.String, success: Schema.String, error: Schema.String })

const engineOn = <E>(
  live: Layer.Layer<never, never, Engine.Engine>,
  journal: Layer.Layer<Journal.Journal | SqlClient.SqlClient, E>
) =>
  live.pipe(
    Layer.provideMerge(Engine.layer({ lease: "200 millis", gracePeriod: 0 })),
    Layer.provideMerge(journal),
    Layer.provide(quiet)
  )

describe("a journal file", () => {
  it.scopedLive("holds no user data in plain text, wherever it was given (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const stories = Layer.mergeAll(
        Story.toLayer((payload) =>
          Effect.gen(function*() {
            yield* Workflow.sideEffect("token", Schema.String, () => needle)
            const told = yield* Leak.execute(payload).pipe(
              Effect.catchTag("ActivityError", (error) => Effect.succeed(error.detail))
            )
            const note = yield* Effect.orDie(Note.receive)
            if (note.includes("fail")) return yield* Effect.fail(note)
            if (note.includes("die")) return yield* Effect.die(new Error(note))
            if (note.includes("wait")) yield* Effect.sleep("1 day")
            return `${told} ${note}`
          }).pipe(Effect.catchAll((error) => Effect.fail(String(error))))
        ),
        Leak.toLayer((payload) =>
          payload.includes("fails")
            ? Effect.fail(payload)
            : payload.includes("dies")
            ? Effect.die(new Error(payload))
            : Effect.succeed(payload)
        )
      )
      const find = (text: string) => bytesOf(filename).includes(text)
      yield* Effect.gen(function*() {
        for (const kind of ["succeeds", "fails", "dies"]) {
          for (const end of ["return", "fail", "die", "wait cancel", "wait terminate"]) {
            const run = yield* Client.start(Story, { id: `${kind} ${end}`, payload: `${needle} ${kind}` })
            yield* run.signal(Note, `${needle} ${end}`)
            yield* Effect.sleep("20 millis")
            if (end.includes("cancel")) yield* Effect.ignore(run.cancel({ reason: needle }))
            if (end.includes("terminate")) yield* Effect.ignore(run.terminate({ reason: needle }))
            const exit = yield* Effect.exit(run.result)
            // What is read is what was written.
            assert.include(JSON.stringify(exit), needle)
          }
        }
        assert.isFalse(find(needle))
        assert.isFalse(find(Buffer.from(needle).toString("base64").slice(0, 12)))
        assert.isTrue(find("Story"))
      }).pipe(Effect.provide(engineOn(stories, database(filename, encryption))))
      assert.isFalse(find(needle))
    }), 20_000)

  it.scopedLive("does so also for the secrets of tokens (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const journal = database(filename, encryption)
      const Ask = Activity.make("Ask", { success: Schema.String })
      const token = yield* Deferred.make<string>()
      yield* Effect.gen(function*() {
        const run = yield* Client.start(Story, { id: "s", payload: "" })
        const given = yield* Deferred.await(token)
        assert.isFalse(bytesOf(filename).includes(given.slice(given.lastIndexOf("/") + 1)))
        yield* Client.completeActivity(Ask, given, "answered")
        assert.strictEqual(yield* run.result, "answered")
      }).pipe(Effect.provide(engineOn(
        Layer.mergeAll(
          Story.toLayer(() => Effect.mapError(Ask.execute(), String)),
          Ask.toLayer(() =>
            Effect.zipRight(
              Effect.flatMap(Activity.token, (given) => Deferred.succeed(token, given)),
              Activity.outside
            )
          )
        ),
        journal
      )))
    }))

  it.scopedLive("does so also for why a run is blocked, which tells payloads (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const journal = database(filename, encryption)
      const body = (text: string) =>
        Story.toLayer(() => Effect.mapError(Effect.zipRight(Leak.execute(text), Effect.succeed("")), String))
      yield* Effect.zipRight(Client.start(Story, { id: "s", payload: "" }), Effect.sleep("50 millis")).pipe(
        Effect.provide(engineOn(body(needle), journal))
      )
      yield* Effect.gen(function*() {
        yield* Client.signal("s", Note, "wake")
        const status = yield* seen(Client.poll(Story, "s"), (status) =>
          status._tag === "Running" && status.blocked !== undefined)
        assert.include(JSON.stringify(status), needle)
        assert.isFalse(bytesOf(filename).includes(needle))
      }).pipe(Effect.provide(engineOn(body("another"), journal)))
    }))

  it.scopedLive("is small where its payloads are compressed (B-23)", () =>
    Effect.gen(function*() {
      const payload = JSON.stringify(Array.from({ length: 500 }, (_, i) => `an item like the others ${i % 7}`))
      const sizeWith = (codec: Codec.Codec) =>
        Effect.gen(function*() {
          const { store } = yield* Journal.Journal
          const sql = yield* SqlClient.SqlClient
          yield* store.write([started("r", { payload })])
          assert.deepStrictEqual((yield* store.history("r"))[0], { _tag: "RunStarted", at, payload, seq: 1 })
          const [row] = yield* sql<{ readonly size: number }>`SELECT length(payload) AS size FROM holdfast_events`
          return row!.size
        }).pipe(Effect.provide(fileWith(codec)))
      const [plain, compressed, both] = yield* Effect.all([
        sizeWith(Codec.none),
        sizeWith(Codec.compression()),
        sizeWith(Codec.all(Codec.compression(), encryption))
      ])
      assert.strictEqual(plain, payload.length)
      assert.isBelow(compressed, plain / 10)
      assert.isBelow(both, plain / 10)
    }))
})

// --- changing the codec

const Echo = Story.toLayer((payload) => Effect.map(Effect.orDie(Note.receive), (note) => `${payload} ${note}`))

const rotating = (current: string, ...ids: ReadonlyArray<string>) =>
  Codec.all(
    Codec.compression(),
    Codec.encryption({ keys: Object.fromEntries(ids.map((id) => [id, key(id.charCodeAt(0))])), current })
  )

const payloads = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql<{ readonly payload: string }>`SELECT payload FROM holdfast_events WHERE payload IS NOT NULL ORDER BY batch, seq`
).pipe(
  Effect.map((rows) => rows.map((row) => row.payload))
)

const keyOf = (stored: string): string => {
  const data = Buffer.from(stored.split(":")[2]!, "base64")
  return data.subarray(1, 1 + data[0]!).toString()
}

/** The ways in which a codec goes wrong. */
const failures: ReadonlyArray<readonly [kind: string, () => Effect.Effect<Uint8Array, WorkflowError.CodecError>]> = [
  ["fails", () => new WorkflowError.CodecError({ reason: "Failed", detail: "no answer" })],
  ["throws", () => {
    throw new Error("bug")
  }],
  ["dies", () => Effect.delay(Effect.die(new Error("bug")), 1)]
]

describe("a codec that changes", () => {
  it.scopedLive("what was written with an old key, or with none, is read; what is new has the new key (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const during = <A, E>(codec: Codec.Codec, use: Effect.Effect<A, E, Client.Client | SqlClient.SqlClient>) =>
        Effect.provide(use, engineOn(Echo, database(filename, codec)))
      yield* during(Codec.none, Client.start(Story, { id: "plain", payload: "plain" }))
      yield* during(rotating("a", "a"), Client.start(Story, { id: "a", payload: "a" }))
      yield* during(
        rotating("b", "a", "b"),
        Effect.gen(function*() {
          assert.deepStrictEqual((yield* payloads).map((text) => text.startsWith("~") ? keyOf(text) : text), [
            `"plain"`,
            "a"
          ])
          for (const id of ["plain", "a"]) {
            yield* Client.signal(id, Note, "went on")
            assert.strictEqual(yield* Client.result(Story, id), `${id} went on`)
          }
          assert.deepStrictEqual((yield* payloads).slice(2).map(keyOf), ["b", "b", "b", "b"])
        })
      )
      // Ends that were written with the new key need the new key.
      const failed = yield* during(rotating("a", "a"), Effect.flip(Client.result(Story, "a")))
      assert.instanceOf(failed, WorkflowError.JournalError)
    }))

  it.scopedLive("a run whose key is missing waits, untouched, and goes on when it is given (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const during = <A, E>(
        codec: Codec.Codec,
        use: Effect.Effect<A, E, Client.Client | Journal.Journal | SqlClient.SqlClient>
      ) => Effect.provide(use, engineOn(Echo, database(filename, codec)))
      const { runId } = yield* during(rotating("a", "a"), Client.start(Story, { id: "s", payload: "told" }))
      const without = [rotating("b", "b"), Codec.none, Codec.encryption({ keys: { a: key(0) }, current: "a" })]
      for (const [index, codec] of without.entries()) {
        yield* during(
          codec,
          Effect.gen(function*() {
            const { store } = yield* Journal.Journal
            // What is written with a wrong key is lost.
            if (index < 2) yield* Client.signal("s", Note, `note ${index}`)
            yield* Effect.sleep("150 millis")
            const error = yield* Effect.flip(store.history(runId))
            assert.strictEqual(error.reason, "Codec")
            assert.include(error.message, `event 1 (RunStarted) of run ${runId}`)
            assert.match(error.message, /add that key|give the journal that codec|give the key/)
            assert.deepStrictEqual(yield* Client.poll(Story, "s"), { _tag: "Running", blocked: undefined })
            // Others go on.
            const other = yield* Client.start(Story, { id: `other ${index}`, payload: "other" })
            yield* other.signal(Note, "well")
            assert.strictEqual(yield* other.result, "other well")
          })
        )
      }
      const all = Codec.all(Codec.compression(), Codec.encryption({ keys: { a: key(97), b: key(98) }, current: "a" }))
      // The first note was written with key b, the second without any.
      assert.strictEqual(yield* during(all, Client.result(Story, "s")), "told note 0")
    }))

  it.scopedLive("an activity whose payload cannot be read is neither run nor lost (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const ran: Array<string> = []
      const body = Story.toLayer((payload) => Effect.mapError(Leak.execute(payload), String))
      const handler = Leak.toLayer((payload) =>
        Effect.flatMap(Activity.info, ({ attempt }) => Effect.sync(() => (ran.push(`${payload} ${attempt}`), "done")))
      )
      yield* Effect.zipRight(Client.start(Story, { id: "s", payload: "told" }), Effect.sleep("50 millis")).pipe(
        Effect.provide(engineOn(body, database(filename, rotating("a", "a"))))
      )
      const both = Layer.merge(body, handler)
      yield* Effect.gen(function*() {
        yield* Effect.sleep("150 millis")
        assert.deepStrictEqual(ran, [])
        assert.strictEqual((yield* Client.poll(Story, "s"))._tag, "Running")
      }).pipe(Effect.provide(engineOn(both, database(filename, rotating("b", "b")))))
      assert.strictEqual(
        yield* Effect.provide(Client.result(Story, "s"), engineOn(both, database(filename, rotating("b", "a", "b")))),
        "done"
      )
      assert.deepStrictEqual(ran, ["told 1"])
    }))

  it.scopedLive("a run that waits for its key does so no longer than its engine lives (B-23)", () =>
    Effect.gen(function*() {
      let reads = 0
      const shut = Codec.make({
        id: "shut",
        encode: (plain) => Effect.succeed(plain.toReversed()),
        decode: () => {
          reads++
          return new WorkflowError.CodecError({ reason: "Failed", detail: "no answer" })
        }
      })
      const journal = yield* Layer.build(Layer.provide(Journal.layerMemory, Codec.layer(shut)))
      yield* Effect.gen(function*() {
        yield* Effect.provide(Client.start(Story, { id: "s", payload: "told" }), Client.layer)
        const engine = Echo.pipe(Layer.provideMerge(Engine.layer()), Layer.provide(quiet))
        yield* Effect.provide(Effect.sleep("50 millis"), engine)
        const before = reads
        assert.isAbove(before, 0)
        yield* Effect.sleep("500 millis")
        assert.strictEqual(reads, before)
      }).pipe(Effect.provide(journal))
    }))

  for (const retries of [0, 3]) {
    it.scopedLive(`a key service that comes back lets its process go on, activities at their attempt ${retries + 1} (B-23)`, () =>
      Effect.gen(function*() {
        const filename = yield* journals.temporaryFile
        const ran: Array<number> = []
        const Again = Activity.make("Again", {
          payload: Schema.String,
          success: Schema.Number,
          error: Schema.String,
          retry: RetryPolicy.make({ retries: 9, backoff: Backoff.constant("1 millis") })
        })
        const body = Story.toLayer(() =>
          Effect.mapBoth(Again.execute(needle), { onFailure: String, onSuccess: String })
        )
        const enough = yield* Deferred.make<void>()
        const failing = Again.toLayer(() =>
          Effect.flatMap(
            Activity.info,
            ({ attempt }) =>
              attempt <= retries
                ? Effect.fail("again")
                : Effect.zipRight(Deferred.succeed(enough, undefined), Effect.never)
          )
        )
        let up = true
        const service = Codec.make({
          id: "service",
          encode: (plain) => Effect.delay(Effect.succeed(plain.toReversed()), 1),
          decode: (stored) =>
            Effect.suspend(() =>
              up
                ? Effect.succeed(stored.toReversed())
                : new WorkflowError.CodecError({ reason: "Failed", detail: "no answer" })
            ).pipe(Effect.delay(1))
        })
        yield* Effect.zipRight(Client.start(Story, { id: "s", payload: "told" }), Deferred.await(enough)).pipe(
          Effect.provide(engineOn(Layer.merge(body, failing), database(filename, service)))
        )
        up = false
        const handler = Again.toLayer(() => Effect.map(Activity.info, ({ attempt }) => (ran.push(attempt), attempt)))
        yield* Effect.gen(function*() {
          yield* Effect.sleep("50 millis")
          assert.deepStrictEqual(ran, [])
          up = true
          assert.strictEqual(yield* Client.result(Story, "s"), String(retries + 1))
          assert.deepStrictEqual(ran, [retries + 1])
        }).pipe(Effect.provide(engineOn(Layer.merge(body, handler), database(filename, service))))
      }))
  }

  it.scopedLive("a result that cannot be read is an error of who asks for it, and of nobody else (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const told = Story.toLayer((payload) => Effect.succeed(payload))
      const one = yield* Effect.gen(function*() {
        const run = yield* Client.start(Story, { id: "one", payload: "1" })
        yield* run.result
        return run
      }).pipe(Effect.provide(engineOn(told, database(filename, rotating("a", "a")))))
      yield* Effect.gen(function*() {
        // A start of what has been started does not need to read it.
        const again = yield* Client.start(Story, { id: "one", payload: "1" })
        assert.strictEqual(again.runId, one.runId)
        const { store } = yield* Journal.Journal
        const questions: ReadonlyArray<Effect.Effect<unknown, unknown, Client.Client>> = [
          again.result,
          again.ownResult,
          again.poll,
          Client.get(Story, "one")
        ]
        for (const ask of questions) {
          const error = yield* Effect.flip(ask)
          assert.instanceOf(error, WorkflowError.JournalError)
          assert.strictEqual(error.reason, "Codec")
          assert.include(error.message, one.runId)
          assert.include(error.message, "RunClosed")
        }
        const { receipts } = yield* store.write([started("x", { workflowId: "one" }), started("two")])
        assert.deepStrictEqual(receipts.map((receipt) => receipt._tag === "Started" && receipt.created), [false, true])
      }).pipe(Effect.provide(engineOn(told, database(filename, rotating("b", "b")))))
    }))

  it.scopedLive("who waits for several runs hears of those that can be read (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const other = yield* Layer.build(database(filename, rotating("a", "a")))
      yield* Effect.gen(function*() {
        const mine = yield* Journal.Journal
        const { store } = yield* Effect.provide(Journal.Journal, other)
        const ids = Array.from({ length: 9 }, (_, i) => `run-${i}`)
        yield* store.write(ids.map((id) => started(id)))
        const waiting = yield* Effect.forEach(ids, (id) => Effect.fork(mine.awaitClosed(id)))
        yield* Effect.sleep("30 millis")
        const closed = (payload: string | null): Event.Unsequenced<Event.Event> => ({
          _tag: "RunClosed",
          command: 1,
          at,
          outcome: "Success",
          digest: "",
          payload
        })
        yield* store.write(ids.map((id, i) => written(id, [closed(i === 4 ? "1" : null)])))
        for (const [i, fiber] of waiting.entries()) {
          if (i === 4) continue
          assert.strictEqual((yield* Fiber.join(fiber))._tag, "RunClosed")
        }
        assert.isNull(waiting[4]!.unsafePoll())
        yield* Fiber.interrupt(waiting[4]!)
      }).pipe(Effect.provide(Layer.merge(database(filename, rotating("b", "b")), quiet)))
    }))

  for (const [kind, broken] of failures) {
    it.live(`a codec that ${kind} while it reads is an error of the journal, which its runs wait for (B-23)`, () =>
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        yield* store.write([started("r")])
        const error = yield* Effect.flip(store.history("r"))
        assert.strictEqual(error.reason, "Codec")
        assert.match(error.message, /event 1 \(RunStarted\) of run r: .*(no answer|bug).*; it is tried again/)
      }).pipe(
        Effect.provide(Layer.provide(
          Journal.layerMemory,
          Codec.layer(
            Codec.make({ id: "broken", encode: (plain) => Effect.succeed(plain.toReversed()), decode: broken })
          )
        ))
      ))

    it.scopedLive(`a codec that ${kind} keeps up its own writes only, and they are made once it works (B-23, B-7)`, () =>
      Effect.gen(function*() {
        const filename = yield* journals.temporaryFile
        let calls = 0
        const picky = Codec.make({
          id: "picky",
          encode: (plain) =>
            Buffer.from(plain).includes("hard") && ++calls < 4 ? broken() : Effect.succeed(plain.toReversed()),
          decode: (stored) => Effect.succeed(stored.toReversed())
        })
        yield* Effect.gen(function*() {
          const easy = yield* Client.start(Story, { id: "easy", payload: "easy" })
          const told = yield* Client.start(Story, { id: "told", payload: "told" })
          // The result of the one cannot be encoded yet.
          yield* told.signal(Note, "well")
          yield* easy.signal(Note, "well")
          assert.strictEqual(yield* easy.result, "easy well")
          assert.strictEqual(yield* told.result, "hard")
          assert.strictEqual(calls, 4)
        }).pipe(Effect.provide(engineOn(
          Story.toLayer((payload) =>
            Effect.map(Effect.orDie(Note.receive), (note) => payload === "told" ? "hard" : `${payload} ${note}`)
          ),
          database(filename, picky)
        )))
      }))
  }
})

// --- the limit

const Large = Activity.make("Large", {
  payload: Schema.String,
  success: Schema.String,
  error: Declined,
  retry: RetryPolicy.make({ retries: 2, backoff: Backoff.constant("1 millis") })
})

const tooLarge = "x".repeat(99)

const inMemory = <A, E>(
  limit: number,
  live: Layer.Layer<never, never, Engine.Engine>,
  test: Effect.Effect<A, E, Client.Client | Engine.Engine | Journal.Journal>
) =>
  test.pipe(Effect.provide(live.pipe(
    Layer.provideMerge(Engine.layer()),
    Layer.provideMerge(Journal.layerMemory),
    Layer.provide(Codec.layer(Codec.sizeLimit(limit))),
    Layer.provide(quiet)
  )))

describe("a limit of size", () => {
  it("counts bytes, and says how many there are (B-23)", () => {
    const { refuse } = Codec.sizeLimit(6)
    for (const text of ["", "123456", "ää12", "€€", "😀12"]) assert.isUndefined(refuse(text), text)
    for (const text of ["1234567", "äää1", "€€1", "😀€"]) assert.isDefined(refuse(text), text)
    assert.strictEqual(refuse("1234567"), "it has 7 bytes, and the journal takes at most 6")
  })

  it.effect("refuses what a run is started with, and signals; nothing is written (B-23, D4.2.1)", () =>
    inMemory(
      20,
      Echo,
      Effect.gen(function*() {
        const { store } = yield* Journal.Journal
        const error = yield* Effect.flip(Client.start(Story, { id: "s", payload: tooLarge }))
        assert.instanceOf(error, WorkflowError.InvalidPayload)
        assert.include(error.message, "Story is refused: it has 101 bytes, and the journal takes at most 20")
        assert.isTrue(Option.isNone(yield* store.latest("s")))
        const run = yield* Client.start(Story, { id: "s", payload: "a" })
        assert.instanceOf(yield* Effect.flip(run.signal(Note, tooLarge)), WorkflowError.InvalidPayload)
        yield* run.signal(Note, "b")
        assert.strictEqual(yield* run.result, "a b")
        assert.lengthOf((yield* store.history(run.runId)).filter((event) => event._tag === "SignalReceived"), 1)
      })
    ))

  it.effect("a payload of an activity is an error of the workflow, which may go on (B-23)", () =>
    inMemory(
      60,
      Layer.mergeAll(
        Story.toLayer(() =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(Large.execute(tooLarge))
            assert.instanceOf(error, WorkflowError.ActivityError)
            assert.strictEqual(error.reason, "Codec")
            assert.include(error.message, "101 bytes")
            return yield* Effect.orDie(Large.execute("small"))
          })
        ),
        Large.toLayer((text) => Effect.succeed(text))
      ),
      Effect.gen(function*() {
        const run = yield* Client.start(Story, { id: "s", payload: "" })
        assert.strictEqual(yield* run.result, "small")
        assert.lengthOf((yield* historyOf(run.runId)).filter((event) => event._tag === "ActivityScheduled"), 1)
      })
    ))

  it.effect("what an activity succeeds or fails with ends it, and is not tried again (B-23)", () => {
    let attempts = 0
    return inMemory(
      60,
      Layer.mergeAll(
        Story.toLayer((payload) => Effect.mapError(Large.execute(payload), (error) => error.message.slice(0, 50))),
        Large.toLayer((text) =>
          Effect.suspend(() => {
            attempts++
            return text === "fail" ? Effect.die(tooLarge) : Effect.succeed(tooLarge)
          })
        )
      ),
      Effect.gen(function*() {
        const run = yield* Client.start(Story, { id: "s", payload: "succeed" })
        const error = yield* Effect.flip(run.result)
        assert.include(String(error), "activity Large failed after 1 attempt (Codec)")
        assert.strictEqual(attempts, 1)
        const failed = (yield* historyOf(run.runId)).find((event) => event._tag === "ActivityFailed")
        assert.strictEqual(
          failed?.failure.message,
          "its success is refused: it has 101 bytes, and the journal takes at most 60"
        )
      })
    )
  })

  it.live("an error that is too large is tried again like any, and is told without its value in the end (B-23)", () => {
    const Wordy = Activity.make("Wordy", {
      error: Schema.Struct({ words: Schema.String }),
      retry: RetryPolicy.make({ retries: 2, backoff: Backoff.constant("1 millis") })
    })
    return inMemory(
      60,
      Layer.mergeAll(
        Story.toLayer(() =>
          Effect.mapError(
            Effect.as(Wordy.execute(), ""),
            (error) => "reason" in error ? `${error.reason} ${error.attempts}` : "words"
          )
        ),
        Wordy.toLayer(() => Effect.fail({ words: tooLarge }))
      ),
      Effect.gen(function*() {
        const run = yield* Client.start(Story, { id: "s", payload: "" })
        assert.strictEqual(yield* Effect.flip(run.result), "Codec 3")
        const failures = (yield* historyOf(run.runId)).filter((event) => event._tag === "AttemptFailed")
        assert.deepStrictEqual(failures.map(({ failure, payload }) => [failure.reason, payload]), [["Failure", null], [
          "Failure",
          null
        ]])
      })
    )
  })

  const Ends = Workflow.make("Ends", { payload: Schema.String, success: Schema.String, error: Schema.String })
  const EndsLive = Ends.toLayer((payload): Effect.Effect<string, string, Run.Run> =>
    payload === "fail"
      ? Effect.fail(tooLarge)
      : payload === "continue"
      ? Ends.continueAsNew(tooLarge)
      : payload === "effect"
      ? Workflow.sideEffect("words", Schema.String, () => tooLarge)
      : Effect.succeed(tooLarge)
  )

  const ends = {
    succeed: "the success of workflow Ends",
    fail: "the error of workflow Ends",
    continue: "the payload to continue with of workflow Ends",
    effect: "the value of side effect words"
  }
  for (const [payload, what] of Object.entries(ends)) {
    it.effect(`${what} fails the run, and says why (B-23)`, () =>
      inMemory(
        60,
        EndsLive,
        Effect.gen(function*() {
          const run = yield* Client.start(Ends, { id: "s", payload })
          const error = yield* Effect.flip(run.result)
          assert.instanceOf(error, WorkflowError.RunFailed)
          assert.strictEqual(error.reason, "Defect")
          assert.include(error.message, `${what} is refused: it has 101 bytes, and the journal takes at most 60`)
        })
      ))
  }

  it.scopedLive("what was refused is refused again on replay, and what was taken is taken, whatever the limit is (B-23)", () =>
    Effect.gen(function*() {
      const filename = yield* journals.temporaryFile
      const body = Story.toLayer(() =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          for (const text of [tooLarge, "small", tooLarge.slice(0, 70)]) {
            seen.push(yield* Effect.match(Large.execute(text), { onFailure: (error) => error._tag, onSuccess: String }))
          }
          const thrown = yield* Effect.exit(Workflow.sideEffect("words", Schema.String, () => tooLarge))
          seen.push(thrown._tag)
          seen.push(yield* Effect.orDie(Note.receive))
          return seen.join(" ")
        })
      )
      const live = Layer.mergeAll(body, Large.toLayer((text) => Effect.succeed(String(text.length))))
      const during = <A, E>(
        limit: number,
        use: Effect.Effect<A, E, Client.Client | Journal.Journal | SqlClient.SqlClient>
      ) => Effect.provide(use, engineOn(live, database(filename, Codec.sizeLimit(limit))))
      yield* during(
        80,
        Effect.gen(function*() {
          const run = yield* Client.start(Story, { id: "s", payload: "" })
          yield* seen(
            historyOf(run.runId),
            (history) => history.some((event) => event._tag === "SideEffectRecorded" && event.label.includes("words"))
          )
        })
      )
      yield* during(30, Effect.sleep("20 millis"))
      yield* during(
        10_000,
        Effect.gen(function*() {
          yield* Client.signal("s", Note, "heard")
          assert.strictEqual(yield* Client.result(Story, "s"), "ActivityError 5 70 Failure heard")
        })
      )
    }))

  it.effect("does not touch what the journal has (B-23)", () =>
    Effect.gen(function*() {
      const store = memoryStore()
      const make = (codec: Codec.Codec) => Effect.provide(Journal.make(store), Codec.layer(codec))
      const before = yield* make(Codec.none)
      yield* before.store.write([started("r", { payload: JSON.stringify(tooLarge) })])
      const after = yield* make(Codec.sizeLimit(10))
      assert.lengthOf(yield* after.store.history("r"), 1)
      assert.strictEqual(after.refuse(JSON.stringify(tooLarge)), "it has 101 bytes, and the journal takes at most 10")
    }).pipe(Effect.scoped))
})

describe("without a codec", () => {
  it("writes go straight to the store", () => {
    const store = memoryStore()
    assert.strictEqual(codedStore(store, Codec.none).write, store.write)
  })
})
