/**
 * What load shedders have in common.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Json } from "../../../Combinator.js"
import { nowOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import type { LoadShedder, Snapshot } from "../../LoadShedder.js"
import { GateValue } from "../gate/gate.js"
import { RejectionTypeId } from "../gate/rejection.js"
import { WatchedValue } from "../gate/watched.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/LoadShedder")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * Why a call was shed: calls take too long, the event loop is late, the call waited too long in the queue, the queue is
 * full, or calls of its priority are given up.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "latency" | "eventLoop" | "waited" | "queueFull" | "priority"

/**
 * The call was given up so that others come through.
 *
 * @since 0.1.0
 * @category errors
 */
export class Shed extends Data.TaggedError("Shed")<{
  /** The key of the load shedder. */
  readonly shedder: string
  readonly reason: Reason
  /** When things may look better. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `load shedder "${this.shedder}" gave the call up: ${phrases[this.reason]}; try again in ${
      Duration.format(this.retryAfter)
    }`
  }
}

const phrases: { readonly [reason in Reason]: string } = {
  latency: "calls take longer than they may",
  eventLoop: "the event loop is late",
  waited: "it has waited too long in the queue",
  queueFull: "the queue is full",
  priority: "calls of its priority are given up at this load"
}

export abstract class Shedder extends GateValue<Shed> implements LoadShedder {
  private shedSoFar = 0

  constructor(key: string, kind: string, settings: { readonly [name: string]: Json }) {
    super(key, { policy: "LoadShedder", key, settings: { kind, ...settings } })
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  readonly snapshot = new WatchedValue<Snapshot>(
    Effect.withFiberRuntime((fiber) =>
      Effect.succeed({ shedder: this.key, shed: this.shedSoFar, ...this.look(nowOf(fiber)) })
    )
  )

  /** How it would answer now. */
  protected abstract look(now: number): Omit<Snapshot, "shedder" | "shed">

  /** The end of a call that is given up. */
  protected shed(reason: Reason, retryAfterMillis: number): Exit.Exit<never, Shed> {
    this.shedSoFar++
    this.snapshot.touch()
    return Exit.fail(
      stackless(() => new Shed({ shedder: this.key, reason, retryAfter: Duration.millis(Math.ceil(retryAfterMillis)) }))
    )
  }
}
