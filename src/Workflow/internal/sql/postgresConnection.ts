/**
 * A connection to PostgreSQL that takes the statements of this folder.
 *
 * Statements that give nothing back wait for the next one that does, or for the COMMIT, and go with it in one message: so
 * what a group of turns writes costs no round trip of its own. Such a message has no parameters, so values are written
 * into it as literals; rows come back as one JSON text, in which numbers are numbers whatever the client makes of an int8.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { type Row, skipLocked, type Value } from "./statement.js"

export class PostgresConnection {
  private waiting: Array<string> = []
  private isBeginning = false
  private id: string | undefined

  /** A connection for the statements of this folder. */
  readonly statements: Connection

  constructor(private readonly reserved: Connection, private readonly dialect: Translation) {
    this.statements = Object.assign(Object.create(reserved) as Connection, {
      execute: (text: string, values: Row) => this.execute(text, values)
    })
  }

  /** The number of the transaction, by which PostgreSQL tells what became of it, once it is known. */
  get transactionId(): string | undefined {
    return this.id
  }

  /** Begins a transaction, with the next message. */
  begin(): void {
    this.waiting.push(...beginTransaction)
    this.isBeginning = true
  }

  /** Ends a transaction, with all that waits. */
  readonly commit: Effect.Effect<void, SqlError> = Effect.suspend(() => {
    this.waiting.push("COMMIT")
    return Effect.asVoid(this.flush)
  })

  /** Ends a transaction that has failed, if the connection still takes a word. */
  readonly rollback: Effect.Effect<void> = Effect.suspend(() => {
    this.waiting = []
    return Effect.ignore(this.reserved.execute("ROLLBACK", [], undefined))
  })

  private execute(text: string, values: Row): Effect.Effect<ReadonlyArray<unknown>, SqlError> {
    return Effect.suspend(() => {
      const { givesRows, write } = this.dialect.translated(text)
      this.waiting.push(write(values))
      return givesRows ? Effect.map(this.flush, rowsOf) : Effect.succeed([])
    })
  }

  /** Sends what waits; gives the rows of the last statement, as the client gives them. */
  private get flush(): Effect.Effect<ReadonlyArray<unknown>, SqlError> {
    return Effect.suspend(() => {
      const sent = this.waiting
      this.waiting = []
      return Effect.map(this.reserved.execute(sent.join(";\n"), [], undefined), (results) => {
        // The client gives the rows of one statement, or those of each of several.
        const all = (sent.length === 1 ? [results] : results) as ReadonlyArray<ReadonlyArray<unknown>>
        if (this.isBeginning) {
          this.isBeginning = false
          this.id = (all[beginTransaction.length - 1]![0] as { readonly id: string }).id
        }
        return all.at(-1)!
      })
    })
  }
}

/**
 * A transaction of a process that hangs must not hold up the others for ever. Its number is asked for as it begins, since
 * after a COMMIT without an answer it is too late to ask.
 */
const beginTransaction = [
  "BEGIN ISOLATION LEVEL READ COMMITTED",
  "SET LOCAL idle_in_transaction_session_timeout = '5s'",
  "SET LOCAL lock_timeout = '5s'",
  "SELECT pg_current_xact_id()::text AS id"
]

const rowsOf = (rows: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
  const [row] = rows as ReadonlyArray<{ readonly rows: string }>
  return JSON.parse(row!.rows) as ReadonlyArray<unknown>
}

/** A statement in PostgreSQL's dialect. */
interface Translated {
  readonly givesRows: boolean
  readonly write: (values: Row) => string
}

/** Translates statements, each once. */
export class Translation {
  private readonly known = new Map<string, Translated>()

  /** `schema` is where the tables are; it is a name without quotes in it. */
  constructor(private readonly schema: string) {}

  translated(text: string): Translated {
    const known = this.known.get(text)
    if (known !== undefined) return known
    const translated = this.translate(text)
    this.known.set(text, translated)
    return translated
  }

  private translate(text: string): Translated {
    const givesRows = /^\s*SELECT\b|\bRETURNING\b/.test(text)
    const inSchema = text
      .replaceAll(/INDEXED BY \w+/g, "")
      .replaceAll("holdfast_", `"${this.schema}".`)
      .replaceAll(skipLocked, "FOR UPDATE SKIP LOCKED")
    const whole = givesRows
      ? `WITH found AS (${inSchema}) SELECT coalesce(json_agg(found), '[]')::text AS rows FROM found`
      : inSchema
    const pieces = whole.split("?")
    return {
      givesRows,
      write: (values) => pieces.reduce((written, piece, i) => `${written}${literal(values[i - 1]!)}${piece}`)
    }
  }
}

/**
 * A value in the text of a statement. One with a backslash is written in the form that means the same whatever
 * `standard_conforming_strings` says; PostgreSQL's texts hold no NUL.
 */
export const literal = (value: Value): string => {
  if (value === null) return "NULL"
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return `'${value}'::double precision`
    return value < 0 ? `(${value})` : String(value)
  }
  const quoted = `'${value.replaceAll("\0", "\uFFFD").replaceAll("'", "''")}'`
  return value.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted
}
