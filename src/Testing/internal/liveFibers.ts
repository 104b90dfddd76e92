/**
 * The fibers that a program has started and that have not ended.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import * as Supervisor from "effect/Supervisor"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

export class LiveFibers extends Supervisor.AbstractSupervisor<ReadonlyArray<AnyFiber>> {
  private readonly fibers = new Set<AnyFiber>()
  get alive(): number {
    return this.fibers.size
  }
  override get value(): Effect.Effect<ReadonlyArray<AnyFiber>> {
    return Effect.sync(() => [...this.fibers])
  }
  override onStart<A, E, R>(
    _context: unknown,
    _effect: Effect.Effect<A, E, R>,
    _parent: Option.Option<AnyFiber>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    this.fibers.add(fiber)
  }
  override onEnd<A, E>(_exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>): void {
    this.fibers.delete(fiber)
  }
}
