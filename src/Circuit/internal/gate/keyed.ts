/**
 * One instance for each key, made when the key is first seen. Bounded: above `capacity` the least recently used
 * instances that can be spared are dropped. One that cannot be spared (an open breaker, a bulkhead with calls in it) is
 * never dropped, so where there are many of those there may be more than `capacity`.
 */

export interface KeyedOptions<A> {
  readonly capacity: number
  readonly make: (key: string) => A
  /** Whether an instance may be forgotten: a new one would answer the same. */
  readonly isSpare: (instance: A, now: number) => boolean
}

export class Keyed<A> {
  // A map keeps the order of insertion, which is the order of last use here.
  private readonly instances = new Map<string, A>()
  constructor(private readonly options: KeyedOptions<A>) {}

  get size(): number {
    return this.instances.size
  }

  entries(): IterableIterator<[string, A]> {
    return this.instances.entries()
  }

  /** The instance of a key, without using it. */
  peek(key: string): A | undefined {
    return this.instances.get(key)
  }

  /** The instance of a key, which is now the one used last. */
  get(key: string, now: number): A {
    const known = this.instances.get(key)
    if (known !== undefined) {
      this.use(key, known)
      return known
    }
    this.makeRoom(now)
    const made = this.options.make(key)
    this.instances.set(key, made)
    return made
  }

  private use(key: string, instance: A): void {
    this.instances.delete(key)
    this.instances.set(key, instance)
  }

  // Those that cannot be spared go to the end, so that the next search does not meet them first again. A search looks
  // at a few only: else each new key would look at all where none can be spared. It drops all it may of those, so that
  // a map that had to grow shrinks again.
  private makeRoom(now: number): void {
    const { capacity, isSpare } = this.options
    for (let looks = 0; looks < longestSearch && this.instances.size >= capacity; looks++) {
      const [key, instance] = this.instances.entries().next().value!
      if (isSpare(instance, now)) this.instances.delete(key)
      else this.use(key, instance)
    }
  }
}

const longestSearch = 16
