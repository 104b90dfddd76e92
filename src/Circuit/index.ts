/**
 * Whether a call may pass.
 *
 * @since 0.1.0
 */
export * as CircuitBreaker from "./CircuitBreaker.js"
export * as Gate from "./Gate.js"
