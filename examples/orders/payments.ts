/**
 * The client of the payment service, as `worker.ts` uses it. See `npm run demo`.
 *
 * From the inside out: each request has a limit in time; what fails is tried again by the rule for its kind; and when
 * five calls in a row have failed in spite of that, the breaker spares the service and the caller any further ones.
 */
import { HttpClient, type HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Data, Duration, Effect, Layer, type ParseResult, Queue } from "effect"
import { Timeout } from "holdfast/Call"
import { CircuitBreaker } from "holdfast/Circuit"
import { Backoff, Retry } from "holdfast/Schedule"
import { say } from "./child.js"
import { Charge, type ChargeRequest, Report } from "./messages.js"
import { PaymentRefused, PaymentUnavailable } from "./workflow.js"

/** 429: the service asks for a pause. It works, so the breaker does not count this. */
class RateLimited extends Data.TaggedError("RateLimited")<{
  readonly status: number
  readonly retryAfter: Duration.Duration
}> {}

/** Any other answer that is no receipt. */
class BadStatus extends Data.TaggedError("BadStatus")<{ readonly status: number }> {}

type CallError = RateLimited | BadStatus | Timeout.TimedOut | HttpClientError.HttpClientError | ParseResult.ParseError

const report = say(Report)

/** Worth another try: 503 and its like, a connection that was reset, an answer that did not come in time. */
const transient = (error: CallError): boolean =>
  error._tag === "BadStatus" ? error.status >= 500 : error._tag !== "RateLimited" && error._tag !== "ParseError"

const retries = Retry.rules<CallError>([
  Retry.on("RateLimited", {
    retries: 3,
    backoff: Backoff.constant("1 second"),
    hint: (error) => error.retryAfter,
    hintCap: "5 seconds",
    hintJitter: "300 millis"
  }),
  Retry.on(transient, {
    retries: 3,
    backoff: Backoff.exponential("100 millis", { cap: "2 seconds", jitter: "full" })
  })
], { onRetry: () => report({ _tag: "Retrying" }) })

/** The breaker of the payment service: one for all orders of a worker. */
export class PaymentsBreaker extends CircuitBreaker.Tag("Payments")<PaymentsBreaker>() {}

const readAnswer = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Charge, CallError> => {
  const { headers, status } = response
  if (status === 200) return HttpClientResponse.schemaBodyJson(Charge)(response)
  return status === 429
    ? new RateLimited({ status, retryAfter: Duration.seconds(Number(headers["retry-after"] ?? "1")) })
    : new BadStatus({ status })
}

/** Charges a card. With the same key it may be called any number of times: the service takes the money once. */
export const charge = (service: string, request: ChargeRequest, key: string) =>
  HttpClientRequest.post(`${service}/charge`).pipe(
    HttpClientRequest.setHeader("Idempotency-Key", key),
    HttpClientRequest.bodyUnsafeJson(request),
    HttpClient.execute,
    Effect.flatMap(readAnswer),
    Timeout.after("500 millis"),
    Effect.ensuring(report({ _tag: "Settled" })),
    (send) => Effect.zipRight(report({ _tag: "Sent" }), send),
    retries,
    PaymentsBreaker.protect,
    Effect.tapError((error) => report({ _tag: error._tag === "CircuitOpen" ? "Rejected" : "GaveUp" })),
    Effect.mapError(toPaymentError)
  )

/** What the journal gets to see of it. */
const toPaymentError = (error: CallError | CircuitBreaker.CircuitOpen | CircuitBreaker.Isolated) => {
  switch (error._tag) {
    case "BadStatus":
    case "RateLimited":
      return error.status < 500 && error.status !== 429
        ? new PaymentRefused({ status: error.status })
        : new PaymentUnavailable({ reason: `it answers with status ${error.status}` })
    default:
      return new PaymentUnavailable({ reason: error.message })
  }
}

const reportTransitions = Effect.gen(function*() {
  const breaker = yield* PaymentsBreaker
  const changes = yield* breaker.changes
  yield* Queue.take(changes).pipe(
    Effect.flatMap(({ to }) => report({ _tag: "Breaker", state: to })),
    Effect.forever,
    Effect.forkScoped
  )
})

/** The breaker, and word to the parent whenever it changes its state. */
export const PaymentsBreakerLive = Layer.scopedDiscard(reportTransitions).pipe(
  Layer.provideMerge(PaymentsBreaker.layer({ failures: 5, successes: 2, openFor: "500 millis" }))
)
