/**
 * Assertions on the calls of a world.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Utils from "effect/Utils"
import { TypeId as ActivityTypeId } from "../../../Workflow/Activity.js"
import type { Callable, Expected } from "../../WorkflowTest.js"
import { madeOf } from "./calls.js"
import type { Made, World } from "./model.js"
import { UnexpectedCalls } from "./problems.js"

export const called = <Payload>(
  world: World,
  what: Callable<Payload>,
  expected: Expected<Payload>
): Effect.Effect<void, UnexpectedCalls> =>
  Effect.suspend(() => {
    const all = madeOf(world, kindOf(what), what.name)
    const withId = expected.id === undefined ? all : all.filter(({ workflowId }) => workflowId === expected.id)
    if (withId.length === 0 && all.length > 0) {
      return new UnexpectedCalls({
        detail: `${what.name} was not called with this id`,
        expected: expected.id,
        actual: all.map(({ workflowId }) => workflowId)
      })
    }
    const wanted = "with" in expected ? encoded(what, expected.with as Payload) : undefined
    const found = wanted === undefined ? withId : withId.filter((made) => isSame(valueOf(made.payload), wanted.value))
    const { times } = expected
    if (times === undefined ? found.length > 0 : found.length === times) return Effect.void
    const how = wanted === undefined ? "" : " with this payload"
    // With a payload, what it was called with tells more than how often.
    return wanted !== undefined && found.length === 0
      ? new UnexpectedCalls({
        detail: `${what.name} was not called${how}`,
        expected: wanted.value,
        actual: withId.length === 1 ? valueOf(withId[0]!.payload) : withId.map(({ payload }) => valueOf(payload))
      })
      : new UnexpectedCalls({
        detail: `${what.name} was ${found.length === 0 ? "not called" : `called ${timesOf(found.length)}`}${how}`,
        expected: times === undefined ? "at least once" : timesOf(times),
        actual: timesOf(found.length)
      })
  })

export const notCalled = (world: World, what: Callable<never>): Effect.Effect<void, UnexpectedCalls> =>
  Effect.suspend(() => {
    const all = madeOf(world, kindOf(what), what.name)
    return all.length === 0 ? Effect.void : new UnexpectedCalls({
      detail: `${what.name} was called ${timesOf(all.length)}`,
      expected: "never",
      actual: all.map(({ payload }) => valueOf(payload))
    })
  })

export const inOrder = (
  world: World,
  order: ReadonlyArray<Callable<never>>
): Effect.Effect<void, UnexpectedCalls> =>
  Effect.suspend(() => {
    let next = 0
    for (const made of world.made) {
      const wanted = order[next]
      if (wanted !== undefined && made.name === wanted.name && made.kind === kindOf(wanted)) next++
    }
    return next === order.length ? Effect.void : new UnexpectedCalls({
      detail: `${order[next]!.name} was not called${next === 0 ? "" : ` after ${order[next - 1]!.name}`}`,
      expected: order.map(({ name }) => name),
      actual: world.made.map(({ name }) => name)
    })
  })

const kindOf = (what: object): Made["kind"] => ActivityTypeId in what ? "activity" : "workflow"

const timesOf = (count: number): string => count === 0 ? "never" : count === 1 ? "once" : `${count} times`

const valueOf = (payload: string | null): unknown => payload === null ? undefined : JSON.parse(payload)

const encoded = <Payload>(what: Callable<Payload>, payload: Payload): { readonly value: unknown } => ({
  value: valueOf(
    Either.getOrThrowWith(
      what.encodePayload(payload),
      (problem) => new Error(`the payload that ${what.name} is expected to be called with does not fit: ${problem}`)
    )
  )
})

/** As JSON: the order of fields is none of its meaning. */
const isSame = (a: unknown, b: unknown): boolean => Utils.structuralRegion(() => Equal.equals(a, b))
