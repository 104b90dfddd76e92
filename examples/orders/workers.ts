/**
 * The lives of the workers: the first two are killed, the third may finish. See `npm run demo`.
 */
import { Effect, Fiber, Stream } from "effect"
import { Board, type Facts } from "./board.js"
import * as Child from "./child.js"
import { Folder } from "./folder.js"
import { Report } from "./messages.js"

/** Waits until the board shows something. */
export const until = (condition: (facts: Facts) => boolean) =>
  Effect.flatMap(Board, ({ changes }) => Stream.runDrain(Stream.takeUntil(changes, condition)))

const startWorker = (service: string) =>
  Effect.gen(function*() {
    const board = yield* Board
    const { journal } = yield* Folder
    const child = yield* Child.start("worker.ts", [journal, service], Report)
    const reader = yield* Effect.forkScoped(Stream.runForEach(child.messages, board.noteReport))
    return {
      pid: child.pid,
      /** Never ends but by failing: the worker has said what nobody understands, or is gone. */
      watch: Effect.zipRight(Fiber.join(reader), child.gone),
      /** Kills it, and hears it out: what it had said before counts. */
      kill: Effect.zipRight(child.kill, Fiber.await(reader))
    }
  })

/** A worker that is killed when the share of the orders is completed, just after a charge request has left it. */
const runUntilKilled = (service: string, orders: number, share: number) =>
  Effect.gen(function*() {
    const board = yield* Board
    const worker = yield* startWorker(service)
    const moment = Effect.gen(function*() {
      yield* until(({ completed }) => completed >= share * orders)
      const { sent } = yield* board.facts
      yield* Effect.timeoutOption(until((facts) => facts.sent > sent), "1 second")
    })
    yield* Effect.raceFirst(moment, worker.watch)
    yield* worker.kill
    const { completed, underWay } = yield* board.facts
    yield* board.note(({ cutOff, kills }) => ({
      // With all orders done there was nothing to survive.
      kills: completed < orders ? kills + 1 : kills,
      worker: 0,
      underWay: 0,
      cutOff: cutOff + underWay
    }))
    yield* board.print(
      `  -- process ${worker.pid}, the worker, is killed by SIGKILL; ${underWay} charge requests were under way --`
    )
  }).pipe(Effect.scoped)

/** Runs one worker after another; the last one for as long as it is left to. */
export const runWorkers = (service: string, orders: number, killsAt: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    for (const share of killsAt) yield* runUntilKilled(service, orders, share)
    const last = yield* startWorker(service)
    return yield* last.watch
  }).pipe(Effect.scoped)
