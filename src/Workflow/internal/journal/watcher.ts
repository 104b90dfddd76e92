/**
 * Who is told what of a journal: who waits for which run to close, which workers of this process take new runs, and whether
 * another process has written.
 *
 * Inside the process notifications travel directly. Other processes are noticed by a slow poll of the store's version, which runs
 * only while somebody here cares.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import { type Closing, type Event, isClosing } from "../../Event.js"
import type { Dropped, Entry, JournalStore, LocalWorker, Notification, Receipt } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import { withoutEnd } from "./lockWait.js"
import { closed as journalClosed } from "./openStore.js"
import { SharedClock } from "./sharedClock.js"

export interface Watcher {
  readonly onWritten: (entry: Entry, receipt: Receipt) => void
  readonly onNotification: (notification: Notification) => void
  readonly localWorkerFor: (workflow: string) => string | undefined
  readonly awaitClosed: (runId: string) => Effect.Effect<Closing, JournalError>
  readonly attach: (worker: LocalWorker) => Effect.Effect<void, never, Scope.Scope>
}

export const watcher = (
  store: JournalStore,
  interval: Duration.Duration
): Effect.Effect<Watcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* SharedClock
    const workers = new Set<LocalWorker>()
    const waiters = new Map<string, Set<Deferred.Deferred<Closing, JournalError>>>()
    let open = true
    const cares = yield* Effect.makeLatch(false)

    const updateCares = () => workers.size + waiters.size > 0 ? cares.unsafeOpen() : cares.unsafeClose()

    const wake = (runId: string, closed: Closing): void => {
      const waiting = waiters.get(runId)
      if (waiting === undefined) return
      waiters.delete(runId)
      updateCares()
      for (const waiter of waiting) Deferred.unsafeDone(waiter, Effect.succeed(closed))
    }

    const drop = (dropped: Dropped): void => {
      for (const worker of workers) worker.onDropped(dropped)
    }

    const lookUp = (runIds: ReadonlyArray<string>): Effect.Effect<void, JournalError> =>
      store.closed(runIds).pipe(
        Effect.map((records) => {
          for (const record of records) if (record.closed !== undefined) wake(record.runId, record.closed)
        }),
        // A run that cannot be read must not keep back the notifications of the others.
        Effect.catchAll((error) => {
          if (runIds.length < 2) return error
          const middle = runIds.length >> 1
          return Effect.flatMap(
            Effect.exit(lookUp(runIds.slice(0, middle))),
            (first) => Effect.zipRight(lookUp(runIds.slice(middle)), first)
          )
        })
      )

    const onNotification = (notification: Notification): void => {
      for (const worker of workers) {
        if (worker.worker !== notification.owner) continue
        if (notification._tag === "RunCreated") worker.onBegun(notification.run, notification.events)
        else worker.onPosted(notification.runId, notification.event)
      }
      if (notification._tag !== "Posted") return
      const { event, runId } = notification
      if (isClosing(event)) {
        wake(runId, event)
        drop({ runId })
      } else if (event._tag === "ActivityCompleted" || event._tag === "ActivityFailed") {
        drop({ runId, command: event.target })
      } else if (event._tag === "AttemptFailed") {
        drop({ runId, command: event.target, attempt: event.attempt })
        // Of which queue, only its owner knows.
        for (const worker of workers) worker.onQueued(undefined)
      }
    }

    let seen: number | string | undefined
    const poll = Effect.gen(function*() {
      const version = yield* store.version
      if (version === seen) return
      for (const worker of workers) worker.onForeignWrite()
      if (waiters.size > 0) yield* lookUp([...waiters.keys()])
      // Only now: what failed is looked at again.
      seen = version
    }).pipe(
      withoutEnd,
      Effect.tapError((error) =>
        Effect.logWarning("holdfast: looking for other processes' writes failed", Cause.fail(error))
      ),
      Effect.ignore
    )

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        open = false
        for (const waiting of waiters.values()) {
          for (const waiter of waiting) Deferred.unsafeDone(waiter, journalClosed)
        }
      })
    )
    const first = yield* Effect.either(store.version)
    // One that cannot be looked at now may well be shared.
    if (Either.isLeft(first) || first.right !== undefined) {
      seen = Either.getOrUndefined(first)
      yield* cares.await.pipe(
        Effect.zipRight(clock.sleep(interval)),
        Effect.zipRight(poll),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )
    }

    return {
      onWritten: (entry, receipt) => {
        if ("notifications" in receipt) {
          for (const notification of receipt.notifications) onNotification(notification)
        }
        if (entry._tag === "Append" && receipt._tag === "Appended") {
          const last = { ...entry.events.at(-1), seq: receipt.lastSeq } as Event
          if (isClosing(last)) {
            wake(entry.runId, last)
            drop({ runId: entry.runId })
          }
          for (const event of entry.events) {
            if (event._tag === "ActivityScheduled" && event.queue !== undefined) {
              for (const worker of workers) worker.onQueued(event.queue)
            } else if (event._tag === "ActivityCancelled") {
              drop({ runId: entry.runId, command: event.target })
            }
          }
        }
      },
      onNotification,
      localWorkerFor: (workflow) => {
        for (const worker of workers) if (worker.takes(workflow)) return worker.worker
        return undefined
      },
      awaitClosed: (runId) =>
        Effect.suspend(() => {
          if (!open) return journalClosed
          // Listens before it looks: a run that closes in between is seen by one of the two.
          const closed = Deferred.unsafeMake<Closing, JournalError>(FiberId.none)
          const waiting = waiters.get(runId) ?? new Set()
          waiters.set(runId, waiting.add(closed))
          updateCares()
          return lookUp([runId]).pipe(
            Effect.zipRight(Deferred.await(closed)),
            Effect.ensuring(Effect.sync(() => {
              waiting.delete(closed)
              if (waiting.size === 0 && waiters.get(runId) === waiting) waiters.delete(runId)
              updateCares()
            }))
          )
        }),
      attach: (worker) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            workers.add(worker)
            updateCares()
          }),
          () =>
            Effect.sync(() => {
              workers.delete(worker)
              updateCares()
            })
        )
    }
  })
