/**
 * How two measures of the last while go together. No effects.
 */

export interface Pair {
  readonly x: number
  readonly y: number
}

/** Pearson's correlation of the pairs, from -1 to 1; 0 where one of them does not vary. */
export const correlationOf = (pairs: ReadonlyArray<Pair>): number => {
  const x = spread(pairs.map(({ x }) => x))
  const y = spread(pairs.map(({ y }) => y))
  const together = pairs.reduce((sum, pair) => sum + (pair.x - x.mean) * (pair.y - y.mean), 0) / pairs.length
  return x.deviation === 0 || y.deviation === 0 ? 0 : together / (x.deviation * y.deviation)
}

/** The coefficient of variation: the standard deviation as a part of the mean. */
export const variationOf = (values: ReadonlyArray<number>): number => {
  const { deviation, mean } = spread(values)
  return mean === 0 ? 0 : deviation / mean
}

const spread = (values: ReadonlyArray<number>) => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}
