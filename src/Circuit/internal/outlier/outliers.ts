/**
 * Which hosts of a fleet are in service. No effects, plain immutable data. The rules and the numbers that are usual for
 * them are those of Envoy's outlier detection.
 *
 *                 so many failures in a row, or a success rate far below that of the others
 *     ┌────────────┐ ───────────────────────────────────────────────────────────▶ ┌─────────┐
 *     │ in service │                                                              │ ejected │
 *     └────────────┘ ◀─────────────────────────────────────────────────────────── └─────────┘
 *                      after base × times ejected, at most the longest time
 *
 * Invariants:
 * - Of n hosts at most floor(n × `maxEjection`) are ejected, and never all of them. An outlier for which there is no
 *   room stays in service, and is ejected by its next failure if there is room then.
 * - Each ejection begins a new generation of its host. What a call of an older generation came to changes nothing.
 */

/** Times are in milliseconds. */
export interface Settings {
  /** So many failures in a row eject; `null` where they are not counted. */
  readonly failures: number | null
  readonly successRate: SuccessRate | null
  readonly baseMillis: number
  readonly longestMillis: number
  /** The part of the fleet that may be ejected. */
  readonly maxEjection: number
  /** A success takes one from the times ejected, at most this often. */
  readonly decayMillis: number
}

export interface SuccessRate {
  /** Rates are of intervals of this length, looked at when one is over. */
  readonly intervalMillis: number
  /** Hosts with enough requests that there have to be for their rates to be compared. */
  readonly minimumHosts: number
  readonly minimumRequests: number
  /** So many standard deviations below the mean is too far. */
  readonly factor: number
}

export interface Host {
  readonly host: string
  readonly generation: number
  /** In a row. */
  readonly failures: number
  readonly timesEjected: number
  /** 0 for one that never was. */
  readonly ejectedUntil: number
  readonly decayedAt: number
  /** Of the interval that is under way. */
  readonly requests: number
  readonly successes: number
}

export interface Fleet {
  readonly hosts: ReadonlyArray<Host>
  /** The number of the interval that is under way: the time divided by its length. */
  readonly interval: number
}

export type Outcome = "success" | "failure" | "neutral"

export interface Ejection {
  readonly host: string
  readonly reason: "failures" | "successRate"
  readonly until: number
  readonly timesEjected: number
}

export const initial = (hosts: ReadonlyArray<string>): Fleet => ({ hosts: hosts.map(newHost), interval: 0 })

export const isEjected = ({ ejectedUntil }: Host, now: number): boolean => now < ejectedUntil

/** The fleet with other hosts; those that stay keep what is known of them, as far as there is room for the ejected. */
export const withHosts = (
  settings: Settings,
  { hosts, interval }: Fleet,
  names: ReadonlyArray<string>,
  now: number
): Fleet => {
  const next = names.map((name) => hosts.find(({ host }) => host === name) ?? newHost(name))
  const ejected = next.filter((host) => isEjected(host, now)).sort((a, b) => a.ejectedUntil - b.ejectedUntil)
  // Those that would have come back first do now.
  const back = new Set(ejected.slice(0, Math.max(0, ejected.length - roomIn(settings, next.length))))
  return { hosts: next.map((host) => back.has(host) ? { ...host, ejectedUntil: now } : host), interval }
}

/** What the end of a call makes of the fleet. The same object comes back when nothing changes. */
export const settle = (
  settings: Settings,
  before: Fleet,
  call: { readonly host: string; readonly generation: number },
  outcome: Outcome,
  now: number
): readonly [next: Fleet, ejections: ReadonlyArray<Ejection>] => {
  const [fleet, ejections] = sweep(settings, before, now)
  const index = fleet.hosts.findIndex(({ host }) => host === call.host)
  const host = fleet.hosts[index]
  if (host === undefined || host.generation !== call.generation || isEjected(host, now) || outcome === "neutral") {
    return [fleet, ejections]
  }
  if (outcome === "success") return [replaced(fleet, index, succeeded(settings, host, now)), ejections]
  const failed = { ...host, failures: host.failures + 1, requests: host.requests + requestsOf(settings) }
  return settings.failures !== null && failed.failures >= settings.failures && hasRoom(settings, fleet, now)
    ? eject(settings, replaced(fleet, index, failed), index, "failures", now, ejections)
    : [replaced(fleet, index, failed), ejections]
}

/** Compares the success rates when an interval is over. */
export const sweep = (
  settings: Settings,
  fleet: Fleet,
  now: number
): readonly [next: Fleet, ejections: ReadonlyArray<Ejection>] => {
  const { successRate } = settings
  if (successRate === null) return [fleet, none]
  const interval = Math.floor(now / successRate.intervalMillis)
  if (interval <= fleet.interval) return [fleet, none]
  let next: readonly [Fleet, ReadonlyArray<Ejection>] = [{ hosts: fleet.hosts.map(cleared), interval }, none]
  // The counts are of the last interval; if that was further back, they say nothing about now.
  if (interval > fleet.interval + 1) return next
  for (const { host } of outliersOf(successRate, fleet.hosts)) {
    if (!hasRoom(settings, next[0], now)) break
    const index = fleet.hosts.findIndex((each) => each.host === host)
    if (!isEjected(fleet.hosts[index]!, now)) next = eject(settings, next[0], index, "successRate", now, next[1])
  }
  return next
}

/** The hosts whose success rate is too far below the mean, the worst first. */
export const outliersOf = (
  { factor, minimumHosts, minimumRequests }: SuccessRate,
  hosts: ReadonlyArray<Pick<Host, "host" | "requests" | "successes">>
): ReadonlyArray<{ readonly host: string; readonly rate: number }> => {
  const rates = hosts
    .filter(({ requests }) => requests >= minimumRequests)
    .map(({ host, requests, successes }) => ({ host, rate: successes / requests }))
  if (rates.length < minimumHosts) return []
  const mean = rates.reduce((sum, { rate }) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / rates.length
  const threshold = mean - factor * Math.sqrt(variance)
  return rates.filter(({ rate }) => rate < threshold).sort((a, b) => a.rate - b.rate)
}

const newHost = (host: string): Host => ({
  host,
  generation: 0,
  failures: 0,
  timesEjected: 0,
  ejectedUntil: 0,
  decayedAt: 0,
  requests: 0,
  successes: 0
})

/** How many hosts may be ejected; the addition makes up for parts such as 0.29 that have no exact form. */
const roomIn = ({ maxEjection }: Settings, hosts: number): number =>
  Math.min(Math.floor(hosts * maxEjection + 1e-9), hosts - 1)

const hasRoom = (settings: Settings, { hosts }: Fleet, now: number): boolean =>
  hosts.filter((host) => isEjected(host, now)).length < roomIn(settings, hosts.length)

const eject = (
  settings: Settings,
  fleet: Fleet,
  index: number,
  reason: Ejection["reason"],
  now: number,
  ejections: ReadonlyArray<Ejection>
): readonly [Fleet, ReadonlyArray<Ejection>] => {
  const host = fleet.hosts[index]!
  const timesEjected = host.timesEjected + 1
  const ejectedUntil = now + Math.min(settings.baseMillis * timesEjected, settings.longestMillis)
  const ejected = { ...cleared(host), generation: host.generation + 1, failures: 0, timesEjected, ejectedUntil }
  return [replaced(fleet, index, ejected), [...ejections, {
    host: host.host,
    reason,
    until: ejectedUntil,
    timesEjected
  }]]
}

const succeeded = (settings: Settings, host: Host, now: number): Host => {
  const { decayedAt, ejectedUntil, failures, timesEjected } = host
  const decays = timesEjected > 0 && now - Math.max(decayedAt, ejectedUntil) >= settings.decayMillis
  if (failures === 0 && !decays && settings.successRate === null) return host
  return {
    ...host,
    failures: 0,
    timesEjected: decays ? timesEjected - 1 : timesEjected,
    decayedAt: decays ? now : decayedAt,
    requests: host.requests + requestsOf(settings),
    successes: host.successes + requestsOf(settings)
  }
}

/** Requests are only counted where a rate is worked out from them. */
const requestsOf = ({ successRate }: Settings): number => successRate === null ? 0 : 1

const cleared = (host: Host): Host => ({ ...host, requests: 0, successes: 0 })

const replaced = (fleet: Fleet, index: number, host: Host): Fleet =>
  fleet.hosts[index] === host
    ? fleet
    : { ...fleet, hosts: fleet.hosts.map((each, at) => at === index ? host : each) }

const none: ReadonlyArray<Ejection> = []
