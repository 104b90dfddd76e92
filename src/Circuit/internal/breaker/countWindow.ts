/**
 * The last `size` calls: how many of them failed, and how many were slow. No effects, plain immutable data.
 *
 * A ring of two bits for each call, sixteen calls to a word. The calls of the word that is being written are kept
 * beside the ring, so that the ring is copied once in sixteen calls, and recording a call is O(1) in between.
 */

export interface CountWindow {
  /** How many calls there are, at most `size`. */
  readonly total: number
  readonly failures: number
  readonly slow: number
  /** The slot that the next call is written to. */
  readonly next: number
  /** What has been written of the word that `next` is in. */
  readonly filling: number
  /** The words of the ring; those that were never written are zero. */
  readonly words: ReadonlyArray<number>
}

export const emptyCountWindow: CountWindow = { total: 0, failures: 0, slow: 0, next: 0, filling: 0, words: [] }

/** The window after one more call; when it is full, the oldest call leaves it. */
export const recordCall = (size: number, window: CountWindow, failed: boolean, slow: boolean): CountWindow => {
  const { next, words } = window
  const word = next >>> 4
  const shift = (next & 15) << 1
  const call = (failed ? failedBit : 0) | (slow ? slowBit : 0)
  const full = window.total === size
  const leaving = full ? ((words[word] ?? 0) >>> shift) & 3 : 0
  const filling = (shift === 0 ? 0 : window.filling) | (call << shift)
  const wordIsFull = shift === 30 || next + 1 === size
  return {
    total: full ? size : window.total + 1,
    failures: window.failures + (call & failedBit) - (leaving & failedBit),
    slow: window.slow + ((call & slowBit) >> 1) - ((leaving & slowBit) >> 1),
    next: next + 1 === size ? 0 : next + 1,
    filling,
    words: wordIsFull ? withWord(words, word, filling) : words
  }
}

const failedBit = 1
const slowBit = 2

const withWord = (words: ReadonlyArray<number>, index: number, word: number): ReadonlyArray<number> => {
  const copy = words.slice()
  copy[index] = word
  return copy
}
