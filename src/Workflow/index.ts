/**
 * Work that outlives the process.
 *
 * @since 0.1.0
 */
export * as Activity from "./Activity.js"
export * as Client from "./Client.js"
export * as Codec from "./Codec.js"
export * as Engine from "./Engine.js"
export * as Event from "./Event.js"
export * as History from "./History.js"
export * as Journal from "./Journal.js"
export * as JournalTransaction from "./JournalTransaction.js"
export * as Replay from "./Replay.js"
export * as Run from "./Run.js"
export * as Signal from "./Signal.js"
export * as Workflow from "./Workflow.js"
export * as WorkflowError from "./WorkflowError.js"
