/**
 * The one writer of a process. Entries queue up while a commit is on its way, and the next commit takes them all: a group
 * of a hundred turns costs one fsync.
 *
 * When a group fails, each of its entries is tried alone, so that one that can never be written does not take the others
 * with it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { isLive } from "../../internal/liveClock.js"
import type { Entry, JournalStore, NewRun, News, Receipt } from "../Journal.js"
import { type JournalError, StaleOwner } from "../WorkflowError.js"
import { closed } from "./openStore.js"

type Done = (exit: Exit.Exit<Receipt, JournalError>) => void

interface Waiting {
  readonly entry: Entry
  readonly done: Done
}

/**
 * In this order entries are written, and told of. What is posted comes before the turns of the same group, so that none of
 * them closes its run without having seen it where it must.
 */
const rank = { Start: 0, Post: 1, Report: 1, Heartbeat: 1, Append: 2, Block: 2 } as const

/** Rows of one transaction are bounded, so that a burst does not hold the lock for long. */
const largestGroup = 512

export const groupCommit = (
  store: JournalStore,
  onWritten: (entry: Entry, receipt: Receipt) => void,
  onNews: (news: News) => void,
  localWorkerFor: (workflow: string) => string | undefined
): Effect.Effect<
  {
    readonly isOpen: () => boolean
    readonly unsafeCommit: (entry: Entry, done: Done) => void
    readonly commit: (
      entry: Entry
    ) => Effect.Effect<Exclude<Receipt, { readonly _tag: "Stale" }>, JournalError | StaleOwner>
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    let queue: Array<Waiting> = []
    let open = true
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

    const write = (group: ReadonlyArray<Waiting>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const entries = group.map(({ entry }) => assigned(entry))
        return Effect.flatMap(Effect.exit(store.write(entries)), (exit) => {
          if (Exit.isFailure(exit) && group.length > 1) {
            return Effect.forEach(group, (waiting) => write([waiting]), { discard: true })
          }
          group.forEach(({ done }, i) => {
            done(Exit.map(exit, ({ receipts }) => receipts[i]!))
            if (Exit.isSuccess(exit)) onWritten(entries[i]!, exit.value.receipts[i]!)
          })
          if (Exit.isSuccess(exit)) { for (const news of exit.value.consequences) onNews(news) }
          return Effect.void
        })
      })

    const next = Effect.suspend(() => {
      const group = queue.slice(0, largestGroup).sort((a, b) => rank[a.entry._tag] - rank[b.entry._tag])
      queue = queue.slice(largestGroup)
      if (queue.length === 0) arrived.unsafeClose()
      return Effect.uninterruptible(write(group))
    })

    // Runs once the writer has ended: what was handed over before the journal closes is still written.
    yield* Effect.addFinalizer(() =>
      Effect.whileLoop({
        while: () => {
          open = queue.length > 0
          return open
        },
        body: () => next,
        step: () => {}
      })
    )
    yield* arrived.await.pipe(
      Effect.zipRight(gather),
      Effect.zipRight(next),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    const unsafeCommit = (entry: Entry, done: Done): void => {
      if (!open) return done(Exit.fail(closed))
      queue.push({ entry, done })
      if (queue.length === 1) arrived.unsafeOpen()
    }

    return {
      isOpen: () => open,
      unsafeCommit,
      commit: (entry) =>
        Effect.flatMap(
          Effect.async<Receipt, JournalError>((resume) => unsafeCommit(entry, resume)),
          (receipt) =>
            receipt._tag === "Stale" && (entry._tag === "Append" || entry._tag === "Block")
              ? new StaleOwner({ runId: entry.runId })
              : Effect.succeed(receipt as Exclude<Receipt, { readonly _tag: "Stale" }>)
        )
    }
  })

/**
 * Lets everything else that is ready run first, so that it can join the group. In real time that takes one turn of the
 * event loop, since what I/O has completed is delivered there; a virtual clock must not wait in real time.
 */
const gather: Effect.Effect<void> = Effect.flatMap(Effect.clock, (clock) =>
  isLive(clock)
    ? Effect.async<void>((resume) => {
      setImmediate(() => resume(Effect.void))
    })
    : Effect.yieldNow())
