/**
 * The activities of the runs that a worker owns: attempts that run, wait for a free slot, wait for their back-off, wait for
 * a handler, or are made by somebody else.
 *
 * ```text
 *              no handler                 slot free
 *   start ──▶ parked ──▶ queued ──▶ running ──▶ completed | failed ──▶ an arrival of its run
 *     │                    ▲         │    └──▶ outside: somebody else ends it
 *     │                    └─ back-off ◀┘ to be retried (journaled before the wait)
 *     └──▶ remote: whoever serves its queue makes all its attempts
 * ```
 *
 * `cancel` takes it out of any of these. An attempt that is interrupted has no end: it starts again with the run's next
 * owner. Where somebody else may end an attempt, the journal decides who was first, and what it holds is what is done.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { ActivityCompleted, ActivityFailed, AttemptFailed, AttemptReport, Unsequenced } from "../../Event.js"
import type { JournalStore, PendingActivity, Receipt } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import { untilRead } from "../journal/untilRead.js"
import { activityLimits } from "./activityLimits.js"
import { type AttemptEnd, type AttemptFailed as FailedAttempt, keyOfTask, type Task, taskOf } from "./attempt.js"
import type { AttemptRun, AttemptRunner, AttemptsOf } from "./attemptRunner.js"
import { attemptLimit, attemptTimedOut, decideAfterFailure, exceeded } from "./decideAfterFailure.js"

export type End = Unsequenced<ActivityCompleted> | Unsequenced<ActivityFailed>

export interface AttemptsOptions {
  readonly concurrency: number
  readonly runner: AttemptRunner
  readonly store: JournalStore
  readonly writes: PersistentWrites
  /** The activity has ended, and nobody else can have ended it. */
  readonly onEnd: (runId: string, end: End) => void
  /** The attempt is to be repeated; calls back once that is in the journal. */
  readonly onRetry: (runId: string, event: Unsequenced<AttemptFailed>, recorded: () => void) => void
}

type State =
  | {
    readonly _tag: "Parked" | "Queued" | "BackingOff" | "Reporting" | "Outside" | "Remote"
    readonly task: Task
  }
  | { readonly _tag: "Running"; readonly task: Task; readonly run: AttemptRun }

export interface Attempts {
  readonly start: (task: Task) => void
  /** Goes on with an activity of a run that it has become the owner of. */
  readonly resume: (pending: PendingActivity) => void
  readonly cancel: (runId: string, command: number) => void
  /** Cancels all activities of a run. */
  readonly cancelRun: (runId: string) => void
  /** An attempt has failed, and that is in the journal already. */
  readonly onFailed: (runId: string, event: AttemptFailed) => void
  /** Asks the journal for what others may have ended without this worker being told. */
  readonly reviewOutside: () => void
  /** The activities that wait for a handler, and how many calls of each. */
  readonly parked: () => ReadonlyArray<{ readonly activity: string; readonly count: number }>
  /** The runs that have activities. */
  readonly runIds: () => ReadonlyArray<string>
}

export const attempts = (options: AttemptsOptions): Effect.Effect<Attempts, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { runner, store, writes } = options
    const runtime = yield* Effect.runtime()
    const scope = yield* Effect.scope
    const clock = yield* Effect.clock
    const runs = new Map<string, Map<number, State>>()
    const parked = new Map<string, Set<Task>>()
    const queue = new Set<Task>()
    let running = 0

    const stateOf = (runId: string, command: number): State | undefined => runs.get(runId)?.get(command)

    const isAt = (task: Task): boolean => stateOf(task.run.runId, task.scheduled.command)?.task === task

    const setState = (state: State): void => {
      const { run, scheduled } = state.task
      const states = runs.get(run.runId) ?? new Map<number, State>()
      runs.set(run.runId, states.set(scheduled.command, state))
    }

    const forget = (task: Task): void => {
      limits.disarm(task)
      const states = runs.get(task.run.runId)
      states?.delete(task.scheduled.command)
      if (states?.size === 0) runs.delete(task.run.runId)
    }

    // --- starting

    const begin = (task: Task): void => {
      if (task.scheduled.queue === undefined) return enqueue(task)
      setState({ _tag: "Remote", task })
      lookFrom(task, clock.unsafeCurrentTimeMillis())
    }

    const enqueue = (task: Task): void => {
      const { activity } = task.scheduled
      if (!runner.has(activity)) {
        const waiting = parked.get(activity) ?? new Set()
        parked.set(activity, waiting.add(task))
        setState({ _tag: "Parked", task })
      } else if (running >= options.concurrency) {
        queue.add(task)
        setState({ _tag: "Queued", task })
      } else {
        launch(task)
      }
    }

    const launch = (task: Task): void => {
      running++
      limits.onStarted(task)
      const run = runner.start(task, local)
      setState({ _tag: "Running", task, run })
      // Another owner is to know that it has started.
      if (task.attempt === 1 && task.scheduled.scheduleToStart !== undefined) run.beat(null)
    }

    const backOff = (task: Task, until: number): void => {
      setState({ _tag: "BackingOff", task })
      runner.due.add(backOffKey(task), until, () => begin(task))
    }

    const backOffKey = (task: Task): string => `${keyOfTask(task)}/back-off`

    // --- ends

    const local: AttemptsOf = {
      worker: undefined,
      onVacant: () => {
        running--
        for (const next of queue) {
          if (running >= options.concurrency) break
          queue.delete(next)
          enqueue(next)
        }
      },
      onHandler: (activity) => {
        const waiting = parked.get(activity) ?? []
        parked.delete(activity)
        for (const task of waiting) enqueue(task)
      },
      onInterrupted: (run) => {
        if (isAt(run.task)) enqueue({ ...run.task, details: run.details })
      },
      onLost: (run) => {
        if (isAt(run.task)) reconcile(run.task.run.runId)
      },
      onEnd: (run, end) => {
        if (isAt(run.task)) settle(run, end)
      }
    }

    const settle = (run: AttemptRun, end: AttemptEnd): void => {
      const { task } = run
      const at = clock.unsafeCurrentTimeMillis()
      if (end._tag === "Outside") return handOver(run, at)
      const event: Unsequenced<AttemptReport> = end._tag === "Completed"
        ? { _tag: "ActivityCompleted", target: task.scheduled.command, at, payload: end.payload }
        : judged(task, end, at)
      const shared = run.exposed || (event._tag === "AttemptFailed" && task.scheduled.scheduleToClose !== undefined)
      if (shared) report({ ...task, details: run.details }, event)
      else if (event._tag !== "AttemptFailed") {
        forget(task)
        options.onEnd(task.run.runId, event)
      } else {
        setState({ _tag: "BackingOff", task })
        options.onRetry(task.run.runId, event, () => {
          // It may have been cancelled while the failure was written.
          if (isAt(task)) backOff(after(task, event, run.details), event.retryAt)
        })
      }
    }

    const judged = (task: Task, failed: FailedAttempt, at: number) =>
      decideAfterFailure(task, failed, at, Runtime.runSync(runtime)(Random.next))

    const after = (
      task: Task,
      { failure, retryAt, at }: Unsequenced<AttemptFailed>,
      details: string | undefined
    ): Task => ({
      ...task,
      attempt: task.attempt + 1,
      previousDelay: retryAt - at,
      lastFailure: failure,
      details
    })

    /** Writes what somebody else may have written before. What follows, follows from what the journal has taken. */
    const report = (task: Task, event: Unsequenced<AttemptReport>): void => {
      setState({ _tag: "Reporting", task })
      commitReport(task, event, (receipt) => {
        if (receipt._tag === "NotPending" && isAt(task)) reconcile(task.run.runId)
      })
    }

    const commitReport = (
      { attempt, run: { runId } }: Task,
      event: Unsequenced<AttemptReport>,
      onReceipt: (receipt: Receipt) => void,
      unstarted?: true
    ): void => writes.commit(runId, { _tag: "Report", runId, attempt, worker: undefined, unstarted, event }, onReceipt)

    // --- what somebody else ends

    const handOver = (run: AttemptRun, now: number): void => {
      const { task } = run
      setState({ _tag: "Outside", task })
      run.noteOutside((receipt) => {
        if (receipt._tag === "NotPending" && isAt(task)) reconcile(task.run.runId)
      })
      limits.look(task, attemptLimit(task.scheduled, run.startedAt, now).at)
    }

    /** An attempt that starts at this time or later, and whose end may come from outside, is looked at when it may be out of time. */
    const lookFrom = (task: Task, time: number): void => limits.look(task, attemptLimit(task.scheduled, time, time).at)

    /** Does as the journal says, where somebody else may have written to it. */
    const reconcile = (runId: string): void => {
      const before = [...runs.get(runId)?.values() ?? []]
      whenRead(store.pending(runId), ({ activities }) => {
        const pending = new Map(activities.map((activity) => [activity.scheduled.command, activity]))
        for (const { task } of before) {
          if (!isAt(task)) continue
          const found = pending.get(task.scheduled.command)
          const overtaken = found !== undefined && found.attempt > task.attempt
          // What has ended is told to the run on another way.
          if (found === undefined || overtaken) drop(task)
          if (overtaken) resume(found)
        }
      })
    }

    const lookAt = (task: Task): void => {
      if (!isAt(task)) return
      whenRead(store.pending(task.run.runId), ({ activities }) => {
        if (!isAt(task)) return
        const found = activities.find(({ scheduled }) => scheduled.command === task.scheduled.command)
        if (found === undefined || found.attempt > task.attempt) return reconcile(task.run.runId)
        const now = clock.unsafeCurrentTimeMillis()
        const startedAt = found.startedAt ?? now
        const limit = attemptLimit(task.scheduled, startedAt, Math.max(startedAt, found.beatAt ?? 0))
        if (limit.at > now) return limits.look(task, limit.at)
        // Whoever runs it is the one to end it.
        if (!found.outside) return lookFrom(task, now)
        const event = judged(task, attemptTimedOut(task.scheduled, limit.timeout), now)
        commitReport(task, event, (receipt) => {
          if (receipt._tag === "NotPending" && isAt(task)) reconcile(task.run.runId)
        })
      })
    }

    const onFailed = (runId: string, event: AttemptFailed): void => {
      const state = stateOf(runId, event.target)
      if (state === undefined || state.task.attempt !== event.attempt) return
      const { task } = state
      switch (state._tag) {
        case "Remote": {
          const next = after(task, event, undefined)
          limits.onStarted(next)
          setState({ _tag: "Remote", task: next })
          return lookFrom(next, event.retryAt)
        }
        case "Reporting":
          return backOff(after(task, event, task.details), event.retryAt)
        case "Running":
        case "Outside":
          return reconcile(runId)
      }
    }

    // --- limits

    const limits = activityLimits(runner.due, {
      onUnstarted: (task, now) => {
        const state = stateOf(task.run.runId, task.scheduled.command)
        if (state?._tag === "Parked" || state?._tag === "Queued") drop(task)
        else if (state?._tag !== "Remote") return
        commitReport(task, exceeded(task.scheduled, "scheduleToStart", 0, now), () => {}, true)
      },
      onExceeded: (task, now) => {
        const { command } = task.scheduled
        const { runId } = task.run
        const state = stateOf(runId, command)
        if (state === undefined) return
        const { task: { attempt, lastFailure } } = state
        const remote = state._tag === "Remote"
        const underWay = state._tag === "Running" || state._tag === "Outside" || state._tag === "Reporting"
        const made = underWay ? attempt : attempt - 1
        if (!remote) drop(state.task)
        // What this worker has not seen, the journal tells.
        const known = !remote && (lastFailure !== undefined || attempt === 1)
        const facts = known ? Effect.succeed({ made, lastFailure }) : factsOf(runId, command)
        whenRead(facts, (found) =>
          writes.commit(runId, {
            _tag: "Report",
            runId,
            attempt: undefined,
            worker: undefined,
            event: exceeded(task.scheduled, "scheduleToClose", remote ? found.made : made, now, found.lastFailure)
          }, () => {}))
      },
      onLook: lookAt
    })

    /** How many attempts have been made, and why the last one failed. */
    const factsOf = (runId: string, command: number) =>
      Effect.zipWith(store.pending(runId), store.history(runId), ({ activities }, history) => {
        const found = activities.find(({ scheduled }) => scheduled.command === command)
        const last = history.findLast((event): event is AttemptFailed =>
          event._tag === "AttemptFailed" && event.target === command
        )
        const failed = last?.attempt ?? 0
        return { made: found?.startedAt === undefined ? failed : found.attempt, lastFailure: last?.failure }
      })

    const whenRead = <A>(read: Effect.Effect<A, JournalError>, then: (found: A) => void): void => {
      Runtime.runFork(runtime)(
        untilRead(read).pipe(
          Effect.flatMap((found) => Effect.sync(() => then(found))),
          Effect.forkIn(scope)
        )
      )
    }

    // --- stopping

    const drop = (task: Task): void => cancel(task.run.runId, task.scheduled.command)

    const cancel = (runId: string, command: number): void => {
      const state = stateOf(runId, command)
      if (state === undefined) return
      forget(state.task)
      switch (state._tag) {
        case "Parked":
          parked.get(state.task.scheduled.activity)?.delete(state.task)
          break
        case "Queued":
          queue.delete(state.task)
          break
        case "BackingOff":
          runner.due.cancel(backOffKey(state.task))
          break
        case "Running":
          state.run.stop()
          break
      }
    }

    const resume = (pending: PendingActivity): void => {
      const task = taskOf(pending)
      const { beatAt, notBefore, outside, startedAt } = pending
      const hasStarted = startedAt !== undefined || beatAt !== undefined
      limits.arm(task, hasStarted)
      const remote = task.scheduled.queue !== undefined
      if (remote || outside) {
        setState({ _tag: remote ? "Remote" : "Outside", task })
        const since = startedAt ?? Math.max(clock.unsafeCurrentTimeMillis(), notBefore)
        limits.look(task, attemptLimit(task.scheduled, since, Math.max(since, beatAt ?? 0)).at)
      } else if (notBefore > 0) {
        backOff(task, notBefore)
      } else {
        begin(task)
      }
    }

    runner.listen(local)

    return {
      start: (task) => {
        limits.arm(task, false)
        begin(task)
      },
      resume,
      cancel,
      cancelRun: (runId) => {
        for (const command of runs.get(runId)?.keys() ?? []) cancel(runId, command)
      },
      onFailed,
      reviewOutside: () => {
        for (const [runId, states] of runs) {
          const retried = [...states.values()].some(({ _tag, task }) =>
            _tag === "Outside" && task.scheduled.retry !== undefined
          )
          if (retried) reconcile(runId)
        }
      },
      parked: () => [...parked].flatMap(([activity, { size }]) => size === 0 ? [] : [{ activity, count: size }]),
      runIds: () => [...runs.keys()]
    }
  })
