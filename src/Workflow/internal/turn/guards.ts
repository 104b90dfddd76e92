/**
 * For the length of one drain, the process's clock and randomness answer from the run, and what cannot be replayed
 * refuses. A drain is synchronous, so no other code sees this.
 *
 * Effect itself calls some of these inside a drain, and they answer quietly: `Date.now` (fiber ids, metrics),
 * `setInterval` and `clearInterval` (how `Effect.never` keeps a process alive) and `console` (its loggers).
 */

/** What answers while the globals are guarded. */
export interface Host {
  /** Is a recorded turn run again? */
  readonly replaying: boolean
  /** Milliseconds since the epoch, in the run. */
  readonly now: number
  /** Uniform in [0, 1), from the run's seed. */
  readonly random: () => number
  /** A fiber waits for ever, until what this gives is called. */
  readonly waitForEver: () => () => void
  /** Notes the violation and throws. */
  readonly refuse: (what: string, instead: string) => never
  /** Keeps what was printed until the turn is committed. */
  readonly print: (method: ConsoleMethod, args: ReadonlyArray<unknown>) => void
}

const consoleMethods = ["log", "info", "warn", "error", "debug"] as const

export type ConsoleMethod = (typeof consoleMethods)[number]

let host: Host | undefined

const current = (): Host => host!

/**
 * The stack of the caller, when a recorded turn is run again; else nothing, since a stack costs more than the call.
 */
export const originInReplay = (): Error | undefined => host?.replaying === true ? new Error() : undefined

const RealDate = Date
const realClearInterval = clearInterval as (timer: unknown) => void

/** What stands for the interval of an `Effect.never`. */
class Never {
  constructor(readonly end: () => void) {}
}

/** `Effect.never` asks for the longest interval there is; a run that waits holds no timer. */
const longest = 2 ** 31 - 1

// @effect-diagnostics globalDate:off
function logicalNow(): number {
  return host === undefined ? RealDate.now() : host.now
}

function LogicalDate(this: unknown, ...args: ReadonlyArray<unknown>): Date | string {
  if (new.target === undefined) return new RealDate(logicalNow()).toString()
  return args.length === 0
    ? new RealDate(logicalNow())
    : Reflect.construct(RealDate, args, new.target === LogicalDate ? RealDate : new.target)
}
Object.defineProperties(LogicalDate, {
  prototype: { value: RealDate.prototype },
  now: { value: logicalNow },
  parse: { value: RealDate.parse },
  UTC: { value: RealDate.UTC }
})

const refusing = (what: string, instead: string) => () => current().refuse(what, instead)

const anActivity = "an activity"
const aSleep = "Effect.sleep, Effect.timeout or Effect.delay"
const random = "Effect's Random service, seeded by the run"

type Target = Record<string, unknown>

/** The object on the prototype chain that holds `key`, so that restoring leaves nothing behind. */
function ownerOf(target: Target, key: string): Target {
  for (let owner: Target | null = target; owner !== null; owner = Object.getPrototypeOf(owner)) {
    if (Object.hasOwn(owner, key)) return owner
  }
  return target
}

const globals = globalThis as unknown as Target

const replacements = ([
  [globals, "Date", LogicalDate],
  [Math as unknown as Target, "random", () => current().random()],
  [performance as unknown as Target, "now", () => current().now],
  [globals, "setTimeout", refusing("setTimeout", aSleep)],
  [
    globals,
    "setInterval",
    (_task: unknown, millis: unknown) =>
      millis === longest ? new Never(current().waitForEver()) : current().refuse("setInterval", aSleep)
  ],
  [globals, "clearInterval", (timer: unknown) => timer instanceof Never ? timer.end() : realClearInterval(timer)],
  [globals, "setImmediate", refusing("setImmediate", "Effect.yieldNow")],
  [globals, "queueMicrotask", refusing("queueMicrotask", "Effect.yieldNow")],
  [process as unknown as Target, "nextTick", refusing("process.nextTick", "Effect.yieldNow")],
  [globals, "fetch", refusing("fetch", anActivity)],
  [globalThis.crypto as unknown as Target, "randomUUID", refusing("crypto.randomUUID", random)],
  [globalThis.crypto as unknown as Target, "getRandomValues", refusing("crypto.getRandomValues", random)],
  ...consoleMethods.map((method) =>
    [
      console as unknown as Target,
      method,
      (...args: ReadonlyArray<unknown>) => current().print(method, args)
    ] as const
  )
] as ReadonlyArray<readonly [target: Target, key: string, value: (...args: ReadonlyArray<unknown>) => unknown]>).map(
  ([target, key, value], i) => ({
    owner: ownerOf(target, key),
    key,
    // Code of a run may keep hold of one and call it outside of a drain, as in a side effect: it then means the real one.
    value: value === LogicalDate ? value : function(this: unknown, ...args: ReadonlyArray<unknown>): unknown {
      return host === undefined ? Reflect.apply(real[i] as typeof value, this, args) : value(...args)
    }
  })
)

/** Runs something of a drain with the globals as they were before it. */
export const unguarded = <A>(run: () => A): A => {
  const by = host
  if (by === undefined) return run()
  const guarding = replacements.map(({ key, owner }) => owner[key])
  replacements.forEach(({ key, owner }, i) => owner[key] = real[i])
  host = undefined
  try {
    return run()
  } finally {
    replacements.forEach(({ key, owner }, i) => owner[key] = guarding[i])
    host = by
  }
}

/** The globals as they were before they were guarded. */
let real: ReadonlyArray<unknown> = []

let installed = false

/**
 * Keeps the guards up while several drains are run, which costs less than to put them up for each. Between the drains they
 * let everything through.
 */
export const installedOnce = (run: () => void): void => {
  if (installed) return run()
  const saved: Array<unknown> = []
  for (let i = 0; i < replacements.length; i++) {
    const { key, owner, value } = replacements[i]!
    saved.push(owner[key])
    owner[key] = value
  }
  real = saved
  installed = true
  try {
    run()
  } finally {
    for (let i = 0; i < replacements.length; i++) {
      const { key, owner } = replacements[i]!
      owner[key] = saved[i]
    }
    installed = false
  }
}

/**
 * Runs `drain` with the globals guarded by `by`, and restores them whatever happens.
 */
export const guarded = (by: Host, drain: () => void): void =>
  installedOnce(() => {
    host = by
    try {
      drain()
    } finally {
      host = undefined
    }
  })
