/**
 * The scheduler of one run: a FIFO queue that is drained in one go, one fiber at a time, never yielding on its own.
 */
import type * as Fiber from "effect/Fiber"
import type { Scheduler, Task } from "effect/Scheduler"
import * as fiberRoots from "./fiberRoots.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

export interface RunSchedulerOptions {
  /** Operations that one drain may take. */
  readonly opBudget: number
  /** A fiber was resumed while no drain was on. */
  readonly onForeignWake: (fiber: AnyFiber | undefined) => void
  /** A drain has used up its budget. */
  readonly onRunaway: (fiber: AnyFiber) => void
}

export class RunScheduler implements Scheduler {
  private queue: Array<Task> = []
  private readonly roots = new Set<AnyFiber>()
  private draining = false
  private halted = false
  private ops = 0
  private last: AnyFiber | undefined

  constructor(private readonly options: RunSchedulerOptions) {}

  /** Asked before every operation of every fiber of the run. */
  shouldYield(fiber: AnyFiber): number | false {
    if (this.halted) return 0
    if (fiber !== this.last) {
      this.last = fiber
      this.remember(fiber)
    }
    if (++this.ops > this.options.opBudget) {
      this.halt()
      this.options.onRunaway(fiber)
      return 0
    }
    return false
  }

  scheduleTask(task: Task, _priority: number, fiber?: AnyFiber): void {
    if (this.draining) this.queue.push(task)
    else this.options.onForeignWake(fiber)
  }

  /**
   * Takes one step after another, each until nothing is runnable, or until somebody halts it: so what a step leads to has
   * happened before the next one. When nothing is runnable `onIdle` may make it so again.
   */
  drain(steps: ReadonlyArray<() => void>, onIdle: () => boolean): void {
    this.draining = true
    this.ops = 0
    try {
      for (const step of steps) {
        if (this.halted) break
        step()
        do {
          for (let i = 0; i < this.queue.length && !this.halted; i++) this.queue[i]!()
          this.queue = []
        } while (!this.halted && onIdle())
      }
    } finally {
      this.draining = false
      this.queue = []
    }
  }

  /** Nothing of this run is run any more. */
  halt(): void {
    this.halted = true
  }

  /** Gives up every fiber of the run without interrupting it. */
  drop(): void {
    this.halted = true
    for (const fiber of this.roots) fiberRoots.forget(fiber)
    this.roots.clear()
    this.last = undefined
  }

  private remember(fiber: AnyFiber): void {
    if (this.roots.has(fiber) || !fiberRoots.isRoot(fiber)) return
    this.roots.add(fiber)
    fiber.addObserver(() => this.roots.delete(fiber))
  }
}
