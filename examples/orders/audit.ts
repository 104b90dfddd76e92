/**
 * The audit at the end of the demo: what the customers were promised, against the ledger of the payment service. See
 * `npm run demo`.
 *
 * It trusts neither the journal nor the worker: a charge counts when it stands in the ledger of the service.
 */
import { Either } from "effect"
import type { Facts } from "./board.js"
import type { Charge, Statement } from "./messages.js"
import type { Fulfilment, OrderInput } from "./workflow.js"

/** An order, and what its run has come to. */
export interface Outcome {
  readonly order: OrderInput
  readonly result: Either.Either<Fulfilment, string>
}

export interface Audit {
  readonly orders: number
  readonly completed: number
  readonly charged: number
  readonly lost: number
  readonly chargedTwice: number
  /** Everything that is wrong, each as a sentence. */
  readonly problems: ReadonlyArray<string>
}

const groupBy = (
  charges: ReadonlyArray<Charge>,
  field: "order" | "key"
): ReadonlyMap<string, ReadonlyArray<Charge>> => {
  const groups = new Map<string, Array<Charge>>()
  for (const charge of charges) {
    const group = groups.get(charge[field])
    if (group === undefined) groups.set(charge[field], [charge])
    else group.push(charge)
  }
  return groups
}

export const audit = (
  outcomes: ReadonlyArray<Outcome>,
  { charges }: Statement,
  { kills }: Facts,
  killsPlanned: number
): Audit => {
  const byOrder = groupBy(charges, "order")
  const ordered = new Set(outcomes.map(({ order }) => order.id))
  const problems: Array<string> = []

  for (const { order, result } of outcomes) {
    const mine = byOrder.get(order.id) ?? []
    if (mine.length === 0) problems.push(`${order.id} was never charged`)
    if (mine.length > 1) problems.push(`${order.id} was charged ${mine.length} times`)
    for (const { cents, id } of mine) {
      if (cents !== order.cents) problems.push(`${order.id}: ${id} is of ${cents} cents, instead of ${order.cents}`)
    }
    if (Either.isLeft(result)) problems.push(`${order.id} is lost: ${result.left}`)
    else if (!mine.some(({ id, key }) => id === result.right.charge.id && key === result.right.charge.key)) {
      problems.push(`${order.id} has a receipt for ${result.right.charge.id}, which the ledger does not confirm`)
    }
  }
  for (const [key, group] of groupBy(charges, "key")) {
    if (group.length > 1) problems.push(`the idempotency key ${key} was charged ${group.length} times`)
  }
  for (const id of byOrder.keys()) if (!ordered.has(id)) problems.push(`the ledger has ${id}, which nobody has ordered`)
  if (kills !== killsPlanned) problems.push(`the worker was killed ${kills} times instead of ${killsPlanned}`)

  const completed = outcomes.filter(({ result }) => Either.isRight(result)).length
  return {
    orders: outcomes.length,
    completed,
    charged: byOrder.size,
    lost: outcomes.length - completed,
    chargedTwice: [...byOrder.values()].filter((group) => group.length > 1).length,
    problems
  }
}

/** The audit as a table. Indented rows say more of the row above them. */
export const table = (audit: Audit, statement: Statement, facts: Facts, seconds: number): string => {
  const rows: ReadonlyArray<readonly [string, string | number] | undefined> = [
    ["orders", audit.orders],
    ["completed", audit.completed],
    ["lost", audit.lost],
    ["charged", audit.charged],
    ["charged twice", audit.chargedTwice],
    undefined,
    ["HTTP requests to charge a card", statement.requests],
    ["  refused with 429, too many requests", statement.tooMany],
    ["  refused with 503, out of order", statement.unavailable],
    ["  connection reset", statement.reset],
    ["  answer too slow", statement.tooSlow],
    ["  repeats of an earlier request, same key", statement.repeated],
    ["    second charges prevented by the key", statement.suppressed],
    undefined,
    ["kills of the worker survived", facts.kills],
    ["  charge requests cut off by them", facts.cutOff],
    ["retries in the worker", facts.retries + facts.gaveUp + facts.rejected],
    ["  of a request, within its call", facts.retries],
    ["  of a call that had failed, by the stored policy", facts.gaveUp],
    ["  of a call that the breaker had rejected", facts.rejected],
    ["times the circuit breaker opened", facts.breakerOpened],
    ["seconds", seconds.toFixed(1)]
  ]
  const width = Math.max(...rows.map((row) => row?.[0].length ?? 0))
  return rows.map((row) => row === undefined ? "" : `  ${row[0].padEnd(width)}  ${String(row[1]).padStart(6)}`).join(
    "\n"
  )
}
