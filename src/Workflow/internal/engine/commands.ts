/**
 * What the commands of a turn do once it is committed: attempts of activities begin and end, timers are set and unset.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Arrival, AttemptFailed, Command, Unsequenced } from "../../Event.js"
import type { JournalStore, PendingTimer } from "../../Journal.js"
import type { AttemptRunner } from "../activity/attemptRunner.js"
import { type Attempts, attempts } from "../activity/attempts.js"
import { DueQueue } from "../journal/dueQueue.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import type { RunState } from "./ownedRun.js"

export interface CommandsOptions {
  readonly activityConcurrency: number
  readonly runner: AttemptRunner
  readonly store: JournalStore
  readonly writes: PersistentWrites
  /** An activity has ended, or a timer has fired. */
  readonly deliver: (runId: string, arrival: Unsequenced<Arrival>) => void
  /** An attempt is to be repeated; calls back once that is in the journal. */
  readonly onRetry: (runId: string, event: Unsequenced<AttemptFailed>, recorded: () => void) => void
}

export interface Commands {
  readonly activities: Attempts
  /** Sets timers that were set by a former owner of their runs. */
  readonly resumeTimers: (timers: ReadonlyArray<PendingTimer>) => void
  /** Does what a turn has asked for. */
  readonly dispatch: (run: RunState, commands: ReadonlyArray<Unsequenced<Command>>) => void
}

export const commands = (options: CommandsOptions): Effect.Effect<Commands, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { deliver, onRetry, runner, store, writes } = options
    const clock = yield* Effect.clock

    const timers = yield* DueQueue.make<{ readonly runId: string; readonly command: number }>(
      ({ command, runId }, at) => deliver(runId, { _tag: "TimerFired", target: command, at })
    )

    const setTimer = (runId: string, command: number, fireAt: number): void =>
      timers.add(timerKey(runId, command), fireAt, { runId, command })

    const activities = yield* attempts({
      concurrency: options.activityConcurrency,
      runner,
      store,
      writes,
      onEnd: (runId, end) => {
        // What was due before this end comes before it, also where no timer could fire in between.
        timers.catchUp(clock.unsafeCurrentTimeMillis())
        deliver(runId, end)
      },
      onRetry
    })

    return {
      activities,
      resumeTimers: (pending) => {
        for (const { command, fireAt, runId } of pending) setTimer(runId, command, fireAt)
      },
      dispatch: (run, issued) => {
        const abandoned = new Set(issued.map((command) => "target" in command ? command.target : undefined))
        for (const command of issued) {
          switch (command._tag) {
            case "ActivityScheduled":
              if (!abandoned.has(command.command)) activities.start({ run, scheduled: command, attempt: 1 })
              break
            case "ActivityCancelled":
              activities.cancel(run.runId, command.target)
              break
            case "TimerStarted":
              if (!abandoned.has(command.command)) setTimer(run.runId, command.command, command.fireAt)
              break
            case "TimerCancelled":
              timers.cancel(timerKey(run.runId, command.target))
              break
          }
        }
      }
    }
  })

const timerKey = (runId: string, command: number) => `${runId}/${command}`
