/** What JSON would change without a word is refused where it is encoded, with its place; everything else comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Layer, Redacted, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { Activity, Client, Codec, Engine, Signal, Workflow, WorkflowError } from "holdfast/Workflow"
import { isAlwaysJson } from "../../src/Workflow/internal/codec/json.js"
import * as jsonCodec from "../../src/Workflow/internal/codec/jsonCodec.js"
import { failureOf } from "./support/activities.js"
import * as journals from "./support/journals.js"
import { historyOf, quiet } from "./support/orders.js"

/** The same data: numbers by `Object.is`, and a property that is `undefined` is absent. */
const isSameData = (a: unknown, b: unknown): boolean => {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return Object.is(a, b)
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [left, right] = [a, b].map((each) => new Map(Object.entries(each).filter(([, value]) => value !== undefined)))
  return left!.size === right!.size &&
    [...left!].every(([key, value]) => right!.has(key) && isSameData(value, right!.get(key)))
}

const refused = /^(the value|at .*): JSON cannot hold .+; encode it by a schema/

const numbers = fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 2 ** 53))

const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true
})

/** A schema that does not change what it encodes, with values of its own. */
type Drawn = readonly [schema: Schema.Schema<unknown>, values: fc.Arbitrary<unknown>]

const drawn = (schema: Schema.Schema.Any, values: fc.Arbitrary<unknown>): Drawn => [
  schema as Schema.Schema<unknown>,
  values
]

const schemas = fc.letrec<{ readonly any: Drawn; readonly leaf: Drawn }>((tie) => ({
  leaf: fc.constantFrom(
    drawn(Schema.String, fc.string({ unit: "binary" })),
    drawn(Schema.Boolean, fc.boolean()),
    drawn(Schema.Number, numbers),
    drawn(Schema.Finite, numbers.filter(Number.isFinite)),
    drawn(Schema.Literal("a", 1, null, true), fc.constantFrom("a", 1, null, true)),
    drawn(Schema.UndefinedOr(Schema.String), fc.option(fc.string(), { nil: undefined })),
    drawn(Schema.NullOr(Schema.Number), fc.option(numbers)),
    drawn(Schema.Unknown, anything),
    drawn(Schema.BigIntFromSelf, fc.bigInt()),
    drawn(Schema.DateFromSelf, fc.date())
  ),
  any: fc.oneof(
    { maxDepth: 3 },
    tie("leaf"),
    tie("any").map(([schema, values]) => drawn(Schema.Array(schema), fc.array(values, { maxLength: 3 }))),
    fc.tuple(tie("any"), tie("any")).map(([[a, left], [b, right]]) =>
      drawn(Schema.Struct({ a, b: Schema.optional(b) }), fc.record({ a: left, b: right }, { requiredKeys: ["a"] }))
    ),
    tie("any").map(([schema, values]) =>
      drawn(
        Schema.Record({ key: Schema.String, value: schema }),
        fc.dictionary(fc.string().filter((key) => key !== "__proto__"), values, { maxKeys: 3 })
      )
    )
  )
})).any

describe("a value and its JSON", () => {
  it("are the same data, or the value is refused with its place", () => {
    let kept = 0
    let checked = 0
    fc.assert(
      fc.property(schemas.chain(([schema, values]) => fc.tuple(fc.constant(schema), values)), ([schema, value]) => {
        const { decode, encode } = jsonCodec.make(schema)
        const text = encode(value)
        if (Either.isLeft(text)) return assert.match(text.left, refused)
        assert.isTrue(isSameData(value, Either.getOrThrow(decode(text.right))), String(text.right))
        if (isAlwaysJson(schema.ast)) kept++
        else checked++
      }),
      { numRuns: 2_000 }
    )
    assert.isAbove(kept, 100)
    assert.isAbove(checked, 100)
  })

  it("are never compared for a schema that has no such values", () => {
    interface Tree {
      readonly name: string
      readonly children: ReadonlyArray<Tree>
    }
    const Tree = Schema.Struct({
      name: Schema.String,
      children: Schema.Array(Schema.suspend((): Schema.Schema<Tree> => Tree))
    })
    const always = [
      Schema.Void,
      Schema.String,
      Schema.Date,
      Schema.BigInt,
      Schema.NumberFromString,
      Schema.NullOr(Schema.Literal("a", 1)),
      Schema.Struct({ a: Schema.optional(Schema.String), b: Schema.UndefinedOr(Schema.Boolean) }),
      Tree
    ]
    for (const schema of always) assert.isTrue(isAlwaysJson(schema.ast), String(schema))
    const sometimes = [
      Schema.Number,
      Schema.Int,
      Schema.Unknown,
      Schema.Object,
      Schema.BigIntFromSelf,
      Schema.SymbolFromSelf,
      Schema.DateFromSelf,
      Schema.Defect,
      Schema.Array(Schema.UndefinedOr(Schema.String)),
      Schema.Struct({ tree: Tree, weight: Schema.Number })
    ]
    for (const schema of sometimes) assert.isFalse(isAlwaysJson(schema.ast), String(schema))
  })

  it("part where something is part of itself, or carries more than its elements", () => {
    const { encode } = jsonCodec.make(Schema.Unknown)
    const circle: { self?: unknown } = {}
    circle.self = [circle]
    const holes: Array<unknown> = []
    holes.length = 2
    const problems = [circle, "abc".match(/b/), { [Symbol("s")]: 1 }, holes, { f: () => 1 }, [
      Symbol("s")
    ]].map((
      value
    ) => Either.getOrThrow(Either.flip(encode(value))).split(";")[0])
    assert.deepStrictEqual(problems, [
      "at [\"self\"][0]: JSON cannot hold an object that it is itself part of",
      "the value: JSON cannot hold an array with holes or with properties of its own",
      "the value: JSON cannot hold an object with a symbol among its keys",
      "the value: JSON cannot hold an array with holes or with properties of its own",
      "at [\"f\"]: JSON cannot hold a function",
      "at [0]: JSON cannot hold a symbol"
    ])
    const twice = { a: 1 }
    assert.strictEqual(Either.getOrThrow(encode([twice, twice])), "[{\"a\":1},{\"a\":1}]")
  })
})

// --- in runs

const Echo = Activity.make("Echo", {
  payload: Schema.Unknown,
  success: Schema.Unknown,
  heartbeatDetails: Schema.Unknown
})
const Told = Signal.make("Told", { payload: Schema.Unknown })
const Back = Workflow.make("Back", { payload: Schema.Unknown, success: Schema.Unknown })
const places = ["activity", "side effect", "end", "heartbeat", "child"] as const
const Give = Workflow.make("Give", { payload: Schema.Literal(...places), success: Schema.Unknown })

/** What a run gives itself, of the kind that is to be stored. */
let given: unknown

const Live = Layer.mergeAll(
  Back.toLayer((payload) =>
    Effect.gen(function*() {
      const told = yield* Told.receive
      const echoed = yield* Echo.execute(told)
      const recorded = yield* Workflow.sideEffect("it", Schema.Unknown, () => echoed)
      return { payload, told, echoed, recorded }
    }).pipe(Effect.orDie)
  ),
  Give.toLayer((where) =>
    Effect.orDie(
      where === "activity" || where === "heartbeat"
        ? Echo.execute(where)
        : where === "side effect"
        ? Workflow.sideEffect("it", Schema.Unknown, () => given)
        : where === "child"
        ? Workflow.executeChild(Back, { id: "child", payload: given })
        : Effect.sync(() => given)
    )
  ),
  Echo.toLayer((what) =>
    what === "activity"
      ? Effect.sync(() => given)
      : what === "heartbeat"
      ? Echo.heartbeat(given)
      : Effect.succeed(what)
  )
)

const key = Redacted.make(new Uint8Array(32).fill(7))
const codecs = [
  ["no codec", Codec.none],
  [
    "compression and encryption",
    Codec.all(
      Codec.compression({ threshold: 0 }),
      Codec.encryption({ keys: { a: key }, current: "a" })
    )
  ]
] as const

for (const [journal, layer] of journals.all) {
  for (const [codec, value] of codecs) {
    describe(`values of runs on ${journal}, with ${codec}`, () => {
      const world = Live.pipe(
        Layer.provideMerge(Engine.layer()),
        Layer.provide(quiet),
        Layer.provideMerge(Layer.fresh(layer)),
        Layer.provide(Codec.layer(value))
      )

      it.effect("come back as they were, wherever a run has had them", () =>
        Effect.gen(function*() {
          const values = fc.sample(anything, 40).concat([-0, [-0, { a: -0 }], "\ud800", null, undefined])
          let stored = 0
          for (const [i, each] of values.entries()) {
            const id = `run ${i}`
            const started = yield* Effect.either(Client.start(Back, { id, payload: each }))
            if (Either.isLeft(started)) {
              assert.instanceOf(started.left, WorkflowError.InvalidPayload)
              assert.match(started.left.message, /JSON cannot hold/)
              yield* Client.start(Back, { id, payload: null })
              assert.instanceOf(yield* Effect.flip(Client.signal(id, Told, each)), WorkflowError.InvalidPayload)
              yield* Client.terminate(id)
              continue
            }
            stored++
            yield* started.right.signal(Told, each)
            const result = yield* started.right.result
            const expected = { payload: each, told: each, echoed: each, recorded: each }
            assert.isTrue(isSameData(result, expected), fc.stringify([result, each]))
          }
          assert.isAbove(stored, 5)
        }).pipe(Effect.provide(world)))

      it.effect("are refused where they are encoded, before anything is recorded as done", () =>
        Effect.gen(function*() {
          given = { price: Number.NaN }
          for (const where of places) {
            const run = yield* Client.start(Give, { id: where, payload: where })
            const exit = yield* Effect.exit(run.result)
            assert.include(String(failureOf(exit)), "at [\"price\"]: JSON cannot hold NaN", where)
            const done = (yield* historyOf(run.runId)).filter(({ _tag }) =>
              _tag === "ActivityCompleted" || _tag === "SideEffectRecorded" || _tag === "ChildScheduled"
            )
            assert.deepStrictEqual(done, [], where)
          }
        }).pipe(Effect.provide(world)))
    })
  }
}

describe("ids and names that a journal would change", () => {
  const bad = ["", "a\0b", "half \ud800 of a pair"]

  it("are refused where something is defined", () => {
    for (const name of bad) {
      for (const define of [() => Workflow.make(name), () => Signal.make(name), () => Activity.make(name)]) {
        assert.throws(define, /"name" must be a text that is not empty/)
      }
      assert.throws(() => Activity.make("A", { queue: name }), /"queue" must be a text/)
    }
  })

  it.effect("are refused where something is started or sent", () =>
    Effect.gen(function*() {
      yield* Client.start(Back, { id: "fine \ud83d\ude00", payload: 1 })
      const Parent = Workflow.make("Parent", { payload: Schema.String })
      for (const id of bad) {
        const errors = [
          yield* Effect.flip(Client.start(Back, { id, payload: 1 })),
          yield* Effect.flip(Client.signal("fine \ud83d\ude00", Told, 1, { id })),
          yield* Effect.gen(function*() {
            const run = yield* Client.start(Parent, { id: "parent", payload: id, reuse: "always" })
            return failureOf(yield* Effect.exit(run.result))
          }).pipe(
            Effect.provide(
              Parent.toLayer((id) => Effect.orDie(Workflow.executeChild(Back, { id, payload: 1 }))).pipe(
                Layer.provideMerge(Engine.layer()),
                Layer.provide(quiet)
              )
            )
          )
        ]
        for (const error of errors) assert.include(String(error), `its id ${JSON.stringify(id)} must be a text`)
      }
    }).pipe(Effect.provide(Layer.provideMerge(Client.layer, journals.all[0]![1]))))
})
