/**
 * Writes that are repeated until the journal has taken or refused them. What is not written has not happened, so nothing
 * goes on until it is.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type { Entry, Journal, Receipt } from "../../Journal.js"
import type { JournalError } from "../../WorkflowError.js"
import { pauseMillis } from "./untilRead.js"

export interface PersistentWrites {
  /** Writes an entry about a run, as often as it takes. */
  readonly commit: (runId: string, entry: Entry, onReceipt: (receipt: Receipt) => void) => void
  /** Waits until nothing is being written. */
  readonly quiet: Effect.Effect<void>
}

const isClosed = (cause: Cause.Cause<JournalError>): boolean =>
  Option.exists(Cause.failureOption(cause), ({ reason }) => reason === "Closed")

export const persistentWrites = (journal: Journal["Type"]): Effect.Effect<PersistentWrites> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const quiet = yield* Effect.makeLatch(true)
    let underWay = 0

    const settled = (): void => {
      if (--underWay === 0) quiet.unsafeOpen()
    }

    return {
      quiet: quiet.await,
      commit: (runId, entry, onReceipt) => {
        if (underWay++ === 0) quiet.unsafeClose()
        const write = (failures: number): void =>
          journal.unsafeCommit(entry, (exit) => {
            if (Exit.isSuccess(exit)) {
              settled()
              onReceipt(exit.value)
              return
            }
            // A journal that has closed takes nothing any more: whoever owns the run next goes on from what it holds.
            if (isClosed(exit.cause)) return settled()
            Runtime.runFork(runtime)(
              Effect.logWarning(`holdfast: run ${runId} waits, since its journal cannot be written`, exit.cause)
                .pipe(
                  Effect.zipRight(Effect.sleep(pauseMillis(failures))),
                  Effect.zipRight(Effect.sync(() => write(failures + 1)))
                )
            )
          })
        write(0)
      }
    }
  })
