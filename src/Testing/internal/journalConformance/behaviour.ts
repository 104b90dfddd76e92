/**
 * What one behaviour is shown with: a fresh store, the entries that are written to it, and what is expected.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Event } from "../../../Workflow/Event.js"
import type { Claimed, Entry, JournalStore, Receipt, RunRecord, Written } from "../../../Workflow/Journal.js"
import type { JournalError } from "../../../Workflow/WorkflowError.js"
import { audit } from "./audit.js"
import { at } from "./entries.js"
import type { Checked } from "./expect.js"

export interface Behaviour {
  readonly name: string
  readonly run: (store: JournalStore) => Checked
}

export interface Theme {
  readonly name: string
  readonly behaviours: ReadonlyArray<Behaviour>
}

/** A store, and short words for what is mostly done with it. */
export interface Subject {
  readonly store: JournalStore
  /** Writes the entries as one group. */
  readonly write: (...entries: ReadonlyArray<Entry>) => Effect.Effect<Written, JournalError>
  /** Writes one entry, and gives its receipt. */
  readonly receipt: (entry: Entry) => Effect.Effect<Receipt, JournalError>
  /** Writes the entries as one group, and gives the kinds of their receipts. */
  readonly tags: (...entries: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Receipt["_tag"]>, JournalError>
  /** The kinds of the events of a run. */
  readonly kinds: (runId: string) => Effect.Effect<ReadonlyArray<Event["_tag"]>, JournalError>
  readonly record: (runId: string) => Effect.Effect<RunRecord | undefined, JournalError>
  readonly claim: (
    worker: string,
    options?: Partial<Parameters<JournalStore["claim"]>[0]>
  ) => Effect.Effect<Claimed, JournalError>
  readonly take: (
    worker: string,
    options?: Partial<Parameters<JournalStore["takeAttempts"]>[0]>
  ) => ReturnType<JournalStore["takeAttempts"]>
}

export const behaviour = (name: string, run: (subject: Subject) => Checked): Behaviour => ({
  name,
  run: (store) => Effect.zipRight(run(subjectOf(store)), audit(store))
})

export const theme = (name: string, ...behaviours: ReadonlyArray<Behaviour>): Theme => ({ name, behaviours })

export const subjectOf = (store: JournalStore): Subject => {
  const write = (...entries: ReadonlyArray<Entry>) => store.write(frozen(entries))
  return {
    store,
    write,
    receipt: (entry) => Effect.map(write(entry), ({ receipts }) => receipts[0]!),
    tags: (...entries) => Effect.map(write(...entries), ({ receipts }) => receipts.map(({ _tag }) => _tag)),
    kinds: (runId) => Effect.map(store.history(runId), (events) => events.map(({ _tag }) => _tag)),
    record: (runId) => Effect.map(store.run(runId), Option.getOrUndefined),
    claim: (worker, options) => {
      const now = options?.now ?? at
      return store.claim({ worker, workflows: ["W"], now, leaseUntil: now + 10, quarantined: 1, ...options })
    },
    take: (worker, options) =>
      store.takeAttempts({ worker, queue: "q", activities: ["A"], limit: 10, now: at, ...options })
  }
}

/** A store writes what it is given, and changes nothing of it. */
const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const each of Object.values(value)) frozen(each)
  }
  return value
}
