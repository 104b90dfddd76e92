/**
 * Where two plain values differ.
 */
export interface Difference {
  /** Such as `.receipts[0].record.status`; empty: the values themselves. */
  readonly path: string
  readonly expected: unknown
  readonly actual: unknown
}

/** The first difference; `undefined`: there is none. A field that is absent is the same as one that is undefined. */
export const difference = (actual: unknown, expected: unknown, path = ""): Difference | undefined => {
  if (Object.is(actual, expected)) return undefined
  if (Array.isArray(actual) && Array.isArray(expected)) {
    for (let i = 0; i < Math.max(actual.length, expected.length); i++) {
      if (i >= actual.length || i >= expected.length) {
        return { path: `${path}.length`, expected: expected.length, actual: actual.length }
      }
      const found = difference(actual[i], expected[i], `${path}[${i}]`)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (!isRecord(actual) || !isRecord(expected)) return { path, expected, actual }
  for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const found = difference(actual[key], expected[key], `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
