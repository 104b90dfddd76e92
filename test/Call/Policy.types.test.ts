import { describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Data, Effect } from "effect"
import { Fallback, Policy, Timeout } from "holdfast/Call"
import { CircuitBreaker, Gate } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import type { Combinator } from "../../src/Combinator.js"

class Down extends Data.TaggedError("Down") {}
class Slow extends Data.TaggedError("Slow") {}
class Service extends Context.Tag("holdfast/test/Call/Policy.types.test/Service")<Service, number>() {}

declare const call: Effect.Effect<number, Down | Slow, Service>
declare const breaker: CircuitBreaker.CircuitBreaker
declare const gate: Gate.Gate<"full">

const retry = Retry.rules([Retry.onAny({ retries: 1, backoff: Backoff.standard })])

describe("the types of policies", () => {
  it("errors that are added come out, whatever the order (R31)", () => {
    const policy = () => Policy.compose(Timeout.after("1 second"), retry, Gate.protect(gate))
    expectTypeOf(policy).returns.toEqualTypeOf<Combinator<Timeout.TimedOut | "full">>()
    const applied = () => policy()(call)
    expectTypeOf(applied).returns.toEqualTypeOf<
      Effect.Effect<number, Down | Slow | Timeout.TimedOut | "full", Service>
    >()
    const run = () => Policy.run(call, Timeout.after("1 second"), retry, CircuitBreaker.protect(breaker))
    expectTypeOf(run).returns.toEqualTypeOf<
      Effect.Effect<
        number,
        Down | Slow | Timeout.TimedOut | CircuitBreaker.CircuitOpen | CircuitBreaker.Isolated,
        Service
      >
    >()
  })

  it("an outer fallback takes away what it handles, also of inner combinators (R31)", () => {
    const all = () => Policy.compose(Fallback.to("instead"), Timeout.after("1 second"))(call)
    expectTypeOf(all).returns.toEqualTypeOf<Effect.Effect<number | string, never, Service>>()
    const some = () => Policy.compose(Fallback.toOn("TimedOut", "late"), Timeout.after("1 second"))(call)
    expectTypeOf(some).returns.toEqualTypeOf<Effect.Effect<number | string, Down | Slow, Service>>()
    const inside = () => Policy.compose(Timeout.after("1 second"), Fallback.to("instead"))(call)
    expectTypeOf(inside).returns.toEqualTypeOf<Effect.Effect<number | string, Timeout.TimedOut, Service>>()
  })

  it("a retry with typed rules takes only effects that fail with that", () => {
    const typed = Retry.rules([
      Retry.on((error: Down) => error._tag === "Down", { retries: 1, backoff: Backoff.standard })
    ])
    const policy = Policy.compose(Timeout.after("1 second"), typed)
    const fits = () => policy(Effect.fail(new Down()))
    expectTypeOf(fits).returns.toEqualTypeOf<Effect.Effect<never, Down | Timeout.TimedOut>>()
    // @ts-expect-error the rule cannot look at a Slow
    const unfit = () => policy(call)
    // @ts-expect-error nor can it look at what comes from inside
    const outside = () => Policy.compose(typed, Timeout.after("1 second"))(Effect.fail(new Down()))
    // @ts-expect-error the same holds for `run`
    const run = () => Policy.run(call, typed)
    expectTypeOf([unfit, outside, run]).toBeArray()
  })

  it("a function of one's own may add errors and requirements", () => {
    const policy = Policy.custom(
      "audited",
      <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.zipRight(Effect.flatMap(Service, (n) => n > 0 ? Effect.void : Effect.fail(new Slow())), self)
    )
    const applied = () => Policy.compose(Timeout.after("1 second"), policy)(Effect.succeed(1))
    expectTypeOf(applied).returns.toEqualTypeOf<Effect.Effect<number, Slow | Timeout.TimedOut, Service>>()
  })

  it("a policy can be used in generic code", () => {
    const guarded = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Timeout.TimedOut, R> =>
      self.pipe(Policy.compose(Timeout.after("1 second"), retry))
    const applied = () => guarded(call)
    expectTypeOf(applied).returns.toEqualTypeOf<Effect.Effect<number, Down | Slow | Timeout.TimedOut, Service>>()
  })
})
