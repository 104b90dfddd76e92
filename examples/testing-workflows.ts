/**
 * How a workflow is tested, without a runner of tests:
 *
 *   npx tsx examples/testing-workflows.ts
 *
 * An order waits three days for its approval, and gives the money back when nobody approves it. The test lives through
 * these days in milliseconds: on the real engine, with the real retries and time-outs, and with stubs for what the order
 * calls. Then a copy of the workflow with a bug is put to the same test, which says what is wrong.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schema } from "effect"
import { Backoff, RetryPolicy } from "holdfast/Schedule"
import * as WorkflowTest from "holdfast/Testing/WorkflowTest"
import { Activity, Signal, Workflow } from "holdfast/Workflow"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const Charge = Activity.make("Charge", {
  payload: Schema.Struct({ order: Schema.String, cents: Schema.Number }),
  success: Schema.String,
  error: Busy,
  retry: RetryPolicy.make({ retries: 5, backoff: Backoff.exponential("1 second") })
})
const Refund = Activity.make("Refund", { payload: Schema.String })
const Approved = Signal.make("Approved", { payload: Schema.String })
const Order = Workflow.make("Order", { payload: Schema.Number, success: Schema.String, error: Busy })

const charge = (cents: number) =>
  Effect.flatMap(Workflow.info, ({ workflowId }) => Charge.execute({ order: workflowId, cents }))
const approval = Effect.orDie(Effect.timeoutOption(Approved.receive, "3 days"))

const OrderLive = Order.toLayer((cents) =>
  Effect.gen(function*() {
    const receipt = yield* charge(cents)
    const approved = yield* approval
    if (approved._tag === "Some") return `approved by ${approved.value}`
    yield* Refund.execute(receipt)
    return "expired"
  })
)

/** Nobody gets the money back. */
const WithABug = Order.toLayer((cents) =>
  Effect.gen(function*() {
    yield* charge(cents)
    const approved = yield* approval
    return approved._tag === "Some" ? `approved by ${approved.value}` : "expired"
  })
)

const suite = (live: typeof OrderLive) => {
  const test = WorkflowTest.make(live).pipe(
    // Two attempts fail, and the back-off is the real one.
    WorkflowTest.stub(Charge, WorkflowTest.byAttempt([new Busy(), new Busy(), Effect.succeed("receipt-7")])),
    WorkflowTest.stub(Refund, Effect.delay(Effect.void, "2 hours"))
  )
  return Effect.gen(function*() {
    yield* Effect.scoped(Effect.gen(function*() {
      const order = yield* test.start(Order, { id: "order-7", payload: 100 })
      yield* order.after("2 days", order.signal(Approved, "Ada"))
      yield* Console.log(`An order that is approved: ${yield* order.result}`)
      yield* order.expectCalled(Charge, { times: 1, with: { order: "order-7", cents: 100 } })
      yield* order.expectNotCalled(Refund)
    }))
    const expired = yield* test.run(Order, { id: "order-8", payload: 100 })
    yield* Console.log(`One that is not: ${yield* expired.exit}`)
    yield* expired.expectOrder(Charge, Refund)
    return yield* expired.log
  })
}

const program = Effect.gen(function*() {
  yield* Console.log(`${yield* suite(OrderLive)}\n`)
  const error = yield* Effect.flip(suite(WithABug))
  yield* Console.log(`\nThe same test of the code with the bug fails:\n${error.message}`)
})

NodeRuntime.runMain(program)
