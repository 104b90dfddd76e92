/**
 * A quantile of a stream of numbers in constant space, without keeping the numbers: the P² algorithm (R. Jain and
 * I. Chlamtac, "The P² Algorithm for Dynamic Calculation of Quantiles and Histograms", 1985). No effects, plain data.
 *
 * Five markers stand at the minimum, the quantile, the maximum and half-way between them. Each number moves the markers
 * along, on a parabola through their neighbours where that keeps them in order, else on a line.
 */

export interface Markers {
  /** How many numbers there were. */
  readonly count: number
  /** Where the markers are; the numbers themselves, sorted, while there are fewer than five. */
  readonly heights: ReadonlyArray<number>
  /** How many numbers are at or below each marker. */
  readonly positions: ReadonlyArray<number>
}

export const emptyMarkers: Markers = { count: 0, heights: [], positions: [1, 2, 3, 4, 5] }

/** The markers after one more number. */
export const addNumber = (p: number, markers: Markers, value: number): Markers => {
  const count = markers.count + 1
  if (count <= 5) {
    return { count, heights: [...markers.heights, value].sort((a, b) => a - b), positions: markers.positions }
  }
  const heights = markers.heights.slice()
  const positions = markers.positions.slice()
  heights[0] = Math.min(heights[0]!, value)
  heights[4] = Math.max(heights[4]!, value)
  for (let i = 1; i < 5; i++) if (i === 4 || value < heights[i]!) positions[i]!++
  const steps = count - 1
  const desired = [1, 1 + steps * p / 2, 1 + steps * p, 1 + steps * (1 + p) / 2, count]
  for (let i = 1; i < 4; i++) {
    const off = desired[i]! - positions[i]!
    const before = positions[i - 1]! - positions[i]!
    const after = positions[i + 1]! - positions[i]!
    if ((off >= 1 && after > 1) || (off <= -1 && before < -1)) {
      const step = off > 0 ? 1 : -1
      const curved = parabolic(heights, positions, i, step)
      heights[i] = heights[i - 1]! < curved && curved < heights[i + 1]! ? curved : linear(heights, positions, i, step)
      positions[i]! += step
    }
  }
  return { count, heights, positions }
}

/** The quantile of the numbers so far; `undefined` where there were none. */
export const quantileOf = (p: number, { count, heights }: Markers): number | undefined =>
  count === 0 ? undefined : count < 5 ? heights[Math.min(count - 1, Math.floor(p * count))] : heights[2]

const parabolic = (q: ReadonlyArray<number>, n: ReadonlyArray<number>, i: number, d: number): number =>
  q[i]! + d / (n[i + 1]! - n[i - 1]!) * (
      (n[i]! - n[i - 1]! + d) * (q[i + 1]! - q[i]!) / (n[i + 1]! - n[i]!) +
      (n[i + 1]! - n[i]! - d) * (q[i]! - q[i - 1]!) / (n[i]! - n[i - 1]!)
    )

const linear = (q: ReadonlyArray<number>, n: ReadonlyArray<number>, i: number, d: number): number =>
  q[i]! + d * (q[i + d]! - q[i]!) / (n[i + d]! - n[i]!)
