/**
 * A limit on work that runs in the caller's own fiber: no fork, which is most of what a limit costs.
 *
 * When the time is over, a timer of the platform interrupts the caller under a name of its own. Where the limit began
 * the call turns up again, and the interruption is taken back, so that only the work was interrupted. An interruption by
 * anybody else stays.
 *
 * That is possible where nothing else would notice:
 * - under the live clock, since a timer of the platform is no timer of any other;
 * - in a fiber that can be interrupted, and has no children, since an interruption reaches all of them.
 *
 * As in a fiber of its own, the children that the work leaves behind end with it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import { isLive } from "../../internal/liveClock.js"
import type { Call } from "../../internal/pipeline.js"

type Runner = Call["fiber"]

/** Whether the limit of a call can do without a fiber of its own. */
export const runsInPlace = (call: Call): boolean =>
  call.interruptible &&
  isLive(Context.get(call.fiber.currentDefaultServices, Clock.Clock)) &&
  childrenOf(call.fiber)?.size === 0

/** The limit of one call. It is set when it is made. */
export class Limit {
  /** The name under which the caller was interrupted. */
  private interruptor: FiberId.FiberId | undefined
  private readonly timer: ReturnType<typeof setTimeout>
  constructor(private readonly fiber: Runner, millis: number) {
    // @effect-diagnostics-next-line globalTimers:off
    this.timer = setTimeout(() => {
      this.interruptor = FiberId.unsafeMake()
      fiber.unsafeInterruptAsFork(this.interruptor)
    }, millis)
  }

  /** The end of the call; `late` stands in where the time was over. */
  end<A, E, E2>(exit: Exit.Exit<A, E>, late: Effect.Effect<never, E2>): Effect.Effect<A, E | E2> {
    clearTimeout(this.timer)
    const { fiber, interruptor } = this
    const children = childrenOf(fiber)
    const alone = children === undefined || children.size === 0
      ? undefined
      : Fiber.interruptAllAs(children, fiber.id())
    if (interruptor === undefined) return alone === undefined ? exit : Effect.zipRight(alone, exit)
    return Effect.zipRight(
      alone ?? Effect.void,
      Effect.zipRight(FiberRef.update(FiberRef.interruptedCause, (cause) => without(cause, interruptor)), late)
    )
  }
}

/** A cause of interruptions only, without those of one interruptor. */
const without = (cause: Cause.Cause<never>, interruptor: FiberId.FiberId): Cause.Cause<never> => {
  switch (cause._tag) {
    case "Interrupt":
      return cause.fiberId === interruptor ? Cause.empty : cause
    case "Sequential":
    case "Parallel": {
      const left = without(cause.left, interruptor)
      const right = without(cause.right, interruptor)
      const both = cause._tag === "Sequential" ? Cause.sequential : Cause.parallel
      return left._tag === "Empty" ? right : right._tag === "Empty" ? left : both(left, right)
    }
    default:
      return cause
  }
}

/**
 * The fibers that a fiber has started and that have not ended. Effect tells it only in an effect, which takes too long
 * here; where it does not tell it at all, no call runs in place.
 */
const childrenOf = (fiber: Runner): ReadonlySet<Fiber.RuntimeFiber<unknown, unknown>> | undefined =>
  "getChildren" in fiber && typeof fiber.getChildren === "function" ? fiber.getChildren() : undefined
