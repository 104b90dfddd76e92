import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, FiberRef } from "effect"
import { Timeout } from "holdfast/Call"
import { Backoff, Retry } from "holdfast/Schedule"

// The live clock of Effect, over timers that the test moves.
const advance = async (millis: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(millis)
}

const lateAfter = (exit: Exit.Exit<unknown, unknown> | null): number | undefined => {
  const error = exit !== null && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof Timeout.TimedOut ? Duration.toMillis(error.duration) : undefined
}

describe("Timeout under the live clock, in the caller's own fiber", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("the work runs in the caller's fiber where that has no children, and in its own where it has", async () => {
    const within = Effect.fiberId.pipe(Timeout.after("1 second"))
    const alone = await Effect.runPromise(Effect.all([Effect.fiberId, within]))
    assert.deepStrictEqual(alone[0], alone[1])
    const withChild = await Effect.runPromise(
      Effect.zipRight(Effect.fork(Effect.never), Effect.all([Effect.fiberId, within]))
    )
    assert.notDeepEqual(withChild[0], withChild[1])
  })

  it("it fails at exactly its time, and the caller goes on as if it had not been interrupted", async () => {
    const fiber = Effect.runFork(Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.never.pipe(Timeout.after("2 seconds")))
      yield* Effect.sleep("1 second")
      return exit
    }))
    await advance(1_999)
    assert.isNull(fiber.unsafePoll())
    await advance(1)
    assert.isNull(fiber.unsafePoll())
    await advance(1_000)
    const exit = fiber.unsafePoll()
    assert.isTrue(exit !== null && Exit.isSuccess(exit) && lateAfter(exit.value) === 2_000)
  })

  it("work that is done in time gives its result, and its timer is cleared", async () => {
    const fiber = Effect.runFork(Effect.as(Effect.sleep("1999 millis"), "done").pipe(Timeout.after("2 seconds")))
    assert.strictEqual(vi.getTimerCount(), 2)
    await advance(1_999)
    assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("done"))
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("it waits for the finalizers of the work", async () => {
    let released = 0
    const work = Effect.acquireUseRelease(
      Effect.void,
      () => Effect.never,
      () => Effect.zipRight(Effect.sleep("3 seconds"), Effect.sync(() => released++))
    )
    const fiber = Effect.runFork(work.pipe(Timeout.after("1 second")))
    await advance(3_999)
    assert.isNull(fiber.unsafePoll())
    await advance(1)
    assert.strictEqual(lateAfter(fiber.unsafePoll()), 1_000)
    assert.strictEqual(released, 1)
  })

  it("of nested limits the one that is reached fires, and at the same time the inner one", async () => {
    const nested = (inner: number, outer: number) => Effect.never.pipe(Timeout.after(inner), Timeout.after(outer))
    const [short, long, same] = [nested(1_000, 2_000), nested(2_000, 1_000), nested(1_000, 1_000)].map((program) =>
      Effect.runFork(program)
    )
    await advance(2_000)
    assert.strictEqual(lateAfter(short!.unsafePoll()), 1_000)
    assert.strictEqual(lateAfter(long!.unsafePoll()), 1_000)
    assert.strictEqual(lateAfter(same!.unsafePoll()), 1_000)
  })

  it("an outer limit that is reached while the inner one waits for finalizers fires after them", async () => {
    const work = Effect.ensuring(Effect.never, Effect.sleep("5 seconds"))
    const recovered = work.pipe(
      Timeout.after("1 second"),
      Effect.catchTag("TimedOut", () => Effect.as(Effect.sleep("1 second"), "recovered")),
      Timeout.after("3 seconds")
    )
    const fiber = Effect.runFork(recovered)
    await advance(6_000)
    assert.strictEqual(lateAfter(fiber.unsafePoll()), 3_000)
  })

  it("the caller's interruption is no timeout, and stays when both come", async () => {
    const slow = Effect.ensuring(Effect.never, Effect.sleep("1 second"))
    const guarded = slow.pipe(Timeout.after("1 second"), Effect.catchAll(() => Effect.succeed("recovered")))
    const before = Effect.runFork(guarded)
    await advance(500)
    before.unsafeInterruptAsFork(before.id())
    await advance(10_000)
    assert.isTrue(Exit.isInterrupted(before.unsafePoll()!))

    const meanwhile = Effect.runFork(guarded)
    await advance(1_500)
    meanwhile.unsafeInterruptAsFork(meanwhile.id())
    await advance(10_000)
    assert.isTrue(Exit.isInterrupted(meanwhile.unsafePoll()!))
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("what the work leaves running ends with it, however it ends", async () => {
    for (const end of [Effect.void, Effect.fail("x"), Effect.never]) {
      let interrupted = false
      const child = Effect.onInterrupt(Effect.sleep("1 day"), () => Effect.sync(() => interrupted = true))
      const work = Effect.zipRight(Effect.zipRight(Effect.fork(child), Effect.yieldNow()), end)
      const fiber = Effect.runFork(Effect.exit(work.pipe(Timeout.after("1 second"))))
      await advance(1_000)
      assert.isNotNull(fiber.unsafePoll())
      assert.isTrue(interrupted)
    }
  })

  it("each attempt of a retry has its own limit, and the whole has one", async () => {
    let attempts = 0
    const call = Effect.zipRight(Effect.sync(() => attempts++), Effect.never).pipe(
      Timeout.after("1 second"),
      Retry.rules([Retry.on("TimedOut", { retries: 10, backoff: Backoff.constant("1 second") })]),
      Timeout.after("6500 millis")
    )
    const fiber = Effect.runFork(call)
    await advance(6_500)
    assert.strictEqual(lateAfter(fiber.unsafePoll()), 6_500)
    assert.strictEqual(attempts, 4)
  })

  it("in a region that cannot be interrupted it fails when the work has ended", async () => {
    const fiber = Effect.runFork(Effect.uninterruptible(Effect.sleep("5 seconds").pipe(Timeout.after("1 second"))))
    await advance(4_999)
    assert.isNull(fiber.unsafePoll())
    await advance(1)
    assert.strictEqual(lateAfter(fiber.unsafePoll()), 1_000)
  })

  it("what the work changes in fiber refs is kept, also when it fails or is late", async () => {
    for (const end of [Effect.void, Effect.fail("x"), Effect.never]) {
      const seen = Effect.gen(function*() {
        const ref = yield* FiberRef.make("before")
        yield* Effect.exit(Effect.zipRight(FiberRef.set(ref, "after"), end).pipe(Timeout.after("1 second")))
        return yield* FiberRef.get(ref)
      })
      const inPlace = Effect.runFork(Effect.scoped(seen))
      const inFiber = Effect.runFork(Effect.scoped(Effect.zipRight(Effect.fork(Effect.never), seen)))
      await advance(1_000)
      assert.deepStrictEqual([inPlace.unsafePoll(), inFiber.unsafePoll()], [
        Exit.succeed("after"),
        Exit.succeed("after")
      ])
    }
  })

  it("wherever the limit falls, what was acquired is released once", async () => {
    for (let ops = 12; ops <= 60; ops++) {
      const log: Array<string> = []
      const work = Effect.acquireUseRelease(
        Effect.sync(() => log.push("acquire")),
        () => Effect.forever(Effect.yieldNow().pipe(Effect.zipRight(Effect.sleep(1)))),
        () => Effect.sync(() => log.push("release"))
      ).pipe(Timeout.after(ops % 7 + 1), Effect.withMaxOpsBeforeYield(ops))
      const fiber = Effect.runFork(work)
      await advance(20)
      assert.strictEqual(lateAfter(fiber.unsafePoll()), ops % 7 + 1)
      assert.deepStrictEqual(log, ["acquire", "release"])
    }
  })
})
