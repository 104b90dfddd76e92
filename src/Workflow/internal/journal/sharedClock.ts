/**
 * The time that processes share: polls and leases go by it, whatever clock the program runs under. A simulation of
 * several workers provides its own.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"

export class SharedClock extends Context.Reference<SharedClock>()("holdfast/Workflow/SharedClock", {
  defaultValue: (): Clock.Clock => Clock.make()
}) {}
