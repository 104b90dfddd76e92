/**
 * Histories that are read for replay: a few at a time, first come first, and as often as it takes. One that cannot be read
 * gives its place to others, and stands in line again after a while.
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { Event } from "../../Event.js"
import type { JournalStore, PendingActivity } from "../../Journal.js"
import { pauseMillis } from "../journal/untilRead.js"

type OnRead = (history: ReadonlyArray<Event>, activities: ReadonlyArray<PendingActivity>) => void

interface Request {
  readonly _tag: "Read"
  readonly runId: string
  readonly withActivities: boolean
  readonly onRead: OnRead
  /** How many attempts have failed. */
  readonly failures: number
}

/** Somebody who has nothing to read, and comes after those who have come before. */
interface Follower {
  readonly _tag: "Follow"
  readonly then: () => void
}

export interface BoundedHistories {
  /** Reads the history of a run, and its pending activities where they are asked for. */
  readonly read: (runId: string, withActivities: boolean, onRead: OnRead) => void
  /** Whether anybody waits for others to be read. */
  readonly isCrowded: () => boolean
  /** Calls back once whoever waits now is being read. */
  readonly follow: (then: () => void) => void
}

export const boundedHistories = (
  store: JournalStore,
  atOnce: number
): Effect.Effect<BoundedHistories, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const scope = yield* Effect.scope
    const waiting = new Set<Request | Follower>()
    let reading = 0

    const read = (request: Request): void => {
      reading++
      const { failures, onRead, runId, withActivities } = request
      Runtime.runFork(runtime)(
        Effect.all([store.history(runId), withActivities ? store.pending(runId) : nothing]).pipe(
          Effect.matchCauseEffect({
            onFailure: (cause) =>
              Effect.logWarning(`holdfast: run ${runId} waits for its history`, cause).pipe(
                Effect.zipRight(Effect.sync(next)),
                Effect.zipRight(Effect.sleep(pauseMillis(failures))),
                Effect.zipRight(Effect.sync(() => enqueue({ ...request, failures: failures + 1 })))
              ),
            onSuccess: ([history, { activities }]) =>
              Effect.ensuring(Effect.sync(() => onRead(history, activities)), Effect.sync(next))
          })
        ),
        // What waits for ever must not outlive the worker.
        { scope }
      )
    }

    const enqueue = (request: Request): void => {
      if (reading >= atOnce) waiting.add(request)
      else read(request)
    }

    const next = (): void => {
      reading--
      for (const first of waiting) {
        waiting.delete(first)
        if (first._tag === "Read") return read(first)
        first.then()
      }
    }

    return {
      read: (runId, withActivities, onRead) => enqueue({ _tag: "Read", runId, withActivities, onRead, failures: 0 }),
      isCrowded: () => waiting.size > 0,
      follow: (then) => void waiting.add({ _tag: "Follow", then })
    }
  })

const nothing = Effect.succeed<{ readonly activities: ReadonlyArray<PendingActivity> }>({ activities: [] })
