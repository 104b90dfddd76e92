/**
 * Sheds while a percentile of the durations in a window of time is above a limit.
 *
 * That the percentile is above the limit is to say that too few of the calls are within it, so the calls within and
 * beyond it are counted, and nothing is sorted. A call that ends otherwise than with a value counts only when it took
 * longer than the limit: an error may come sooner than an answer, but one who gives up late has waited as long as that.
 */
import * as Exit from "effect/Exit"
import * as MutableRef from "effect/MutableRef"
import { nowOf } from "../../../internal/now.js"
import { add, bucketAt, emptyTimeWindow, expire, type Shape, type TimeWindow } from "../breaker/timeWindow.js"
import type { Runner, Ticket } from "../gate/gate.js"
import { type Shed, Shedder } from "./shedder.js"

export interface Settings {
  readonly limitMillis: number
  /** The percentile that must be within the limit, above 0 and up to 1. */
  readonly percentile: number
  readonly minimumCalls: number
  readonly shape: Shape
}

/** Calls within the limit, and beyond it. */
type State = TimeWindow

export const initial: State = emptyTimeWindow(2)

/** The state after a call. */
export const recorded = (
  settings: Settings,
  state: State,
  millis: number,
  hasValue: boolean,
  now: number
): State =>
  millis > settings.limitMillis
    ? add(settings.shape, state, [0, 1], now)
    : hasValue
    ? add(settings.shape, state, [1, 0], now)
    : state

/** Whether the percentile is above the limit: fewer calls are within it than have to be. */
export const isTooSlow = ({ minimumCalls, percentile, shape }: Settings, state: State, now: number): boolean => {
  const [within, beyond] = expire(shape, state, now).sums
  const total = within! + beyond!
  return total > 0 && total >= minimumCalls && within! < Math.ceil(percentile * total - 1e-9)
}

export class LatencyShedder extends Shedder {
  private readonly cell = MutableRef.make(initial)

  constructor(key: string, private readonly settings: Settings) {
    const { limitMillis, minimumCalls, percentile, shape } = settings
    super(key, "latency", {
      limitMillis,
      percentile,
      minimumCalls,
      windowMillis: Math.round(shape.widthMillis * shape.buckets)
    })
  }

  admit(fiber: Runner): Ticket<Shed> | Exit.Exit<never, Shed> {
    const now = nowOf(fiber)
    const { shape } = this.settings
    const state = MutableRef.get(this.cell)
    return isTooSlow(this.settings, state, now)
      // The window moves on with its next bucket.
      ? this.shed("latency", (bucketAt(shape, state, now) + 1) * shape.widthMillis - now)
      : new Measured(this, now)
  }

  record(startedAt: number, hasValue: boolean, fiber: Runner): void {
    const now = nowOf(fiber)
    MutableRef.set(this.cell, recorded(this.settings, MutableRef.get(this.cell), now - startedAt, hasValue, now))
    this.snapshot.touch()
  }

  protected look(now: number) {
    return { shedding: isTooSlow(this.settings, MutableRef.get(this.cell), now), inflight: 0, waiting: 0, threshold: 0 }
  }
}

class Measured implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(private readonly shedder: LatencyShedder, private readonly startedAt: number) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.shedder.record(this.startedAt, Exit.isSuccess(exit), fiber)
  }
  refund(): void {}
}
