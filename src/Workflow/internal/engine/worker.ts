/**
 * One worker of a journal: it becomes the owner of runs, keeps its lease, and gives all up when it ends. What it does with
 * its runs is in `runs.ts`.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { isLive } from "../../../internal/liveClock.js"
import { reader } from "../../../InvalidOptions.js"
import * as RetryPolicy from "../../../Schedule/RetryPolicy.js"
import type { Engine, Options } from "../../Engine.js"
import type { Closing } from "../../Event.js"
import { Journal } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import { attemptRunner } from "../activity/attemptRunner.js"
import { queues as makeQueues } from "../activity/queues.js"
import { attemptFor, untilUnlocked, withoutEnd } from "../journal/lockWait.js"
import { persistentWrites } from "../journal/persistentWrites.js"
import { makeRunId } from "../journal/runId.js"
import { SharedClock } from "../journal/sharedClock.js"
import type { Program } from "../turn/execution.js"
import { leaseTimes } from "./leaseTimes.js"
import { runs as makeRuns } from "./runs.js"
import { watchUnserved } from "./unservedWatch.js"
import * as watchdog from "./watchdog.js"

export interface WorkflowRegistration {
  readonly name: string
  /** The end of a run, decoded. */
  readonly exitOf: (
    run: { readonly workflowId: string; readonly runId: string },
    closed: Closing
  ) => Exit.Exit<unknown, unknown>
  readonly program: Program
}

export const worker = (
  options: Options
): Effect.Effect<Context.Tag.Service<Engine>, JournalError, Journal | Scope.Scope> =>
  Effect.gen(function*() {
    const { lease, queues: concurrency, ...settings } = read(options)
    const shared = yield* SharedClock
    const given = yield* Journal
    const { store } = given
    // What its runs need they wait for, however long somebody else has locked the journal.
    const journal = {
      ...given,
      store: {
        ...store,
        history: (runId: string) => withoutEnd(store.history(runId)),
        pending: (runId: string) => withoutEnd(store.pending(runId))
      }
    }
    const workerId = `worker-${yield* makeRunId(shared.unsafeCurrentTimeMillis())}`
    const programs = new Map<string, Program>()
    const claimNeeded = yield* Effect.makeLatch(false)
    /** A store that no other process can open needs no lease. */
    const leased = (yield* store.version) !== undefined
    const leaseUntil = () => leased ? shared.unsafeCurrentTimeMillis() + lease : Infinity
    const times = leaseTimes(shared, leased ? lease : Infinity)
    const writes = yield* persistentWrites(journal)

    // A scope closes from its end: first nothing claims, beats or takes turns any more, then what is under way is
    // committed, then all is released.
    yield* Effect.addFinalizer(() =>
      // Twice, since more may have arrived while it was written.
      Effect.repeatN(Effect.zipRight(Effect.sync(() => runs.persistAll()), writes.quiet), 1).pipe(
        // A journal that cannot be written must not hold up the end of the process.
        Effect.raceFirst(shared.sleep(settings.gracePeriod)),
        Effect.zipRight(attemptFor(store.release(workerId), shared, settings.gracePeriod)),
        Effect.catchAll((error) =>
          Effect.logWarning("holdfast: the runs could not be released; their lease will end", Cause.fail(error))
        ),
        Effect.zipRight(Effect.sync(runs.clear)),
        Effect.interruptible
      )
    )
    // Under a virtual clock nobody would move it while the engine stops.
    const gracePeriod = isLive(yield* Effect.clock) ? settings.gracePeriod : Duration.zero
    const { hangAfter } = settings
    // An activity that blocks the process for as long as the lease keeps it from being renewed.
    const blockingMillis = hangAfter === Infinity ? Infinity : leased ? lease : hangAfter
    if (hangAfter < Infinity) yield* watchdog.start(Math.min(hangAfter, blockingMillis))
    const runner = yield* attemptRunner({
      writes,
      store,
      refuse: journal.refuse,
      gracePeriod,
      schedulerFor: (activity, base) =>
        blockingMillis === Infinity
          ? base
          : watchdog.watchedScheduler(base, `activity ${activity}`, blockingMillis)
    })
    const runs = yield* makeRuns({ ...settings, journal, workerId, programs, runner, writes })
    const queues = yield* makeQueues({
      workerId,
      store,
      writes,
      runner,
      concurrency,
      othersRenewed: times.othersRenewed
    })

    // Runs that may be what kills their owners are taken one first, then two, four, and so on, so that those which are
    // not are cleared.
    let quarantined = 1
    const claim = Effect.suspend(() => {
      claimNeeded.unsafeClose()
      return untilUnlocked(
        Effect.zipRight(
          times.othersRenewed,
          Effect.suspend(() =>
            store.claim({
              worker: workerId,
              workflows: [...programs.keys()],
              now: shared.unsafeCurrentTimeMillis(),
              leaseUntil: leaseUntil(),
              quarantined
            })
          )
        ),
        shared
      )
    }).pipe(
      Effect.tap((claimed) => {
        runs.onClaimed(claimed)
        if (!claimed.moreQuarantined) {
          quarantined = 1
          return Effect.void
        }
        quarantined *= 2
        return Effect.forkScoped(
          Effect.zipRight(shared.sleep(Duration.millis(250)), Effect.sync(() => claimNeeded.unsafeOpen()))
        )
      }),
      Effect.catchAll((error) =>
        Effect.logWarning("holdfast: claiming runs failed, and is tried again", Cause.fail(error)).pipe(
          Effect.zipRight(shared.sleep(Duration.seconds(1))),
          Effect.zipRight(Effect.sync(() => claimNeeded.unsafeOpen()))
        )
      )
    )
    yield* Effect.zipRight(claimNeeded.await, claim).pipe(Effect.forever, Effect.interruptible, Effect.forkScoped)

    // Others are to know soon what this worker has the code of.
    const services = () => ({
      workflows: [...programs.keys()],
      activities: runner.activities(),
      queues: [...concurrency.keys()]
    })
    const servicesChanged = yield* Effect.makeLatch(true)
    const change = Effect.sync(() => servicesChanged.unsafeOpen())
    const announced = (add: Effect.Effect<void, never, Scope.Scope>) =>
      Effect.zipRight(Effect.acquireRelease(change, () => change), add)
    yield* servicesChanged.await.pipe(
      Effect.zipRight(untilUnlocked(
        Effect.suspend(() => {
          servicesChanged.unsafeClose()
          return store.heartbeat(workerId, leaseUntil(), services())
        }),
        shared
      )),
      // The next heartbeat of a lease says the same.
      Effect.ignore,
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
    yield* watchUnserved({
      store,
      interval: lease / 3,
      parked: () => runs.parked().map(({ activity, count }) => ({ what: { _tag: "Activity", activity }, count }))
    })

    if (leased) {
      let leasedUntil = Infinity
      const beat = Effect.suspend(() => {
        const until = leaseUntil()
        return Effect.map(store.heartbeat(workerId, until, services()), () => {
          times.renewed(until - lease)
          // Others may have taken what it owned, while it did not renew its lease in time.
          if (leasedUntil < until - lease) runs.checkOwnership()
          leasedUntil = until
        })
      })
      yield* beat
      // As it starts the store waits for a lock, and then writes a lease that is an old one.
      if (times.isLate()) yield* untilUnlocked(beat, shared)
      yield* shared.sleep(Duration.millis(lease / 3)).pipe(
        Effect.zipRight(untilUnlocked(beat, shared)),
        Effect.catchAll((error) =>
          Effect.logWarning("holdfast: a heartbeat failed, and is tried again", Cause.fail(error))
        ),
        // What workers that have died leave behind is found when their lease is over, which nobody announces.
        Effect.zipRight(Effect.sync(() => {
          claimNeeded.unsafeOpen()
          queues.look()
          runs.checkActivities()
        })),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )
    }

    yield* journal.attach({
      worker: workerId,
      takes: (workflow) => programs.has(workflow),
      onBegun: runs.begin,
      onQueued: queues.onQueued,
      onDropped: queues.onDropped,
      onPosted: runs.onPosted,
      onForeignWrite: () => {
        claimNeeded.unsafeOpen()
        queues.look()
      }
    })

    return {
      workerId,
      blocked: Effect.sync(runs.blocked),
      addWorkflow: ({ name, program }) =>
        announced(Effect.acquireRelease(
          Effect.sync(() => {
            if (programs.has(name)) {
              reader("Workflow.toLayer").refuse("name", name, "a name that no other workflow of this engine has")
            }
            programs.set(name, program)
            runs.onProgram(name)
            claimNeeded.unsafeOpen()
          }),
          () =>
            Effect.sync(() => {
              programs.delete(name)
              runs.onProgramGone(name)
            })
        )),
      addActivity: (registration) => announced(runner.add(registration))
    }
  })

const read = (options: Options) => {
  const { duration, integer, positiveDuration, refuse } = reader("Engine.layer")
  const hangAfter = duration("hangAfter", options.hangAfter ?? "10 seconds")
  const onHang = options.onHang ?? "report"
  const queues = new Map(
    Object.entries(options.queues ?? {}).map(([name, { concurrency = 100 }]) => [
      name === "" ? refuse("queues", name, "names that are not empty") : name,
      integer(`queues.${name}.concurrency`, concurrency, 1)
    ])
  )
  const strictness = options.strictness ?? "payload"
  return {
    queues,
    activityConcurrency: integer("activityConcurrency", options.activityConcurrency ?? 1_000, 1),
    residentRuns: integer("residentRuns", options.residentRuns ?? 5_000, 1),
    gracePeriod: Duration.millis(duration("gracePeriod", options.gracePeriod ?? "5 seconds")),
    lease: positiveDuration("lease", options.lease ?? "10 seconds"),
    hangAfter: hangAfter > 0 ? hangAfter : refuse("hangAfter", hangAfter, "a duration above zero"),
    onHang: onHang === "report" || onHang === "exit" ? onHang : refuse("onHang", onHang, `"report" or "exit"`),
    alwaysReplay: options.alwaysReplay ?? false,
    retry: options.retry === undefined ? undefined : RetryPolicy.encode(options.retry),
    replayConcurrency: integer("replayConcurrency", options.replayConcurrency ?? 16, 1),
    opBudget: integer("opBudget", options.opBudget ?? 1_000_000, 1),
    strictness: strictness === "payload" || strictness === "name"
      ? strictness
      : refuse("strictness", strictness, `"payload" or "name"`)
  }
}
