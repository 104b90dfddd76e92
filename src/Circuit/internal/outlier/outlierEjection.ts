/**
 * The effects around a fleet of hosts.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as MutableRef from "effect/MutableRef"
import { pipeArguments } from "effect/Pipeable"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Combinator, Json } from "../../../Combinator.js"
import { nowOf, toWallClock, wallClockOf } from "../../../internal/now.js"
import { stackless } from "../../../internal/stackless.js"
import { reader } from "../../../InvalidOptions.js"
import type { Gate } from "../../Gate.js"
import type { Classify, Ejection, HostStatus, OutlierEjection } from "../../OutlierEjection.js"
import { Feed } from "../gate/feed.js"
import { GateValue, type Runner, type Ticket } from "../gate/gate.js"
import { RejectionTypeId } from "../gate/rejection.js"
import { WatchedValue } from "../gate/watched.js"
import * as machine from "./outliers.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Circuit/OutlierEjection")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The host is out of service for a while, because its calls went worse than those of the others.
 *
 * @since 0.1.0
 * @category errors
 */
export class HostEjected extends Data.TaggedError("HostEjected")<{
  /** The key of the fleet. */
  readonly fleet: string
  readonly host: string
  /** When it is in service again. */
  readonly retryAfter: Duration.Duration
}> {
  readonly [RejectionTypeId]: typeof RejectionTypeId = RejectionTypeId
  override get message(): string {
    return `host "${this.host}" of "${this.fleet}" is out of service as an outlier; choose another, or try again in ${
      Duration.format(this.retryAfter)
    }`
  }
}

export class OutlierEjectionImpl implements OutlierEjection {
  readonly [TypeId]: typeof TypeId = TypeId
  private readonly cell: MutableRef.MutableRef<machine.Fleet>
  private readonly gates = new Map<string, HostGate>()
  private readonly feed = new Feed<Ejection>()
  private next = 0

  constructor(
    readonly key: string,
    private readonly described: { readonly [name: string]: Json },
    hosts: ReadonlyArray<string>,
    private readonly settings: machine.Settings,
    private readonly classify: Classify
  ) {
    this.cell = MutableRef.make(machine.initial(hosts))
  }

  readonly available: Effect.Effect<ReadonlyArray<string>> = Effect.withFiberRuntime((fiber) =>
    Effect.succeed(this.inService(fiber))
  )

  readonly pick: Effect.Effect<string> = Effect.withFiberRuntime((fiber) => {
    const hosts = this.inService(fiber)
    return Effect.succeed(hosts[this.next++ % hosts.length]!)
  })

  readonly snapshot = new WatchedValue<ReadonlyArray<HostStatus>>(Effect.withFiberRuntime((fiber) => {
    const now = nowOf(fiber)
    return Effect.succeed(
      this.fleet.hosts.map((each) => ({
        host: each.host,
        failures: each.failures,
        timesEjected: each.timesEjected,
        ejectedUntil: machine.isEjected(each, now) ? toWallClock(each.ejectedUntil, fiber) : null
      }))
    )
  }))

  get ejections(): Effect.Effect<Queue.Dequeue<Ejection>, never, Scope.Scope> {
    return this.feed.subscribe
  }

  setHosts(hosts: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      checkHosts("OutlierEjection.setHosts", hosts)
      this.set(machine.withHosts(this.settings, this.fleet, hosts, nowOf(fiber)))
      for (const host of this.gates.keys()) if (!hosts.includes(host)) this.gates.delete(host)
      return Effect.void
    })
  }

  gate(host: string): Gate<HostEjected> {
    const known = this.gates.get(host)
    if (known !== undefined) return known
    const hosts = this.fleet.hosts.map((each) => each.host)
    if (!hosts.includes(host)) reader("OutlierEjection.gate").refuse("host", host, `one of ${hosts.join(", ")}`)
    const gate = new HostGate(this, host, this.described)
    this.gates.set(host, gate)
    return gate
  }

  protect(host: string): Combinator<HostEjected> {
    return this.gate(host).protect
  }

  admit(host: string, fiber: Runner): Ticket<HostEjected> | Exit.Exit<never, HostEjected> {
    const now = nowOf(fiber)
    this.change(machine.sweep(this.settings, this.fleet, now), fiber)
    const status = this.fleet.hosts.find((each) => each.host === host)
    // A host that has left the fleet is nobody's to judge.
    if (status === undefined || !machine.isEjected(status, now)) return new Sent(this, host, status?.generation ?? -1)
    const retryAfter = Duration.millis(Math.ceil(status.ejectedUntil - now))
    return Exit.fail(stackless(() => new HostEjected({ fleet: this.key, host, retryAfter })))
  }

  settle(call: Sent, exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    const outcome = this.classify(exit)
    if (outcome === "neutral") return
    const now = nowOf(fiber)
    this.change(machine.settle(this.settings, this.fleet, call, outcome, now), fiber)
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toJSON(): unknown {
    return { _id: "OutlierEjection", key: this.key, ...this.fleet }
  }

  toString(): string {
    return JSON.stringify(this)
  }

  [NodeInspectSymbol](): unknown {
    return this.toJSON()
  }

  private get fleet(): machine.Fleet {
    return MutableRef.get(this.cell)
  }

  private set(fleet: machine.Fleet): void {
    const changed = fleet !== this.fleet
    MutableRef.set(this.cell, fleet)
    if (changed) this.snapshot.touch()
  }

  private inService(fiber: Runner): ReadonlyArray<string> {
    const now = nowOf(fiber)
    this.change(machine.sweep(this.settings, this.fleet, now), fiber)
    return this.fleet.hosts.filter((host) => !machine.isEjected(host, now)).map(({ host }) => host)
  }

  private change([next, ejections]: ReturnType<typeof machine.settle>, fiber: Runner): void {
    this.set(next)
    for (const ejection of ejections) {
      const until = toWallClock(ejection.until, fiber)
      this.feed.tell({ fleet: this.key, ...ejection, until, at: wallClockOf(fiber) })
    }
  }
}

/** Refuses hosts that are none, or that are there twice. */
export const checkHosts = (module: string, hosts: ReadonlyArray<string>): void => {
  if (hosts.length === 0) reader(module).refuse("hosts", "none", "at least one host")
  if (new Set(hosts).size < hosts.length) reader(module).refuse("hosts", hosts.join(", "), "hosts that all differ")
}

class HostGate extends GateValue<HostEjected> {
  constructor(
    private readonly owner: OutlierEjectionImpl,
    private readonly host: string,
    settings: { readonly [name: string]: Json }
  ) {
    super(`${owner.key}/${host}`, { policy: "OutlierEjection", key: owner.key, settings: { ...settings, host } })
  }
  admit(fiber: Runner): Ticket<HostEjected> | Exit.Exit<never, HostEjected> {
    return this.owner.admit(this.host, fiber)
  }
}

class Sent implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(
    private readonly owner: OutlierEjectionImpl,
    readonly host: string,
    readonly generation: number
  ) {}
  settle(exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.owner.settle(this, exit, fiber)
  }
  // Nothing is held while a call is under way.
  refund(): void {}
}
