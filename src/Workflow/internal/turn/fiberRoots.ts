/**
 * Effect keeps every root fiber reachable, in its global fiber scope, until that fiber ends. A run that leaves memory
 * never ends its fibers: they must not be interrupted, since finalizers are part of the workflow. So they are taken out
 * of that set, which makes them garbage.
 *
 * This is the one place that reaches into Effect. It throws at import when the set is not where it was.
 */
import type * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import "effect/Runtime"

const scope: { readonly roots?: unknown } = globalValue(Symbol.for("effect/FiberScope/Global"), () => ({}))

if (!(scope.roots instanceof Set)) {
  throw new TypeError(
    "holdfast: this version of effect keeps its root fibers elsewhere, so runs that leave memory would leak; use effect ^3.22"
  )
}

const roots: Set<unknown> = scope.roots

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Does Effect itself hold on to this fiber? */
export const isRoot = (fiber: AnyFiber): boolean => roots.has(fiber)

/** Lets the garbage collector have a suspended fiber, without running anything of it. */
export const forget = (fiber: AnyFiber): void => {
  roots.delete(fiber)
}
