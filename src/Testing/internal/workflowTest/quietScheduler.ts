/**
 * The scheduler of a world: one line of tasks, so that it knows when all of them are done. Then every fiber of the world
 * waits for time, for something the test does, or for the real world.
 */
import * as Effect from "effect/Effect"
import type { RuntimeFiber } from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type { Scheduler, Task } from "effect/Scheduler"

export class QuietScheduler implements Scheduler {
  private tasks: Array<Task> = []
  private asked = false
  private draining = false
  private taken = 0
  private listeners: Array<() => void> = []

  /** More tasks than `limit` between two moments of quiet are taken for a loop that never waits for time. */
  constructor(private limit: number) {}

  /** How many tasks it has run. */
  total = 0
  /** There were too many: nothing is run any more. */
  halted = false

  shouldYield(fiber: RuntimeFiber<unknown, unknown>): number | false {
    return fiber.currentOpCount > fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield)
      ? fiber.getFiberRef(FiberRef.currentSchedulingPriority)
      : false
  }

  scheduleTask(task: Task): void {
    this.tasks.push(task)
    this.ask()
  }

  /** Waits until nothing can be run. */
  readonly quiet: Effect.Effect<void> = Effect.async<void>((resume) => {
    this.taken = 0
    if (this.isQuiet) return resume(Effect.void)
    const listener = () => resume(Effect.void)
    this.listeners.push(listener)
    return Effect.sync(() => {
      this.listeners = this.listeners.filter((other) => other !== listener)
    })
  })

  /** Goes on, without a limit, so that what runs can be interrupted. */
  release(): void {
    this.halted = false
    this.limit = Infinity
    this.ask()
  }

  private get isQuiet(): boolean {
    return this.halted || (this.tasks.length === 0 && !this.draining)
  }

  private ask(): void {
    if (this.asked || this.draining || this.halted) return
    this.asked = true
    // A promise, since the code of a workflow may run now, for which `queueMicrotask` is closed.
    void Promise.resolve().then(() => this.drain())
  }

  private drain(): void {
    this.asked = false
    this.draining = true
    let done = 0
    try {
      while (done < this.tasks.length && !this.halted) {
        this.tasks[done++]!()
        this.total++
        this.halted = ++this.taken > this.limit
        // Keeps a long line from holding what has long been run.
        if (done > 1_024) {
          this.tasks = this.tasks.slice(done)
          done = 0
        }
      }
    } finally {
      this.tasks = this.tasks.slice(done)
      this.draining = false
      if (this.tasks.length > 0) this.ask()
    }
    if (!this.isQuiet) return
    const { listeners } = this
    this.listeners = []
    for (const listener of listeners) listener()
  }
}
