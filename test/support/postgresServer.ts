/**
 * Schemas on the PostgreSQL server of the tests, each of one test's own.
 */
import { Reactivity } from "@effect/experimental"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"

let made = 0

/** A client of the server. */
export const client = Layer.orDie(
  Layer.suspend(() => PgClient.layer({ url: Redacted.make(inject("postgresUrl")), maxConnections: 5 }))
)

/** The name of a schema that is not there, and is gone when the scope closes. */
export const freshSchema = Effect.acquireRelease(
  Effect.sync(() => `test_${process.pid}_${++made}`),
  (schema) =>
    PgClient.make({ url: Redacted.make(inject("postgresUrl")), maxConnections: 1 }).pipe(
      Effect.flatMap((sql) => sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)),
      Effect.scoped,
      Effect.provide(Reactivity.layer),
      Effect.orDie
    )
)
