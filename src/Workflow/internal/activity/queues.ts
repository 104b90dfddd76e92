/**
 * The queues that a worker serves: it takes attempts from them while it has room, makes them, and reports what became of
 * them to the journal. It owns none of their runs.
 *
 * It looks for attempts when there is reason to find some: somebody has asked for one, a slot has become free, a handler has
 * come, a back-off is over, another process has written, or the lease of another worker may be over. What it has taken
 * stays its own for as long as its lease; what it has lost or what nobody wants any more is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { AttemptReport, Unsequenced } from "../../Event.js"
import type { Dropped, JournalStore } from "../../Journal.js"
import { untilUnlocked } from "../journal/lockWait.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import { SharedClock } from "../journal/sharedClock.js"
import { type AttemptEnd, keyOf, keyOfTask, type Task, taskOf } from "./attempt.js"
import type { AttemptRun, AttemptRunner, AttemptsOf } from "./attemptRunner.js"
import { closeBy, decideAfterFailure, exceeded } from "./decideAfterFailure.js"

export interface QueuesOptions {
  readonly workerId: string
  readonly store: JournalStore
  readonly writes: PersistentWrites
  readonly runner: AttemptRunner
  /** How many attempts of each queue are made at once. */
  readonly concurrency: ReadonlyMap<string, number>
  /** Waits until the other workers have had the time to renew their leases. */
  readonly othersRenewed: Effect.Effect<void>
}

export interface Queues {
  /** Somebody has asked for an attempt; `undefined`: of whichever queue. */
  readonly onQueued: (queue: string | undefined) => void
  /** Nobody waits for an attempt any more. */
  readonly onDropped: (dropped: Dropped) => void
  /** Something may have changed that nobody has told: looks for new attempts, and for those that were lost. */
  readonly look: () => void
}

/** An attempt that this worker has taken; without a fiber while its handler is away. */
interface Taken {
  readonly task: Task
  run: AttemptRun | undefined
}

interface Queue {
  readonly name: string
  readonly concurrency: number
  readonly wanted: Effect.Latch
  /** How many fibers run. */
  busy: number
}

export const queues = (options: QueuesOptions): Effect.Effect<Queues, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { runner, store, workerId, writes } = options
    const runtime = yield* Effect.runtime()
    const clock = yield* Effect.clock
    const shared = yield* SharedClock
    const taken = new Map<string, Taken>()
    const served = new Map<string, Queue>()
    const doubtful = yield* Effect.makeLatch(false)

    const want = (queue: string | undefined): void => {
      if (queue === undefined) { for (const { wanted } of served.values()) wanted.unsafeOpen() }
      else served.get(queue)?.wanted.unsafeOpen()
    }

    const isAt = (run: AttemptRun): boolean => taken.get(keyOfTask(run.task))?.run === run

    const drop = (key: string): void => {
      const attempt = taken.get(key)
      taken.delete(key)
      attempt?.run?.stop()
    }

    // --- attempts

    const launch = (queue: Queue, task: Task): void => {
      const attempt: Taken = { task, run: undefined }
      taken.set(keyOfTask(task), attempt)
      if (!runner.has(task.scheduled.activity)) return
      queue.busy++
      attempt.run = runner.start(task, makers.get(queue.name)!)
    }

    const onEnd = (run: AttemptRun, end: AttemptEnd): void => {
      if (!isAt(run)) return
      const { task } = run
      const { attempt, run: { runId }, scheduled } = task
      taken.delete(keyOfTask(task))
      const at = clock.unsafeCurrentTimeMillis()
      // From now on it is the owner of the run that sees to it.
      if (end._tag === "Outside") return run.noteOutside(() => {})
      const event: Unsequenced<AttemptReport> = at > closeBy(scheduled)
        ? exceeded(scheduled, "scheduleToClose", attempt, at, end._tag === "Failed" ? end.failure : task.lastFailure)
        : end._tag === "Completed"
        ? { _tag: "ActivityCompleted", target: scheduled.command, at, payload: end.payload }
        : decideAfterFailure(task, end, at, Runtime.runSync(runtime)(Random.next))
      // Where it is not pending any more, somebody else has ended it: this end is late, and nobody's.
      writes.commit(runId, { _tag: "Report", runId, attempt, worker: workerId, event }, () => {})
    }

    const makers = new Map<string, AttemptsOf>()

    const makerFor = (queue: Queue): AttemptsOf => ({
      worker: workerId,
      onEnd,
      onLost: (run) => {
        if (isAt(run)) taken.delete(keyOfTask(run.task))
      },
      onInterrupted: (run) => {
        if (isAt(run)) launch(queue, { ...run.task, details: run.details })
      },
      onVacant: () => {
        queue.busy--
        queue.wanted.unsafeOpen()
      },
      onHandler: (activity) => {
        for (const { run, task } of taken.values()) {
          const { scheduled } = task
          if (run === undefined && scheduled.activity === activity && scheduled.queue === queue.name) {
            launch(queue, task)
          }
        }
        queue.wanted.unsafeOpen()
      }
    })

    // --- what is taken, and what is lost

    /** Says what went wrong, and tries again in a second. */
    const again = (what: string, latch: Effect.Latch) =>
      Effect.catchAllCause((cause: Cause.Cause<unknown>) =>
        Cause.isInterrupted(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : Effect.logWarning(`holdfast: ${what} failed, and is tried again`, cause).pipe(
            Effect.zipRight(shared.sleep(Duration.seconds(1))),
            Effect.zipRight(Effect.sync(() => latch.unsafeOpen()))
          )
      )

    const take = (queue: Queue) =>
      Effect.suspend(() => {
        queue.wanted.unsafeClose()
        const limit = queue.concurrency - queue.busy
        const activities = runner.activities()
        if (limit <= 0 || activities.length === 0) return Effect.void
        return Effect.uninterruptible(Effect.map(
          store.takeAttempts({
            worker: workerId,
            queue: queue.name,
            activities,
            limit,
            now: clock.unsafeCurrentTimeMillis()
          }),
          ({ attempts, next }) => {
            for (const attempt of attempts) launch(queue, taskOf(attempt))
            if (next !== undefined) runner.due.add(`queue/${queue.name}`, next, () => queue.wanted.unsafeOpen())
          }
        ))
      })

    const check = Effect.suspend(() => {
      doubtful.unsafeClose()
      const before = [...taken]
      if (before.length === 0) return Effect.void
      return Effect.map(store.taken(workerId), (ids) => {
        const mine = new Set(ids.map(({ attempt, command, runId }) => `${keyOf(runId, command)}/${attempt}`))
        for (const [key, attempt] of before) {
          if (taken.get(key) === attempt && !mine.has(`${key}/${attempt.task.attempt}`)) drop(key)
        }
      })
    })

    const forever = <E>(latch: Effect.Latch, what: string, step: Effect.Effect<void, E>) =>
      latch.await.pipe(
        // Between two attempts it can be interrupted, and each has the time at which it is made.
        Effect.zipRight(untilUnlocked(Effect.zipRight(options.othersRenewed, step), shared)),
        again(what, latch),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )

    for (const [name, concurrency] of options.concurrency) {
      const queue: Queue = { name, concurrency, wanted: yield* Effect.makeLatch(false), busy: 0 }
      served.set(name, queue)
      const maker = makerFor(queue)
      makers.set(name, maker)
      runner.listen(maker)
      yield* forever(queue.wanted, `taking attempts from queue ${JSON.stringify(name)}`, take(queue))
    }
    if (served.size > 0) yield* forever(doubtful, "looking for attempts that were lost", check)

    return {
      onQueued: want,
      onDropped: ({ attempt, command, runId }) => {
        if (command === undefined) {
          for (const [key, { task }] of taken) if (task.run.runId === runId) drop(key)
          return
        }
        const key = keyOf(runId, command)
        if (attempt === undefined || taken.get(key)?.task.attempt === attempt) drop(key)
      },
      look: () => {
        want(undefined)
        doubtful.unsafeOpen()
      }
    }
  })
