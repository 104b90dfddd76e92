/**
 * Ends of activities that come from outside, by the token of an attempt.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import type { Client } from "../../Client.js"
import type { Entry, Journal, PendingActivity } from "../../Journal.js"
import { AttemptNotPending, InvalidPayload, type JournalError } from "../../WorkflowError.js"
import { taskOf } from "../activity/attempt.js"
import { attemptLimit, closeBy, decideAfterFailure } from "../activity/decideAfterFailure.js"
import * as tokens from "../activity/token.js"

type Service = Pick<Client["Type"], "completeActivity" | "failActivity" | "heartbeatActivity">

/** When an attempt is out of time, as far as the journal knows. */
const limitOf = ({ beatAt = 0, scheduled, startedAt }: PendingActivity): number =>
  startedAt === undefined
    ? closeBy(scheduled)
    : Math.min(closeBy(scheduled), attemptLimit(scheduled, startedAt, Math.max(startedAt, beatAt)).at)

export const activityEnds = (journal: Journal["Type"]): Service => {
  /** Writes what `entryOf` makes of the pending attempt, unless it is not pending any more. */
  const about = <A>(
    activity: string,
    token: string,
    encoded: Either.Either<A, string>,
    entryOf: (pending: PendingActivity, encoded: A, at: number, random: number) => Entry
  ): Effect.Effect<void, InvalidPayload | AttemptNotPending | JournalError> =>
    Effect.gen(function*() {
      const refused = (reason: AttemptNotPending["reason"]) => new AttemptNotPending({ reason, activity })
      const value = yield* Either.mapLeft(
        encoded,
        (detail) => new InvalidPayload({ workflow: `activity ${activity}`, detail })
      )
      const parts = tokens.decode(token)
      if (parts === undefined) return yield* refused("Malformed")
      const { id } = parts
      const { activities } = yield* journal.store.pending(id.runId)
      const pending = activities.find(({ attempt, scheduled }) =>
        scheduled.command === id.command && attempt === id.attempt
      )
      if (pending === undefined) return yield* refused("Ended")
      const secret = yield* journal.store.secret(id)
      if (secret === undefined || !tokens.isSame(secret, parts.secret)) return yield* refused("Malformed")
      if (pending.scheduled.activity !== activity) return yield* refused("OtherActivity")
      const at = yield* Clock.currentTimeMillis
      // It is out of time, though nobody has been there to say so.
      if (at > limitOf(pending)) return yield* refused("Ended")
      const entry = entryOf(pending, value, at, yield* Random.next)
      // Only what the owner of a run writes can be stale.
      const receipt = yield* Effect.catchTag(journal.commit(entry), "StaleOwner", Effect.die)
      if (receipt._tag === "NotPending") return yield* refused("Ended")
    })

  /** What the journal takes. */
  const admitted = <A>(
    encoded: Either.Either<A, string>,
    textOf: (value: A) => string | null
  ): Either.Either<A, string> =>
    Either.flatMap(encoded, (value) => {
      const refusal = journal.refuse(textOf(value))
      return refusal === undefined ? Either.right(value) : Either.left(refusal)
    })

  const report = (
    { attempt, runId }: PendingActivity,
    event: Extract<Entry, { readonly _tag: "Report" }>["event"]
  ): Entry => ({ _tag: "Report", runId, attempt, worker: undefined, event })

  return {
    completeActivity: (activity, token, value) =>
      about(
        activity.name,
        token,
        admitted(activity.encodeSuccess(value), (text) => text),
        (pending, payload, at) =>
          report(pending, { _tag: "ActivityCompleted", target: pending.scheduled.command, at, payload })
      ),
    failActivity: (activity, token, error) =>
      about(
        activity.name,
        token,
        admitted(activity.encodeError(error), ({ payload }) => payload),
        (pending, failed, at, random) => report(pending, decideAfterFailure(taskOf(pending), failed, at, random))
      ),
    heartbeatActivity: (activity, token, details) =>
      about(activity.name, token, admitted(activity.encodeDetails(details), (text) => text), (
        {
          attempt,
          runId,
          scheduled
        },
        text,
        at
      ) => ({
        _tag: "Heartbeat",
        id: { runId, command: scheduled.command, attempt },
        worker: undefined,
        at,
        details: text ?? undefined
      }))
  }
}
