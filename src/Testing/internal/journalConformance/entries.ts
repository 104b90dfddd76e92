/**
 * The entries and events that behaviours are shown with.
 */
import type {
  AttemptReport,
  ChildScheduled,
  Event,
  Message,
  RunClosed,
  SignalReceived,
  Unsequenced
} from "../../../Workflow/Event.js"
import type { Entry } from "../../../Workflow/Journal.js"

type Of<Tag extends Entry["_tag"]> = Extract<Entry, { readonly _tag: Tag }>

type EventOf<Tag extends Event["_tag"]> = Unsequenced<Extract<Event, { readonly _tag: Tag }>>

/** Beyond 2^31 and before 2^53, as times of today are. */
export const at = 1_700_000_000_000

export const workflowIdOf = (runId: string): string => `id of ${runId}`

/** A run that the worker `a` owns from the start, unless told otherwise. */
export const start = (
  runId: string,
  options?: Partial<Omit<Of<"Start">, "_tag" | "run" | "started">> & {
    readonly worker?: string | undefined
    readonly started?: Partial<EventOf<"RunStarted">>
  }
): Of<"Start"> => {
  const { started, worker = "a", ...rest } = options ?? {}
  return {
    _tag: "Start",
    run: { runId, worker },
    workflowId: workflowIdOf(runId),
    workflow: "W",
    started: { _tag: "RunStarted", at, payload: "1", ...started },
    conflict: "attach",
    reuse: "attach",
    ...rest
  }
}

/** A run that belongs to whoever claims it. */
export const free = (runId: string, options?: Parameters<typeof start>[1]): Of<"Start"> => ({
  ...start(runId, options),
  run: { runId, worker: undefined }
})

/** What the worker `a` writes as the first owner, unless told otherwise. */
export const append = (
  runId: string,
  events: ReadonlyArray<Unsequenced<Event>>,
  options?: Partial<Omit<Of<"Append">, "_tag" | "runId" | "events">>
): Of<"Append"> => ({
  _tag: "Append",
  runId,
  worker: "a",
  epoch: 1,
  events,
  children: events.filter((event) => event._tag === "ChildScheduled").map(({ command }) => ({
    runId: childRunId(runId, command),
    worker: "a"
  })),
  ...options
})

/** The run that a child gets by default. */
export const childRunId = (runId: string, command: number): string => `${runId}/${command}`

export const post = (runId: string, event: Unsequenced<Message>): Of<"Post"> => ({
  _tag: "Post",
  workflowId: workflowIdOf(runId),
  event
})

export const report = (
  runId: string,
  event: Unsequenced<AttemptReport>,
  options?: Partial<Omit<Of<"Report">, "_tag" | "runId" | "event">>
): Of<"Report"> => ({ _tag: "Report", runId, attempt: undefined, worker: undefined, event, ...options })

export const beat = (
  runId: string,
  command: number,
  options?: Partial<Omit<Of<"Heartbeat">, "_tag" | "id">> & { readonly attempt?: number }
): Of<"Heartbeat"> => {
  const { attempt = 1, ...rest } = options ?? {}
  return { _tag: "Heartbeat", id: { runId, command, attempt }, worker: undefined, at, ...rest }
}

export const block = (runId: string, reason: string | undefined, options?: Partial<Of<"Block">>): Of<"Block"> => ({
  _tag: "Block",
  runId,
  worker: "a",
  epoch: 1,
  reason,
  ...options
})

// --- events

export const signal = (options?: Partial<Unsequenced<SignalReceived>>): Unsequenced<SignalReceived> => ({
  _tag: "SignalReceived",
  signal: "S",
  at,
  payload: "3",
  ...options
})

export const cancelRequest: EventOf<"CancelRequested"> = { _tag: "CancelRequested", at, reason: "no longer needed" }

export const termination: EventOf<"RunTerminated"> = { _tag: "RunTerminated", at, reason: "by hand" }

export const turn = (upTo: number, carried = 0): EventOf<"TurnTaken"> => ({
  _tag: "TurnTaken",
  at,
  consumedUpTo: upTo,
  inlineArrivals: carried
})

export const scheduled = (
  command: number,
  options?: Partial<EventOf<"ActivityScheduled">>
): EventOf<"ActivityScheduled"> => ({
  _tag: "ActivityScheduled",
  command,
  activity: "A",
  at,
  digest: "d",
  payload: "2",
  ...options
})

export const queued = (
  command: number,
  options?: Partial<EventOf<"ActivityScheduled">>
): EventOf<"ActivityScheduled"> => scheduled(command, { queue: "q", ...options })

export const completed = (target: number, payload: string | null = null): EventOf<"ActivityCompleted"> => ({
  _tag: "ActivityCompleted",
  target,
  at,
  payload
})

export const failed = (target: number): EventOf<"ActivityFailed"> => ({
  _tag: "ActivityFailed",
  target,
  at,
  attempts: 1,
  failure: { reason: "Failure", tag: "Broken", message: "it broke" },
  payload: "{}"
})

export const attemptFailed = (target: number, attempt: number, retryAt = at): EventOf<"AttemptFailed"> => ({
  _tag: "AttemptFailed",
  target,
  at,
  attempt,
  failure: { reason: "Failure", message: "it broke" },
  retryAt,
  payload: null
})

export const timer = (command: number, fireAt: number): EventOf<"TimerStarted"> => ({
  _tag: "TimerStarted",
  command,
  fireAt
})

export const fired = (target: number): EventOf<"TimerFired"> => ({ _tag: "TimerFired", target, at })

export const closing = (command: number, options?: Partial<Unsequenced<RunClosed>>): Unsequenced<RunClosed> => ({
  _tag: "RunClosed",
  command,
  at: at + 5,
  outcome: "Success",
  digest: "d",
  payload: "\"done\"",
  ...options
})

/** A turn that ends the run. */
export const lastTurn = (
  runId: string,
  upTo: number,
  options?: Partial<Unsequenced<RunClosed>>
): Of<"Append"> => append(runId, [turn(upTo), closing(99, options)])

/** A turn after which the run goes on as another one. */
export const goOn = (
  runId: string,
  upTo: number,
  nextId: string,
  options?: {
    readonly epoch?: number
    readonly worker?: string
    readonly posted?: ReadonlyArray<Unsequenced<Message>>
    readonly events?: ReadonlyArray<Unsequenced<Event>>
  }
): Of<"Append"> => {
  const { epoch = 1, events = [], posted = [], worker = "a" } = options ?? {}
  return append(runId, [turn(upTo), ...events, closing(98, { outcome: "Continued", next: nextId, payload: "4" })], {
    epoch,
    worker,
    next: {
      runId: nextId,
      started: { _tag: "RunStarted", at: at + 5, previous: runId, first: runId, payload: "4" },
      posted
    }
  })
}

export const child = (
  command: number,
  options?: Partial<Unsequenced<ChildScheduled>>
): Unsequenced<ChildScheduled> => ({
  _tag: "ChildScheduled",
  command,
  workflow: "C",
  workflowId: `child ${command}`,
  at,
  parentClose: "terminate",
  conflict: "attach",
  reuse: "attach",
  digest: "d",
  payload: "6",
  ...options
})

export const left = (command: number, target: number): EventOf<"ChildCancelled"> => ({
  _tag: "ChildCancelled",
  command,
  target,
  at: at + 3
})

export const signalSent = (
  command: number,
  workflowId: string,
  options?: Partial<EventOf<"SignalSent">>
): EventOf<"SignalSent"> => ({
  _tag: "SignalSent",
  command,
  workflowId,
  signal: "S",
  at: at + 4,
  digest: "d",
  payload: "7",
  ...options
})

export const cancelSent = (command: number, workflowId: string): EventOf<"CancelSent"> => ({
  _tag: "CancelSent",
  command,
  workflowId,
  at: at + 4,
  reason: "asked by another run"
})

/** What a run writes to ask for a child, in its first turn. */
export const asking = (options?: Parameters<typeof child>[1], runId = "p"): Of<"Append"> =>
  append(runId, [turn(1), child(1, options)])
