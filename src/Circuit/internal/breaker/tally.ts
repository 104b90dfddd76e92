/**
 * What a closed breaker counts, and whether that is enough to open it. No effects.
 */
import { type CountWindow, emptyCountWindow, recordCall } from "./countWindow.js"
import { add, emptyTimeWindow, expire, type Shape, type TimeWindow } from "./timeWindow.js"

/** When a closed breaker opens. A rate of `null` is not looked at. */
export type Trip =
  | { readonly _tag: "Consecutive"; readonly failures: number }
  | ({ readonly _tag: "CountWindow"; readonly size: number } & Rates)
  | ({ readonly _tag: "TimeWindow"; readonly shape: Shape } & Rates)

export interface Rates {
  readonly minimumCalls: number
  readonly failureRate: number | null
  readonly slowRate: number | null
}

/** What has been counted: the failures in a row, or a window; which of them is the trip's to say. */
export type Tally = number | CountWindow | TimeWindow

export interface Counts {
  readonly total: number
  readonly failures: number
  readonly slow: number
}

export const emptyTally = (trip: Trip): Tally =>
  trip._tag === "Consecutive" ? 0 : trip._tag === "CountWindow" ? emptyCountWindow : noTime

export const recordInTally = (trip: Trip, tally: Tally, failed: boolean, slow: boolean, now: number): Tally => {
  switch (trip._tag) {
    case "Consecutive":
      return failed ? (tally as number) + 1 : 0
    case "CountWindow":
      return recordCall(trip.size, tally as CountWindow, failed, slow)
    case "TimeWindow":
      return add(trip.shape, tally as TimeWindow, [1, failed ? 1 : 0, slow ? 1 : 0], now)
  }
}

/** The counts as they are at a time. */
export const countsOf = (trip: Trip, tally: Tally, now: number): Counts => {
  switch (trip._tag) {
    case "Consecutive":
      return { total: tally as number, failures: tally as number, slow: 0 }
    case "CountWindow":
      return tally as CountWindow
    case "TimeWindow": {
      const [total, failures, slow] = expire(trip.shape, tally as TimeWindow, now).sums
      return { total: total!, failures: failures!, slow: slow! }
    }
  }
}

/** Whether what has been counted opens the breaker. */
export const tripsAt = (trip: Trip, tally: Tally, now: number): boolean => {
  if (trip._tag === "Consecutive") return (tally as number) >= trip.failures
  const { failures, slow, total } = countsOf(trip, tally, now)
  // A window that can never hold the minimum is judged when it is full.
  const enough = trip._tag === "CountWindow" ? Math.min(trip.minimumCalls, trip.size) : trip.minimumCalls
  return total >= enough && total > 0 && (
    (trip.failureRate !== null && failures / total >= trip.failureRate) ||
    (trip.slowRate !== null && slow / total >= trip.slowRate)
  )
}

const noTime = emptyTimeWindow(3)
