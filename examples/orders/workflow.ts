/**
 * An order, from the warehouse to the parcel: the workflow that `worker.ts` runs, and that `main.ts` starts by its name.
 * Run it with `npm run demo`.
 */
import { Effect, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import { Activity, Workflow } from "holdfast/Workflow"
import { Charge, ChargeRequest } from "./messages.js"

export const OrderInput = Schema.Struct({ id: Schema.String, item: Schema.String, cents: Schema.Int })
export type OrderInput = typeof OrderInput.Type

/** What an order has come to when all is done. */
export const Fulfilment = Schema.Struct({
  order: Schema.String,
  reservation: Schema.String,
  charge: Charge,
  parcel: Schema.String
})
export type Fulfilment = typeof Fulfilment.Type

/** The payment service cannot be brought to answer at present. */
export class PaymentUnavailable extends Schema.TaggedError<PaymentUnavailable>()("PaymentUnavailable", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the payment service cannot be used at present: ${this.reason}`
  }
}

/** The payment service does not want this charge, today or tomorrow. */
export class PaymentRefused extends Schema.TaggedError<PaymentRefused>()("PaymentRefused", { status: Schema.Int }) {
  override get message(): string {
    return `the payment service refuses the charge with status ${this.status}`
  }
}

const PaymentError = Schema.Union(PaymentUnavailable, PaymentRefused)

/** Goes on until it works, as no order may be lost. It is stored with each activity, and so outlives the worker. */
const untilItWorks = RetryPolicy.make({
  retries: "unlimited",
  nonRetryable: ["PaymentRefused"],
  backoff: Backoff.exponential("500 millis", { cap: "4 seconds", jitter: "equal" })
})

export const ReserveStock = Activity.make("ReserveStock", {
  payload: Schema.Struct({ order: Schema.String, item: Schema.String }),
  success: Schema.String,
  startToClose: "10 seconds",
  retry: untilItWorks
})

export const ChargeCard = Activity.make("ChargeCard", {
  payload: ChargeRequest,
  success: Charge,
  error: PaymentError,
  startToClose: "15 seconds",
  retry: untilItWorks
})

export const ShipParcel = Activity.make("ShipParcel", {
  payload: Schema.Struct({ order: Schema.String, reservation: Schema.String }),
  success: Schema.String,
  startToClose: "10 seconds",
  retry: untilItWorks
})

export const Order = Workflow.make("Order", {
  payload: OrderInput,
  success: Fulfilment,
  error: PaymentError
})

export const OrderLive = Order.toLayer(({ cents, id, item }) =>
  Effect.gen(function*() {
    const reservation = yield* ReserveStock.execute({ order: id, item })
    const charge = yield* ChargeCard.execute({ order: id, cents })
    // Time to change one's mind. In earnest it would be days: the wait is in the journal, not in a process.
    yield* Effect.sleep("500 millis")
    const parcel = yield* ShipParcel.execute({ order: id, reservation })
    return { order: id, reservation, charge, parcel }
  })
)
