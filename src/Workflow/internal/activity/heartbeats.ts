/**
 * The heartbeats of one attempt: every one counts at once in memory, few are written.
 */
import type { Entry, Receipt } from "../../Journal.js"
import type { DueQueue } from "../journal/dueQueue.js"

export interface HeartbeatsOptions {
  readonly key: string
  /** Milliseconds between two writes. */
  readonly interval: number
  readonly now: () => number
  readonly due: DueQueue<(now: number) => void>
  readonly entry: (at: number, details: string | undefined) => Entry
  readonly write: (entry: Entry, onReceipt: (receipt: Receipt) => void) => void
  /** The attempt is not pending any more. */
  readonly onLost: () => void
}

export class Heartbeats {
  private unwritten: { readonly at: number; readonly details: string | undefined } | undefined
  private writing = false
  private writtenAt = -Infinity
  private whenFlushed: (() => void) | undefined

  constructor(private readonly options: HeartbeatsOptions) {}

  beat(at: number, details: string | undefined): void {
    this.unwritten = { at, details: details ?? this.unwritten?.details }
    if (!this.writing) this.writeSoon(at)
  }

  /** Calls back once the details that were told last are in the journal. */
  flush(then: () => void): void {
    this.options.due.cancel(this.options.key)
    this.whenFlushed = then
    if (!this.writing) this.flushed()
  }

  /** Writes no more. */
  stop(): void {
    this.options.due.cancel(this.options.key)
    this.unwritten = undefined
    this.whenFlushed = undefined
  }

  private writeSoon(now: number): void {
    const next = this.writtenAt + this.options.interval
    if (next <= now) this.write()
    else this.options.due.add(this.options.key, next, () => this.write())
  }

  private flushed(): void {
    const then = this.whenFlushed
    if (this.unwritten?.details !== undefined) return this.write()
    this.whenFlushed = undefined
    then?.()
  }

  private write(): void {
    if (this.unwritten === undefined) return
    const { at, details } = this.unwritten
    this.unwritten = undefined
    this.writing = true
    this.writtenAt = at
    this.options.write(this.options.entry(at, details), (receipt) => {
      this.writing = false
      if (receipt._tag === "NotPending") {
        this.unwritten = undefined
        if (this.whenFlushed === undefined) return this.options.onLost()
      }
      if (this.whenFlushed !== undefined) return this.flushed()
      if (this.unwritten !== undefined) this.writeSoon(this.options.now())
    })
  }
}
