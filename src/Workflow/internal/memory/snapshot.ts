/**
 * The state of a store in memory, kept for the case that a group of entries fails half-way.
 */
import type { Link, Stored } from "./memoryStore.js"

export interface State {
  readonly runs: Map<string, Stored>
  readonly latest: Map<string, Stored>
  readonly links: Set<Link>
}

/** Gives what takes the state back to what it is now. */
export const snapshot = ({ latest, links, runs }: State): () => void => {
  const kept = new Map([...runs.values()].map((stored) => [stored, copyOf(stored)]))
  const newest = [...latest]
  const family = [...links].map((link) => ({ ...link }))
  return () => {
    runs.clear()
    latest.clear()
    links.clear()
    for (const stored of kept.values()) runs.set(stored.run.runId, stored)
    for (const [workflowId, stored] of newest) latest.set(workflowId, kept.get(stored)!)
    for (const { child, parent, ...link } of family) {
      links.add({ ...link, child: kept.get(child)!, parent: kept.get(parent)! })
    }
  }
}

const copyOf = (stored: Stored): Stored => ({
  ...stored,
  events: [...stored.events],
  activities: new Map(stored.activities),
  timers: new Map(stored.timers),
  signals: new Set(stored.signals)
})
