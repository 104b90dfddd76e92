import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Places } from "../../src/Circuit/internal/bulkhead/places.js"
import { Deadlines } from "../../src/Circuit/internal/gate/deadlines.js"
import { Line, RankedLine, type WaitingLine } from "../../src/Circuit/internal/gate/line.js"

class Call {
  before: Call | undefined = undefined
  after: Call | undefined = undefined
  heapIndex = -1
  constructor(
    readonly id: number,
    readonly weight: number,
    readonly arrivedAt = 0,
    readonly rank = 0,
    readonly deadline = Infinity
  ) {}
}

/** The calls of a line, first to last. */
const inOrder = (line: WaitingLine<Call>): ReadonlyArray<number> => {
  const ids: Array<number> = []
  for (let first = line.first; first !== undefined; first = line.first) {
    ids.push(first.id)
    line.leave(first)
  }
  return ids
}

/** What a bulkhead must do, told with two lists. */
class Model {
  inside: Array<Call> = []
  line: Array<Call> = []
  constructor(public capacity: number, readonly maxWaiting: number) {}

  get inUse(): number {
    return this.inside.reduce((sum, { weight }) => sum + weight, 0)
  }

  arrive(call: Call): "in" | "waits" | "turned away" {
    if (this.line.length === 0 && this.inUse + call.weight <= this.capacity) {
      this.inside.push(call)
      return "in"
    }
    if (this.line.length >= this.maxWaiting) return "turned away"
    this.line.push(call)
    return "waits"
  }

  /** Lets in from the front whoever fits, or is alone. */
  settle(): ReadonlyArray<Call> {
    const letIn: Array<Call> = []
    while (
      this.line.length > 0 &&
      (this.inside.length === 0 || this.inUse + this.line[0]!.weight <= this.capacity)
    ) {
      const first = this.line.shift()!
      this.inside.push(first)
      letIn.push(first)
    }
    return letIn
  }
}

const pick = <A>(list: ReadonlyArray<A>, which: number): A | undefined => list[which % Math.max(1, list.length)]

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ _tag: fc.constant("Arrive" as const), weight: fc.integer({ min: 1, max: 6 }) })
    },
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("End" as const), which: fc.nat(1_000) }) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Leave" as const), which: fc.nat(1_000) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Resize" as const), to: fc.integer({ min: 1, max: 6 }) }) }
  ),
  { maxLength: 150 }
)

describe("the places of a bulkhead", () => {
  it.prop(
    "do what two lists do, whatever comes, ends, leaves the line or changes their number (R125, R126, R128)",
    [fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 8 }), steps],
    ([capacity, maxWaiting, steps]) => {
      const places = new Places<Call>(capacity, maxWaiting, new Line())
      const model = new Model(capacity, maxWaiting)
      const settle = () => {
        const letIn: Array<Call> = []
        for (let call = places.next(); call !== undefined; call = places.next()) letIn.push(call)
        assert.deepStrictEqual(letIn.map(({ id }) => id), model.settle().map(({ id }) => id))
      }
      for (const [id, step] of steps.entries()) {
        switch (step._tag) {
          case "Arrive": {
            if (step.weight > model.capacity) break
            const call = new Call(id, step.weight)
            const answer = places.take(call.weight) ? "in" : places.isLineFull ? "turned away" : "waits"
            if (answer === "waits") places.join(call)
            assert.strictEqual(answer, model.arrive(call))
            break
          }
          case "End": {
            const call = pick(model.inside, step.which)
            if (call === undefined) break
            model.inside = model.inside.filter((other) => other !== call)
            places.give(call.weight)
            break
          }
          case "Leave": {
            const call = pick(model.line, step.which)
            if (call === undefined) break
            model.line = model.line.filter((other) => other !== call)
            places.leave(call)
            break
          }
          case "Resize":
            model.capacity = places.capacity = step.to
            break
        }
        settle()
        assert.strictEqual(places.inUse, model.inUse)
        assert.strictEqual(places.line.size, model.line.length)
        assert.strictEqual(places.line.first, model.line[0])
        assert.strictEqual(places.available, Math.max(0, model.capacity - model.inUse))
        assert.isAtMost(places.available, places.capacity)
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )
})

const joining = fc.array(
  fc.record({
    rank: fc.integer({ min: 0, max: 4 }),
    /** How long after the one before. */
    later: fc.nat(30),
    /** Whether it leaves, and when: after so many more have come. */
    leavesAfter: fc.option(fc.nat(40), { nil: undefined }),
    deadline: fc.oneof(fc.nat(1_000), fc.constant(Infinity))
  }),
  { maxLength: 60 }
)

describe("lines", () => {
  it.prop("are first in, first out, and are left from anywhere (R126)", [joining], ([joining]) => {
    const line = new Line<Call>()
    let model: Array<Call> = []
    const calls: Array<Call> = []
    for (const [id, { leavesAfter }] of joining.entries()) {
      const call = new Call(id, 1)
      calls.push(call)
      line.join(call)
      model.push(call)
      const leaver = leavesAfter === undefined ? undefined : calls[id - leavesAfter]
      if (leaver !== undefined && model.includes(leaver)) {
        model = model.filter((other) => other !== leaver)
        line.leave(leaver)
      }
      assert.strictEqual(line.size, model.length)
    }
    assert.deepStrictEqual(inOrder(line), model.map(({ id }) => id))
    assert.strictEqual(line.size, 0)
  })

  it.prop(
    "with priorities are ordered by when a call came, less its importance in time; nobody starves (R126)",
    [joining, fc.integer({ min: 1, max: 50 })],
    ([joining, aging]) => {
      const line = new RankedLine<Call>(5, aging)
      let model: Array<Call> = []
      let now = 0
      for (const [id, { later, leavesAfter, rank }] of joining.entries()) {
        now += later
        const call = new Call(id, 1, now, rank)
        line.join(call)
        model.push(call)
        const leaver = model.find((other) => leavesAfter !== undefined && other.id === id - leavesAfter)
        if (leaver !== undefined) {
          model = model.filter((other) => other !== leaver)
          line.leave(leaver)
        }
      }
      const standing = ({ arrivedAt, rank }: Call) => arrivedAt - rank * aging
      const sorted = [...model].sort((a, b) => standing(a) - standing(b) || b.rank - a.rank || a.id - b.id)
      assert.strictEqual(line.size, sorted.length)
      const order = inOrder(line)
      assert.deepStrictEqual(order, sorted.map(({ id }) => id))
      for (const [index, call] of sorted.entries()) {
        // Overtaken only by what came within the time that four classes are worth.
        assert.isTrue(sorted.slice(0, index).every((other) => other.arrivedAt <= call.arrivedAt + 4 * aging))
      }
    },
    { fastCheck: { numRuns: 500 } }
  )

  it.prop(
    "know who gives up first (R126)",
    [joining],
    ([joining]) => {
      const deadlines = new Deadlines<Call>()
      let model: Array<Call> = []
      for (const [id, { deadline, leavesAfter }] of joining.entries()) {
        const call = new Call(id, 1, 0, 0, deadline)
        deadlines.add(call)
        model.push(call)
        const leaver = model.find((other) => leavesAfter !== undefined && other.id === id - leavesAfter)
        if (leaver !== undefined) {
          model = model.filter((other) => other !== leaver)
          deadlines.remove(leaver)
          // Not there: nothing happens.
          deadlines.remove(leaver)
        }
        const earliest = Math.min(...model.map(({ deadline }) => deadline))
        assert.strictEqual(deadlines.first?.deadline ?? Infinity, earliest)
      }
      const left: Array<number> = []
      for (let first = deadlines.first; first !== undefined; first = deadlines.first) {
        deadlines.remove(first)
        left.push(first.deadline)
      }
      assert.deepStrictEqual(
        left,
        model.map(({ deadline }) => deadline).filter((deadline) => deadline !== Infinity).sort((a, b) => a - b)
      )
    },
    { fastCheck: { numRuns: 500 } }
  )

  it("know it also when one leaves from among those who are patient (R126)", () => {
    const deadlines = new Deadlines<Call>()
    const given = [1, 100, 2, 101, 102, 3, 4, 103, 104, 105, 106, 5, 6]
    const calls = given.map((deadline, id) => new Call(id, 1, 0, 0, deadline))
    for (const call of calls) deadlines.add(call)
    deadlines.remove(calls[3]!)
    const left: Array<number> = []
    for (let first = deadlines.first; first !== undefined; first = deadlines.first) {
      deadlines.remove(first)
      left.push(first.deadline)
    }
    assert.deepStrictEqual(left, given.filter((deadline) => deadline !== 101).sort((a, b) => a - b))
  })
})
