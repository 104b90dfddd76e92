/**
 * Whether a call may pass.
 *
 * @since 0.1.0
 */
export * as Bulkhead from "./Bulkhead.js"
export * as CircuitBreaker from "./CircuitBreaker.js"
export * as ConcurrencyLimit from "./ConcurrencyLimit.js"
export * as Gate from "./Gate.js"
export * as LoadShedder from "./LoadShedder.js"
export * as OutlierEjection from "./OutlierEjection.js"
export * as Priority from "./Priority.js"
export * as RateLimiter from "./RateLimiter.js"
export * as Throttle from "./Throttle.js"
