/**
 * Last good values. Calls are numbered as they start, and a value is kept only if no call that started later has left
 * one: so a slow call that ends late cannot put an old value in the place of a newer one.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import { ageClockOf } from "../../internal/now.js"
import type { Aged, LastGood } from "../LastGood.js"
import { Bounded } from "./bounded.js"

export const TypeId: unique symbol = Symbol.for("holdfast/Call/LastGood")

export type TypeId = typeof TypeId

/** A value with the number of the call that gave it, and when it did. */
interface Remembered<A> {
  readonly value: A
  readonly call: number
  readonly at: number
}

export class Memory<A> implements LastGood<A> {
  private readonly values: Bounded<Remembered<A>>
  private calls = 0
  constructor(readonly key: string, capacity: number) {
    this.values = new Bounded(capacity)
  }
  get [TypeId](): typeof TypeId {
    return TypeId
  }

  /** The number of a call that starts now. */
  begin(): number {
    return ++this.calls
  }

  /** Keeps what a call gave, unless a later one has given something. */
  remember(key: string, call: number, value: A, now: number): void {
    const known = this.values.get(key)
    if (known === undefined || known.call < call) this.values.set(key, { value, call, at: now })
  }

  recall(key: string, now: number): (Aged<A> & { readonly ageMillis: number }) | undefined {
    const known = this.values.get(key)
    if (known === undefined) return undefined
    const ageMillis = now - known.at
    return { value: known.value, ageMillis, age: Duration.millis(ageMillis) }
  }

  readonly get = (key: string): Effect.Effect<Option.Option<Aged<A>>> =>
    Effect.withFiberRuntime((fiber) => {
      const known = this.recall(key, ageClockOf(fiber))
      return Effect.succeed(Option.map(Option.fromNullable(known), ({ age, value }) => ({ value, age })))
    })
  readonly forget = (key: string): Effect.Effect<void> => Effect.sync(() => void this.values.delete(key))
  readonly size: Effect.Effect<number> = Effect.sync(() => this.values.size)

  pipe() {
    return pipeArguments(this, arguments)
  }
  toJSON() {
    return { _id: "LastGood", key: this.key, size: this.values.size }
  }
  toString() {
    return JSON.stringify(this)
  }
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

export const makeMemory = <A>(key: string, capacity: number): LastGood<A> => new Memory(key, capacity)

/** All memories are made here. */
export const memoryOf = <A>(store: LastGood<A>): Memory<A> => store as Memory<A>
