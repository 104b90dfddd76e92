/**
 * Who is told of calls and of the attempts in them, given to `Policy.make`.
 *
 * An observer stands beside the calls. Events go into a buffer, and a fiber of its own handles them one after another:
 * a handler that fails, dies or hangs neither fails nor delays a call. When it cannot keep up the oldest events are
 * dropped, and counted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as MutableQueue from "effect/MutableQueue"
import type * as Scope from "effect/Scope"
import { reader } from "../InvalidOptions.js"

/**
 * What happens to a call: it starts, and ends once; each attempt in it starts, and ends once. A call that a gate has
 * rejected has no attempts. Times are in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category events
 */
export type CallEvent =
  | { readonly _tag: "CallStarted"; readonly call: number; readonly at: number }
  | { readonly _tag: "AttemptStarted"; readonly call: number; readonly attempt: number; readonly at: number }
  | {
    readonly _tag: "AttemptEnded"
    readonly call: number
    readonly attempt: number
    readonly at: number
    readonly durationMillis: number
    readonly exit: Exit.Exit<unknown, unknown>
  }
  | {
    readonly _tag: "CallEnded"
    readonly call: number
    /** How many attempts were started. */
    readonly attempts: number
    readonly at: number
    readonly durationMillis: number
    readonly exit: Exit.Exit<unknown, unknown>
  }

/**
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  /** Takes an event, at once. */
  readonly notify: (event: CallEvent) => void
  /** How many events were dropped, since the handler could not keep up or the scope had closed. */
  readonly dropped: Effect.Effect<number>
}

/**
 * An observer with a handler, for as long as the scope is open. What it has not handled by then, and what comes later, is
 * dropped. Dies with `InvalidOptions` when the capacity is below 1.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Observer } from "holdfast/Call"
 *
 * const logged = Observer.make((event) =>
 *   event._tag === "CallEnded" ? Effect.logInfo("called", { attempts: event.attempts }) : Effect.void
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R>(
  handle: (event: CallEvent) => Effect.Effect<unknown, never, R>,
  options?: {
    /** How many events may wait for the handler. Default 1024. */
    readonly capacity?: number | undefined
  }
): Effect.Effect<Observer, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    const capacity = reader("Observer.make").integer("capacity", options?.capacity ?? 1024, 1)
    const waiting = MutableQueue.bounded<CallEvent>(capacity)
    let dropped = 0
    let wake: (() => void) | undefined
    let closed = false
    const close = Effect.sync(() => {
      closed = true
      dropped += MutableQueue.length(waiting)
      while (!MutableQueue.isEmpty(waiting)) MutableQueue.poll(waiting, undefined)
    })
    const next = Effect.async<CallEvent>((resume) => {
      const take = () => {
        wake = undefined
        resume(Effect.succeed(MutableQueue.poll(waiting, undefined as never)))
      }
      if (MutableQueue.isEmpty(waiting)) wake = take
      else take()
    })
    const handled = Effect.flatMap(next, (event) =>
      Effect.catchAllCause(
        Effect.suspend(() => handle(event)),
        (cause) => Effect.logDebug("An observer failed", cause)
      ))
    const handling = Effect.zipRight(
      Effect.addFinalizer(() => close),
      Effect.forkScoped(Effect.interruptible(Effect.forever(handled)))
    )
    return Effect.as(handling, {
      notify: (event) => {
        if (closed) {
          dropped++
          return
        }
        if (MutableQueue.isFull(waiting)) {
          MutableQueue.poll(waiting, undefined)
          dropped++
        }
        MutableQueue.offer(waiting, event)
        wake?.()
      },
      dropped: Effect.sync(() => dropped)
    })
  })
