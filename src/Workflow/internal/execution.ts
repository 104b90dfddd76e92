/**
 * One run in memory: an ordinary fiber on a deterministic runtime, moved turn by turn.
 *
 * A turn is one synchronous drain. It sets the logical clock, resumes what waits for the arrivals, in their order, runs
 * until nothing is runnable and collects the commands that were issued. A live turn hands its commands to be committed; a
 * replayed one compares each, as it is issued, with the command that the history holds.
 *
 * ```text
 *            turn(at, arrivals)                    closed: RunClosed was issued
 *   waiting ─────────────────────▶ draining ──────────────▶ waiting | closed | faulted
 *      │                                                       faulted: a NondeterminismError
 *      └── resumed outside a turn ──▶ faulted
 * ```
 *
 * Nothing here reads a clock, a journal or the network: a turn is a function of the run's past and its arrivals.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Hash from "effect/Hash"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import { PCGRandom } from "effect/Utils"
import type { Arrival, Command, Posted, RunClosed, Unplaced } from "../Event.js"
import { Run, type RunInfo, type RunService } from "../Run.js"
import { NondeterminismError } from "../WorkflowError.js"
import type { Answer, Draft } from "./command.js"
import { Conditions } from "./conditions.js"
import { digest } from "./digest.js"
import * as guards from "./guards.js"
import { Mailbox } from "./mailbox.js"
import { RunScheduler } from "./runScheduler.js"
import { WishToEnd } from "./wishToEnd.js"

/** How a run ended, before it is a command. */
export type Outcome = Pick<RunClosed, "outcome" | "message" | "payload">

/** The code of a workflow, ready to run: it decodes its payload and encodes its outcome itself. */
export type Program = (payload: string | null) => Effect.Effect<Outcome, never, Run>

/** What a turn is checked against. `payload` compares digests too, `name` only what was asked for. */
export type Strictness = "payload" | "name"

export interface ExecutionOptions {
  readonly info: RunInfo
  readonly program: Program
  readonly runtime: Runtime.Runtime<never>
  readonly opBudget: number
  readonly strictness: Strictness
  /** Why the journal does not take a payload. Default: it takes all. */
  readonly refuse?: ((payload: string | null) => string | undefined) | undefined
  /** The run was resumed outside a turn. */
  readonly onFault: (error: NondeterminismError) => void
}

/** Something that the workflow printed or logged, to be shown once its turn is committed. */
export type Print = () => void

export class Execution implements RunService, guards.Host {
  readonly info: RunInfo
  /** The logical time, in milliseconds since the epoch. */
  now: number
  /** How many turns it has taken. */
  turns = 0
  /** The command that closed it. */
  closed: Unplaced<RunClosed> | undefined
  fault: NondeterminismError | undefined

  private readonly scheduler: RunScheduler
  private readonly seeded: PCGRandom
  private readonly waits = new Map<number, (answer: Answer) => void>()
  readonly mailbox = new Mailbox()
  readonly conditions = new Conditions()
  readonly wishToEnd = new WishToEnd(() => this.main?.unsafeInterruptAsFork(this.main.id()))
  private main: Fiber.RuntimeFiber<Outcome> | undefined
  private commands = 0
  private issued: Array<Unplaced<Command>> = []
  private prints: Array<Print> = []
  private recorded: ReadonlyArray<Unplaced<Command>> | undefined

  constructor(private readonly options: ExecutionOptions) {
    this.info = options.info
    this.now = options.info.startedAt
    this.seeded = new PCGRandom(Hash.string(options.info.runId))
    this.scheduler = new RunScheduler({
      opBudget: options.opBudget,
      onForeignWake: (fiber) => this.foreignWake(fiber),
      onRunaway: (fiber) =>
        this.fail({
          reason: "Runaway",
          expected: `a turn of at most ${options.opBudget} operations`,
          actual: "it was still running",
          fiber: nameOf(fiber)
        })
    })
  }

  /**
   * Takes one turn. With `recorded`, the commands that the history holds for it, it is a replay: they are compared, and
   * nothing is printed.
   */
  turn(
    at: number,
    arrivals: ReadonlyArray<Arrival | Unplaced<Arrival>>,
    recorded?: ReadonlyArray<Unplaced<Command>>
  ): ReadonlyArray<Unplaced<Command>> {
    this.turns++
    this.now = Math.max(this.now, at)
    this.issued = []
    this.prints = []
    this.recorded = recorded
    let delivered = 0
    guards.guarded(this, () =>
      this.scheduler.drain(
        arrivals.map((arrival) => () => {
          delivered++
          this.deliver(arrival)
        }),
        () => this.conditions.check()
      ))
    // What came after the end, in the same turn, has been taken by nobody.
    if (this.closed !== undefined) { for (const arrival of arrivals.slice(delivered)) this.keep(arrival) }
    if (this.fault === undefined && recorded !== undefined && this.issued.length < recorded.length) {
      this.fail({
        reason: "Mismatch",
        expected: describe(recorded[this.issued.length]!),
        actual: "no further command"
      })
    }
    if (this.fault === undefined && this.closed === undefined && !this.isWaiting()) {
      this.fail({
        reason: "Stuck",
        expected: "a wait for an activity, for time or for a signal",
        actual: "its fibers wait for a promise, for a callback, or for each other"
      })
    }
    return this.issued
  }

  /** What the last turn printed. */
  takePrints(): ReadonlyArray<Print> {
    const prints = this.prints
    this.prints = []
    return prints
  }

  /** Gives up the run's memory, running nothing of it. */
  drop(): void {
    this.scheduler.drop()
    this.waits.clear()
    this.mailbox.clear()
    this.conditions.clear()
    this.wishToEnd.clear()
  }

  // --- what the code of the workflow sees

  ask(draft: Draft, abandon: (command: number) => Draft, origin?: Error): Effect.Effect<Answer> {
    return Effect.async<Answer>((resume) => {
      const command = this.issue(draft, origin)
      this.waits.set(command, (answer) => resume(Effect.succeed(answer)))
      return Effect.sync(() => {
        if (this.waits.delete(command)) this.issue(abandon(command))
      })
    })
  }

  record(label: string, compute: () => string | null): string | null {
    const expected = this.recorded?.[this.issued.length]
    const payload = this.recorded === undefined
      ? guards.unguarded(compute)
      : expected?._tag === "SideEffectRecorded"
      ? expected.payload
      : null
    const refusal = this.refusal(`side effect ${label}`, payload)
    if (refusal !== undefined) throw new Error(`the value of side effect ${label} is refused: ${refusal}`)
    this.issue({ _tag: "SideEffectRecorded", label, payload })
    return payload
  }

  // What is refused may change with the settings, so the history holds that it was.
  refusal(what: string, payload: string | null): string | undefined {
    const label = `refused: ${what}`
    if (this.recorded === undefined) {
      const refusal = this.options.refuse?.(payload)
      if (refusal !== undefined) this.issue({ _tag: "SideEffectRecorded", label, payload: JSON.stringify(refusal) })
      return refusal
    }
    const expected = this.recorded[this.issued.length]
    if (expected?._tag !== "SideEffectRecorded" || expected.label !== label) return undefined
    this.issue({ _tag: "SideEffectRecorded", label, payload: expected.payload })
    return JSON.parse(expected.payload ?? "null") as string
  }

  random = (): number => this.seeded.number()

  refuse = (what: string, instead: string): never => {
    this.fail({
      reason: "Forbidden",
      expected: instead,
      actual: `a call of ${what}`,
      source: userFrame(new Error())
    })
    throw this.fault!
  }

  print = (method: guards.ConsoleMethod, args: ReadonlyArray<unknown>): void => {
    if (this.recorded === undefined) this.prints.push(() => globalThis.console[method](...args))
  }

  // --- inside a drain

  private deliver(arrival: Arrival | Unplaced<Arrival>): void {
    switch (arrival._tag) {
      case "RunStarted":
        return this.start(arrival.payload)
      case "SignalReceived":
        return this.mailbox.deliver(arrival)
      case "CancelRequested":
        return this.wishToEnd.deliver({ at: arrival.at, reason: arrival.reason })
    }
    const wait = this.waits.get(arrival.target)
    // Nobody waits any more: the command was abandoned in a turn before.
    if (wait === undefined) return
    this.waits.delete(arrival.target)
    wait(arrival as Answer)
  }

  /** Takes what arrived after the end, for the run that goes on. */
  private keep(arrival: Arrival | Unplaced<Arrival>): void {
    if (arrival._tag === "SignalReceived") this.mailbox.keep(arrival)
    if (arrival._tag === "CancelRequested") this.wishToEnd.keep({ at: arrival.at, reason: arrival.reason })
  }

  /** What was sent to it and not taken, for the run that goes on. */
  get unread(): ReadonlyArray<Unplaced<Posted>> {
    const { cancellation } = this.wishToEnd
    return [
      ...this.mailbox.unread,
      ...(cancellation === undefined ? [] : [{ _tag: "CancelRequested" as const, ...cancellation }])
    ]
  }

  /** Whether anything durable can still move it. */
  private isWaiting(): boolean {
    return this.waits.size > 0 || this.wishToEnd.isAwaited || this.mailbox.isAwaited
  }

  private start(payload: string | null): void {
    const { runtime } = this.options
    const fiber = Runtime.runFork(
      Runtime.make({
        context: Context.make(Run, this),
        fiberRefs: runtime.fiberRefs,
        runtimeFlags: runtime.runtimeFlags
      })
    )(Effect.suspend(() => this.options.program(payload)), {
      scheduler: this.scheduler,
      immediate: false,
      updateRefs: (refs, fiberId) => this.deterministic(refs, fiberId)
    })
    this.main = fiber
    fiber.addObserver((exit) => this.close(exit))
  }

  private deterministic(refs: FiberRefs.FiberRefs, fiberId: FiberId.Runtime): FiberRefs.FiberRefs {
    const services = FiberRefs.getOrDefault(refs, DefaultServices.currentServices).pipe(
      Context.add(Clock.Clock, new RunClock(this)),
      Context.add(Random.Random, Random.make(this.info.runId))
    )
    const annotations = FiberRefs.getOrDefault(refs, FiberRef.currentLogAnnotations).pipe(
      HashMap.set("workflow", this.info.workflow as unknown),
      HashMap.set("workflowId", this.info.workflowId as unknown),
      HashMap.set("runId", this.info.runId as unknown)
    )
    const loggers = FiberRefs.getOrDefault(refs, FiberRef.currentLoggers)
    const buffered = Logger.make<unknown, void>((entry) => {
      if (this.recorded === undefined) {
        this.prints.push(() => {
          for (const logger of loggers) logger.log(entry)
        })
      }
    })
    return FiberRefs.updateManyAs(refs, {
      forkAs: fiberId,
      entries: [
        [DefaultServices.currentServices, [[fiberId, services]]],
        [FiberRef.currentLogAnnotations, [[fiberId, annotations]]],
        [FiberRef.currentLoggers, [[fiberId, HashSet.make(buffered)]]],
        [FiberRef.currentTracerEnabled, [[fiberId, false]]],
        [FiberRef.unhandledErrorLogLevel, [[fiberId, Option.none()]]]
      ]
    })
  }

  private close(exit: Exit.Exit<Outcome>): void {
    if (this.fault !== undefined) return
    let outcome: Outcome = Exit.match(exit, {
      onSuccess: (outcome) => outcome,
      onFailure: (cause) => ({
        outcome: Cause.isInterruptedOnly(cause) ? "Interrupted" : "Defect",
        message: Cause.pretty(cause),
        payload: null
      })
    })
    if (outcome.outcome === "Interrupted" && this.wishToEnd.cancellation !== undefined) {
      outcome = { outcome: "Cancelled", message: this.wishToEnd.cancellation.reason, payload: null }
    }
    const refusal = this.refusal("the end of the run", outcome.payload)
    if (refusal !== undefined) {
      const message = `${
        whatEnds[outcome.outcome] ?? "the payload"
      } of workflow ${this.info.workflow} is refused: ${refusal}`
      outcome = { outcome: "Defect", message, payload: null }
    }
    this.issue({ _tag: "RunClosed", ...outcome, digest: digest(outcome.payload) })
    this.scheduler.halt()
  }

  private issue(draft: Draft, origin?: Error): number {
    const command = { ...draft, command: ++this.commands } as Unplaced<Command>
    const expected = this.recorded?.[this.issued.length]
    if (this.recorded !== undefined && (expected === undefined || !this.same(expected, command))) {
      this.fail({
        reason: "Mismatch",
        expected: expected === undefined ? "no further command in this turn" : describe(expected),
        actual: describe(command),
        source: origin === undefined ? undefined : userFrame(origin)
      })
    }
    if (this.fault === undefined) {
      this.issued.push(command)
      if (command._tag === "RunClosed") this.closed = command
    }
    return command.command
  }

  private same(recorded: Unplaced<Command>, issued: Unplaced<Command>): boolean {
    if (recorded._tag !== issued._tag || recorded.command !== issued.command) return false
    switch (recorded._tag) {
      case "ActivityScheduled": {
        const other = issued as typeof recorded
        return recorded.activity === other.activity && this.sameDigest(recorded.digest, other.digest)
      }
      case "ActivityCancelled":
      case "TimerCancelled":
        return recorded.target === (issued as typeof recorded).target
      case "TimerStarted":
        return recorded.fireAt === (issued as typeof recorded).fireAt
      case "SideEffectRecorded":
        return recorded.label === (issued as typeof recorded).label
      case "RunClosed": {
        const other = issued as typeof recorded
        return recorded.outcome === other.outcome && this.sameDigest(recorded.digest, other.digest)
      }
    }
  }

  private sameDigest(recorded: string, issued: string): boolean {
    return this.options.strictness === "name" || recorded === issued
  }

  private foreignWake(fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined): void {
    if (this.fault !== undefined || this.closed !== undefined) return
    this.fail({
      reason: "ForeignWait",
      expected: "fibers that wait for activities, for time or for each other",
      actual:
        "a fiber was resumed from outside the run: it waited for a promise, a callback or a fiber of another runtime",
      fiber: fiber === undefined ? undefined : nameOf(fiber)
    })
    this.options.onFault(this.fault!)
  }

  get replaying(): boolean {
    return this.recorded !== undefined
  }

  private fail(
    found: Pick<NondeterminismError, "reason" | "expected" | "actual"> & {
      readonly fiber?: string | undefined
      readonly source?: string | undefined
    }
  ): void {
    // The first difference is the cause; what follows are its consequences.
    const current = Fiber.getCurrentFiber()
    this.fault ??= new NondeterminismError({
      fiber: Option.isSome(current) ? nameOf(current.value) : undefined,
      ...found,
      workflow: this.info.workflow,
      workflowId: this.info.workflowId,
      runId: this.info.runId,
      turn: this.turns
    })
    this.scheduler.halt()
  }
}

/** The clock of a run: its time is the turn's, and to sleep is to start a durable timer. */
class RunClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  constructor(private readonly execution: Execution) {}

  unsafeCurrentTimeMillis(): number {
    return this.execution.now
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.trunc(this.execution.now)) * 1_000_000n
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow()
    if (millis === Infinity) return Effect.never
    return Effect.suspend(() =>
      Effect.asVoid(this.execution.ask(
        { _tag: "TimerStarted", fireAt: this.execution.now + Math.ceil(millis) },
        (target) => ({ _tag: "TimerCancelled", target })
      ))
    )
  }
}

const nameOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string => `#${fiber.id().id}`

const describe = (command: Unplaced<Command>): string => {
  const number = `command ${command.command}`
  switch (command._tag) {
    case "ActivityScheduled":
      return `${number}: activity ${command.activity} with ${command.payload ?? "no payload"}`
    case "ActivityCancelled":
      return `${number}: cancel the activity of command ${command.target}`
    case "TimerStarted":
      return `${number}: a timer for ${DateTime.formatIso(DateTime.unsafeMake(command.fireAt))}`
    case "TimerCancelled":
      return `${number}: cancel the timer of command ${command.target}`
    case "SideEffectRecorded":
      return `${number}: side effect ${command.label}`
    case "RunClosed":
      return `${number}: end with ${command.outcome} ${command.message ?? command.payload ?? ""}`.trimEnd()
  }
}

/** What the payload of an outcome is. */
const whatEnds: Partial<Record<Outcome["outcome"], string>> = {
  Success: "the success",
  Failure: "the error",
  Continued: "the payload to continue with"
}

const ownDirectory = new URL("..", import.meta.url).pathname

/** The nearest frame of the stack that is neither this room's nor Effect's nor Node's. */
const userFrame = (origin: Error): string | undefined =>
  origin.stack?.split("\n").slice(1).find((frame) =>
    !frame.includes(ownDirectory) && !/[\\/]node_modules[\\/]effect[\\/]|\(node:|at node:/.test(frame)
  )?.trim().replace(/^at /, "")
