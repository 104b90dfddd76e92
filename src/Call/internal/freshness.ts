/**
 * How a remembered end may be used, as time goes by.
 *
 *     stored ── fresh ──▶ freshUntil ── stale: served while it is renewed ──▶ staleUntil ── gone
 *
 * Invariant: storedAt ≤ freshUntil ≤ staleUntil.
 */

/** The times of an entry, in milliseconds. */
export interface Times {
  readonly freshUntil: number
  readonly staleUntil: number
}

export type Freshness = "fresh" | "stale" | "gone"

/** The times of what is stored now; `undefined` where it is not worth storing. */
export const timesOf = (now: number, ttlMillis: number, staleMillis: number): Times | undefined =>
  ttlMillis > 0 ? { freshUntil: now + ttlMillis, staleUntil: now + ttlMillis + staleMillis } : undefined

/** How an entry may be used now. The end of a time is no longer part of it. */
export const freshness = ({ freshUntil, staleUntil }: Times, now: number): Freshness =>
  now < freshUntil ? "fresh" : now < staleUntil ? "stale" : "gone"

/**
 * Whether the end of a run takes the place of what is stored: a failure does not, while a value may still be served.
 */
export const replaces = (
  next: { readonly isValue: boolean },
  stored: (Times & { readonly isValue: boolean }) | undefined,
  now: number
): boolean => next.isValue || stored === undefined || !stored.isValue || freshness(stored, now) === "gone"
