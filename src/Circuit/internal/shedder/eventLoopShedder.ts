/**
 * Sheds while the event loop is late. The delay is that of the last window, read when a call comes after its end: so
 * nothing has to run in the background.
 */
import type * as Exit from "effect/Exit"
import { nowOf } from "../../../internal/now.js"
import type { Runner, Ticket } from "../gate/gate.js"
import type { EventLoopMonitor } from "./eventLoop.js"
import { type Shed, Shedder } from "./shedder.js"

export interface Settings {
  readonly limitMillis: number
  /** From 0 to 1. */
  readonly percentile: number
  readonly windowMillis: number
}

export class EventLoopShedder extends Shedder {
  private delayMillis = 0
  private closed = false

  constructor(
    key: string,
    private readonly settings: Settings,
    private readonly monitor: EventLoopMonitor,
    private readAt: number
  ) {
    super(key, "eventLoop", { ...settings })
  }

  admit(fiber: Runner): Ticket<Shed> | Exit.Exit<never, Shed> {
    if (this.closed) return passed
    const now = nowOf(fiber)
    const { limitMillis, percentile, windowMillis } = this.settings
    if (now - this.readAt >= windowMillis) {
      this.delayMillis = this.monitor.read(percentile * 100)
      this.readAt = now
      this.snapshot.touch()
    }
    return this.delayMillis > limitMillis ? this.shed("eventLoop", this.readAt + windowMillis - now) : passed
  }

  /** Nothing is measured any more. */
  close(): void {
    this.closed = true
    this.delayMillis = 0
    this.monitor.stop()
    this.snapshot.touch()
  }

  protected look() {
    return { shedding: this.delayMillis > this.settings.limitMillis, inflight: 0, waiting: 0, threshold: 0 }
  }
}

/** Nothing is held while a call is under way. */
const passed: Ticket<never> = { _tag: "Ticket", settle: () => {}, refund: () => {} }
