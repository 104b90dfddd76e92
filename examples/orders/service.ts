/**
 * A payment service that misbehaves, as a process of its own. `main.ts` starts it (`npm run demo`); alone it is
 *
 *   node --import tsx examples/orders/service.ts 100
 *
 * and prints its address. `POST /charge` takes money, once per Idempotency-Key; `GET /ledger` tells what was taken.
 *
 * What happens to the n-th request is fixed by a seed: most are answered; some are refused with 429 and Retry-After or
 * with 503, some hang, some lose their connection, and of these a part has already been charged. Once it has made the
 * number of charges in its argument it is out of order for a while, and answers everything with 503.
 */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer, NodeHttpServerRequest, NodeRuntime } from "@effect/platform-node"
import { Clock, Context, Duration, Effect, Layer, Random, Schema } from "effect"
import { createServer } from "node:http"
import { LogToStderr, say, whileParentLives } from "./child.js"
import { type Charge, ChargeRequest, Listening, type Statement } from "./messages.js"

const outageAfter = Number(process.argv[2] ?? Infinity)
const outageLength = Duration.toMillis("2500 millis")

type Fate = "Answered" | "TooMany" | "Unavailable" | "ResetBefore" | "ResetAfter" | "TooSlow"

/** How often each happens, of 100 requests. The rest is answered. */
const misfortunes: ReadonlyArray<readonly [Fate, number]> = [
  ["TooMany", 6],
  ["Unavailable", 6],
  ["ResetBefore", 4],
  ["ResetAfter", 6],
  ["TooSlow", 6]
]

const fateOf = (percent: number): Fate => {
  let limit = 0
  for (const [fate, share] of misfortunes) {
    limit += share
    if (percent < limit) return fate
  }
  return "Answered"
}

/** The book of the service. Each method is one step: no other request comes in between. */
const makeLedger = () => {
  const charges: Array<Charge> = []
  const byKey = new Map<string, Charge>()
  const keysSeen = new Set<string>()
  const counts = { requests: 0, repeated: 0, suppressed: 0, tooMany: 0, unavailable: 0, reset: 0, tooSlow: 0 }
  let outageStarted: number | undefined
  return {
    arrived: (key: string): void => {
      counts.requests++
      if (keysSeen.has(key)) counts.repeated++
      keysSeen.add(key)
    },
    count: (what: "tooMany" | "unavailable" | "reset" | "tooSlow"): void => {
      counts[what]++
    },
    /** The entry of this key: there is one already, or the money is taken now. */
    charge: (key: string, request: ChargeRequest): Charge => {
      const known = byKey.get(key)
      if (known !== undefined) {
        counts.suppressed++
        return known
      }
      const charge = { id: `charge-${charges.length + 1}`, key, ...request }
      charges.push(charge)
      byKey.set(key, charge)
      return charge
    },
    isOut: (now: number): boolean => {
      if (charges.length < outageAfter) return false
      outageStarted ??= now
      return now < outageStarted + outageLength
    },
    statement: (): Statement => ({ charges, ...counts })
  }
}

class Ledger extends Context.Tag("holdfast/examples/orders/service/Ledger")<Ledger, ReturnType<typeof makeLedger>>() {}

class Script extends Context.Tag("holdfast/examples/orders/service/Script")<Script, Random.Random>() {}

const unavailable = HttpServerResponse.text("out of order", { status: 503 })

/** Cuts the connection. Nobody is there any more who could be answered. */
const reset = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
  socket.resetAndDestroy()
  return yield* Effect.never
})

const postCharge = Effect.gen(function*() {
  const ledger = yield* Ledger
  const script = yield* Script
  const { "idempotency-key": key } = yield* HttpServerRequest.schemaHeaders(
    Schema.Struct({ "idempotency-key": Schema.NonEmptyString })
  )
  const request = yield* HttpServerRequest.schemaBodyJson(ChargeRequest)
  ledger.arrived(key)
  const fate = fateOf(100 * (yield* script.next))
  const work = 30 + 90 * (yield* script.next)

  if (ledger.isOut(yield* Clock.currentTimeMillis)) {
    ledger.count("unavailable")
    return yield* unavailable
  }
  switch (fate) {
    case "TooMany": {
      ledger.count("tooMany")
      return yield* HttpServerResponse.text("too many requests", { status: 429, headers: { "retry-after": "1" } })
    }
    case "Unavailable": {
      ledger.count("unavailable")
      return yield* unavailable
    }
    case "ResetBefore": {
      ledger.count("reset")
      return yield* reset
    }
    case "ResetAfter": {
      ledger.charge(key, request)
      ledger.count("reset")
      return yield* reset
    }
    case "TooSlow": {
      const charge = ledger.charge(key, request)
      ledger.count("tooSlow")
      yield* Effect.sleep("3 seconds")
      return yield* HttpServerResponse.json(charge)
    }
    case "Answered": {
      // The money is taken at once, and the answer takes its time: whoever is killed in between never hears of it.
      const charge = ledger.charge(key, request)
      yield* Effect.sleep(work)
      return yield* HttpServerResponse.json(charge)
    }
  }
}).pipe(
  Effect.catchTag("ParseError", (error) => HttpServerResponse.text(error.message, { status: 400 }))
)

const getLedger = Effect.flatMap(Ledger, (ledger) => HttpServerResponse.json(ledger.statement()))

const announce = HttpServer.addressWith((address) =>
  address._tag === "TcpAddress"
    ? say(Listening)({ _tag: "Listening", url: `http://${address.hostname}:${address.port}` })
    : Effect.void
)

const ServiceLive = HttpRouter.empty.pipe(
  HttpRouter.post("/charge", postCharge),
  HttpRouter.get("/ledger", getLedger),
  HttpServer.serve(),
  Layer.merge(Layer.effectDiscard(announce)),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provide(Layer.sync(Ledger, makeLedger)),
  Layer.provide(Layer.sync(Script, () => Random.make("orders"))),
  Layer.provide(LogToStderr)
)

Layer.launch(ServiceLive).pipe(
  whileParentLives,
  (service) => NodeRuntime.runMain(service, { disablePrettyLogger: true })
)
