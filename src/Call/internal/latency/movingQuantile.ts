/**
 * A quantile of what was seen lately, in constant space: the estimate moves up or down by a small step with each sample,
 * in such proportions that it rests where a share `quantile` of the samples is below it. The step is a hundredth of the
 * standard deviation, which an exponential average follows with the memory of `age` samples (M. Hammond and others,
 * "A fast algorithm for computing moving quantiles").
 *
 * It follows a change within a few `age`s, and never comes to rest: for 0.9 of a uniform 0..100 it moves around 90 with a
 * standard deviation of 4, so a single reading may well be 93.
 */

export interface Settings {
  readonly quantile: number
  /** The number of samples after which what was seen has lost most of its weight. */
  readonly age: number
}

export interface State {
  readonly count: number
  readonly mean: number
  readonly variance: number
  readonly estimate: number
}

export const initial: State = { count: 0, mean: 0, variance: 0, estimate: 0 }

/** The state after one more sample. */
export const add = ({ age, quantile }: Settings, state: State, sample: number): State => {
  if (state.count === 0) return { count: 1, mean: sample, variance: 0, estimate: sample }
  const weight = 2 / (age + 1)
  const away = sample - state.mean
  const mean = state.mean + weight * away
  const variance = (1 - weight) * (state.variance + weight * away * away)
  const step = 0.01 * Math.sqrt(variance)
  const estimate = sample < state.estimate
    ? state.estimate - step / quantile
    : sample > state.estimate
    ? state.estimate + step / (1 - quantile)
    : state.estimate
  return { count: state.count + 1, mean, variance, estimate }
}
