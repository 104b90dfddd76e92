/**
 * What a SQL store does about the lock of its database when another process holds it (a backup, VACUUM, an open shell).
 *
 * An attempt that meets the lock has failed as a whole and holds nothing. It is made again after a back-off, for as long as
 * `LockPatience` says. Of all who wait, only one looks at the lock in each interval, since each look may block the process
 * for the few milliseconds that the driver waits. Readers and writers wait apart: in WAL mode only writers meet the lock.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { hasProperty } from "effect/Predicate"
import type { JournalError } from "../../WorkflowError.js"
import { lockedError, LockPatience, pauseAfter } from "../journal/lockWait.js"
import { SharedClock } from "../journal/sharedClock.js"

/** How long SQLite may wait for a lock by itself, in which time nothing else runs in the process. */
export const busyTimeoutMillis = 3

/** A shorter wait is what commits of other workers take, and nothing to speak of. */
const unusual = 1_000

/** After so long without a look at the lock, nobody has waited for it. */
const forgotten = 5_000

type Kind = "read" | "write"

/** What is known of the lock, as it keeps off one kind of access. */
interface Gate {
  readonly since: number
  readonly attempts: number
  readonly lastAttempt: number
  readonly nextAttempt: number
  readonly error: SqlError
}

type Attempt<A, E> = (connectionFor: (connection: Connection) => Connection) => Effect.Effect<A, E>

export interface DatabaseLock {
  /** Makes an attempt, and again where it meets the lock. */
  readonly acquire: <A, E>(
    kind: Kind,
    what: string,
    attempt: Attempt<A, E | SqlError>
  ) => Effect.Effect<A, E | SqlError | JournalError>
}

/** `database` is a phrase, such as `the database "orders.db"`. */
export const databaseLock = (database: string, lockTimeout: number): Effect.Effect<DatabaseLock> =>
  Effect.map(SharedClock, (clock) => {
    const gates: { [K in Kind]: Gate | undefined } = { read: undefined, write: undefined }
    let warned = false

    const isShut = (gate: Gate | undefined, now: number): gate is Gate =>
      gate !== undefined && now - gate.lastAttempt < forgotten

    const met = (kind: Kind, what: string, error: SqlError): Effect.Effect<void> =>
      Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeMillis()
        const gate = gates[kind]
        const known = isShut(gate, now) ? gate : undefined
        const since = known?.since ?? now
        const attempts = (known?.attempts ?? 0) + 1
        return Effect.flatMap(pauseAfter(attempts - 1), (pause) => {
          gates[kind] = { since, attempts, lastAttempt: now, nextAttempt: now + pause, error }
          if (warned || now - since < unusual) return Effect.void
          warned = true
          return Effect.logWarning(
            `holdfast: ${what} waits for ${database}, which another process has locked since ${
              DateTime.formatIso(DateTime.unsafeMake(since))
            }; it goes on by itself once that one has ended its transaction (a backup, VACUUM, an open shell)`
          )
        })
      })

    const passed = (kind: Kind): Effect.Effect<void> =>
      Effect.suspend(() => {
        gates[kind] = undefined
        const now = clock.unsafeCurrentTimeMillis()
        if (!warned || isShut(gates.read, now) || isShut(gates.write, now)) return Effect.void
        warned = false
        return Effect.logInfo(`holdfast: ${database} is free again, and what waited for its lock goes on`)
      })

    const wait = Effect.fnUntraced(function*<A, E>(
      kind: Kind,
      what: string,
      attempt: Attempt<A, E | SqlError>,
      began: number,
      first: SqlError | undefined
    ) {
      const patience = yield* LockPatience
      const since = patience?.since ?? began
      const until = patience?.until ?? began + lockTimeout
      let error = first
      for (;;) {
        const now = clock.unsafeCurrentTimeMillis()
        const gate = gates[kind]
        const pause = gate === undefined ? 0 : gate.nextAttempt - now
        if (pause > 0) {
          if (now >= until) return yield* lockedError(what, now - since, database, error ?? gate?.error)
          yield* clock.sleep(Duration.millis(Math.min(pause, until - now)))
          continue
        }
        const done = yield* Effect.either(attempt(error !== undefined && isUnprepared(error) ? unprepared : asItIs))
        if (Either.isRight(done) || !isBusy(done.left)) {
          yield* passed(kind)
          return yield* done
        }
        error = done.left
        yield* met(kind, what, error)
      }
    })

    return {
      acquire: (kind, what, attempt) =>
        Effect.suspend(() => {
          const began = clock.unsafeCurrentTimeMillis()
          // While somebody waits, nobody looks at the lock out of turn.
          if (gates[kind] !== undefined) return wait(kind, what, attempt, began, undefined)
          return Effect.catchAll(attempt(asItIs), (error) =>
            isBusy(error)
              ? Effect.zipRight(met(kind, what, error), wait(kind, what, attempt, began, error))
              : Effect.fail(error))
        })
    }
  })

/** Whether an error says that somebody else holds a lock: `SQLITE_BUSY`, `SQLITE_BUSY_SNAPSHOT`, `SQLITE_LOCKED` and so on. */
const isBusy = (error: unknown): error is SqlError => error instanceof SqlError && hasBusyCode(error.cause)

const hasBusyCode = (cause: unknown): boolean =>
  hasProperty(cause, "code") && typeof cause.code === "string" && /^SQLITE_(?:BUSY|LOCKED)/.test(cause.code)

// --- statements that could not be prepared

/** The client of SQLite keeps what it has prepared for ten minutes, and likewise that it could not be prepared. */
const isUnprepared = (error: SqlError): boolean => error.message.includes("prepare")

const asItIs = (connection: Connection): Connection => connection

/** The same connection, whose statements are prepared anew each time. */
const unprepared = (connection: Connection): Connection =>
  Object.assign(Object.create(connection) as Connection, {
    execute: (sql: string, params: ReadonlyArray<unknown>) => executeUnprepared(connection, sql, params)
  })

/** One statement, prepared anew. What cannot be prepared is an error like any other here, and not a defect. */
export const executeUnprepared = (
  connection: Connection,
  sql: string,
  params: ReadonlyArray<unknown> = []
): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  Effect.catchAllDefect(
    Effect.suspend(() => connection.executeUnprepared(sql, params, undefined)),
    (cause) => new SqlError({ cause, message: "Failed to prepare statement" })
  )
