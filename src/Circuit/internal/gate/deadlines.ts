/**
 * Who gives up when: the earliest deadline is at hand, and any can be taken out. A binary heap whose members know where
 * they are in it. Where all wait equally long, as is usual, adding costs nothing to speak of.
 */

export interface Limited {
  /** Milliseconds; `Infinity` for one that never gives up. */
  readonly deadline: number
  /** Where it is in the heap; -1 when it is not. */
  heapIndex: number
}

export class Deadlines<N extends Limited> {
  private readonly heap: Array<N> = []

  /** The one with the earliest deadline. */
  get first(): N | undefined {
    return this.heap[0]
  }

  add(one: N): void {
    if (one.deadline === Infinity) return
    this.heap.push(one)
    this.up(one, this.heap.length - 1)
  }

  /** Takes one out, if it is there. */
  remove(one: N): void {
    const index = one.heapIndex
    if (index < 0) return
    one.heapIndex = -1
    const last = this.heap.pop()!
    if (last === one) return
    this.up(last, index)
    if (last.heapIndex === index) this.down(last, index)
  }

  private up(one: N, from: number): void {
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (this.heap[parent]!.deadline <= one.deadline) break
      this.put(this.heap[parent]!, index)
      index = parent
    }
    this.put(one, index)
  }

  private down(one: N, from: number): void {
    const { heap } = this
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.deadline < heap[child]!.deadline) child++
      if (heap[child]!.deadline >= one.deadline) break
      this.put(heap[child]!, index)
      index = child
    }
    this.put(one, index)
  }

  private put(one: N, index: number): void {
    this.heap[index] = one
    one.heapIndex = index
  }
}
