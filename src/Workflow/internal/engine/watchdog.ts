/**
 * The watchdog of a process: a thread that notices when the main thread does not come back from a turn of a run or from a
 * step of an activity, and says on standard error which.
 *
 * What is under way is named in shared memory as it begins, which is all that the main thread has to do. There is
 * one thread for all engines of a process; it sleeps while there is none.
 */
import * as Effect from "effect/Effect"
import type { Scheduler } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import { headerBytes, nameBytes, watch, word } from "./watchdogThread.js"

const encoder = new TextEncoder()

/**
 * Runs what must come to an end within `limitMillis`, and names it where it does not; with `exit` the process is killed then.
 * What is run must not wait, and nothing else may be under way.
 */
export const watching = (name: string, limitMillis: number, exit: boolean): <A>(run: () => A) => A => {
  const encoded = encoder.encode(name).subarray(0, nameBytes)
  return (run) => {
    const { bytes, words } = shared!
    words[word.limit] = limitMillis
    words[word.exit] = exit ? 1 : 0
    words[word.length] = encoded.length
    bytes.set(encoded)
    Atomics.add(words, word.sequence, 1)
    try {
      return run()
    } finally {
      Atomics.add(words, word.sequence, 1)
    }
  }
}

/** Has the process watched for as long as the scope lives, often enough for this limit. */
export const start = (limitMillis: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { words } = shared ??= startThread()
      const interval = Math.min(1_000, Math.max(10, Math.ceil(limitMillis / 4)))
      words[word.interval] = Math.min(words[word.interval]!, interval)
      Atomics.add(words, word.engines, 1)
      Atomics.notify(words, word.engines)
    }),
    () => Effect.sync(() => Atomics.sub(shared!.words, word.engines, 1))
  )

/** A scheduler whose every task is watched: the steps of fibers between two of their waits. */
export const watchedScheduler = (base: Scheduler, name: string, limitMillis: number): Scheduler => {
  const watch = watching(`a step of ${name}`, limitMillis, false)
  // All else is the base's own, which fibers ask before each of their operations.
  return Object.assign(Object.create(base) as Scheduler, {
    scheduleTask: ((task, priority, fiber) =>
      base.scheduleTask(() => watch(task), priority, fiber)) satisfies Scheduler["scheduleTask"]
  })
}

interface Shared {
  readonly words: Int32Array
  readonly bytes: Uint8Array
}

let shared: Shared | undefined

const startThread = (): Shared => {
  const memory = new SharedArrayBuffer(headerBytes + nameBytes)
  const words = new Int32Array(memory, 0, headerBytes / 4)
  words[word.interval] = 1_000
  const program = `
    const { workerData: { at, header, memory } } = require("node:worker_threads")
    const write = (text) => require("node:fs").writeSync(2, text)
    const kill = () => process.kill(process.pid, "SIGKILL")
    // Some loaders of TypeScript name functions by a helper of this name.
    const __name = (named) => named
    ;(${watch.toString()})(memory, at, header, write, kill)`
  const thread = new Worker(program, {
    eval: true,
    name: "holdfast-watchdog",
    workerData: { memory, at: word, header: headerBytes },
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 }
  })
  thread.unref()
  return { words, bytes: new Uint8Array(memory, headerBytes) }
}
