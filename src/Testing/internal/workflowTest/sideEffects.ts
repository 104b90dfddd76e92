/**
 * A run whose side effects have the values that a test gives them.
 */
import type { RunService } from "../../../Workflow/Run.js"

export const withSideEffects = (run: RunService, values: ReadonlyMap<string, () => string | null>): RunService => {
  if (values.size === 0) return run
  const record: RunService["record"] = (label, compute, origin) =>
    run.record(label, values.get(label) ?? compute, origin)
  // A run is more than its public part, and keeps state in itself: all but this is its own.
  return new Proxy(run, {
    get: (target, key): unknown => key === "record" ? record : Reflect.get(target, key, target)
  })
}
