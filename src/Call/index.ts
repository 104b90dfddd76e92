/**
 * How one call runs.
 *
 * @since 0.1.0
 */
export * as Batch from "./Batch.js"
export * as Cache from "./Cache.js"
export * as Chaos from "./Chaos.js"
export * as Coalesce from "./Coalesce.js"
export * as Deadline from "./Deadline.js"
export * as Fallback from "./Fallback.js"
export * as Hedge from "./Hedge.js"
export * as LastGood from "./LastGood.js"
export * as Latency from "./Latency.js"
export * as Observer from "./Observer.js"
export * as Plan from "./Plan.js"
export * as Policy from "./Policy.js"
export * as Timeout from "./Timeout.js"
