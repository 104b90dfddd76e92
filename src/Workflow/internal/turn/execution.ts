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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { PCGRandom } from "effect/Utils"
import type { Arrival, Command, Message, RunClosed, RunStarted, Unsequenced } from "../../Event.js"
import { type Issued, Run, type RunIdentity, type RunInfo, type RunService } from "../../Run.js"
import { NondeterminismError } from "../../WorkflowError.js"
import { cancellationIn, CancellationState } from "./cancellationState.js"
import { describe, type Draft, isSame, type Resolution, type Strictness } from "./command.js"
import { Conditions } from "./conditions.js"
import { deterministicRefs } from "./deterministicRefs.js"
import { digest } from "./digest.js"
import * as guards from "./guards.js"
import { Mailbox } from "./mailbox.js"
import { Origins, userFrame } from "./origins.js"
import { type Outcome, outcomeOf, refusedOutcome } from "./outcome.js"
import { RunClock } from "./runClock.js"
import { RunScheduler } from "./runScheduler.js"

/** The code of a workflow, ready to run: it decodes its payload and encodes its outcome itself. */
export type Program = (payload: string | null) => Effect.Effect<Outcome, never, Run>

export interface ExecutionOptions {
  readonly info: RunIdentity
  readonly program: Program
  readonly runtime: Runtime.Runtime<never>
  readonly opBudget: number
  readonly strictness: Strictness
  /** Why the journal does not take a payload. Default: it takes all. */
  readonly refuse?: ((payload: string | null) => string | undefined) | undefined
  /** Runs a turn, and sees whether it comes to an end. Default: it is just run. */
  readonly watch?: (<A>(turn: () => A) => A) | undefined
  /** The run was resumed outside a turn. */
  readonly onFault: (error: NondeterminismError) => void
}

/** Something that the workflow printed or logged, to be shown once its turn is committed. */
export type BufferedOutput = () => void

export class Execution implements RunService, guards.Host {
  /** Its first event, once it has begun. */
  started: Unsequenced<RunStarted> | undefined
  /** The logical time, in milliseconds since the epoch. */
  now: number
  /** How many turns it has taken. */
  turns = 0
  /** The command that closed it. */
  closed: Unsequenced<RunClosed> | undefined
  /** What its code ended with, also where the history holds something else. */
  ended: Unsequenced<RunClosed> | undefined
  fault: NondeterminismError | undefined

  private readonly scheduler: RunScheduler
  private readonly seeded: PCGRandom
  private readonly waits = new Map<number, (answer: Resolution) => void>()
  readonly mailbox = new Mailbox()
  readonly conditions = new Conditions()
  readonly cancellationState = new CancellationState(() => this.main?.unsafeInterruptAsFork(this.main.id()))
  private main: Fiber.RuntimeFiber<Outcome> | undefined
  private readonly patches = new Map<string, boolean>()
  /** Fibers that wait for ever. */
  private parkedForever = 0
  private commands = 0
  private issued: Array<Unsequenced<Command>> = []
  private output: Array<BufferedOutput> = []
  private recorded: ReadonlyArray<Unsequenced<Command>> | undefined
  private readonly origins = new Origins()

  constructor(private readonly options: ExecutionOptions) {
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
    arrivals: ReadonlyArray<Arrival | Unsequenced<Arrival>>,
    recorded?: ReadonlyArray<Unsequenced<Command>>
  ): ReadonlyArray<Unsequenced<Command>> {
    const { watch } = this.options
    return watch === undefined
      ? this.drain(at, arrivals, recorded)
      : watch(() => this.drain(at, arrivals, recorded))
  }

  private drain(
    at: number,
    arrivals: ReadonlyArray<Arrival | Unsequenced<Arrival>>,
    recorded: ReadonlyArray<Unsequenced<Command>> | undefined
  ): ReadonlyArray<Unsequenced<Command>> {
    this.turns++
    this.now = Math.max(this.now, at)
    this.issued = []
    this.output = []
    this.recorded = recorded
    if (recorded === undefined) this.origins.clear()
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
        actual: "no further command",
        fiber: undefined
      })
    }
    if (this.fault === undefined && this.closed === undefined && !this.isWaiting()) {
      this.fail({
        reason: "Stuck",
        expected: "a wait for an activity, for time or for a signal",
        actual: "its fibers wait for a promise, for a callback, or for each other",
        fiber: undefined
      })
    }
    return this.issued
  }

  /** What the last turn printed. */
  takeOutput(): ReadonlyArray<BufferedOutput> {
    const prints = this.output
    this.output = []
    return prints
  }

  /** Gives up the run's memory, running nothing of it. */
  drop(): void {
    this.scheduler.drop()
    this.waits.clear()
    this.mailbox.clear()
    this.conditions.clear()
    this.cancellationState.clear()
  }

  // --- what the code of the workflow sees

  get info(): RunInfo {
    return {
      ...this.options.info,
      firstRunId: this.started?.first ?? this.options.info.runId,
      parent: this.started?.parent
    }
  }

  issue(draft: Draft, abandon: (command: number) => Draft | undefined, origin?: Error): Effect.Effect<Resolution> {
    return Effect.async<Resolution>((resume) => {
      const { command, abandon: leave } = this.begin(draft, (answer) => resume(Effect.succeed(answer)), origin)
      return Effect.sync(() => leave(abandon(command)))
    })
  }

  begin(draft: Draft, answered: (answer: Resolution) => void, origin?: Error): Issued {
    const command = this.emit(draft, origin)
    this.waits.set(command, answered)
    return {
      command,
      abandon: (abandoned) => {
        if (this.waits.delete(command) && abandoned !== undefined) this.emit(abandoned)
      }
    }
  }

  record(label: string, compute: () => string | null, origin?: Error): string | null {
    const expected = this.recorded?.[this.issued.length]
    const payload = this.recorded === undefined
      ? guards.unguarded(compute)
      : expected?._tag === "SideEffectRecorded"
      ? expected.payload
      : null
    const refusal = this.refusal(`side effect ${label}`, payload)
    if (refusal !== undefined) throw new Error(`the value of side effect ${label} is refused: ${refusal}`)
    this.emit({ _tag: "SideEffectRecorded", label, payload }, origin)
    return payload
  }

  // What is refused may change with the settings, so the history holds that it was.
  refusal(what: string, payload: string | null): string | undefined {
    const label = `refused: ${what}`
    if (this.recorded === undefined) {
      const refusal = this.options.refuse?.(payload)
      if (refusal !== undefined) this.emit({ _tag: "SideEffectRecorded", label, payload: JSON.stringify(refusal) })
      return refusal
    }
    const expected = this.recorded[this.issued.length]
    if (expected?._tag !== "SideEffectRecorded" || expected.label !== label) return undefined
    this.emit({ _tag: "SideEffectRecorded", label, payload: expected.payload })
    return JSON.parse(expected.payload ?? "null") as string
  }

  /** Decided once per run: whether it came by here first with this change in its code. */
  patched(id: string): boolean {
    const known = this.patches.get(id)
    if (known !== undefined) return known
    const label = `patched: ${id}`
    const expected = this.recorded?.[this.issued.length]
    const isNew = this.recorded === undefined || (expected?._tag === "SideEffectRecorded" && expected.label === label)
    this.patches.set(id, isNew)
    if (isNew) this.emit({ _tag: "SideEffectRecorded", label, payload: null })
    return isNew
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

  waitForEver = (): () => void => {
    this.parkedForever++
    return () => {
      this.parkedForever--
    }
  }

  print = (method: guards.ConsoleMethod, args: ReadonlyArray<unknown>): void => {
    this.show(() => globalThis.console[method](...args))
  }

  private show(output: BufferedOutput): void {
    if (this.recorded === undefined) this.output.push(output)
  }

  // --- inside a drain

  private deliver(arrival: Arrival | Unsequenced<Arrival>): void {
    switch (arrival._tag) {
      case "RunStarted":
        return this.start(arrival)
      case "SignalReceived":
        return this.mailbox.deliver(arrival)
      case "CancelRequested":
        return this.cancellationState.deliver(cancellationIn(arrival))
    }
    const wait = this.waits.get(arrival.target)
    // Nobody waits any more: the command was abandoned in a turn before.
    if (wait === undefined) return
    this.waits.delete(arrival.target)
    wait(arrival as Resolution)
  }

  /** Takes what arrived after the end, for the run that goes on. */
  private keep(arrival: Arrival | Unsequenced<Arrival>): void {
    if (arrival._tag === "SignalReceived") this.mailbox.keep(arrival)
    if (arrival._tag === "CancelRequested") this.cancellationState.keep(cancellationIn(arrival))
  }

  /** What was sent to it and not taken, for the run that goes on. */
  get unread(): ReadonlyArray<Unsequenced<Message>> {
    const { cancellation } = this.cancellationState
    return [
      ...this.mailbox.unread,
      ...(cancellation === undefined ? [] : [{ _tag: "CancelRequested" as const, ...cancellation }])
    ]
  }

  /** Whether anything durable can still move it; what waits for ever waits to be interrupted. */
  private isWaiting(): boolean {
    return this.waits.size > 0 || this.parkedForever > 0 || this.cancellationState.isAwaited || this.mailbox.isAwaited
  }

  private start(started: Unsequenced<RunStarted>): void {
    const { runtime } = this.options
    this.started = started
    const fiber = Runtime.runFork(
      Runtime.make({
        context: Context.make(Run, this),
        fiberRefs: runtime.fiberRefs,
        runtimeFlags: runtime.runtimeFlags
      })
    )(Effect.suspend(() => this.options.program(started.payload)), {
      scheduler: this.scheduler,
      immediate: false,
      updateRefs: (refs, fiberId) =>
        deterministicRefs(refs, fiberId, {
          info: this.options.info,
          clock: new RunClock(this),
          print: (output) => this.show(output)
        })
    })
    this.main = fiber
    fiber.addObserver((exit) => this.close(exit))
  }

  private close(exit: Exit.Exit<Outcome>): void {
    if (this.fault !== undefined) return
    const ended = outcomeOf(exit, this.cancellationState.cancellation)
    const refusal = this.refusal("the end of the run", ended.payload)
    const outcome = refusal === undefined ? ended : refusedOutcome(ended, this.options.info.workflow, refusal)
    this.emit({ _tag: "RunClosed", at: this.now, ...outcome, digest: digest(outcome.payload) })
    this.scheduler.halt()
  }

  private emit(draft: Draft, origin?: Error): number {
    const command = { ...draft, command: ++this.commands } as Unsequenced<Command>
    if (command._tag === "RunClosed") this.ended = command
    const expected = this.recorded?.[this.issued.length]
    if (
      this.recorded !== undefined && (expected === undefined || !isSame(expected, command, this.options.strictness))
    ) {
      this.fail({
        reason: "Mismatch",
        expected: expected === undefined ? "no further command in this turn" : describe(expected),
        actual: describe(command),
        source: this.origins.sourceOf(origin)
      })
    }
    if (origin !== undefined && this.recorded !== undefined) this.origins.note(origin)
    if (this.fault === undefined) {
      this.issued.push(command)
      if (command._tag === "RunClosed") this.closed = command
    }
    return command.command
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
    const { runId, workflow, workflowId } = this.options.info
    // The first difference is the cause; what follows are its consequences.
    const current = Fiber.getCurrentFiber()
    this.fault ??= new NondeterminismError({
      fiber: Option.isSome(current) ? nameOf(current.value) : undefined,
      ...found,
      workflow,
      workflowId,
      runId,
      turn: this.turns
    })
    this.scheduler.halt()
  }
}

const nameOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string => `#${fiber.id().id}`
