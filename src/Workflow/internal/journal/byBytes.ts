/**
 * The order of texts in a journal: that of their bytes in UTF-8, which is the same in every store.
 */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
