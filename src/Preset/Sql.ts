/**
 * Retries for SQL. It knows errors by the codes of PostgreSQL (SQLSTATE), MySQL, SQLite and the platform, along the
 * chain of causes, so it fits `SqlError` of `@effect/sql` as well as the drivers.
 *
 * | Rule | Takes | Retries |
 * | --- | --- | --- |
 * | `sql.deadlock` | a deadlock, a serialization failure: the transaction was rolled back | 3 |
 * | `sql.lockTimeout` | a lock that could not be had in time, a busy database | 3 |
 * | `sql.connectionLost` | a connection that was refused or went away | 3, if the work is idempotent |
 *
 * What must be repeated after these is the whole transaction. So put it around the effect that contains the transaction;
 * inside of a transaction of `@effect/sql` it retries nothing.
 *
 * @since 0.1.0
 */
import type { Combinator } from "../Combinator.js"
import { makeCombinator, stagesOf } from "../internal/combinator.js"
import { through } from "../internal/pipeline.js"
import * as Backoff from "../Schedule/Backoff.js"
import * as Retry from "../Schedule/Retry.js"
import { brokenOff, hasCode, unreached } from "./internal/faults.js"
import { withRules } from "./internal/withRules.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether the work may be repeated though it may have been committed already, as when the connection goes away during
   * the commit. Default false.
   */
  readonly idempotent?: boolean | undefined
  /** Rules of your own. One with the label of a rule above takes its place, the others come before all of them. */
  readonly rules?: ReadonlyArray<Retry.Rule<unknown>> | undefined
}

/**
 * The rules, for a retry of your own.
 *
 * @example
 * ```ts
 * import { Sql } from "holdfast/Preset"
 * import { Retry } from "holdfast/Schedule"
 *
 * const retry = Retry.rules(Sql.rules(), { maxElapsed: "10 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rules = (options: Options = {}): ReadonlyArray<Retry.Rule<unknown>> =>
  withRules([
    Retry.on((error: unknown) => hasCode(error, ["code", "errno"], deadlocks), {
      label: "sql.deadlock",
      retries: 3,
      backoff
    }),
    Retry.on((error: unknown) => hasCode(error, ["code", "errno"], lockTimeouts), {
      label: "sql.lockTimeout",
      retries: 3,
      backoff
    }),
    Retry.on(
      (error: unknown) =>
        options.idempotent === true &&
        [lost, unreached, brokenOff].some((codes) => hasCode(error, ["code", "errno"], codes)),
      { label: "sql.connectionLost", retries: 3, backoff }
    )
  ], options.rules)

/**
 * Retries a transaction by the rules above. Inside of a transaction of `@effect/sql` it does nothing: a part of one
 * cannot be repeated.
 *
 * @example
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { Effect } from "effect"
 * import { Sql } from "holdfast/Preset"
 *
 * const moved = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql.withTransaction(sql`UPDATE accounts SET cents = cents - 100`)
 * }).pipe(Sql.retry())
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retry = (options?: Options): Combinator => {
  const retried = Retry.rules(rules(options))
  const stages = stagesOf(retried)
  return makeCombinator(retried.descriptions, [{
    around: (call) =>
      call.fiber.currentContext.unsafeMap.has(transaction) ? call.inner() : through(call.inner(), stages)
  }])
}

/** What the connection of a transaction is kept under in the context, by every client of `@effect/sql`. */
const transaction = "@effect/sql/SqlClient/TransactionConnection"

const backoff = Backoff.exponential("100 millis", { cap: "5 seconds", jitter: "full" })

const deadlocks: ReadonlySet<unknown> = new Set(["40P01", "40001", "ER_LOCK_DEADLOCK", 1213])

const lockTimeouts: ReadonlySet<unknown> = new Set([
  "55P03",
  "ER_LOCK_WAIT_TIMEOUT",
  1205,
  "SQLITE_BUSY",
  "SQLITE_BUSY_SNAPSHOT",
  "SQLITE_LOCKED",
  "SQLITE_LOCKED_SHAREDCACHE"
])

const lost: ReadonlySet<unknown> = new Set([
  "08000",
  "08001",
  "08003",
  "08004",
  "08006",
  "57P01",
  "57P02",
  "57P03",
  "PROTOCOL_CONNECTION_LOST",
  "CR_SERVER_GONE_ERROR",
  2006,
  2013
])
