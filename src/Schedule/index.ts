/**
 * When to try again.
 *
 * @since 0.1.0
 */
export * as Backoff from "./Backoff.js"
export * as Retry from "./Retry.js"
export * as RetryBudget from "./RetryBudget.js"
export * as RetryPolicy from "./RetryPolicy.js"
