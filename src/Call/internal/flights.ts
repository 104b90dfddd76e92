/**
 * Runs that several callers wait for, at most one for each key.
 *
 *     first caller ── starts the run ──▶ waits ─┐
 *     others ──────────────────────────▶ wait ──┼─▶ all get its exit
 *     a caller is interrupted ─▶ leaves; the last one to leave interrupts the run and waits for its end
 *
 * A run is a fiber of its own, so no caller is its owner: the first may leave like any other. A key is free again when
 * its run has ended, or as soon as its last caller leaves: whoever comes then does not join a run that is being given up.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as RuntimeFlags from "effect/RuntimeFlags"

type Rest = Effect.Effect<unknown, unknown, unknown>
type Ended = Exit.Exit<unknown, unknown>

/** A run, and those who wait for it. */
export class Flight {
  private callers = 0
  private readonly observers = new Set<(exit: Ended) => void>()
  private exit: Ended | undefined
  fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined

  land(exit: Ended): void {
    this.exit = exit
    for (const observe of this.observers) observe(exit)
    this.observers.clear()
  }

  /** Waits for the end; `onEmpty` follows when the last caller has left before it. */
  wait(restore: <A>(self: Effect.Effect<A>) => Effect.Effect<A>, onEmpty: () => Effect.Effect<unknown>): Rest {
    if (this.exit !== undefined) return this.exit
    this.callers++
    const end = Effect.async<Ended>((resume) => {
      if (this.exit !== undefined) return resume(Effect.succeed(this.exit))
      const observe = (exit: Ended) => resume(Effect.succeed(exit))
      this.observers.add(observe)
      return Effect.sync(() => this.observers.delete(observe))
    })
    return Effect.matchCauseEffect(restore(end), {
      onSuccess: (exit) => {
        this.callers--
        return exit
      },
      onFailure: (cause) => {
        this.callers--
        return this.callers > 0 || this.exit !== undefined
          ? Effect.failCause(cause)
          : Effect.zipRight(onEmpty(), Effect.failCause(cause))
      }
    })
  }
}

export class Flights {
  private readonly flights = new Map<string, Flight>()
  /** Runs that were started, and callers that joined one. */
  runs = 0
  joined = 0

  get size(): number {
    return this.flights.size
  }

  has(key: string): boolean {
    return this.flights.has(key)
  }

  /** Whether a run is the one that callers of the key join. */
  isCurrent(key: string, flight: Flight): boolean {
    return this.flights.get(key) === flight
  }

  /** Lets later callers start a run of their own, beside the one that is under way. */
  detach(key: string): void {
    this.flights.delete(key)
  }

  detachAll(): void {
    this.flights.clear()
  }

  /** Joins the run of a key, or starts it. */
  join(key: string, run: (flight: Flight) => Rest): Rest {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((caller, { runtimeFlags }) => {
        const known = this.flights.get(key)
        if (known !== undefined) this.joined++
        const flight = known ?? this.start(key, run, caller, runtimeFlags)
        return flight.wait(restore, () => {
          if (this.isCurrent(key, flight)) this.flights.delete(key)
          return flight.fiber === undefined ? Effect.void : Fiber.interruptAs(flight.fiber, caller.id())
        })
      })
    )
  }

  private start(
    key: string,
    run: (flight: Flight) => Rest,
    caller: Fiber.RuntimeFiber<unknown, unknown>,
    runtimeFlags: RuntimeFlags.RuntimeFlags
  ): Flight {
    const flight = new Flight()
    this.flights.set(key, flight)
    this.runs++
    const runtime = Runtime.make({
      // The requirements of the run are those of the caller that starts it.
      context: caller.currentContext as Context.Context<unknown>,
      runtimeFlags,
      fiberRefs: caller.getFiberRefs()
    })
    // Only who waits for it decides whether it is interrupted, not the region that its first caller is in.
    flight.fiber = Runtime.runFork(runtime, Effect.interruptible(Effect.suspend(() => run(flight))))
    flight.fiber.addObserver((exit) => {
      flight.land(exit)
      if (this.isCurrent(key, flight)) this.flights.delete(key)
    })
    return flight
  }
}
