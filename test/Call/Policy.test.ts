import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { type Observer, Policy, Timeout } from "holdfast/Call"
import { Observer as Observers } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import { isCombinator } from "../../src/Combinator.js"
import { InvalidOptions } from "../../src/InvalidOptions.js"

/** A combinator that writes down when a call passes it. */
const traced = (name: string, log: Array<string>) =>
  Policy.custom(name, (self) =>
    Effect.zipRight(Effect.sync(() => log.push(`${name} before`)), self).pipe(
      Effect.ensuring(Effect.sync(() => log.push(`${name} after`)))
    ))

const retry = (retries: number) => Retry.rules([Retry.onAny({ retries, backoff: Backoff.constant(0) })])

/** An observer that keeps what it is told, by name. */
const recorder = (name: string, log: Array<string>): Observer.Observer => ({
  notify: (event) => log.push(`${name} ${event._tag}`),
  dropped: Effect.succeed(0)
})

const failing = (times: number) => {
  let calls = 0
  return Effect.suspend(() => ++calls <= times ? Effect.fail(`failure ${calls}`) : Effect.succeed(calls))
}

describe("Policy", () => {
  it.effect("without a policy the effect runs once and comes out as it is (R1)", () =>
    Effect.gen(function*() {
      let runs = 0
      const value = {}
      const cause = Cause.sequential(Cause.fail("a"), Cause.die("b"))
      const empty = Policy.compose()
      assert.strictEqual(yield* empty(Effect.sync(() => (runs++, value))), value)
      const exit = yield* Effect.exit(empty(Effect.failCause(cause)))
      assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
      assert.strictEqual(runs, 1)
    }))

  it.effect("a cause passes through policies that do not apply, as the same object (R1)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "b" })
      const policy = Policy.compose(Timeout.after("1 second"), CircuitBreaker.protect(breaker), retry(0))
      const cause = Cause.sequential(Cause.fail("a"), Cause.die("b"))
      const exit = yield* Effect.exit(policy(Effect.failCause(cause)))
      assert.isTrue(Exit.isFailure(exit) && exit.cause === cause)
    }))

  it.effect("the first that is listed is outermost (R2)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const action = Effect.sync(() => log.push("action"))
      yield* Policy.compose(traced("A", log), traced("B", log))(action)
      assert.deepStrictEqual(log, ["A before", "B before", "action", "B after", "A after"])
      log.length = 0
      yield* Policy.run(action, traced("A", log), traced("B", log))
      assert.deepStrictEqual(log, ["A before", "B before", "action", "B after", "A after"])
    }))

  it.effect("a pipe of the same combinators nests the other way round, and the description says how (R2, R3)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const [a, b] = [traced("A", log), traced("B", log)]
      yield* Effect.void.pipe(b, a)
      const piped = log.splice(0)
      const policy = Policy.compose(a, b)
      yield* policy(Effect.void)
      assert.deepStrictEqual(log, piped)
      assert.deepStrictEqual(Policy.describe(policy).map(({ key }) => key), ["A", "B"])
      // A policy in a policy is as if its parts were listed.
      assert.deepStrictEqual(
        Policy.describe(Policy.compose(traced("outer", []), policy, traced("inner", []))).map(({ key }) => key),
        ["outer", "A", "B", "inner"]
      )
    }))

  it.effect("a retry outside a chain repeats the chain, one inside does not (R3)", () =>
    Effect.gen(function*() {
      const outside: Array<string> = []
      yield* Policy.compose(retry(1), traced("A", outside))(failing(1))
      assert.deepStrictEqual(outside, ["A before", "A after", "A before", "A after"])
      const inside: Array<string> = []
      yield* Policy.compose(traced("A", inside), retry(1))(failing(1))
      assert.deepStrictEqual(inside, ["A before", "A after"])
    }))

  it.effect("what belongs to a call starts fresh, what calls share is a value (R4)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "shared", failures: 2 })
      const quotes = Policy.compose(retry(1), CircuitBreaker.protect(breaker))
      const orders = Policy.compose(CircuitBreaker.protect(breaker))
      let calls = 0
      const down = Effect.suspend(() => Effect.fail(++calls))
      // Two attempts: each call has its own budget, and both share the breaker.
      yield* Effect.exit(quotes(down))
      assert.strictEqual(calls, 2)
      const rejected = yield* Effect.flip(orders(down))
      assert.instanceOf(rejected, CircuitBreaker.CircuitOpen)
      assert.strictEqual(calls, 2)
      yield* breaker.reset
      yield* Effect.exit(quotes(down))
      assert.strictEqual(calls, 4)
    }))

  it.effect("a policy is not changed by what is made of it (R5)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const client = Policy.make({ policies: [traced("client", log)], observers: [recorder("client", log)] })
      const before = Policy.describe(client)
      const perCall = Policy.make({
        policies: [client, traced("call", log)],
        observers: [recorder("call", log)]
      })
      yield* perCall(Effect.void)
      assert.include(log, "call before")
      log.length = 0
      yield* client(Effect.void)
      assert.isFalse(log.some((line) => line.startsWith("call")))
      assert.deepStrictEqual(Policy.describe(client), before)
    }))

  it.effect("observers are told in order, the client's first, and change nothing (R6)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const client = Policy.make({ policies: [], observers: [recorder("c1", log), recorder("c2", log)] })
      const perCall = Policy.make({ policies: [client], observers: [recorder("p1", log), recorder("p2", log)] })
      const value = {}
      assert.strictEqual(yield* perCall(Effect.succeed(value)), value)
      for (const event of ["CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded"]) {
        assert.deepStrictEqual(
          log.filter((line) => line.endsWith(` ${event}`)).map((line) => line.split(" ")[0]),
          ["c1", "c2", "p1", "p2"]
        )
      }
    }))

  it.effect("each call and each attempt starts and ends once, with retries or without (R7)", () =>
    Effect.gen(function*() {
      const stacks = [
        { policies: [], failures: 0, attempts: 1 },
        { policies: [Timeout.after("1 second")], failures: 0, attempts: 1 },
        { policies: [retry(3)], failures: 2, attempts: 3 },
        { policies: [retry(1), Timeout.after("1 second"), retry(1)], failures: 3, attempts: 4 }
      ]
      for (const { attempts, failures, policies } of stacks) {
        const events: Array<Observer.CallEvent> = []
        const observer = { notify: (event: Observer.CallEvent) => events.push(event), dropped: Effect.succeed(0) }
        yield* Effect.exit(Policy.make({ policies, observers: [observer] })(failing(failures)))
        const count = (tag: Observer.CallEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
        assert.deepStrictEqual(
          [count("CallStarted"), count("AttemptStarted"), count("AttemptEnded"), count("CallEnded")],
          [1, attempts, attempts, 1]
        )
        assert.deepStrictEqual(
          events.flatMap((event) => event._tag === "AttemptStarted" ? [event.attempt] : []),
          Array.from({ length: attempts }, (_, index) => index + 1)
        )
        assert.isTrue(events.every(({ call }) => call === events[0]?.call))
      }
    }))

  it.effect("a rejected call has no attempts, and the times of events are those of the clock (R7)", () =>
    Effect.gen(function*() {
      const events: Array<Observer.CallEvent> = []
      const observer = { notify: (event: Observer.CallEvent) => events.push(event), dropped: Effect.succeed(0) }
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1 })
      const policy = Policy.make({ policies: [CircuitBreaker.protect(breaker)], observers: [observer] })
      const fiber = yield* Effect.fork(
        Effect.exit(policy(Effect.zipRight(Effect.sleep("2 seconds"), Effect.fail("x"))))
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      yield* Effect.exit(policy(Effect.void))
      assert.deepStrictEqual(
        events.map((event) => [event._tag, event.at, "durationMillis" in event ? event.durationMillis : undefined]),
        [
          ["CallStarted", 0, undefined],
          ["AttemptStarted", 0, undefined],
          ["AttemptEnded", 2_000, 2_000],
          ["CallEnded", 2_000, 2_000],
          ["CallStarted", 2_000, undefined],
          ["CallEnded", 2_000, 0]
        ]
      )
    }))

  it.scoped("an observer that dies, or hangs, neither fails nor delays a call; what it misses is counted (R8)", () =>
    Effect.gen(function*() {
      let handled = 0
      const dying = yield* Observers.make(() => Effect.zipRight(Effect.sync(() => handled++), Effect.die("a bug")))
      const throwing = yield* Observers.make((): Effect.Effect<void> => {
        throw new Error("a bug")
      })
      const hanging = yield* Observers.make(() => Effect.never, { capacity: 3 })
      const policy = Policy.make({ policies: [], observers: [dying, throwing, hanging] })
      yield* policy(Effect.void)
      yield* TestClock.adjust(0)
      for (let call = 0; call < 5; call++) assert.strictEqual(yield* policy(Effect.succeed(call)), call)
      yield* TestClock.adjust(0)
      assert.strictEqual(handled, 24)
      assert.strictEqual(yield* dying.dropped, 0)
      // One event is being handled, three wait.
      assert.strictEqual(yield* hanging.dropped, 20)
    }))

  it.scoped("when the buffer is full the oldest events go first (R8)", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const seen: Array<number> = []
      const slow = yield* Observers.make(
        ({ call }) => Effect.zipRight(Effect.sync(() => seen.push(call)), Deferred.await(gate)),
        { capacity: 2 }
      )
      const event = (call: number): Observer.CallEvent => ({ _tag: "CallStarted", call, at: 0 })
      slow.notify(event(1))
      yield* TestClock.adjust(0)
      for (const call of [2, 3, 4, 5]) slow.notify(event(call))
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, [1, 4, 5])
      assert.strictEqual(yield* slow.dropped, 2)
    }))

  it.scoped("an observer's buffer must have room", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Observers.make(() => Effect.void, { capacity: 0 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOptions)
    }))

  it.effect("an interrupted call ends once for its observers, and releases once (R7, R9)", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const started = yield* Deferred.make<void>()
      const policy = Policy.make({
        policies: [retry(3), Timeout.after("1 minute")],
        observers: [recorder("o", log)]
      })
      const call = Effect.acquireUseRelease(
        Deferred.succeed(started, undefined),
        () => Effect.never,
        () => Effect.sync(() => log.push("released"))
      )
      const fiber = yield* Effect.fork(policy(call))
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(log, ["o CallStarted", "o AttemptStarted", "released", "o AttemptEnded", "o CallEnded"])
    }))

  it.effect("a description is plain JSON, in nesting order, with the settings of each (R148)", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "payments", failures: 3, openFor: "10 seconds" })
      const policy = Policy.compose(
        Timeout.after("10 seconds"),
        Retry.rules([Retry.on("Busy", { retries: 2, backoff: Backoff.constant("1 second") })]),
        CircuitBreaker.protect(breaker),
        Timeout.after(Duration.infinity)
      )
      const described = Policy.describe(policy)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(described)), described)
      assert.deepStrictEqual(described.map(({ policy }) => policy), ["Timeout", "Retry", "CircuitBreaker", "Timeout"])
      assert.deepStrictEqual(described[0]?.settings, { afterMillis: 10_000, detach: false })
      assert.deepStrictEqual(described[3]?.settings, { afterMillis: null, detach: false })
      assert.strictEqual(described[2]?.key, "payments")
    }))

  it("a policy can be drawn", () => {
    const policy = Policy.compose(Policy.custom("a \"b\" <c>", (self) => self), Timeout.after("2 seconds"))
    assert.strictEqual(
      Policy.toMermaid(policy),
      [
        "flowchart LR",
        "  caller([caller])",
        "  p0[\"Custom a &quot;b&quot; &lt;c&gt;\"]",
        "  p1[\"Timeout<br/>afterMillis: 2000\"]",
        "  effect([effect])",
        "  caller --> p0 --> p1 --> effect"
      ].join("\n")
    )
  })

  it.effect("calls that begin after a swap are made with the new policy, those under way keep theirs", () =>
    Effect.gen(function*() {
      const limits = yield* Policy.swappable(Timeout.after("1 second"))
      const slow = Effect.sleep("3 seconds").pipe(limits.policy)
      const before = yield* Effect.fork(Effect.exit(slow))
      yield* TestClock.adjust("500 millis")
      const next = Timeout.after("5 seconds")
      yield* limits.swap(next)
      assert.strictEqual(yield* limits.current, next)
      const after = yield* Effect.fork(Effect.exit(slow))
      yield* TestClock.adjust("500 millis")
      const exit = before.unsafePoll()
      assert.isTrue(exit !== null && Exit.isSuccess(exit) && Exit.isFailure(exit.value))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.join(after), Exit.void)
      assert.deepStrictEqual(Policy.describe(limits.policy)[0]?.settings, {
        current: [{ policy: "Timeout", key: null, settings: { afterMillis: 5_000, detach: false } }]
      })
    }))

  it.effect("what a mistake in one combinator throws does not keep the others from ending", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ key: "b", failures: 1, openFor: "1 second" })
      yield* Effect.exit(Effect.fail("x").pipe(CircuitBreaker.protect(breaker)))
      yield* TestClock.adjust("1 second")
      const bug = Policy.custom("bug", (self): typeof self => {
        throw new Error(`a bug with ${String(self)}`)
      })
      const exit = yield* Effect.exit(Policy.compose(CircuitBreaker.protect(breaker), bug)(Effect.void))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      // The probe was neutral, and its place is free again.
      assert.strictEqual(yield* Effect.as(Effect.void, 1).pipe(CircuitBreaker.protect(breaker)), 1)
    }))

  it("what is no combinator is refused when the policy is made", () => {
    const notOne = (() => Effect.void) as unknown as Policy.Any
    assert.throws(() => Policy.compose(notOne), InvalidOptions, /Policy.custom/)
    assert.isTrue(isCombinator(Policy.compose()))
    assert.isFalse(isCombinator(notOne))
  })
})
