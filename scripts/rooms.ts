/**
 * The rooms of the house: what each may import. `docs/architecture.md` says why; this table is what the checks hold.
 */

/** What code may reach for. */
export interface Needs {
  /** The rooms it may import from. */
  readonly uses: ReadonlyArray<string>
  /** The optional peers that a user of it installs; it may import these and no other package. */
  readonly peers: ReadonlyArray<string>
  /** Whether it may import Node's own modules, and so runs on a server only. */
  readonly node: boolean
}

export interface Room extends Needs {
  /**
   * The folders in the room's `internal/`, from the top down: a file there imports from its own folder and from those below.
   */
  readonly inside?: ReadonlyArray<string>
  /**
   * Modules that need more than the rest of the room, or take longer to load. Each is a subpath of its own, which the room's index leaves out, and
   * what it is made of stands in `internal/` under its name: `internal/journalConformance/` for `JournalConformance`.
   * Nothing else in the room imports either.
   */
  readonly apart?: Readonly<Record<string, Needs>>
}

const sql = ["@effect/sql", "@effect/platform", "@effect/experimental"]

const beforeTesting = ["Telemetry", "Store", "Schedule", "Circuit", "Call", "Preset", "Task"]

export const rooms: Readonly<Record<string, Room>> = {
  Telemetry: { uses: [], peers: [], node: false },
  Store: { uses: ["Telemetry"], peers: [], node: false },
  Schedule: { uses: ["Telemetry", "Store"], peers: [], node: false },
  Circuit: {
    uses: ["Telemetry", "Store", "Schedule"],
    peers: [],
    node: false,
    apart: { Watch: { uses: ["Telemetry", "Store", "Schedule"], peers: [], node: false } }
  },
  Call: { uses: ["Telemetry", "Store", "Schedule", "Circuit"], peers: [], node: false },
  Preset: { uses: ["Telemetry", "Store", "Schedule", "Circuit", "Call"], peers: [], node: false },
  Task: { uses: ["Telemetry", "Store", "Schedule", "Circuit", "Call"], peers: [], node: false },
  Workflow: {
    uses: ["Telemetry", "Store", "Schedule"],
    peers: sql,
    node: true,
    inside: ["client", "engine", "activity", "turn", "sql", "memory", "journal", "codec"]
  },
  Testing: {
    uses: beforeTesting,
    peers: [],
    node: false,
    apart: {
      ActivityTest: { uses: [...beforeTesting, "Workflow"], peers: sql, node: true },
      JournalConformance: { uses: [...beforeTesting, "Workflow"], peers: sql, node: true },
      WorkflowTest: { uses: [...beforeTesting, "Workflow"], peers: sql, node: true }
    }
  }
}

/** The modules that belong to no room: any room may import them, and they import none. */
export const shared: ReadonlyArray<string> = ["InvalidOptions", "Combinator"]
