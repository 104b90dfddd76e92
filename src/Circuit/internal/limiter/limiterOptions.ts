/**
 * From the options of a rate limiter to the limiter.
 */
import type { Description } from "../../../Combinator.js"
import { reader } from "../../../InvalidOptions.js"
import type { Algorithm as Name, Change, Options, RateLimiter } from "../../RateLimiter.js"
import { LimiterImpl, type Settings } from "./limiter.js"
import type { Algorithm, Limit } from "./rate/algorithm.js"
import { fixedWindow } from "./rate/fixedWindow.js"
import { slidingCounter } from "./rate/slidingCounter.js"
import { slidingLog } from "./rate/slidingLog.js"
import { tokenBucket } from "./rate/tokenBucket.js"

/** Makes limiters of the same options; the argument of each is the key. */
export interface Builder {
  readonly make: (key: string) => RateLimiter & { readonly isSpare: (now: number) => boolean }
  readonly describe: (key: string) => Description
}

export const buildLimiter = (
  module: string,
  options: Options,
  retryAfterOf: Settings<unknown>["retryAfterOf"]
): Builder => {
  const name = options.algorithm ?? "token-bucket"
  switch (name) {
    case "token-bucket":
      return builderOf(module, name, tokenBucket, options, retryAfterOf)
    case "fixed-window":
      return builderOf(module, name, fixedWindow, options, retryAfterOf)
    case "sliding-log":
      return builderOf(module, name, slidingLog, options, retryAfterOf)
    case "sliding-counter":
      return builderOf(module, name, slidingCounter, options, retryAfterOf)
    default:
      return reader(module).refuse("algorithm", name, "one of token-bucket, fixed-window, sliding-log, sliding-counter")
  }
}

const builderOf = <S>(
  module: string,
  name: Name,
  algorithm: Algorithm<S>,
  options: Options,
  retryAfterOf: Settings<S>["retryAfterOf"]
): Builder => {
  const read = reader(module)
  const { maxRetryAfter = "5 minutes", maxWait = 0, resume = "accrued" } = options
  if (resume !== "accrued" && resume !== "empty") read.refuse("resume", resume, "\"accrued\" or \"empty\"")
  const settings: Settings<S> = {
    algorithm,
    limit: limitOf(module, name, {
      limit: options.limit ?? 10,
      interval: options.interval ?? 1_000,
      burst: options.burst ?? (name === "token-bucket" ? options.limit ?? 50 : undefined)
    }),
    maxWaitMillis: read.duration("maxWait", maxWait),
    resumesEmpty: resume === "empty",
    retryAfterOf: options.retryAfterOf ?? retryAfterOf,
    maxRetryAfterMillis: read.duration("maxRetryAfter", maxRetryAfter),
    changed: (limit, change) =>
      limitOf("RateLimiter.setLimit", name, {
        limit: change.limit ?? limit.limit,
        interval: change.interval ?? limit.intervalMillis,
        burst: change.burst ?? (name === "token-bucket" ? limit.capacity : undefined)
      })
  }
  const { limit, maxRetryAfterMillis, maxWaitMillis } = settings
  const describe = (key: string): Description => ({
    policy: "RateLimiter",
    key,
    settings: {
      algorithm: name,
      limit: limit.limit,
      intervalMillis: limit.intervalMillis,
      burst: limit.capacity,
      maxWaitMillis: maxWaitMillis === Infinity ? null : maxWaitMillis,
      resume,
      maxRetryAfterMillis: maxRetryAfterMillis === Infinity ? null : maxRetryAfterMillis
    }
  })
  return { describe, make: (key) => new LimiterImpl(key, describe(key), settings) }
}

const limitOf = (module: string, name: Name, { burst, interval, limit }: Change): Limit => {
  const read = reader(module)
  const calls = read.integer("limit", limit ?? Number.NaN, 1)
  if (burst !== undefined && name !== "token-bucket") {
    read.refuse("burst", burst, `left out, since ${name} lets pass at most the limit`)
  }
  return {
    limit: calls,
    intervalMillis: read.positiveDuration("interval", interval ?? 0),
    capacity: burst === undefined ? calls : read.integer("burst", burst, 1)
  }
}
