/**
 * The public face of a ledger.
 */
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import type { Description } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import type { RetryBudget, Snapshot } from "../../RetryBudget.js"
import type { Core } from "./core.js"
import { Ledger } from "./ledger.js"

export const TypeId: unique symbol = Symbol.for("holdfast/Schedule/RetryBudget")

export type TypeId = typeof TypeId

class Budget implements RetryBudget {
  constructor(readonly ledger: Ledger, readonly description: Description) {}
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  get key(): string {
    return this.ledger.key
  }
  readonly snapshot: Effect.Effect<Snapshot> = Effect.withFiberRuntime((fiber) => Effect.succeed(this.at(nowOf(fiber))))
  private at(now: number): Snapshot {
    const { granted, refused } = this.ledger
    return { balance: this.ledger.balance(now), granted, refused }
  }
  pipe() {
    return pipeArguments(this, arguments)
  }
  toJSON() {
    const { granted, key, refused } = this.ledger
    return { _id: "RetryBudget", key, granted, refused }
  }
  toString() {
    return JSON.stringify(this)
  }
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

/** A budget with a state of its own. */
export const makeBudget = <S>(
  description: Description & { readonly key: string },
  core: Core<S>,
  isCostly: (error: unknown) => boolean = () => false
): RetryBudget => new Budget(new Ledger<S>(description.key, core, isCostly) as Ledger, description)

/** The ledger of a budget. All of them are made here. */
export const ledgerOf = (budget: RetryBudget): Ledger => (budget as Budget).ledger
