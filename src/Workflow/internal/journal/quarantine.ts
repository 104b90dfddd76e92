/**
 * Runs that may be what kills their owners, or whose steps fail again and again.
 */

/** After so many deaths of owners in a row a run is in quarantine. */
export const quarantineAfter = 3

/** How long a run rests after so many failures in a row: from the sixth on, twice as long each time. */
export const backoffMillis = (failures: number): number => failures < 6 ? 0 : 1_000 * 2 ** Math.min(failures - 6, 8)
