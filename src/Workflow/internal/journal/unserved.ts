/**
 * What waits for code that no live worker has: the layer that was forgotten, the queue that nobody serves.
 */
import type { Backlog, PendingActivity, WorkerRecord } from "../../Journal.js"

/**
 * Something that a run waits for and that no live worker has the code of: a workflow; an activity beside its workflow; or
 * an activity in a queue, which nobody serves (`served` is false) or nobody has a handler in.
 *
 * @since 0.1.0
 * @category models
 */
export type Unserved =
  | { readonly _tag: "Workflow"; readonly workflow: string }
  | { readonly _tag: "Activity"; readonly activity: string }
  | { readonly _tag: "Queue"; readonly queue: string; readonly activity: string; readonly served: boolean }

/** What nobody serves, and how many wait for it. */
export interface UnservedCount {
  readonly what: Unserved
  readonly count: number
}

const hasWorkflow = (workers: ReadonlyArray<WorkerRecord>, workflow: string): boolean =>
  workers.some(({ services }) => services.workflows.includes(workflow))

/** The attempts of a queue, unless somebody serves them. */
const inQueue = (workers: ReadonlyArray<WorkerRecord>, queue: string, activity: string): Unserved | undefined => {
  const serving = workers.filter(({ services }) => services.queues.includes(queue))
  return serving.some(({ services }) => services.activities.includes(activity))
    ? undefined
    : { _tag: "Queue", queue, activity, served: serving.length > 0 }
}

/** What of the backlog no live worker can take. */
export const unservedIn = (
  { attempts, runs }: Backlog,
  workers: ReadonlyArray<WorkerRecord>
): ReadonlyArray<UnservedCount> => [
  ...runs.flatMap(({ count, workflow }): ReadonlyArray<UnservedCount> =>
    hasWorkflow(workers, workflow) ? [] : [{ what: { _tag: "Workflow", workflow }, count }]
  ),
  ...attempts.flatMap(({ activity, count, queue }): ReadonlyArray<UnservedCount> => {
    const what = inQueue(workers, queue, activity)
    return what === undefined ? [] : [{ what, count }]
  })
]

/** What of one open run no live worker can take. */
export const unservedOf = (
  run: {
    readonly workflow: string
    readonly owner: string | undefined
    readonly activities: ReadonlyArray<PendingActivity>
  },
  workers: ReadonlyArray<WorkerRecord>
): ReadonlyArray<Unserved> => {
  const owner = workers.find(({ worker }) => worker === run.owner)
  const unserved: Array<Unserved> = []
  if (owner === undefined && !hasWorkflow(workers, run.workflow)) {
    unserved.push({ _tag: "Workflow", workflow: run.workflow })
  }
  const named = new Map(run.activities.map((pending) => {
    const { activity, queue } = pending.scheduled
    return [`${queue ?? ""}\0${activity}`, pending]
  }))
  for (const { outside, scheduled: { activity, queue } } of named.values()) {
    if (outside) continue
    if (queue === undefined) {
      if (owner !== undefined && !owner.services.activities.includes(activity)) {
        unserved.push({ _tag: "Activity", activity })
      }
      continue
    }
    const waiting = inQueue(workers, queue, activity)
    if (waiting !== undefined) unserved.push(waiting)
  }
  return unserved
}

/** What waits, and what to do about it. */
export const describeUnserved = ({ count, what }: UnservedCount): string => {
  const [many, verb] = count === 1 ? ["", "waits"] : ["s", "wait"]
  const number = count >= 1_000 ? "1,000 or more" : String(count)
  switch (what._tag) {
    case "Workflow":
      return `${number} run${many} of workflow ${what.workflow} ${verb}, and no live worker has its code: ` +
        `provide the layer of ${what.workflow}.toLayer(…) to an engine`
    case "Activity":
      return `${number} call${many} of activity ${what.activity} ${verb}, and the worker has no handler for it: ` +
        `provide the layer of ${what.activity}.toLayer(…) to the engine of the workflow`
    case "Queue": {
      const queue = JSON.stringify(what.queue)
      const attempts = `${number} call${many} of activity ${what.activity} ${verb} in queue ${queue}, and`
      return what.served
        ? `${attempts} no live worker that serves it has a handler: ` +
          `provide the layer of ${what.activity}.toLayer(…) to an engine of this queue`
        : `${attempts} no live worker serves this queue: ` +
          `name it in the \`queues\` of an engine with the layer of ${what.activity}.toLayer(…)`
    }
  }
}

export const nameUnserved = (what: Unserved): string =>
  what._tag === "Workflow"
    ? `workflow ${what.workflow}`
    : what._tag === "Activity"
    ? `activity ${what.activity}`
    : `activity ${what.activity} in queue ${JSON.stringify(what.queue)}`

const keyOf = (what: Unserved): string => JSON.stringify(Object.values(what))

/** Warnings of what nobody serves: each thing once, when it has waited for a while, and once more when it is over. */
export class UnservedWarnings {
  private readonly known = new Map<string, { readonly found: UnservedCount; told: boolean }>()

  /** What is new against the last look. What was not there then may be served in a moment, and is left for the next. */
  look(
    found: ReadonlyArray<UnservedCount>
  ): { readonly waiting: ReadonlyArray<UnservedCount>; readonly over: ReadonlyArray<Unserved> } {
    const waiting: Array<UnservedCount> = []
    const over: Array<Unserved> = []
    const now = new Map(found.map((each) => [keyOf(each.what), each]))
    for (const [key, { found: { what }, told }] of this.known) {
      if (now.has(key)) continue
      this.known.delete(key)
      if (told) over.push(what)
    }
    for (const [key, each] of now) {
      const before = this.known.get(key)
      if (before === undefined) this.known.set(key, { found: each, told: false })
      else if (!before.told) {
        before.told = true
        waiting.push(each)
      }
    }
    return { waiting, over }
  }
}
