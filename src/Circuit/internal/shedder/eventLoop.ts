/**
 * How late the event loop is, exported by `LoadShedder`. Node can measure that; where it cannot be, or a test wants to
 * say itself, the monitor is provided.
 */
import * as Context from "effect/Context"

/**
 * Measures how late the event loop is.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventLoopMonitor {
  /**
   * The percentile (0 to 100) of the delays since the last time it was read, in milliseconds: how much later than it was
   * due a timer has fired.
   */
  readonly read: (percentile: number) => number
  readonly stop: () => void
}

/**
 * Starts a monitor of the event loop; `undefined` where there is none. The default uses `monitorEventLoopDelay` of
 * Node, without importing it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { LoadShedder } from "holdfast/Circuit"
 *
 * // In a test: as late as the test says
 * let delay = 0
 * const shedder = LoadShedder.onEventLoopDelay({ key: "api", limit: "100 millis" }).pipe(
 *   Effect.provideService(LoadShedder.StartEventLoopMonitor, () => ({ read: () => delay, stop: () => {} }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class StartEventLoopMonitor extends Context.Reference<StartEventLoopMonitor>()(
  "holdfast/Circuit/internal/eventLoop/StartEventLoopMonitor",
  { defaultValue: (): () => EventLoopMonitor | undefined => startOfNode }
) {}

/** The parts of Node that are used. */
interface NodeLike {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}
interface PerfHooks {
  readonly monitorEventLoopDelay?: (options: { readonly resolution: number }) => {
    readonly enable: () => boolean
    readonly disable: () => boolean
    readonly reset: () => void
    readonly percentile: (percentile: number) => number
  }
}

const resolutionMillis = 10

const startOfNode = (): EventLoopMonitor | undefined => {
  const hooks = (globalThis as NodeLike).process?.getBuiltinModule?.("node:perf_hooks") as PerfHooks | undefined
  const histogram = hooks?.monitorEventLoopDelay?.({ resolution: resolutionMillis })
  if (histogram === undefined) return undefined
  histogram.enable()
  return {
    read: (percentile) => {
      // It measures the time between two timers, in nanoseconds; what is more than their distance is delay.
      const delay = histogram.percentile(percentile) / 1e6 - resolutionMillis
      histogram.reset()
      return Math.max(0, delay)
    },
    stop: () => {
      histogram.disable()
    }
  }
}
