/**
 * Lines that calls stand in. Joining, leaving from anywhere and being first are O(1): those who stand in line are the
 * links themselves, so one object stands in one line at a time.
 */

export interface Linked<N> {
  before: N | undefined
  after: N | undefined
}

/** A line whose first is served next. */
export interface WaitingLine<N> {
  readonly size: number
  readonly first: N | undefined
  readonly join: (one: N) => void
  /** Takes out one that stands in it. */
  readonly leave: (one: N) => void
}

/** First in, first out. */
export class Line<N extends Linked<N>> implements WaitingLine<N> {
  size = 0
  first: N | undefined = undefined
  last: N | undefined = undefined

  join(one: N): void {
    one.before = this.last
    one.after = undefined
    if (this.last === undefined) this.first = one
    else this.last.after = one
    this.last = one
    this.size++
  }

  leave(one: N): void {
    if (one.before === undefined) this.first = one.after
    else one.before.after = one.after
    if (one.after === undefined) this.last = one.before
    else one.after.before = one.before
    one.before = one.after = undefined
    this.size--
  }
}

export interface Ranked<N> extends Linked<N> {
  /** 0 or more; the higher the more important. */
  readonly rank: number
  /** Milliseconds. */
  readonly arrivedAt: number
}

/**
 * A line where importance counts as time: one of rank r stands where it would stand had it come r × `agingMillis`
 * earlier. So a waiter is overtaken only by what comes within a bounded time after it, and nobody starves. One FIFO
 * line for each rank, since among equals nothing else counts.
 */
export class RankedLine<N extends Ranked<N>> implements WaitingLine<N> {
  size = 0
  private readonly lines: ReadonlyArray<Line<N>>
  constructor(ranks: number, private readonly agingMillis: number) {
    this.lines = Array.from({ length: ranks }, () => new Line<N>())
  }

  get first(): N | undefined {
    let found: N | undefined
    let earliest = Infinity
    for (let rank = this.lines.length - 1; rank >= 0; rank--) {
      const first = this.lines[rank]!.first
      if (first === undefined) continue
      const at = first.arrivedAt - rank * this.agingMillis
      // Of two at the same time the more important goes first.
      if (at < earliest) {
        earliest = at
        found = first
      }
    }
    return found
  }

  join(one: N): void {
    this.lines[one.rank]!.join(one)
    this.size++
  }

  leave(one: N): void {
    this.lines[one.rank]!.leave(one)
    this.size--
  }
}
