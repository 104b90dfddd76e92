/**
 * When a call that waits in a queue is given up. No effects, plain data. Two laws:
 *
 * - `sojourn`: CoDel (RFC 8289), asked when a call is about to be taken out of the queue. When calls have waited longer
 *   than the target for a whole interval, one is dropped, and then more and more often, until they wait less again.
 * - `timeout`: the form for servers (B. Maurer, "Fail at Scale", 2015), asked when a call joins. As long as the queue
 *   was empty within the last interval, a call may wait for an interval; otherwise only for the target.
 */

/** Times are in milliseconds. */
export interface Settings {
  readonly targetMillis: number
  readonly intervalMillis: number
}

export interface State {
  readonly dropping: boolean
  /** When calls will have waited too long for an interval; `null` while they do not. */
  readonly firstAbove: number | null
  readonly dropNext: number
  /** How many were dropped since dropping began. */
  readonly count: number
  /** What `count` began with. */
  readonly lastCount: number
}

export const initial: State = { dropping: false, firstAbove: null, dropNext: 0, count: 0, lastCount: 0 }

/** The queue is empty. */
export const emptied = (state: State): State =>
  state.firstAbove === null && !state.dropping ? state : { ...state, firstAbove: null, dropping: false }

/** Whether the call that has waited longest is dropped. To be asked again of the next when it is. */
export const judge = (
  settings: Settings,
  state: State,
  sojournMillis: number,
  now: number
): readonly [next: State, drop: boolean] => {
  const { intervalMillis, targetMillis } = settings
  if (sojournMillis < targetMillis) return [emptied(state), false]
  if (state.firstAbove === null) return [{ ...state, firstAbove: now + intervalMillis, dropping: false }, false]
  if (now < state.firstAbove) return [state.dropping ? { ...state, dropping: false } : state, false]
  if (!state.dropping) {
    // Where it was dropping not long ago, it goes on with the rate that was enough then.
    const { count: before, dropNext, lastCount } = state
    const count = before - lastCount > 1 && now - dropNext < 16 * intervalMillis ? before - lastCount : 1
    return [{
      ...state,
      dropping: true,
      count,
      lastCount: count,
      dropNext: now + intervalMillis / Math.sqrt(count)
    }, true]
  }
  if (now < state.dropNext) return [state, false]
  const count = state.count + 1
  return [{ ...state, count, dropNext: state.dropNext + intervalMillis / Math.sqrt(count) }, true]
}

/** Whether the queue has not been empty for longer than the interval. */
export const isOverloaded = ({ intervalMillis }: Settings, lastEmptyAt: number, now: number): boolean =>
  now - lastEmptyAt > intervalMillis

/** How long a call that joins the queue may wait. */
export const timeoutFor = (settings: Settings, lastEmptyAt: number, now: number): number =>
  isOverloaded(settings, lastEmptyAt, now) ? settings.targetMillis : settings.intervalMillis
