/**
 * Multi-row statements in chunks of powers of two, so that any number of rows needs only a few prepared statements.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

export type Value = string | number | null

const largestChunk = 64

export const insertRows = <A = unknown>(
  connection: Connection,
  into: string,
  rows: ReadonlyArray<ReadonlyArray<Value>>,
  suffix = ""
): Effect.Effect<ReadonlyArray<A>, SqlError> =>
  inChunks(connection, rows, (count) => `INSERT INTO ${into} VALUES ${tuples(count, rows[0]!.length)} ${suffix}`)

export const deleteKeys = (
  connection: Connection,
  table: string,
  keys: ReadonlyArray<readonly [run: number, command: number]>
): Effect.Effect<ReadonlyArray<unknown>, SqlError> =>
  inChunks(connection, keys, (count) => `DELETE FROM ${table} WHERE (run, command) IN (VALUES ${tuples(count, 2)})`)

/** Runs a statement over a list of values, of which each chunk gets its question marks. */
export const selectIn = <A = unknown>(
  connection: Connection,
  statement: (marks: string) => string,
  values: ReadonlyArray<Value>
): Effect.Effect<ReadonlyArray<A>, SqlError> =>
  inChunks(connection, values.map((value) => [value]), (count) => statement(marks(count)))

const inChunks = <A>(
  connection: Connection,
  rows: ReadonlyArray<ReadonlyArray<Value>>,
  statement: (count: number) => string
): Effect.Effect<ReadonlyArray<A>, SqlError> => {
  if (rows.length === 0) return Effect.succeed([])
  const all: Array<A> = []
  let from = 0
  return Effect.as(
    Effect.whileLoop({
      while: () => from < rows.length,
      body: () => {
        const count = Math.min(largestChunk, 2 ** Math.floor(Math.log2(rows.length - from)))
        const chunk = rows.slice(from, from + count)
        from += count
        return connection.execute(statement(count), chunk.flat(), undefined)
      },
      step: (found) => {
        for (const row of found) all.push(row as A)
      }
    }),
    all
  )
}

const marks = (count: number): string => Array.from({ length: count }, () => "?").join(",")

const tuples = (count: number, width: number): string =>
  Array.from({ length: count }, () => `(${marks(width)})`).join(",")
