/**
 * Reads the options of a breaker.
 */
import type { Description } from "../../../Combinator.js"
import { reader } from "../../../InvalidOptions.js"
import type { Options } from "../../CircuitBreaker.js"
import type { Parts } from "./breaker.js"
import { classify } from "./classify.js"
import { makeOpening } from "./openFor.js"
import { consecutive, describeTrip, partsOf } from "./trip.js"

/** Reads options once, and says what breakers of that kind are made of: each for its own key. */
export const readParts = (module: string, options: Options): (key: string) => Parts => {
  const read = reader(module)
  const { halfOpen = {} } = options
  if (options.failures !== undefined && options.trip !== undefined) {
    read.refuse("failures", options.failures, "absent where there is a trip")
  }
  const trip = partsOf(options.trip ?? consecutive(read.integer("failures", options.failures ?? 5, 1)))
  const successes = read.integer("successes", options.successes ?? 2, 1)
  const sample = read.integer("halfOpen.sample", halfOpen.sample ?? successes, 1)
  // With a smaller sample it could never close.
  if (sample < successes) read.refuse("halfOpen.sample", sample, `at least the ${successes} that must succeed`)
  const settings = {
    trip: trip.trip,
    probes: read.integer("halfOpen.probes", halfOpen.probes ?? 1, 1),
    successes,
    sample,
    deadlineMillis: halfOpen.deadline === undefined
      ? Infinity
      : read.positiveDuration("halfOpen.deadline", halfOpen.deadline),
    onDeadline: halfOpen.onDeadline ?? "reopen",
    staleProbeAfterMillis: halfOpen.staleProbeAfter === undefined
      ? null
      : read.positiveDuration("halfOpen.staleProbeAfter", halfOpen.staleProbeAfter)
  }
  if (settings.onDeadline !== "reopen" && settings.onDeadline !== "close") {
    read.refuse("halfOpen.onDeadline", settings.onDeadline, "\"reopen\" or \"close\"")
  }
  const shadow = options.shadow === true
  const described: Description["settings"] = {
    ...describeTrip(trip),
    ...makeOpening(options, module).description,
    halfOpenProbes: settings.probes,
    halfOpenSuccesses: settings.successes,
    halfOpenSample: settings.sample,
    halfOpenDeadlineMillis: settings.deadlineMillis < Infinity ? settings.deadlineMillis : null,
    onHalfOpenDeadline: settings.onDeadline,
    staleProbeAfterMillis: settings.staleProbeAfterMillis,
    shadow
  }
  return (key) => ({
    key,
    description: { policy: "CircuitBreaker", key, settings: described },
    settings,
    opening: makeOpening(options, module),
    slowAfterMillis: trip.slowAfterMillis,
    shadow,
    classify: options.classify ?? classify,
    valuesSucceed: options.classify === undefined
  })
}
