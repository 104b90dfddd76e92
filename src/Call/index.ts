/**
 * How one call runs.
 *
 * @since 0.1.0
 */
export * as Fallback from "./Fallback.js"
export * as Timeout from "./Timeout.js"
