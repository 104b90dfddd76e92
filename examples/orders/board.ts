/**
 * The board of the demo: what has happened so far, and the line that shows it. See `npm run demo`.
 *
 * On a terminal the line is written over and over in its place; elsewhere, as in CI, a new one comes every second.
 */
import { Clock, Context, Effect, Layer, Schedule, type Stream, SubscriptionRef } from "effect"
import type { Report } from "./messages.js"

export interface Facts {
  readonly started: number
  readonly completed: number
  /** The worker that lives; 0 when none does. */
  readonly worker: number
  readonly breaker: "Closed" | "Open" | "HalfOpen" | "Isolated"
  readonly breakerOpened: number
  /** Charge requests that have left, and those of them that the living worker waits for. */
  readonly sent: number
  readonly underWay: number
  /** Requests that were repeated within a call. */
  readonly retries: number
  /** Calls that failed in spite of that, and calls that the breaker rejected: the activity tries these again. */
  readonly gaveUp: number
  readonly rejected: number
  readonly kills: number
  /** Charge requests that a kill has cut off. */
  readonly cutOff: number
}

const nothing: Facts = {
  started: 0,
  completed: 0,
  worker: 0,
  breaker: "Closed",
  breakerOpened: 0,
  sent: 0,
  underWay: 0,
  retries: 0,
  gaveUp: 0,
  rejected: 0,
  kills: 0,
  cutOff: 0
}

export class Board extends Context.Tag("holdfast/examples/orders/board")<Board, {
  readonly facts: Effect.Effect<Facts>
  /** The facts from now on, the present ones first. */
  readonly changes: Stream.Stream<Facts>
  readonly note: (change: (facts: Facts) => Partial<Facts>) => Effect.Effect<void>
  readonly noteReport: (report: Report) => Effect.Effect<void>
  /** Seconds since the board was put up. */
  readonly seconds: Effect.Effect<number>
  /** Prints a line of its own, above the one that moves. */
  readonly print: (text: string) => Effect.Effect<void>
  /** Shows the line for as long as the effect runs. */
  readonly shownDuring: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}>() {}

const ofReport = (report: Report, facts: Facts): Partial<Facts> => {
  switch (report._tag) {
    case "Ready":
      return { worker: facts.kills + 1, breaker: "Closed" }
    case "Sent":
      return { sent: facts.sent + 1, underWay: facts.underWay + 1 }
    case "Settled":
      return { underWay: facts.underWay - 1 }
    case "Retrying":
      return { retries: facts.retries + 1 }
    case "GaveUp":
      return { gaveUp: facts.gaveUp + 1 }
    case "Rejected":
      return { rejected: facts.rejected + 1 }
    case "Breaker":
      return {
        breaker: report.state,
        breakerOpened: facts.breakerOpened + (report.state === "Open" ? 1 : 0)
      }
  }
}

const breakers = { Closed: "closed", Isolated: "isolated", Open: "OPEN", HalfOpen: "half-open" } as const

const lineOf = (facts: Facts, seconds: number): string =>
  [
    `${seconds.toFixed(1).padStart(5)} s`,
    `started ${facts.started}`,
    `waiting ${facts.started - facts.completed}`,
    `completed ${facts.completed}`,
    `retries ${facts.retries + facts.gaveUp + facts.rejected}`,
    facts.worker === 0 ? "no worker" : `worker ${facts.worker}, breaker ${breakers[facts.breaker]}`,
    `kills ${facts.kills}`
  ].join(" | ")

const isTerminal = process.stdout.isTTY === true

const write = (text: string) => Effect.sync(() => process.stdout.write(text))

const inPlace = (line: string) => write(`\r\u001b[2K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`)

export const BoardLive = Layer.effect(
  Board,
  Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeMillis
    const ref = yield* SubscriptionRef.make(nothing)
    const seconds = Effect.map(Clock.currentTimeMillis, (now) => (now - startedAt) / 1000)
    const note = (change: (facts: Facts) => Partial<Facts>) =>
      SubscriptionRef.update(ref, (facts) => ({ ...facts, ...change(facts) }))

    const line = Effect.zipWith(SubscriptionRef.get(ref), seconds, lineOf)
    const show = isTerminal ? Effect.flatMap(line, inPlace) : Effect.flatMap(line, (text) => write(`${text}\n`))
    const showAll = Effect.zipRight(
      Effect.repeat(show, Schedule.spaced(isTerminal ? "100 millis" : "1 second")),
      Effect.never
    )

    return {
      facts: SubscriptionRef.get(ref),
      changes: ref.changes,
      note,
      noteReport: (report) => note((facts) => ofReport(report, facts)),
      seconds,
      print: (text) => write(isTerminal ? `\r\u001b[2K${text}\n` : `${text}\n`),
      shownDuring: (effect) => Effect.raceFirst(effect, showAll)
    }
  })
)
