/**
 * The one writer of a process. Entries queue up while a commit is on its way, and the next commit takes them all: a group
 * of a hundred turns costs one fsync.
 *
 * When a group fails, each of its entries is tried alone, so that one that can never be written does not take the others
 * with it. One that meets the lock of another process is made again, with what has arrived meanwhile: clients wait so for
 * `lockTimeout`, an engine until it is written.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { isLive } from "../../../internal/liveClock.js"
import type { Entry, JournalStore, NewRun, Notification, Receipt } from "../../Journal.js"
import { type JournalError, StaleOwner } from "../../WorkflowError.js"
import { attemptOnce, isLocked, pauseAfter } from "./lockWait.js"
import { closed } from "./openStore.js"
import { SharedClock } from "./sharedClock.js"

type Done = (exit: Exit.Exit<Receipt, JournalError>) => void

interface Waiting {
  readonly entry: Entry
  readonly done: Done
  /** When it was handed over, if by a client; an engine waits without end. */
  readonly since: number | undefined
}

/**
 * In this order entries are written, and told of. What is posted comes before the turns of the same group, so that none of
 * them closes its run without having seen it where it must.
 */
const rank = { Start: 0, Post: 1, Report: 1, Heartbeat: 1, Append: 2, Block: 2 } as const

/** Rows of one transaction are bounded, so that a burst does not hold the lock for long. */
const maxBatch = 512

export const groupCommit = (
  store: JournalStore,
  onWritten: (entry: Entry, receipt: Receipt) => void,
  onNotification: (notification: Notification) => void,
  localWorkerFor: (workflow: string) => string | undefined,
  lockTimeout: number
): Effect.Effect<
  {
    readonly isOpen: () => boolean
    readonly unsafeCommit: (entry: Entry, done: Done) => void
    readonly commit: (
      entry: Entry
    ) => Effect.Effect<Exclude<Receipt, { readonly _tag: "Fenced" }>, JournalError | StaleOwner>
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const clock = yield* SharedClock
    let queue: Array<Waiting> = []
    let open = true
    /** How many attempts in a row have met a lock. */
    let locked = 0
    /** Whoever waits when the journal closes waits until then. */
    let closesAt = Infinity
    const arrived = yield* Effect.makeLatch(false)

    /** A run is given to a worker of this process as it is written, since the worker may have gone since it was queued. */
    const assigned = (entry: Entry): Entry => {
      const assign = (run: NewRun, workflow: string): NewRun => ({
        ...run,
        worker: run.worker ?? localWorkerFor(workflow)
      })
      if (entry._tag === "Start") return { ...entry, run: assign(entry.run, entry.workflow) }
      if (entry._tag !== "Append" || entry.children === undefined) return entry
      const asked = entry.events.filter((event) => event._tag === "ChildScheduled")
      return { ...entry, children: entry.children.map((run, i) => assign(run, asked[i]!.workflow)) }
    }

    /** Writes a group, and gives those of it that wait on for the lock. */
    const write = (group: ReadonlyArray<Waiting>): Effect.Effect<ReadonlyArray<Waiting>> =>
      Effect.suspend(() => {
        const entries = group.map(({ entry }) => assigned(entry))
        const since = Math.min(...group.map((waiting) => waiting.since ?? Infinity))
        const attempt = attemptOnce(store.write(entries), since < Infinity ? since : clock.unsafeCurrentTimeMillis())
        return Effect.flatMap(Effect.exit(attempt), (exit) => {
          if (Exit.isFailure(exit) && Option.exists(Cause.failureOption(exit.cause), isLocked)) {
            locked++
            return Effect.sync(() => patient(group, Exit.failCause(exit.cause)))
          }
          locked = 0
          if (Exit.isFailure(exit) && group.length > 1) return alone(group)
          group.forEach(({ done }, i) => {
            done(Exit.map(exit, ({ receipts }) => receipts[i]!))
            if (Exit.isSuccess(exit)) onWritten(entries[i]!, exit.value.receipts[i]!)
          })
          if (Exit.isSuccess(exit)) {
            for (const notification of exit.value.consequences) onNotification(notification)
          }
          return Effect.succeed([])
        })
      })

    /** Each by itself; once one waits for the lock, so do those behind it. */
    const alone = (group: ReadonlyArray<Waiting>): Effect.Effect<ReadonlyArray<Waiting>> => {
      const [first, ...others] = group
      return first === undefined
        ? Effect.succeed([])
        : Effect.flatMap(
          write([first]),
          (waiting) => locked > 0 ? Effect.succeed([...waiting, ...others]) : alone(others)
        )
    }

    /** Tells those whose time is over, and gives the others. */
    const patient = (group: ReadonlyArray<Waiting>, exit: Exit.Exit<never, JournalError>): ReadonlyArray<Waiting> => {
      const now = clock.unsafeCurrentTimeMillis()
      return group.filter(({ done, since }) => {
        const isOver = now >= Math.min(closesAt, (since ?? Infinity) + lockTimeout)
        if (isOver) done(exit)
        return !isOver
      })
    }

    const pause = Effect.suspend(() =>
      locked === 0
        ? Effect.void
        : Effect.flatMap(pauseAfter(locked - 1), (millis) => clock.sleep(Duration.millis(millis)))
    )

    const next = Effect.suspend(() => {
      const group = queue.slice(0, maxBatch).sort((a, b) => rank[a.entry._tag] - rank[b.entry._tag])
      queue = queue.slice(maxBatch)
      if (queue.length === 0) arrived.unsafeClose()
      return Effect.uninterruptible(Effect.map(write(group), (waiting) => {
        if (waiting.length === 0) return
        queue = [...waiting, ...queue]
        arrived.unsafeOpen()
      }))
    })

    // Runs once the writer has ended: what was handed over before the journal closes is still written.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closesAt = clock.unsafeCurrentTimeMillis() + lockTimeout
        return Effect.whileLoop({
          while: () => {
            open = queue.length > 0
            return open
          },
          body: () => Effect.zipRight(pause, next),
          step: () => {}
        })
      })
    )
    yield* arrived.await.pipe(
      Effect.zipRight(pause),
      Effect.zipRight(yieldToOthers),
      Effect.zipRight(next),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    const add = (waiting: Waiting): void => {
      if (!open) return waiting.done(Exit.fail(closed))
      queue.push(waiting)
      if (queue.length === 1) arrived.unsafeOpen()
    }

    return {
      isOpen: () => open,
      unsafeCommit: (entry, done) => add({ entry, done, since: undefined }),
      commit: (entry) =>
        Effect.flatMap(
          Effect.async<Receipt, JournalError>((done) => add({ entry, done, since: clock.unsafeCurrentTimeMillis() })),
          (receipt) =>
            receipt._tag === "Fenced" && (entry._tag === "Append" || entry._tag === "Block")
              ? new StaleOwner({ runId: entry.runId })
              : Effect.succeed(receipt as Exclude<Receipt, { readonly _tag: "Fenced" }>)
        )
    }
  })

/**
 * Lets everything else that is ready run first, so that it can join the group. In real time that takes one turn of the
 * event loop, since what I/O has completed is delivered there; a virtual clock must not wait in real time.
 */
const yieldToOthers: Effect.Effect<void> = Effect.flatMap(Effect.clock, (clock) =>
  isLive(clock)
    ? Effect.async<void>((resume) => {
      setImmediate(() => resume(Effect.void))
    })
    : Effect.yieldNow())
