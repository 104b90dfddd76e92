import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Core, Event } from "../../src/Schedule/internal/budget/core.js"
import { inFlight } from "../../src/Schedule/internal/budget/inFlight.js"
import { quota } from "../../src/Schedule/internal/budget/quota.js"
import { ratio } from "../../src/Schedule/internal/budget/ratio.js"
import { throttle } from "../../src/Schedule/internal/budget/throttle.js"

const failed: Event = { _tag: "AttemptFailed" }
const withdraw: Event = { _tag: "Withdraw", costly: false }
const costlyWithdraw: Event = { _tag: "Withdraw", costly: true }
const started: Event = { _tag: "CallStarted" }
const extraEnded: Event = { _tag: "ExtraEnded" }
const succeeded: Event = { _tag: "CallEnded", succeeded: true, retried: false }
const retried: Event = { _tag: "CallEnded", succeeded: true, retried: true }
const refund = (cost: number): Event => ({ _tag: "Refund", cost })

/** A budget that is fed with events; says whether a withdrawal was granted. */
const fed = <S>(core: Core<S>) => {
  let state = core.initial
  return {
    tell: (event: Event, now = 0): boolean => {
      const [next, decision] = core.transition(state, event, now)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(next)), next)
      state = next
      return decision !== undefined
    },
    balance: (now = 0) => core.balance(state, now)
  }
}

const times = (count: number, act: () => unknown): void => {
  for (let index = 0; index < count; index++) act()
}

const kind = fc.constantFrom("failed", "withdraw", "costly", "started", "ended", "retried", "failedCall", "refund")

const eventOf = (name: string): Event => {
  switch (name) {
    case "failed":
      return failed
    case "withdraw":
      return withdraw
    case "costly":
      return costlyWithdraw
    case "started":
      return started
    case "ended":
      return succeeded
    case "retried":
      return retried
    case "failedCall":
      return { _tag: "CallEnded", succeeded: false, retried: true }
    default:
      return refund(5)
  }
}

describe("budgets", () => {
  it("throttle: more than half of the tokens must be left (R28)", () => {
    const { balance, tell } = fed(throttle({ maxTokens: 10, tokenRatio: 0.1 }))
    times(4, () => tell(failed))
    assert.deepStrictEqual([balance(), tell(withdraw)], [6, true])
    tell(failed)
    assert.deepStrictEqual([balance(), tell(withdraw)], [5, false])
    tell(failed)
    assert.deepStrictEqual([balance(), tell(withdraw)], [4, false])
    times(10, () => tell(succeeded))
    assert.deepStrictEqual([balance(), tell(withdraw)], [5, false])
    tell(succeeded)
    assert.deepStrictEqual([balance(), tell(withdraw)], [5.1, true])
    times(20, () => tell(failed))
    assert.strictEqual(balance(), 0)
    times(200, () => tell(retried))
    assert.strictEqual(balance(), 10)
  })

  it("ratio: a fifth of the calls of the last 10 s, and a reserve of 100 (R28)", () => {
    const { balance, tell } = fed(ratio({ ratio: 0.2, reserve: 100, ttlMillis: 10_000 }))
    times(100, () => assert.isTrue(tell(withdraw)))
    assert.isFalse(tell(withdraw))
    times(4, () => tell(started))
    assert.isFalse(tell(withdraw))
    tell(started)
    assert.isTrue(tell(withdraw))
    assert.isFalse(tell(withdraw))
    // The slice of time in which all that happened is over.
    assert.isFalse(tell(withdraw, 9_999))
    assert.isTrue(tell(withdraw, 10_000))
    assert.strictEqual(balance(10_000), 99)
  })

  it("ratio: what a call allows expires with its slice of time (R28)", () => {
    const { tell } = fed(ratio({ ratio: 1, reserve: 0, ttlMillis: 1_000 }))
    tell(started, 0)
    tell(started, 950)
    assert.isTrue(tell(withdraw, 999))
    assert.isTrue(tell(withdraw, 999))
    assert.isFalse(tell(withdraw, 999))
    const late = fed(ratio({ ratio: 1, reserve: 0, ttlMillis: 1_000 }))
    late.tell(started, 0)
    late.tell(started, 950)
    assert.isTrue(late.tell(withdraw, 1_000))
    assert.isFalse(late.tell(withdraw, 1_000))
  })

  it("quota: 100 retries in a row when nothing succeeds, 50 after time-outs (R28)", () => {
    const settings = { capacity: 500, cost: 5, timeoutCost: 10, refill: 1 }
    const plain = fed(quota(settings))
    times(100, () => assert.isTrue(plain.tell(withdraw)))
    assert.isFalse(plain.tell(withdraw))
    const late = fed(quota(settings))
    times(50, () => assert.isTrue(late.tell(costlyWithdraw)))
    assert.isFalse(late.tell(costlyWithdraw))
    // A success without a retry gives 1 back, one after a retry what that took.
    late.tell(succeeded)
    assert.strictEqual(late.balance(), 1)
    late.tell(refund(10))
    late.tell(retried)
    assert.strictEqual(late.balance(), 11)
    times(1_000, () => late.tell(succeeded))
    assert.strictEqual(late.balance(), 500)
  })

  it("in flight: a fifth of the calls, and always 3 (R28)", () => {
    const { balance, tell } = fed(inFlight({ ratio: 0.2, floor: 3 }))
    times(10, () => tell(started))
    times(3, () => assert.isTrue(tell(withdraw)))
    assert.isFalse(tell(withdraw))
    assert.strictEqual(balance(), 0)
    // 3 of 15 is not above a fifth.
    times(5, () => tell(started))
    assert.strictEqual(balance(), 1)
    assert.isTrue(tell(withdraw))
    assert.isFalse(tell(withdraw))
    tell(extraEnded)
    assert.isTrue(tell(withdraw))
  })

  describe("against models", () => {
    const options = { numRuns: 500 }

    it.prop("throttle", [fc.array(kind, { maxLength: 200 })], ([names]) => {
      const { tell } = fed(throttle({ maxTokens: 5, tokenRatio: 0.25 }))
      let tokens = 5
      for (const name of names) {
        const granted = tell(eventOf(name))
        if (name === "withdraw" || name === "costly") assert.strictEqual(granted, tokens > 2.5)
        if (name === "failed") tokens = Math.max(0, tokens - 1)
        if (name === "ended" || name === "retried") tokens = Math.min(5, tokens + 0.25)
      }
    }, { fastCheck: options })

    it.prop("quota", [fc.array(kind, { maxLength: 200 })], ([names]) => {
      const { balance, tell } = fed(quota({ capacity: 50, cost: 5, timeoutCost: 12, refill: 2 }))
      let tokens = 50
      for (const name of names) {
        const granted = tell(eventOf(name))
        const price = name === "withdraw" ? 5 : name === "costly" ? 12 : 0
        if (price > 0) {
          assert.strictEqual(granted, tokens >= price)
          if (granted) tokens -= price
        }
        if (name === "ended") tokens = Math.min(50, tokens + 2)
        if (name === "refund") tokens = Math.min(50, tokens + 5)
        assert.strictEqual(balance(), tokens)
      }
    }, { fastCheck: options })

    it.prop(
      "ratio, recomputed from the whole history",
      [fc.array(fc.tuple(kind, fc.integer({ min: 0, max: 400 })), { maxLength: 150 })],
      ([steps]) => {
        const { balance, tell } = fed(ratio({ ratio: 0.5, reserve: 2, ttlMillis: 1_000 }))
        const calls: Array<number> = []
        const extras: Array<number> = []
        let now = 0
        for (const [name, wait] of steps) {
          now += wait
          const lives = (at: number) => Math.floor(at / 100) > Math.floor(now / 100) - 10
          const left = calls.filter(lives).length * 0.5 + 2 - extras.filter(lives).length
          const granted = tell(eventOf(name), now)
          if (name === "started") calls.push(now)
          if (name === "withdraw" || name === "costly") {
            assert.strictEqual(granted, left >= 1)
            if (granted) extras.push(now)
          }
          assert.closeTo(balance(now), calls.filter(lives).length * 0.5 + 2 - extras.filter(lives).length, 1e-9)
        }
      },
      { fastCheck: options }
    )

    it.prop("ratio: a clock that is set back neither gives nor takes", [fc.nat(5_000), fc.nat(5_000)], ([at, back]) => {
      const { balance, tell } = fed(ratio({ ratio: 1, reserve: 0, ttlMillis: 1_000 }))
      tell(started, at)
      tell(started, at - back)
      assert.strictEqual(balance(at), 2)
    })
  })
})
