/**
 * The signals of one run: those that nobody has taken, in the order in which they arrived, and who waits for one. Each
 * goes to one receiver, to the one that has waited longest; a receiver that is interrupted takes none.
 */
import * as Effect from "effect/Effect"
import type { SignalReceived, Unsequenced } from "../../Event.js"

type Receiver = (payload: string | null) => void

export class Mailbox {
  /** In the order of their arrival, and by name. */
  private readonly waiting = new Set<Unsequenced<SignalReceived>>()
  private readonly waitingBy = new Map<string, Set<Unsequenced<SignalReceived>>>()
  /** By the name of the signal, first come first. */
  private readonly receivers = new Map<string, Set<Receiver>>()

  /** Whether anybody waits for a signal. */
  get isAwaited(): boolean {
    return [...this.receivers.values()].some((receivers) => receivers.size > 0)
  }

  /** The names of the signals that somebody waits for. */
  get awaited(): ReadonlyArray<string> {
    return [...this.receivers].flatMap(([signal, receivers]) => receivers.size > 0 ? [signal] : [])
  }

  /** A signal has arrived. */
  deliver(received: Unsequenced<SignalReceived>): void {
    const receivers = this.receivers.get(received.signal)
    const [receiver] = receivers ?? []
    if (receiver === undefined) {
      this.keep(received)
    } else {
      receivers!.delete(receiver)
      receiver(received.payload)
    }
  }

  /** A signal has arrived that nobody is to have now. */
  keep(received: Unsequenced<SignalReceived>): void {
    const ofName = this.waitingBy.get(received.signal) ?? new Set()
    this.waitingBy.set(received.signal, ofName.add(received))
    this.waiting.add(received)
  }

  receive(signal: string): Effect.Effect<string | null> {
    return Effect.suspend(() => {
      const [first] = this.poll(signal)
      return first === undefined
        ? Effect.async<string | null>((resume) => {
          const receivers = this.receivers.get(signal) ?? new Set()
          const receiver: Receiver = (payload) => resume(Effect.succeed(payload))
          this.receivers.set(signal, receivers.add(receiver))
          return Effect.sync(() => receivers.delete(receiver))
        })
        : Effect.succeed(first.payload)
    })
  }

  poll(signal: string): readonly [] | readonly [{ readonly payload: string | null }] {
    const ofName = this.waitingBy.get(signal)
    const [first] = ofName ?? []
    if (first === undefined) return []
    ofName!.delete(first)
    this.waiting.delete(first)
    return [first]
  }

  /** What nobody has taken, as it was sent. */
  get unread(): ReadonlyArray<Unsequenced<SignalReceived>> {
    return [...this.waiting].map(({ at, id, payload, signal }) => ({
      _tag: "SignalReceived" as const,
      signal,
      at,
      ...(id === undefined ? {} : { id }),
      payload
    }))
  }

  clear(): void {
    this.receivers.clear()
  }
}
