/** Changes the events of a SQLite journal in its rows, as somebody else's program or a damaged disk would. */
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"

/** Changes event `seq` of a run. */
export const changeEvent = (
  runId: string,
  seq: number,
  change: (event: Readonly<Record<string, unknown>>) => unknown
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly id: number; readonly events: string }>`
      SELECT b.id, events FROM holdfast_batches b JOIN holdfast_runs r ON r.id = b.run
      WHERE run_id = ${runId} AND last_seq >= ${seq} ORDER BY last_seq LIMIT 1`
    const events = JSON.parse(row!.events) as ReadonlyArray<{ readonly seq: number }>
    const changed = events.map((event) => event.seq === seq ? change(event) : event)
    yield* sql`UPDATE holdfast_batches SET events = ${JSON.stringify(changed)} WHERE id = ${row!.id}`
  })

/** Replaces what was written to a run at once, the last of which is event `lastSeq`. */
export const replaceEvents = (runId: string, lastSeq: number, events: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql`UPDATE holdfast_batches SET events = ${events}
        WHERE last_seq = ${lastSeq} AND run = (SELECT id FROM holdfast_runs WHERE run_id = ${runId})`)
