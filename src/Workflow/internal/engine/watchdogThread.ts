/**
 * The thread of the watchdog: reads, from memory that it shares with the main thread, what that is doing since when, and
 * reports what does not come to an end. The main thread cannot do this, since nothing else runs there meanwhile.
 */

/** The words of the shared memory, before the bytes that name what is under way. */
export const word = {
  /** Odd while something is under way; grows by one as it begins and as it ends. */
  sequence: 0,
  /** After how many milliseconds what is under way is reported. */
  limit: 1,
  /** 1: what is under way ends the process when it is reported. */
  exit: 2,
  /** How many bytes name it. */
  length: 3,
  /** Milliseconds between two looks. */
  interval: 4,
  /** How many engines are watched; without one the thread sleeps. */
  engines: 5
} as const

export const headerBytes = 4 * Object.keys(word).length

export const nameBytes = 1_024

/**
 * The program of the thread. It is given to the thread as text, since a file of its own would not be found from a bundle:
 * so nothing outside may be used in it but its arguments.
 */
export const watch = (
  memory: SharedArrayBuffer,
  at: typeof word,
  header: number,
  write: (text: string) => void,
  kill: () => void
): void => {
  const words = new Int32Array(memory, 0, header / 4)
  const bytes = new Uint8Array(memory, header)
  let seen = 0
  let reported = 0
  let elapsed = 0
  let before = performance.now()
  for (;;) {
    Atomics.wait(words, at.engines, 0)
    const interval = words[at.interval]!
    // Nobody notifies this word: waiting for it is sleeping.
    Atomics.wait(words, at.interval, interval, interval)
    const now = performance.now()
    // A process that was stopped as a whole has hung in no turn.
    const step = Math.min(now - before, 2 * interval)
    before = now
    const sequence = Atomics.load(words, at.sequence)
    elapsed = sequence === seen ? elapsed + step : 0
    seen = sequence
    if (sequence % 2 === 0 || sequence === reported || elapsed < words[at.limit]!) continue
    const name = new TextDecoder().decode(bytes.slice(0, words[at.length]))
    const exits = words[at.exit] === 1
    // What was read is of this, unless it has ended meanwhile.
    if (Atomics.load(words, at.sequence) !== sequence) continue
    reported = sequence
    write(
      `holdfast: ${name} has held up its process for ${(elapsed / 1_000).toFixed(1)} s: nothing else runs there` +
        `${exits ? "; the process ends" : ""}\n`
    )
    if (exits) kill()
  }
}
