/**
 * Attempts under way: each is a fiber in the runtime of its handler, with the limits of one attempt and its heartbeats.
 * Whose attempts they are, and what is done with their ends, is for those who start them.
 *
 * Each attempt is told of once at most: it ended, it was out of time, its handler has gone, or it is not wanted any more.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Scheduler } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { reader } from "../../../InvalidOptions.js"
import type { JournalStore, Receipt } from "../../Journal.js"
import { DueQueue } from "../journal/dueQueue.js"
import type { PersistentWrites } from "../journal/persistentWrites.js"
import { untilRead } from "../journal/untilRead.js"
import {
  type ActivityRegistration,
  type AttemptChannel,
  type AttemptEnd,
  keyOfTask,
  type Launch,
  type Task
} from "./attempt.js"
import { attemptLimit, attemptTimedOut } from "./decideAfterFailure.js"
import { Heartbeats } from "./heartbeats.js"
import * as tokens from "./token.js"

/** Whoever starts attempts. */
export interface AttemptsOf {
  /** The worker that has taken them from a queue. */
  readonly worker: string | undefined
  /** It has ended by itself, or is out of time. What its heartbeats have told is in the journal. */
  readonly onEnd: (run: AttemptRun, end: AttemptEnd) => void
  /** Its handler has gone. */
  readonly onInterrupted: (run: AttemptRun) => void
  /** It is not pending any more: somebody else has ended it. */
  readonly onLost: (run: AttemptRun) => void
  /** Its fiber has ended, whatever has become of it: there is room for another one. */
  readonly onVacant: () => void
  /** A handler has come. */
  readonly onHandler: (activity: string) => void
}

export interface AttemptRunner {
  /** What is to happen when. */
  readonly due: DueQueue<(now: number) => void>
  /** The activities that have a handler. */
  readonly activities: () => ReadonlyArray<string>
  readonly has: (activity: string) => boolean
  /** Starts an attempt of an activity that has a handler. */
  readonly start: (task: Task, by: AttemptsOf) => AttemptRun
  /** Makes handlers known that come from now on. */
  readonly listen: (by: AttemptsOf) => void
  readonly add: (registration: ActivityRegistration) => Effect.Effect<void, never, Scope.Scope>
}

interface Shared {
  readonly clock: Clock.Clock
  readonly due: DueQueue<(now: number) => void>
  readonly writes: PersistentWrites
  readonly refuse: (payload: string | null) => string | undefined
  readonly store: JournalStore
  readonly underWay: Set<AttemptRun>
}

export const attemptRunner = (options: {
  readonly writes: PersistentWrites
  readonly store: JournalStore
  /** Why the journal does not take a payload. */
  readonly refuse: (payload: string | null) => string | undefined
  readonly gracePeriod: Duration.Duration
  /** What the fibers of an activity run on, from what its handler runs on. */
  readonly schedulerFor: (activity: string, base: Scheduler) => Scheduler
}): Effect.Effect<AttemptRunner, never, Scope.Scope> =>
  Effect.gen(function*() {
    const handlers = new Map<string, Launch>()
    const listeners: Array<AttemptsOf> = []
    const shared: Shared = {
      clock: yield* Effect.clock,
      due: yield* DueQueue.make<(now: number) => void>((run, now) => run(now)),
      writes: options.writes,
      refuse: options.refuse,
      store: options.store,
      underWay: new Set()
    }

    return {
      due: shared.due,
      activities: () => [...handlers.keys()],
      has: (activity) => handlers.has(activity),
      start: (task, by) => new AttemptRun(shared, handlers.get(task.scheduled.activity)!, task, by),
      listen: (by) => void listeners.push(by),
      add: (registration) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const { name } = registration
            if (handlers.has(name)) {
              reader("Activity.toLayer").refuse("name", name, "a name that no other activity of this engine has")
            }
            handlers.set(name, registration.launcher(options.schedulerFor(name, registration.scheduler)))
            for (const listener of listeners) listener.onHandler(name)
          }),
          () =>
            Effect.suspend(() => {
              handlers.delete(registration.name)
              const fibers = [...shared.underWay].flatMap(({ fiber, task }) =>
                task.scheduled.activity === registration.name ? [fiber] : []
              )
              return stopRunning(fibers, options.gracePeriod)
            })
        )
    }
  })

/** Lets attempts end by themselves within the grace period, then interrupts them. */
const stopRunning = (
  fibers: ReadonlyArray<Fiber.RuntimeFiber<AttemptEnd>>,
  grace: Duration.Duration
): Effect.Effect<void> =>
  fibers.length === 0
    ? Effect.void
    : Fiber.awaitAll(fibers).pipe(
      Effect.interruptible,
      Effect.timeoutOption(grace),
      Effect.zipRight(Fiber.interruptAll(fibers))
    )

const unfit = (message: string): AttemptEnd => ({
  _tag: "Failed",
  failure: { reason: "Codec", message },
  payload: null
})

/** The end of an attempt as the journal takes it. */
const admitted = (end: AttemptEnd, refuse: Shared["refuse"]): AttemptEnd => {
  const refusal = end._tag === "Outside" ? undefined : refuse(end.payload)
  if (refusal === undefined || end._tag === "Outside") return end
  return end._tag === "Completed" ? unfit(`its success is refused: ${refusal}`) : { ...end, payload: null, refusal }
}

/** Details are worth more than the writes that they cost; a deadline is pushed in time. */
const intervalOf = (heartbeat = Infinity): number => Math.min(1_000, heartbeat / 2)

export class AttemptRun implements AttemptChannel {
  readonly startedAt: number
  readonly fiber: Fiber.RuntimeFiber<AttemptEnd>
  /** Somebody else may end it. */
  exposed = false
  private told = false
  private beatAt: number
  private lastDetails: string | undefined
  private heartbeats: Heartbeats | undefined

  constructor(
    private readonly shared: Shared,
    launch: Launch,
    readonly task: Task,
    private readonly by: AttemptsOf
  ) {
    const { attempt, run, scheduled } = task
    this.startedAt = this.beatAt = shared.clock.unsafeCurrentTimeMillis()
    this.lastDetails = task.details
    this.fiber = launch(scheduled.payload, {
      activity: scheduled.activity,
      attempt,
      workflow: run.workflow,
      workflowId: run.workflowId,
      runId: run.runId,
      idempotencyKey: keyOfTask(task)
    }, this)
    shared.underWay.add(this)
    if (this.isLimited) this.watch(this.startedAt)
    this.fiber.addObserver((exit) => this.onFiberEnd(exit))
  }

  /** What its heartbeats have told so far, or those before it. */
  get details(): string | undefined {
    return this.lastDetails
  }

  // Written before it is handed out. A handler that is run again after a crash finds what was handed out before.
  readonly token: Effect.Effect<string> = Effect.suspend(() => {
    this.exposed = true
    const { clock, store, writes } = this.shared
    const { id } = this.heartbeat(0, undefined)
    const offer = Effect.async<void>((resume) => {
      const beat = this.heartbeat(clock.unsafeCurrentTimeMillis(), undefined)
      writes.commit(id.runId, { ...beat, secret: tokens.makeSecret() }, () => resume(Effect.void))
    })
    const agreed = untilRead(store.secret(id))
    // An attempt that is not pending any more has no secret, and no token ends it.
    return Effect.map(Effect.zipRight(offer, agreed), (secret) => tokens.encode(id, secret ?? tokens.makeSecret()))
  })

  beat(details: string | null): void {
    this.shared.due.catchUp(this.shared.clock.unsafeCurrentTimeMillis())
    if (this.told) return
    const refusal = this.shared.refuse(details)
    if (refusal !== undefined) {
      this.settle()
      this.interrupt()
      return this.tell(unfit(`the details of its heartbeat are refused: ${refusal}`))
    }
    this.beatAt = this.shared.clock.unsafeCurrentTimeMillis()
    if (details !== null) this.lastDetails = details
    this.heartbeats ??= this.makeHeartbeats()
    this.heartbeats.beat(this.beatAt, details ?? undefined)
  }

  /** Notes that its end will come from outside. */
  noteOutside(onReceipt: (receipt: Receipt) => void): void {
    const { writes } = this.shared
    const { runId } = this.task.run
    writes.commit(runId, { ...this.heartbeat(this.startedAt, undefined), outside: true }, onReceipt)
    // Its limits go by its start and by this.
    if (this.task.scheduled.heartbeat !== undefined) {
      writes.commit(runId, this.heartbeat(this.shared.clock.unsafeCurrentTimeMillis(), undefined), () => {})
    }
  }

  /** Nobody wants it any more: it is interrupted, and not told of. */
  stop(): void {
    if (this.told) return
    this.settle()
    this.heartbeats?.stop()
    this.interrupt()
  }

  private get isLimited(): boolean {
    const { heartbeat, startToClose } = this.task.scheduled
    return heartbeat !== undefined || startToClose !== undefined
  }

  private get key(): string {
    return `${keyOfTask(this.task)}/${this.task.attempt}`
  }

  /** Looks whether it is out of time, and looks again when it may be. Heartbeats in between only move the next look. */
  private watch(now: number): void {
    const { scheduled } = this.task
    const { at, timeout } = attemptLimit(scheduled, this.startedAt, this.beatAt)
    if (now < at) return this.shared.due.add(this.key, at, (now) => this.watch(now))
    if (this.told) return
    this.settle()
    this.interrupt()
    this.tell(attemptTimedOut(scheduled, timeout))
  }

  private onFiberEnd(exit: Exit.Exit<AttemptEnd>): void {
    this.shared.underWay.delete(this)
    // An attempt that has blocked the process is out of time all the same, though no timer could fire meanwhile.
    this.shared.due.catchUp(this.shared.clock.unsafeCurrentTimeMillis())
    if (!this.told) {
      if (Exit.isSuccess(exit)) {
        this.settle()
        this.tell(exit.value)
      } else if (Cause.isInterruptedOnly(exit.cause)) {
        this.settle()
        this.flushed(() => this.by.onInterrupted(this))
      }
    }
    this.by.onVacant()
  }

  private settle(): void {
    this.told = true
    if (this.isLimited) this.shared.due.cancel(this.key)
  }

  private tell(ended: AttemptEnd): void {
    const end = admitted(ended, this.shared.refuse)
    if (end._tag !== "Completed") return this.flushed(() => this.by.onEnd(this, end))
    this.heartbeats?.stop()
    this.by.onEnd(this, end)
  }

  private flushed(then: () => void): void {
    if (this.heartbeats === undefined) then()
    else this.heartbeats.flush(then)
  }

  private interrupt(): void {
    this.fiber.unsafeInterruptAsFork(FiberId.none)
  }

  private heartbeat(at: number, details: string | undefined) {
    const { attempt, run, scheduled } = this.task
    return {
      _tag: "Heartbeat" as const,
      id: { runId: run.runId, command: scheduled.command, attempt },
      worker: this.by.worker,
      at,
      details
    }
  }

  private makeHeartbeats(): Heartbeats {
    const { clock, due, writes } = this.shared
    return new Heartbeats({
      key: `${this.key}/beat`,
      interval: intervalOf(this.task.scheduled.heartbeat),
      now: () => clock.unsafeCurrentTimeMillis(),
      due,
      entry: (at, details) => this.heartbeat(at, details),
      write: (entry, onReceipt) => writes.commit(this.task.run.runId, entry, onReceipt),
      onLost: () => {
        if (this.told) return
        this.stop()
        this.by.onLost(this)
      }
    })
  }
}
