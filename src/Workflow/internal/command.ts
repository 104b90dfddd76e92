/**
 * A command on its way between the code of a workflow and its run.
 */
import type { Arrival, Command, Unplaced } from "../Event.js"

/** A command before the run gives it its number. */
export type Draft = Command extends infer C ? C extends Command ? Omit<Unplaced<C>, "command"> : never : never

/** What answers a command. */
export type Answer = Extract<Arrival, { readonly target: number }>
