/**
 * What the fibers of a run start with: a clock and randomness that replay, loggers that wait for the commit, and nothing that
 * watches them from outside.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Supervisor from "effect/Supervisor"
import type { RunIdentity } from "../../Run.js"

/** The fiber refs of a run's first fiber, made of those of its engine. `print` gets each log, to be shown later. */
export const deterministicRefs = (
  refs: FiberRefs.FiberRefs,
  fiberId: FiberId.Runtime,
  run: {
    readonly info: RunIdentity
    readonly clock: Clock.Clock
    readonly print: (output: () => void) => void
  }
): FiberRefs.FiberRefs => {
  const { runId, workflow, workflowId } = run.info
  const services = FiberRefs.getOrDefault(refs, DefaultServices.currentServices).pipe(
    Context.add(Clock.Clock, run.clock),
    Context.add(Random.Random, Random.make(runId))
  )
  const annotations = FiberRefs.getOrDefault(refs, FiberRef.currentLogAnnotations).pipe(
    HashMap.set("workflow", workflow as unknown),
    HashMap.set("workflowId", workflowId as unknown),
    HashMap.set("runId", runId as unknown)
  )
  const loggers = FiberRefs.getOrDefault(refs, FiberRef.currentLoggers)
  const buffered = Logger.make<unknown, void>((entry) =>
    run.print(() => {
      for (const logger of loggers) logger.log(entry)
    })
  )
  return FiberRefs.updateManyAs(refs, {
    forkAs: fiberId,
    entries: [
      [DefaultServices.currentServices, [[fiberId, services]]],
      [FiberRef.currentLogAnnotations, [[fiberId, annotations]]],
      [FiberRef.currentLoggers, [[fiberId, HashSet.make(buffered)]]],
      [FiberRef.currentTracerEnabled, [[fiberId, false]]],
      // What watches the fibers of the process would hold those of a run that has left memory.
      [FiberRef.currentSupervisor, [[fiberId, Supervisor.none]]],
      [FiberRef.unhandledErrorLogLevel, [[fiberId, Option.none()]]]
    ]
  })
}
