/**
 * Writes that are repeated until the journal has taken or refused them. What is not written has not happened, so nothing
 * goes on until it is.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import type { Entry, Journal, Receipt } from "../Journal.js"

/** What the owner of a run writes. */
export type OwnersEntry = Extract<Entry, { readonly _tag: "Append" | "Block" }>

/** The receipt of an entry that was not refused. */
export type Accepted = Extract<Receipt, { readonly _tag: "Appended" }>

export interface PersistentWrites {
  readonly commit: (
    entry: OwnersEntry,
    onReceipt: (receipt: Accepted) => void,
    onRefused: (receipt: Exclude<Receipt, Accepted>) => void
  ) => void
  /** Waits until nothing is being written. */
  readonly quiet: Effect.Effect<void>
}

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
      commit: (entry, onReceipt, onRefused) => {
        if (underWay++ === 0) quiet.unsafeClose()
        const write = (failures: number): void =>
          journal.unsafeCommit(entry, (exit) => {
            if (Exit.isSuccess(exit)) {
              settled()
              if (exit.value._tag === "Appended") onReceipt(exit.value)
              else onRefused(exit.value)
              return
            }
            Runtime.runFork(runtime)(
              Effect.logWarning(`holdfast: run ${entry.runId} waits, since its journal cannot be written`, exit.cause)
                .pipe(
                  Effect.zipRight(Effect.sleep(Math.min(100 * 2 ** failures, 5_000))),
                  Effect.zipRight(Effect.sync(() => write(failures + 1)))
                )
            )
          })
        write(0)
      }
    }
  })
