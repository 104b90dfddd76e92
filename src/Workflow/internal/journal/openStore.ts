/**
 * A store that refuses everything once its journal has closed, so that whoever keeps a client for longer gets an error
 * instead of an old answer, or of none.
 */
import * as Effect from "effect/Effect"
import type { JournalStore } from "../../Journal.js"
import { JournalError } from "../../WorkflowError.js"

export const closed = new JournalError({
  reason: "Closed",
  detail: "the scope that it was built in is over; ask before the program ends, or build another journal"
})

/** The store for as long as the journal is open. A method that is missing here does not compile. */
export const whileOpen = (store: JournalStore, isOpen: () => boolean): JournalStore => {
  const guarded =
    <Args extends ReadonlyArray<unknown>, A>(method: (...args: Args) => Effect.Effect<A, JournalError>) =>
    (...args: Args): Effect.Effect<A, JournalError> => Effect.suspend(() => isOpen() ? method(...args) : closed)
  return {
    write: guarded(store.write),
    history: guarded(store.history),
    run: guarded(store.run),
    latest: guarded(store.latest),
    list: guarded(store.list),
    count: guarded(store.count),
    pending: guarded(store.pending),
    closed: guarded(store.closed),
    claim: guarded(store.claim),
    takeAttempts: guarded(store.takeAttempts),
    taken: guarded(store.taken),
    heartbeat: guarded(store.heartbeat),
    release: guarded(store.release),
    workers: guarded(store.workers),
    backlog: guarded(store.backlog),
    secret: guarded(store.secret),
    owner: guarded(store.owner),
    version: guarded(() => store.version)()
  }
}
