/**
 * A queue in front of a number of places, whose calls are given up when they have waited too long. While it is
 * overloaded the newest call is served first: those who have waited long have been given up by their callers, or are
 * about to be, and one of two gets an answer in time instead of none.
 */
import * as Exit from "effect/Exit"
import { nowOf } from "../../../internal/now.js"
import { Alarm } from "../gate/alarm.js"
import { Deadlines } from "../gate/deadlines.js"
import type { Runner, Ticket } from "../gate/gate.js"
import { Line } from "../gate/line.js"
import { Waiter } from "../gate/waiter.js"
import * as codel from "./codel.js"
import { type Shed, Shedder } from "./shedder.js"

export interface Settings extends codel.Settings {
  readonly law: "sojourn" | "timeout"
  readonly concurrency: number
  readonly maxWaiting: number
  readonly newestFirst: boolean
}

export class QueueShedder extends Shedder {
  private inflight = 0
  private readonly line = new Line<WaitingCall>()
  private readonly deadlines = new Deadlines<WaitingCall>()
  private readonly alarm = new Alarm((fiber) => this.giveUpLate(fiber))
  private law = codel.initial
  /** When the queue was empty for the last time; while it is, this is not kept up. */
  private lastEmptyAt = 0
  private readonly inside: Ticket<never>

  constructor(key: string, private readonly settings: Settings) {
    const { concurrency, intervalMillis, law, maxWaiting, newestFirst, targetMillis } = settings
    super(key, "queue", { law, concurrency, queue: maxWaiting, targetMillis, intervalMillis, newestFirst })
    const leave = (fiber: Runner) => this.giveBack(fiber)
    this.inside = { _tag: "Ticket", settle: (_, fiber) => leave(fiber), refund: leave }
  }

  admit(fiber: Runner): Ticket<Shed> | Exit.Exit<never, Shed> {
    const { concurrency, intervalMillis, law, maxWaiting } = this.settings
    if (this.inflight < concurrency && this.line.size === 0) {
      this.inflight++
      this.snapshot.touch()
      return this.inside
    }
    if (this.line.size >= maxWaiting) return this.shed("queueFull", intervalMillis)
    const now = nowOf(fiber)
    if (this.line.size === 0) this.lastEmptyAt = now
    const timeout = law === "timeout" ? codel.timeoutFor(this.settings, this.lastEmptyAt, now) : Infinity
    const call = new WaitingCall(this, now, now + timeout)
    this.line.join(call)
    if (timeout < Infinity) {
      this.deadlines.add(call)
      this.alarm.set(timeout, fiber)
    }
    this.snapshot.touch()
    return call
  }

  /** A call has left its place. */
  giveBack(fiber: Runner): void {
    this.inflight--
    this.letIn(fiber)
    this.snapshot.touch()
  }

  /** A call waits no longer. */
  leave(call: WaitingCall): void {
    this.line.leave(call)
    this.deadlines.remove(call)
    if (this.line.size === 0) this.isEmpty()
    this.snapshot.touch()
  }

  protected look(now: number) {
    return {
      shedding: this.line.size > 0 && this.isOverloaded(now),
      inflight: this.inflight,
      waiting: this.line.size,
      threshold: 0
    }
  }

  private letIn(fiber: Runner): void {
    if (this.line.size === 0) return
    const now = nowOf(fiber)
    this.giveUpLateAt(now)
    while (this.inflight < this.settings.concurrency && this.line.first !== undefined) {
      const oldest = this.line.first
      if (this.settings.law === "sojourn") {
        const [next, drop] = codel.judge(this.settings, this.law, now - oldest.arrivedAt, now)
        this.law = next
        if (drop) {
          this.giveUp(oldest)
          continue
        }
      }
      const next = this.settings.newestFirst && this.isOverloaded(now) ? this.line.last! : oldest
      this.leave(next)
      this.inflight++
      next.finish(Exit.void)
    }
  }

  private isOverloaded(now: number): boolean {
    return this.settings.law === "sojourn"
      ? this.law.dropping
      : codel.isOverloaded(this.settings, this.lastEmptyAt, now)
  }

  private giveUp(call: WaitingCall): void {
    this.leave(call)
    call.finish(this.shed("waited", this.settings.intervalMillis))
  }

  private giveUpLateAt(now: number): void {
    for (let call = this.deadlines.first; call !== undefined && call.deadline <= now; call = this.deadlines.first) {
      this.giveUp(call)
    }
  }

  private giveUpLate(fiber: Runner): void {
    const now = nowOf(fiber)
    this.giveUpLateAt(now)
    if (this.deadlines.first !== undefined) this.alarm.set(this.deadlines.first.deadline - now, fiber)
  }

  private isEmpty(): void {
    this.law = codel.emptied(this.law)
    this.alarm.clear()
  }
}

class WaitingCall extends Waiter<WaitingCall, Shed> {
  constructor(private readonly shedder: QueueShedder, arrivedAt: number, deadline: number) {
    super(arrivedAt, deadline)
  }
  settle(_exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    if (this.isIn) this.shedder.giveBack(fiber)
  }
  refund(fiber: Runner): void {
    if (this.waits) this.shedder.leave(this)
    else if (this.isIn) this.shedder.giveBack(fiber)
  }
}
