/**
 * A database as the statements of this folder use it: what differs from one kind to another stands behind this.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Effect from "effect/Effect"
import type { Wanted } from "../../JournalTransaction.js"
import type { JournalError } from "../../WorkflowError.js"

export type Failure = SqlError | JournalError

/** Something done on a connection; `what` names it in errors and logs. */
export type OnConnection = <A>(
  what: string,
  body: (connection: Connection) => Effect.Effect<A, Failure>
) => Effect.Effect<A, Failure>

export interface Database {
  /** Runs statements that change nothing. */
  readonly read: OnConnection
  /** Runs statements in one transaction, of which nothing stays when it fails. */
  readonly write: OnConnection
  /** Numbers for runs that may begin, each higher than those of all runs there are. */
  readonly newRuns: (connection: Connection, count: number) => Effect.Effect<ReadonlyArray<number>, SqlError>
  /** Keeps others from changing what a transaction is going to decide about, until it ends. */
  readonly lock: (connection: Connection, wanted: Wanted) => Effect.Effect<void, SqlError>
  /** Differs from what it was when another process has written; `undefined`: no other process can. */
  readonly version: (connection: Connection) => Effect.Effect<number | string | undefined, SqlError>
}
