/**
 * What the processes of this example say to each other, as schemas: over HTTP, and as lines of JSON from a child to the
 * process that started it. Run the whole with `npm run demo`.
 */
import { Schema } from "effect"

/** What the payment service is asked for. The idempotency key travels as a header. */
export const ChargeRequest = Schema.Struct({ order: Schema.String, cents: Schema.Int })
export type ChargeRequest = typeof ChargeRequest.Type

/** An entry of the service's ledger: money that was taken. */
export const Charge = Schema.Struct({ id: Schema.String, key: Schema.String, ...ChargeRequest.fields })
export type Charge = typeof Charge.Type

/** Everything that the service knows: its ledger, and how it has treated those who called. */
export const Statement = Schema.Struct({
  charges: Schema.Array(Charge),
  requests: Schema.Int,
  /** Requests with a key that was seen before. */
  repeated: Schema.Int,
  /** Of these, the ones that would have charged again. */
  suppressed: Schema.Int,
  tooMany: Schema.Int,
  unavailable: Schema.Int,
  reset: Schema.Int,
  tooSlow: Schema.Int
})
export type Statement = typeof Statement.Type

/** The service says where it listens. */
export const Listening = Schema.TaggedStruct("Listening", { url: Schema.String })

/** A worker says what it does, when it does it: it may be killed at any moment, and then says no more. */
export const Report = Schema.Union(
  /** It works. */
  Schema.TaggedStruct("Ready", {}),
  /** A charge request has left. */
  Schema.TaggedStruct("Sent", {}),
  /** The request of a `Sent` has ended, one way or another. */
  Schema.TaggedStruct("Settled", {}),
  /** A request is about to be repeated by the retry inside the call. */
  Schema.TaggedStruct("Retrying", {}),
  /** The call has failed in spite of its retries: it is for the activity's own policy now. */
  Schema.TaggedStruct("GaveUp", {}),
  /** The breaker has not let the call pass: the same. */
  Schema.TaggedStruct("Rejected", {}),
  /** The circuit breaker has changed its state. */
  Schema.TaggedStruct("Breaker", { state: Schema.Literal("Closed", "Open", "HalfOpen", "Isolated") })
)
export type Report = typeof Report.Type
