/**
 * Statements over any number of rows. A few rows go in one statement, more in chunks of powers of two, so that a handful
 * of prepared statements serves every number; the text of each is built once.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/** Where many write at once: takes the rows, and passes over those that others are taking. */
export const skipLocked = "/* skip locked */"

export type Value = string | number | null

export type Row = ReadonlyArray<Value>

export type Run<A> = (connection: Connection, rows: ReadonlyArray<Row>) => Effect.Effect<ReadonlyArray<A>, SqlError>

const few = 8
const largestChunk = 64

const chunkOf = (rows: number): number => rows <= few ? rows : Math.min(largestChunk, 2 ** Math.floor(Math.log2(rows)))

/** A statement over rows of this width; `text` gets the rows as `(?,?),(?,?)`. */
export const overRows = <A = unknown>(width: number, text: (rows: string) => string): Run<A> => {
  const texts = new Map<number, string>()
  const textFor = (count: number): string => {
    const known = texts.get(count)
    if (known !== undefined) return known
    const row = `(${Array.from({ length: width }, () => "?").join(",")})`
    const built = text(Array.from({ length: count }, () => row).join(","))
    texts.set(count, built)
    return built
  }
  return (connection, rows) => {
    if (rows.length === 0) return Effect.succeed([])
    const found: Array<A> = []
    let from = 0
    return Effect.as(
      Effect.whileLoop({
        while: () => from < rows.length,
        body: () => {
          const count = chunkOf(rows.length - from)
          const values: Array<Value> = []
          for (const end = from + count; from < end; from++) values.push(...rows[from]!)
          return connection.execute(textFor(count), values, undefined)
        },
        step: (more) => {
          for (const row of more) found.push(row as A)
        }
      }),
      found
    )
  }
}

/** A statement over a list of single values; `text` gets them as `(?),(?)`, to stand behind `VALUES`. */
export const overValues = <A = unknown>(text: (values: string) => string) => {
  const run = overRows<A>(1, text)
  return (connection: Connection, values: ReadonlyArray<Value>): Effect.Effect<ReadonlyArray<A>, SqlError> =>
    run(connection, values.map((value) => [value]))
}

/** One statement with its own values. */
export const execute = <A = unknown>(
  connection: Connection,
  text: string,
  values: Row = []
): Effect.Effect<ReadonlyArray<A>, SqlError> =>
  connection.execute(text, values, undefined) as Effect.Effect<ReadonlyArray<A>, SqlError>
