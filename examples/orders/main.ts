/**
 * The main demo: 200 orders, a payment service that misbehaves, and a worker that is killed twice.
 *
 *   npm run demo
 *
 * It starts the service and the worker as processes of their own, on this machine only, and starts the orders as a web
 * server would: through a client of the journal, an SQLite file in a temporary folder. While the orders are on their way
 * it kills the worker with SIGKILL, twice, and starts another. At the end it compares the results of all orders with the
 * ledger of the service. The exit code is 0 when every order was charged exactly once and none is lost, and 1 otherwise.
 *
 * HOLDFAST_DEMO_ORDERS sets another number of orders.
 */
import { FetchHttpClient, HttpClient, HttpClientResponse, type Runtime } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Data, Effect, Exit, Layer, Option, Stream } from "effect"
import { Client } from "holdfast/Workflow"
import { audit, type Outcome, table } from "./audit.js"
import { Board, BoardLive } from "./board.js"
import * as Child from "./child.js"
import { ClientLive, FolderLive } from "./folder.js"
import { Listening, Statement } from "./messages.js"
import { runWorkers, until } from "./workers.js"
import { Order, type OrderInput } from "./workflow.js"

/** The worker is killed when such a share of the orders is completed. */
const killsAt: ReadonlyArray<number> = [0.25, 0.7]

/** The payment service is out of order for a while after such a share of the charges: between the kills. */
const outageAt = 0.5

/** The orders come in over so many milliseconds. */
const arrivals = 8_000

const timeLimit = "55 seconds"

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

const orderCount = Config.integer("HOLDFAST_DEMO_ORDERS").pipe(
  Config.withDefault(200),
  Config.validate({
    message: "HOLDFAST_DEMO_ORDERS must be from 10 to 5000",
    validation: (count) => count >= 10 && count <= 5_000
  })
)

/** What the customers want: the same in every run of the demo. */
const makeOrders = (count: number): ReadonlyArray<OrderInput> =>
  Array.from({ length: count }, (_, i) => ({
    id: `order-${String(i + 1).padStart(4, "0")}`,
    item: ["anchor", "shackle", "cleat", "hawser"][i % 4]!,
    cents: 995 + (i * 7_919) % 9_000
  }))

const startService = (orders: number) =>
  Effect.gen(function*() {
    const service = yield* Child.start("service.ts", [String(Math.round(outageAt * orders))], Listening)
    const first = yield* Effect.raceFirst(Stream.runHead(service.messages), service.gone)
    const url = yield* Effect.map(first, (listening) => listening.url)
    return { url, gone: service.gone }
  })

/** Starts the orders one after another, once there is a worker, and waits for all of them at once. */
const placeOrders = (orders: ReadonlyArray<OrderInput>) =>
  Effect.gen(function*() {
    const board = yield* Board
    const place = (order: OrderInput) =>
      Effect.gen(function*() {
        const run = yield* Client.start(Order, { id: order.id, payload: order })
        yield* board.note(({ started }) => ({ started: started + 1 }))
        const fulfilment = yield* run.result
        yield* board.note(({ completed }) => ({ completed: completed + 1 }))
        return fulfilment
      }).pipe(
        Effect.mapError(({ message }) => message),
        Effect.either,
        Effect.map((result): Outcome => ({ order, result }))
      )
    yield* until(({ worker }) => worker > 0)
    return yield* Effect.forEach(
      orders,
      (order, i) => Effect.delay(place(order), i * arrivals / orders.length),
      { concurrency: "unbounded" }
    )
  })

const fetchStatement = (service: string) =>
  HttpClient.get(`${service}/ledger`).pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Statement)))

const demo = Effect.gen(function*() {
  const board = yield* Board
  const orders = makeOrders(yield* orderCount)
  yield* board.print(
    `Holdfast: ${orders.length} orders, a payment service that misbehaves, and a worker that is killed twice.\n`
  )

  const service = yield* startService(orders.length)
  const outcomes = yield* placeOrders(orders).pipe(
    Effect.raceFirst(runWorkers(service.url, orders.length, killsAt)),
    Effect.raceFirst(service.gone),
    board.shownDuring
  )

  const statement = yield* fetchStatement(service.url)
  const facts = yield* board.facts
  const result = audit(outcomes, statement, facts, killsAt.length)
  yield* board.print(`\n${table(result, statement, facts, yield* board.seconds)}\n`)
  if (result.problems.length > 0) {
    const shown = result.problems.slice(0, 10).map((problem) => `  ${problem}`)
    return yield* new DemoFailed({
      message: `${result.problems.length} things are wrong, such as\n${shown.join("\n")}`
    })
  }
  yield* board.print(
    "Every order was charged exactly once and none was lost. Calls that failed were tried again, a service that was down\n" +
      "was left alone, and what a killed worker had begun was finished by the next one, from the journal."
  )
}).pipe(Effect.scoped)

const outOfTime = Effect.gen(function*() {
  yield* Effect.sleep(timeLimit)
  const { completed, started } = yield* Effect.flatMap(Board, (board) => board.facts)
  return yield* new DemoFailed({
    message: `after ${timeLimit} only ${completed} of the ${started} orders that were started are completed`
  })
})

const complain = (cause: Cause.Cause<{ readonly message: string }>) =>
  Cause.isInterruptedOnly(cause)
    ? Effect.void
    : Console.error(
      `\nThe demo has FAILED: ${
        Option.match(Cause.failureOption(cause), {
          onNone: () => Cause.pretty(cause),
          onSome: ({ message }) => message
        })
      }`
    )

const DemoLive = Layer.mergeAll(ClientLive, BoardLive, FetchHttpClient.layer).pipe(
  Layer.provideMerge(FolderLive),
  Layer.provideMerge(NodeContext.layer)
)

/** Interrupted by Ctrl-C it has neither succeeded nor failed. */
const teardown: Runtime.Teardown = (exit, end) =>
  end(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)

demo.pipe(
  Effect.raceFirst(outOfTime),
  Effect.tapErrorCause(complain),
  // @effect-diagnostics-next-line strictEffectProvide:off
  Effect.provide(DemoLive),
  (main) => NodeRuntime.runMain(main, { disableErrorReporting: true, teardown })
)
