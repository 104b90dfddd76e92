/**
 * What is due when: a binary heap with cancellation by key, and a fiber that sleeps until the earliest.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

interface Due<A> {
  readonly at: number
  readonly order: number
  readonly key: string
  readonly item: A
  cancelled: boolean
}

const before = (a: Due<unknown>, b: Due<unknown>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** The live clock arms no timer beyond 2^31 ms, so long waits go in steps. */
const longestSleep = 86_400_000

export class DueQueue<A> {
  private heap: Array<Due<A>> = []
  private readonly byKey = new Map<string, Due<A>>()
  private order = 0
  /** What is due and has not been told of yet, in order. */
  private firing: Array<Due<A>> = []
  private fired = 0

  private constructor(
    private readonly onDue: (item: A, now: number) => void,
    private readonly earlier: () => void
  ) {}

  /** Calls `onDue` with each item at its time, items of one time in the order in which they were added. */
  static make = <A>(onDue: (item: A, now: number) => void): Effect.Effect<DueQueue<A>, never, Scope.Scope> =>
    Effect.gen(function*() {
      const changed = yield* Effect.makeLatch(false)
      const queue = new DueQueue<A>(onDue, () => changed.unsafeOpen())
      const untilNext = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        changed.unsafeClose()
        queue.run(now)
        const next = queue.heap[0]
        return next === undefined
          ? changed.await
          : Effect.raceFirst(Effect.sleep(Math.min(Math.ceil(next.at - now), longestSleep)), changed.await)
      })
      yield* untilNext.pipe(Effect.forever, Effect.interruptible, Effect.forkScoped)
      return queue
    })

  /** Takes the place of what was there under the same key. */
  add(key: string, at: number, item: A): void {
    this.cancel(key)
    const due: Due<A> = { at, order: this.order++, key, item, cancelled: false }
    this.byKey.set(key, due)
    this.push(due)
    if (this.heap[0] === due) this.earlier()
  }

  cancel(key: string): void {
    const due = this.byKey.get(key)
    if (due === undefined) return
    due.cancelled = true
    this.byKey.delete(key)
    // Cancelled ones leave when they reach the top, or together when they are the larger part.
    if (this.heap.length > 64 && this.heap.length > 2 * this.byKey.size) {
      const live = this.heap.filter((other) => !other.cancelled)
      this.heap = []
      for (const other of live) this.push(other)
    }
  }

  /**
   * Calls `onDue` now with what was due before this time: a process that was blocked or stopped could fire no timer, and
   * what is late must not overtake what was due before it.
   */
  catchUp(now: number): void {
    if (this.heap[0] !== undefined && this.heap[0].at < now) this.run(now)
  }

  /** Also from within `onDue`: what is left of an outer run then comes before what has become due meanwhile. */
  private run(now: number): void {
    for (let top = this.heap[0]; top !== undefined && (top.cancelled || top.at <= now); top = this.heap[0]) {
      this.pop()
      if (!top.cancelled) this.firing.push(top)
    }
    while (this.fired < this.firing.length) {
      const each = this.firing[this.fired++]!
      // What one item leads to may cancel another.
      if (each.cancelled) continue
      this.byKey.delete(each.key)
      this.onDue(each.item, now)
    }
    this.firing = []
    this.fired = 0
  }

  private push(due: Due<A>): void {
    const { heap } = this
    let i = heap.push(due) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(due, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = due
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}
