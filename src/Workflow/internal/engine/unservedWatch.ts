/**
 * Tells, in the log of the engine, what waits for code that no live worker has.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JournalStore } from "../../Journal.js"
import { SharedClock } from "../journal/sharedClock.js"
import {
  describeUnserved,
  nameUnserved,
  type UnservedCount,
  unservedIn,
  UnservedWarnings
} from "../journal/unserved.js"

/** While nothing is found, looks are up to this many intervals apart. */
const rarest = 8

export const watchUnserved = ({ interval, parked, store }: {
  readonly store: JournalStore
  /** Milliseconds between two looks; what is found twice is told. */
  readonly interval: number
  /** What waits in this worker itself. */
  readonly parked: () => ReadonlyArray<UnservedCount>
}): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* SharedClock
    const notifications = new UnservedWarnings()
    let pause = 1
    const look = Effect.gen(function*() {
      const now = clock.unsafeCurrentTimeMillis()
      const found = [...parked(), ...unservedIn(yield* store.backlog(now), yield* store.workers(now))]
      pause = found.length > 0 ? 1 : Math.min(2 * pause, rarest)
      const { over, waiting } = notifications.look(found)
      for (const each of waiting) yield* Effect.logWarning(`holdfast: ${describeUnserved(each)}`)
      for (const what of over) {
        yield* Effect.logInfo(`holdfast: nothing waits in vain for ${nameUnserved(what)} any more`)
      }
    })
    yield* Effect.suspend(() => clock.sleep(Duration.millis(pause * interval))).pipe(
      // A journal that cannot be read is told of by those who need it.
      Effect.zipRight(Effect.ignore(look)),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
  })
