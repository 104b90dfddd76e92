/**
 * Processes that share one journal, for simulations: each reaches the journal over a line of its own, on which every
 * question and answer takes a while. A process can be cut off in any moment, before a write or after it, and works on
 * without knowing; it can be stalled beyond its lease; and it hears late, or not at all, of what others have written.
 */
import { Clock, Effect, Exit, Layer, Random, Scope } from "effect"
import { Client, Engine, Journal } from "holdfast/Workflow"
import { SharedClock } from "../../../src/Workflow/internal/journal/sharedClock.js"
import { memoryStore } from "../../../src/Workflow/internal/memory/memoryStore.js"

export interface World {
  readonly store: Journal.JournalStore
  /** What must never happen. */
  readonly violations: Array<string>
  /** How many writes there have been. */
  writes: number
  /** All is over: nobody is heard any more. */
  ended: boolean
}

/** A journal in memory that watches who commits what. */
export const makeWorld = (): World => {
  const store = memoryStore()
  const owners = new Map<string, { readonly epoch: number; readonly worker: string }>()
  const violations: Array<string> = []
  const world: World = {
    violations,
    writes: 0,
    ended: false,
    store: {
      ...store,
      write: (entries) =>
        Effect.map(store.write(entries), (written) => {
          world.writes++
          entries.forEach((entry, i) => {
            if (entry._tag !== "Append" || written.receipts[i]?._tag !== "Appended") return
            const { epoch, runId, worker } = entry
            const last = owners.get(runId)
            if (last !== undefined && (epoch < last.epoch || (epoch === last.epoch && worker !== last.worker))) {
              violations.push(`${worker} wrote to ${runId} in epoch ${epoch}, after ${last.worker} in ${last.epoch}`)
            }
            owners.set(runId, { epoch, worker })
          })
          return written
        })
    }
  }
  return world
}

/** Never comes, and keeps nothing alive. */
const never: Effect.Effect<never> = Effect.async(() => {})

export interface Process {
  readonly layer: Layer.Layer<Journal.Journal>
  /** Cuts it off: it hears of nothing any more, and nothing of it is heard. */
  readonly cut: () => void
  /** Cuts it off at the nth of its writes from now on, `before` or `after` it has happened. */
  readonly cutAtWrite: (when: "before" | "after", nth?: number) => void
  /** How many groups it has written. */
  readonly writes: () => number
  /** Lets each question take at least so long, until `now` is so much. */
  readonly stall: (until: number) => void
}

/** A process of this world; to be used under a simulated clock, which it takes for the one that all share. */
export const makeProcess = (world: World): Process => {
  let isCut = false
  let cut: { readonly when: "before" | "after"; readonly at: number } | undefined
  let stalledUntil = 0
  let ownWrites = 0
  let toldVersion = 0

  const travel = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const delay = yield* Random.nextIntBetween(0, 6)
    yield* Effect.sleep(Math.max(stalledUntil - now, 0) + delay)
    if (isCut || world.ended) return yield* never
  })

  const over = <A, E>(question: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    travel.pipe(Effect.zipRight(question), Effect.zipLeft(travel))

  const { store } = world
  const reaching: Journal.JournalStore = {
    write: (entries) =>
      over(Effect.suspend(() => {
        const isLast = cut !== undefined && cut.at === ownWrites
        if (isLast) isCut = true
        if (isLast && cut?.when === "before") return never
        ownWrites++
        return store.write(entries)
      })),
    history: (runId) => over(store.history(runId)),
    run: (runId) => over(store.run(runId)),
    latest: (workflowId) => over(store.latest(workflowId)),
    list: (options) => over(store.list(options)),
    count: (filter) => over(store.count(filter)),
    pending: (runId) => over(store.pending(runId)),
    closed: (runIds) => over(store.closed(runIds)),
    claim: (options) => over(store.claim(options)),
    takeAttempts: (options) => over(store.takeAttempts(options)),
    taken: (worker) => over(store.taken(worker)),
    heartbeat: (worker, leaseUntil, services) => over(store.heartbeat(worker, leaseUntil, services)),
    release: (worker) => over(store.release(worker)),
    workers: (now) => over(store.workers(now)),
    backlog: (now) => over(store.backlog(now)),
    owner: (runId) => over(store.owner(runId)),
    secret: (id) => over(store.secret(id)),
    version: over(Effect.flatMap(Random.next, (random) =>
      Effect.sync(() => {
        if (random < 0.7) toldVersion = world.writes - ownWrites
        return toldVersion
      })))
  }

  return {
    layer: Layer.unwrapEffect(
      Effect.map(
        Effect.clock,
        (clock) =>
          Layer.scoped(Journal.Journal, Journal.make(reaching, { pollInterval: "100 millis" })).pipe(
            Layer.provide(Layer.succeed(SharedClock, clock))
          )
      )
    ),
    cut: () => {
      isCut = true
    },
    cutAtWrite: (when, nth = 1) => {
      cut = { when, at: ownWrites + nth - 1 }
    },
    writes: () => ownWrites,
    stall: (until) => {
      stalledUntil = until
    }
  }
}

/** Starts an engine in a process; gives what stops it in order. */
export const startEngine = (
  process: Process,
  live: Layer.Layer<never, never, Engine.Engine>,
  options?: Engine.Options
): Effect.Effect<{ readonly stop: Effect.Effect<void> }> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(
      live.pipe(
        Layer.provideMerge(Engine.layer({ lease: "3 seconds", ...options })),
        Layer.provide(process.layer),
        Layer.provide(Layer.succeed(SharedClock, clock))
      ),
      scope
    ).pipe(Effect.orDie, Effect.forkDaemon)
    return { stop: Scope.close(scope, Exit.void) }
  })

/** A client in a process of its own. */
export const withClient = <A, E>(
  process: Process,
  use: Effect.Effect<A, E, Client.Client | Journal.Journal>
): Effect.Effect<A, E> => Effect.provide(use, Layer.provideMerge(Client.layer, process.layer))
