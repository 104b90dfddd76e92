/**
 * The clock and the scheduler of a simulation: time stands still while anything can run, and what runs next is drawn.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Scheduler, Task } from "effect/Scheduler"

/** Uniform in [0, 1). Mulberry32 (Tommy Ettinger, 2017). */
export const makeRandom = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Thrown when there were more operations than a program may take: it is taken for a loop. */
export const outOfOperations = Symbol("outOfOperations")

/**
 * Runs one task at a time, drawn from all that are ready, and lets a fiber be overtaken between any two of its
 * operations.
 */
export class DrawnScheduler implements Scheduler {
  private readonly tasks: Array<Task> = []
  private operations = 0
  constructor(private readonly random: () => number, private readonly maxOperations: number) {}

  // A forced yield takes about ten operations, each of which asks again: a higher probability would never come to an end.
  shouldYield(): number | false {
    if (++this.operations > this.maxOperations) throw outOfOperations
    return this.random() < 1 / 48 ? 0 : false
  }

  scheduleTask(task: Task): void {
    this.tasks.push(task)
  }

  /** Runs one task; false when there is none. */
  step(): boolean {
    const { tasks } = this
    if (tasks.length === 0) return false
    const index = Math.floor(this.random() * tasks.length)
    const task = tasks[index]!
    tasks[index] = tasks[tasks.length - 1]!
    tasks.pop()
    task()
    return true
  }
}

interface Timer {
  readonly at: number
  readonly wake: () => void
}

/** A clock that goes forward only when it is told to. */
export class SimulatedClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private readonly timers = new Set<Timer>()
  constructor(private now: number) {}

  unsafeCurrentTimeMillis(): number {
    return this.now
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.floor(this.now * 1_000_000))
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const timer: Timer = { at: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      this.timers.add(timer)
      return Effect.sync(() => this.timers.delete(timer))
    })
  }

  /** The next time at which anything is due; infinite when nothing ever is. */
  get next(): number {
    let next = Infinity
    for (const { at } of this.timers) if (at < next) next = at
    return next
  }

  /** Goes to a time at which nothing is overdue, and wakes all that is due then. */
  goTo(time: number): void {
    this.now = time
    const due = [...this.timers].filter(({ at }) => at <= time)
    for (const timer of due) {
      this.timers.delete(timer)
      timer.wake()
    }
  }

  /** Goes to the next time at which anything is due, and wakes all of that; false when nothing ever is. */
  advance(): boolean {
    const { next } = this
    if (next === Infinity) return false
    this.goTo(next)
    return true
  }
}
