/**
 * Everything that one transaction changes, gathered over its entries; what the parts are is said at their type.
 */
import type { ActivityScheduled, Event, TimerStarted } from "../../Event.js"
import type * as Public from "../../JournalTransaction.js"
import type { AttemptChange, CommandKey, LinkState, RunState } from "../../JournalTransaction.js"

export class Changes implements Public.Changes {
  readonly begun = new Set<RunState>()
  readonly moved = new Set<RunState>()
  readonly restated = new Set<RunState>()
  readonly closing = new Set<RunState>()
  readonly blocked = new Set<RunState>()
  readonly batches: Array<readonly [run: RunState, events: ReadonlyArray<Event>]> = []
  readonly activities = new Map<string, readonly [run: number, scheduled: ActivityScheduled]>()
  readonly attempts: Array<AttemptChange> = []
  readonly endedActivities: Array<CommandKey> = []
  readonly timers = new Map<string, readonly [run: number, started: TimerStarted]>()
  readonly endedTimers: Array<CommandKey> = []
  readonly signals: Array<readonly [run: number, id: string]> = []
  readonly links = new Set<LinkState>()
  readonly movedLinks = new Set<LinkState>()
  readonly endedLinks: Array<number> = []

  begin(run: RunState): void {
    this.begun.add(run)
  }

  move(run: RunState): void {
    if (!this.begun.has(run)) this.moved.add(run)
  }

  restate(run: RunState): void {
    if (!this.begun.has(run)) this.restated.add(run)
  }

  moveLink(link: LinkState): void {
    if (link.id !== undefined) this.movedLinks.add(link)
  }

  unlink(link: LinkState): void {
    this.links.delete(link)
    if (link.id !== undefined) this.endedLinks.push(link.id)
  }

  /** Notes what an event does to what is pending in its run. */
  follow(run: number, event: Event): void {
    switch (event._tag) {
      case "ActivityScheduled":
        this.activities.set(`${run}/${event.command}`, [run, event])
        break
      case "AttemptFailed":
        this.attempts.push({ _tag: "Failed", run, event })
        break
      case "ActivityCancelled":
      case "ActivityCompleted":
      case "ActivityFailed":
        // What begins and ends in one transaction is never pending.
        if (!this.activities.delete(`${run}/${event.target}`)) this.endedActivities.push([run, event.target])
        break
      case "TimerStarted":
        this.timers.set(`${run}/${event.command}`, [run, event])
        break
      case "TimerCancelled":
      case "TimerFired":
        if (!this.timers.delete(`${run}/${event.target}`)) this.endedTimers.push([run, event.target])
        break
      case "SignalReceived":
        if (event.id !== undefined) this.signals.push([run, event.id])
        break
    }
  }
}
