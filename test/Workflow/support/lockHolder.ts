/**
 * A process that locks a database as a backup or an open shell would, until its input ends.
 *
 *   node --import tsx test/Workflow/support/lockHolder.ts FILE
 */
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect } from "effect"

Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`BEGIN EXCLUSIVE`
  process.stdout.write("locked\n")
  yield* Effect.async<void>((resume) => {
    process.stdin.resume().once("end", () => resume(Effect.void))
  })
  yield* sql`COMMIT`
}).pipe(
  // The file stays in the mode that it is in.
  Effect.provide(SqliteClient.layer({ filename: process.argv[2]!, disableWAL: true })),
  Effect.runFork
)
