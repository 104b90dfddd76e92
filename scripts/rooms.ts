/**
 * The rooms of the house: what each may import. `docs/architecture.md` says why; this table is what the checks hold.
 */

export interface Room {
  /** The rooms it may import from. */
  readonly uses: ReadonlyArray<string>
  /** The optional peers that a user of the room installs; the room may import these and no other package. */
  readonly peers: ReadonlyArray<string>
  /** Whether it may import Node's own modules, and so runs on a server only. */
  readonly node: boolean
}

const sql = ["@effect/sql", "@effect/platform", "@effect/experimental"]

export const rooms: Readonly<Record<string, Room>> = {
  Telemetry: { uses: [], peers: [], node: false },
  Store: { uses: ["Telemetry"], peers: [], node: false },
  Schedule: { uses: ["Telemetry", "Store"], peers: [], node: false },
  Circuit: { uses: ["Telemetry", "Store", "Schedule"], peers: [], node: false },
  Call: { uses: ["Telemetry", "Store", "Schedule", "Circuit"], peers: [], node: false },
  Preset: { uses: ["Telemetry", "Store", "Schedule", "Circuit", "Call"], peers: [], node: false },
  Task: { uses: ["Telemetry", "Store", "Schedule", "Circuit", "Call"], peers: [], node: false },
  Workflow: { uses: ["Telemetry", "Store", "Schedule"], peers: sql, node: true },
  Testing: {
    uses: ["Telemetry", "Store", "Schedule", "Circuit", "Call", "Preset", "Task", "Workflow"],
    peers: sql,
    node: true
  }
}

/** The modules that belong to no room: any room may import them, and they import none. */
export const shared: ReadonlyArray<string> = ["InvalidOptions", "Combinator"]
