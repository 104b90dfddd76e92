/**
 * The working of a cache: what is remembered of each key, and the runs that renew it.
 *
 * Invariant: what is stored comes from the run that was the current one of its key when it ended. A run that was
 * detached by an invalidation stores nothing, so no old end can follow a new one.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { ageClockOf } from "../../internal/now.js"
import type { Call } from "../../internal/pipeline.js"
import type { Snapshot } from "../Cache.js"
import { Bounded } from "./bounded.js"
import { type Flight, Flights } from "./flights.js"
import { freshness, replaces, type Times, timesOf } from "./freshness.js"

type Rest = Effect.Effect<unknown, unknown, unknown>

interface Settings {
  readonly capacity: number
  readonly staleMillis: number
  /** How long an end is fresh; zero for what is not remembered. */
  readonly ttlMillis: (exit: Exit.Exit<unknown, unknown>) => number
}

interface Entry extends Times {
  readonly exit: Exit.Exit<unknown, unknown>
  readonly isValue: boolean
}

export class Remembering {
  private readonly entries: Bounded<Entry>
  private readonly flights = new Flights()
  private hits = 0
  private stale = 0
  private misses = 0
  private closed = false
  constructor(private readonly settings: Settings, private readonly scope: Scope.Scope) {
    this.entries = new Bounded(settings.capacity)
  }

  /** What a call of a key comes to. */
  serve(key: string, call: Call): Rest {
    const entry = this.entries.get(key)
    const state = entry === undefined ? "gone" : freshness(entry, ageClockOf(call.fiber))
    // When the scope has closed nobody renews what is stale, and it would be served for ever.
    if (entry === undefined || state === "gone" || (state === "stale" && this.closed)) {
      this.misses++
      return this.run(key, call.inner())
    }
    if (state === "fresh") {
      this.hits++
      return entry.exit
    }
    this.stale++
    if (this.flights.has(key)) return entry.exit
    const inner = call.inner()
    const renewal = Effect.withFiberRuntime((fiber) => {
      // Another caller may have renewed it before this fiber came to run.
      const now = this.entries.get(key)
      return now !== undefined && freshness(now, ageClockOf(fiber)) === "fresh"
        ? Effect.void
        : Effect.exit(this.run(key, inner))
    })
    return Effect.zipRight(Effect.forkIn(Effect.interruptible(renewal), this.scope), entry.exit)
  }

  value(key: string, now: number): Option.Option<unknown> {
    const entry = this.entries.get(key)
    return entry === undefined || freshness(entry, now) === "gone" || Exit.isFailure(entry.exit)
      ? Option.none()
      : Option.some(entry.exit.value)
  }

  invalidate(key: string): void {
    this.entries.delete(key)
    this.flights.detach(key)
  }

  invalidateAll(): void {
    this.entries.clear()
    this.flights.detachAll()
  }

  /** Its scope has closed: nothing runs in the background any more. */
  close(): void {
    this.closed = true
  }

  snapshot(): Snapshot {
    return { size: this.entries.size, hits: this.hits, stale: this.stale, misses: this.misses }
  }

  private run(key: string, inner: Rest): Rest {
    return this.flights.join(key, (flight) =>
      Effect.onExit(inner, (exit) =>
        Effect.withFiberRuntime((fiber) => {
          this.store(key, flight, exit, ageClockOf(fiber))
          return Effect.void
        })))
  }

  private store(key: string, flight: Flight, exit: Exit.Exit<unknown, unknown>, now: number): void {
    if (!this.flights.isCurrent(key, flight)) return
    const isValue = Exit.isSuccess(exit)
    if (!isValue && (Cause.isDie(exit.cause) || Cause.isInterrupted(exit.cause))) return
    // Only a value is served when it is stale.
    const times = timesOf(now, this.settings.ttlMillis(exit), isValue ? this.settings.staleMillis : 0)
    if (times === undefined || !replaces({ isValue }, this.entries.get(key), now)) return
    this.entries.set(key, { exit, isValue, ...times })
  }
}
