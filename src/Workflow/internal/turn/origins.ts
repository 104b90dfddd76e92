/**
 * The places in the user's source that commands come from. A place costs a stack, so they are kept only while a run replays.
 */
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

export class Origins {
  /** Where each fiber last asked for something. */
  private byFiber: WeakMap<object, Error> | undefined

  /** Keeps the place at which the fiber that runs now has asked for something. */
  note(origin: Error): void {
    const asking = Fiber.getCurrentFiber()
    if (Option.isNone(asking)) return
    this.byFiber ??= new WeakMap()
    this.byFiber.set(asking.value, origin)
  }

  /** What Effect itself asks for, such as a timer, has no place of its own: it is after the last one of its fiber. */
  sourceOf(origin: Error | undefined): string | undefined {
    if (origin !== undefined) return userFrame(origin)
    const before = Option.flatMapNullable(Fiber.getCurrentFiber(), (fiber) => this.byFiber?.get(fiber))
    const frame = Option.isSome(before) ? userFrame(before.value) : undefined
    return frame === undefined ? undefined : `after ${frame}`
  }

  clear(): void {
    this.byFiber = undefined
  }
}

/** The folder of this room; a bundle may have none. */
const ownDirectory = URL.canParse("../..", import.meta.url) ? new URL("../..", import.meta.url).pathname : undefined

/** The nearest frame of the stack that is neither this room's nor Effect's nor Node's. */
export const userFrame = (origin: Error): string | undefined =>
  origin.stack?.split("\n").slice(1).find((frame) =>
    !(ownDirectory !== undefined && frame.includes(ownDirectory)) &&
    !/[\\/]node_modules[\\/]effect[\\/]|\(node:|at node:/.test(frame)
  )?.trim().replace(/^at /, "")
