/**
 * Virtual time for journals that answer later: the clock stands still while a database has not answered.
 */
import { SqlClient } from "@effect/sql"
import { Chunk, Clock, Context, Duration, Effect, Layer, TestClock } from "effect"

/** Questions to databases that have no answer yet. */
let underWay = 0

const counted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    underWay++
    return Effect.ensuring(effect, Effect.sync(() => underWay--))
  })

/** A database whose questions are waited for by {@link adjust}. */
export const awaited = <E>(database: Layer.Layer<SqlClient.SqlClient, E>): Layer.Layer<SqlClient.SqlClient, E> =>
  Layer.map(database, (context) => {
    const sql = Context.get(context, SqlClient.SqlClient)
    const reserve = Effect.map(
      counted(sql.reserve),
      (connection) =>
        Object.assign(Object.create(connection) as typeof connection, {
          execute: (...args: Parameters<typeof connection.execute>) => counted(connection.execute(...args))
        })
    )
    const client = new Proxy(sql, { get: (_, key) => key === "reserve" ? reserve : Reflect.get(sql, key) })
    return Context.make(SqlClient.SqlClient, client)
  })

const turnOfEventLoop = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Waits until nothing is under way and nothing follows from it. */
const settled = Effect.gen(function*() {
  for (let quiet = 0; quiet < 10;) {
    yield* turnOfEventLoop
    quiet = underWay === 0 ? quiet + 1 : 0
  }
})

/** As `TestClock.adjust`, step by step: at each time at which something sleeps, all that follows has happened first. */
export const adjust = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.gen(function*() {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(duration)
    for (;;) {
      yield* settled
      const now = yield* Clock.currentTimeMillis
      const due = Chunk.filter(yield* TestClock.sleeps(), (time) => time > now && time <= until)
      if (Chunk.isEmpty(due)) break
      yield* TestClock.setTime(Math.min(...due))
    }
    yield* TestClock.setTime(until)
    yield* settled
  })
