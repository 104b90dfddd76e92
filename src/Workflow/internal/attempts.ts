/**
 * The activities of a worker: attempts that run, wait for a free slot, wait for their back-off, or wait for a handler.
 *
 * ```text
 *              no handler                 slot free
 *   start ──▶ parked ──▶ queued ──▶ running ──▶ completed | failed ──▶ an arrival of its run
 *                          ▲           │
 *                          └─ back-off ◀┘ to be retried (journaled before the wait)
 * ```
 *
 * `cancel` takes it out of any of these. An attempt that is interrupted has no end: it starts again with the run's next
 * owner.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { reader } from "../../InvalidOptions.js"
import * as RetryPolicy from "../../Schedule/RetryPolicy.js"
import type {
  ActivityCompleted,
  ActivityFailed,
  ActivityScheduled,
  AttemptFailed,
  AttemptFailure,
  Unplaced
} from "../Event.js"
import type { RunIdentity } from "../Run.js"
import type { ActivityRegistration, AttemptEnd, AttemptFailed as FailedAttempt } from "./attempt.js"
import { DueQueue } from "./dueQueue.js"

export interface Task {
  readonly run: Omit<RunIdentity, "startedAt">
  readonly scheduled: Unplaced<ActivityScheduled>
  readonly attempt: number
  /** What the last back-off was, for curves that go by it. */
  readonly previousDelay?: number | undefined
}

export type End = Unplaced<ActivityCompleted> | Unplaced<ActivityFailed>

export interface AttemptsOptions {
  readonly concurrency: number
  readonly gracePeriod: Duration.Duration
  /** Why the journal does not take a payload. */
  readonly refuse: (payload: string | null) => string | undefined
  /** The activity has ended. */
  readonly onEnd: (runId: string, end: End) => void
  /** The attempt is to be repeated; calls back once that is in the journal. */
  readonly onRetry: (runId: string, event: Unplaced<AttemptFailed>, recorded: () => void) => void
}

type State =
  | { readonly _tag: "Parked" | "Queued" | "BackingOff"; readonly task: Task }
  | { readonly _tag: "Running"; readonly task: Task; readonly fiber: Fiber.RuntimeFiber<Verdict> }

/** What to do after an attempt. */
type Verdict =
  | { readonly _tag: "End"; readonly end: End }
  | { readonly _tag: "Retry"; readonly event: Unplaced<AttemptFailed>; readonly delay: number }

export interface Attempts {
  readonly start: (task: Task, notBefore?: number) => void
  readonly cancel: (runId: string, command: number) => void
  /** Cancels all activities of a run. */
  readonly cancelRun: (runId: string) => void
  readonly add: (registration: ActivityRegistration) => Effect.Effect<void, never, Scope.Scope>
}

export const attempts = (options: AttemptsOptions): Effect.Effect<Attempts, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const handlers = new Map<string, ActivityRegistration>()
    const runs = new Map<string, Map<number, State>>()
    const parked = new Map<string, Set<Task>>()
    const queue = new Set<Task>()
    let running = 0
    const backOff = yield* DueQueue.make<Task>((task) => enqueue(task))

    const keyOf = ({ run, scheduled }: Task) => `${run.runId}/${scheduled.command}`

    const setState = (state: State): void => {
      const { run, scheduled } = state.task
      const states = runs.get(run.runId) ?? new Map<number, State>()
      runs.set(run.runId, states.set(scheduled.command, state))
    }

    const forget = (task: Task): void => {
      const states = runs.get(task.run.runId)
      states?.delete(task.scheduled.command)
      if (states?.size === 0) runs.delete(task.run.runId)
    }

    const enqueue = (task: Task): void => {
      const handler = handlers.get(task.scheduled.activity)
      if (handler === undefined) {
        const waiting = parked.get(task.scheduled.activity) ?? new Set()
        parked.set(task.scheduled.activity, waiting.add(task))
        setState({ _tag: "Parked", task })
      } else if (running >= options.concurrency) {
        queue.add(task)
        setState({ _tag: "Queued", task })
      } else {
        launch(handler, task)
      }
    }

    const launch = (handler: ActivityRegistration, task: Task): void => {
      running++
      const { attempt, run, scheduled } = task
      const fiber = handler.launch(
        scheduled.payload,
        {
          activity: scheduled.activity,
          attempt,
          workflow: run.workflow,
          workflowId: run.workflowId,
          runId: run.runId,
          idempotencyKey: keyOf(task)
        },
        // @effect-diagnostics-next-line missingEffectContext:off
        (ended) => Effect.map(verdictOn(task, ended), (verdict) => admitted(verdict, attempt, options.refuse))
      )
      setState({ _tag: "Running", task, fiber })
      fiber.addObserver((exit) => settle(task, fiber, exit))
    }

    const settle = (task: Task, fiber: Fiber.RuntimeFiber<Verdict>, exit: Exit.Exit<Verdict>): void => {
      running--
      const state = runs.get(task.run.runId)?.get(task.scheduled.command)
      const current = state?._tag === "Running" && state.fiber === fiber
      // A cancelled attempt has nothing to tell; one whose handler has gone waits for it to come back.
      if (current) {
        forget(task)
        if (Exit.isSuccess(exit)) act(task, exit.value)
        else if (Cause.isInterruptedOnly(exit.cause)) enqueue(task)
      }
      for (const next of queue) {
        if (running >= options.concurrency) break
        queue.delete(next)
        enqueue(next)
      }
    }

    const act = (task: Task, verdict: Verdict): void => {
      if (verdict._tag === "End") {
        options.onEnd(task.run.runId, verdict.end)
        return
      }
      setState({ _tag: "BackingOff", task })
      options.onRetry(task.run.runId, verdict.event, () => {
        // It may have been cancelled while the failure was written.
        if (runs.get(task.run.runId)?.get(task.scheduled.command)?.task !== task) return
        const next = { ...task, attempt: task.attempt + 1, previousDelay: verdict.delay }
        setState({ _tag: "BackingOff", task: next })
        backOff.add(keyOf(task), verdict.event.retryAt, next)
      })
    }

    const cancel = (runId: string, command: number): void => {
      const state = runs.get(runId)?.get(command)
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
          backOff.cancel(keyOf(state.task))
          break
        case "Running":
          Runtime.runFork(runtime)(Fiber.interruptFork(state.fiber))
          break
      }
    }

    return {
      start: (task, notBefore = 0) => {
        if (notBefore > 0) {
          setState({ _tag: "BackingOff", task })
          backOff.add(keyOf(task), notBefore, task)
        } else {
          enqueue(task)
        }
      },
      cancel,
      cancelRun: (runId) => {
        for (const command of runs.get(runId)?.keys() ?? []) cancel(runId, command)
      },
      add: (registration) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const { name } = registration
            if (handlers.has(name)) {
              reader("Activity.toLayer").refuse("name", name, "a name that no other activity of this engine has")
            }
            handlers.set(name, registration)
            const waiting = parked.get(name) ?? []
            parked.delete(name)
            for (const task of waiting) enqueue(task)
          }),
          () =>
            Effect.suspend(() => {
              handlers.delete(registration.name)
              return stopRunning(
                [...runs.values()].flatMap((states) => [...states.values()]).flatMap((state) =>
                  state._tag === "Running" && state.task.scheduled.activity === registration.name ? [state.fiber] : []
                ),
                options.gracePeriod
              )
            })
        )
    }
  })

/** Lets attempts end by themselves within the grace period, then interrupts them. */
const stopRunning = (
  fibers: ReadonlyArray<Fiber.RuntimeFiber<Verdict>>,
  grace: Duration.Duration
): Effect.Effect<void> =>
  fibers.length === 0
    ? Effect.void
    : Fiber.awaitAll(fibers).pipe(
      Effect.interruptible,
      Effect.timeoutOption(grace),
      Effect.zipRight(Fiber.interruptAll(fibers))
    )

const verdictOn = <R>(task: Task, attempt: Effect.Effect<AttemptEnd, never, R>): Effect.Effect<Verdict, never, R> => {
  const { command, startToClose } = task.scheduled
  const limited = startToClose === undefined ? attempt : Effect.timeoutTo(attempt, {
    duration: startToClose,
    onSuccess: (end) => end,
    onTimeout: (): AttemptEnd => ({
      _tag: "Failed",
      failure: { reason: "TimedOut", message: `it took longer than ${Duration.format(Duration.millis(startToClose))}` },
      payload: null
    })
  })
  return Effect.flatMap(limited, (end) =>
    Effect.clockWith((clock) => {
      const at = clock.unsafeCurrentTimeMillis()
      return end._tag === "Completed"
        ? Effect.succeed<Verdict>({
          _tag: "End",
          end: { _tag: "ActivityCompleted", target: command, at, payload: end.payload }
        })
        : Effect.map(Random.next, (random) => judge(task, end, at, random))
    }))
}

/**
 * What the journal does not take ends the activity: it would be no smaller the next time. The error of an attempt that is
 * repeated is for the reader of the history only, so the attempt goes without.
 */
const admitted = (verdict: Verdict, attempts: number, refuse: AttemptsOptions["refuse"]): Verdict => {
  const event = verdict._tag === "End" ? verdict.end : verdict.event
  const refusal = refuse(event.payload)
  if (refusal === undefined) return verdict
  if (verdict._tag === "Retry") return { ...verdict, event: { ...verdict.event, payload: null } }
  const { at, target } = event
  const what = event._tag === "ActivityCompleted" ? "its success" : "its error"
  const failure = { reason: "Codec" as const, message: `${what} is refused: ${refusal}` }
  return { _tag: "End", end: { _tag: "ActivityFailed", target, at, attempts, failure, payload: null } }
}

/** What the retry policy, which travels with the command, says of a failed attempt. */
const judge = (
  { attempt, previousDelay, scheduled }: Task,
  { failure, nonRetryable, payload, retryAfter }: FailedAttempt,
  at: number,
  random: number
): Verdict => {
  const target = scheduled.command
  const stop = (failure: AttemptFailure): Verdict => ({
    _tag: "End",
    end: { _tag: "ActivityFailed", target, at, attempts: attempt, failure, payload }
  })
  if (scheduled.retry === undefined) return stop(failure)
  const policy = RetryPolicy.decode(scheduled.retry)
  if (Either.isLeft(policy)) {
    return stop({ ...failure, message: `${failure.message}; not retried, since ${policy.left.message}` })
  }
  const next = RetryPolicy.next(policy.right, {
    failures: attempt,
    errorTag: failure.tag,
    // What does not fit its schema will not fit it the next time.
    nonRetryable: failure.reason === "Codec" || nonRetryable,
    retryAfterMillis: retryAfter,
    elapsedMillis: at - scheduled.at,
    random,
    previousDelayMillis: previousDelay
  })
  return next._tag === "Stop"
    ? stop(failure)
    : {
      _tag: "Retry",
      delay: next.delayMillis,
      event: { _tag: "AttemptFailed", target, at, attempt, failure, retryAt: at + next.delayMillis, payload }
    }
}
