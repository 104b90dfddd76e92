/**
 * What the callers of a store are told of a database that fails.
 */
import * as Effect from "effect/Effect"
import { JournalError } from "../../WorkflowError.js"
import type { Failure } from "./database.js"

/** Failures as errors of the journal; those that are one stay as they are. */
export const failing =
  (reason: "Open" | "Read" | "Write", detail: string) =>
  <A, E extends Failure, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, JournalError, R> =>
    Effect.mapError(
      self,
      (error: Failure) => error._tag === "JournalError" ? error : new JournalError({ reason, detail, cause: error })
    )
