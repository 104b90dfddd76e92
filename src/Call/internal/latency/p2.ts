/**
 * The P² algorithm (R. Jain and I. Chlamtac, "The P² Algorithm for Dynamic Calculation of Quantiles and Histograms
 * Without Storing Observations", CACM 1985): five markers, whose heights follow a parabola through their neighbours.
 *
 * It forgets nothing. `Rotation` makes a moving estimate of two of them: both see every sample, and the younger one
 * takes over when it has seen `every` samples.
 */

/** Up to five samples as they came, sorted; then the five markers. */
export interface State {
  readonly count: number
  readonly heights: ReadonlyArray<number>
  /** Where the markers are among the samples, from 1. */
  readonly positions: ReadonlyArray<number>
}

export const initial: State = { count: 0, heights: [], positions: [1, 2, 3, 4, 5] }

/** The state after one more sample. */
export const add = (quantile: number, state: State, sample: number): State => {
  const count = state.count + 1
  if (state.count < 5) {
    return { count, heights: [...state.heights, sample].sort((a, b) => a - b), positions: state.positions }
  }
  const heights = [...state.heights]
  const positions = [...state.positions]
  heights[0] = Math.min(heights[0]!, sample)
  heights[4] = Math.max(heights[4]!, sample)
  // The marker below which the sample falls: it and those above it move on by one.
  const cell = sample < heights[1]! ? 1 : sample < heights[2]! ? 2 : sample < heights[3]! ? 3 : 4
  for (let index = cell; index < 5; index++) positions[index]!++
  const desired = [0, quantile / 2, quantile, (1 + quantile) / 2, 1]
  for (let index = 1; index < 4; index++) {
    const behind = 1 + (count - 1) * desired[index]! - positions[index]!
    const above = positions[index + 1]! - positions[index]!
    const below = positions[index - 1]! - positions[index]!
    if (!((behind >= 1 && above > 1) || (behind <= -1 && below < -1))) continue
    const step = behind > 0 ? 1 : -1
    const curved = parabolic(heights, positions, index, step)
    heights[index] = heights[index - 1]! < curved && curved < heights[index + 1]!
      ? curved
      : linear(heights, positions, index, step)
    positions[index]! += step
  }
  return { count, heights, positions }
}

/** The estimate; `undefined` before the first sample. */
export const estimate = (quantile: number, { count, heights }: State): number | undefined =>
  count === 0 ? undefined : count <= 5 ? heights[Math.ceil(quantile * count) - 1] ?? heights[0] : heights[2]

const parabolic = (
  heights: ReadonlyArray<number>,
  positions: ReadonlyArray<number>,
  index: number,
  step: number
): number => {
  const [q0, q1, q2] = [heights[index - 1]!, heights[index]!, heights[index + 1]!]
  const [n0, n1, n2] = [positions[index - 1]!, positions[index]!, positions[index + 1]!]
  return q1 + step / (n2 - n0) *
      ((n1 - n0 + step) * (q2 - q1) / (n2 - n1) + (n2 - n1 - step) * (q1 - q0) / (n1 - n0))
}

const linear = (
  heights: ReadonlyArray<number>,
  positions: ReadonlyArray<number>,
  index: number,
  step: number
): number =>
  heights[index]! +
  step * (heights[index + step]! - heights[index]!) / (positions[index + step]! - positions[index]!)

/** Two estimators of which one is younger; the older one answers. */
export interface Rotation {
  readonly older: State
  readonly younger: State
}

export const initialRotation: Rotation = { older: initial, younger: initial }

/** The rotation after one more sample: when the older one has seen twice `every`, the younger one takes its place. */
export const addRotating = (
  quantile: number,
  every: number,
  { older, younger }: Rotation,
  sample: number
): Rotation => {
  const next = add(quantile, older, sample)
  // The first estimator has nobody before it, so the second starts when it is half way.
  const young = next.count > every ? add(quantile, younger, sample) : younger
  return next.count >= 2 * every ? { older: young, younger: initial } : { older: next, younger: young }
}
