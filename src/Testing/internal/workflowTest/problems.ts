/**
 * What can be wrong in a test of a workflow, beside what the workflow itself fails with. Each says what to do; those that
 * compare have `expected` and `actual`, which reporters of tests show side by side.
 */
import * as Data from "effect/Data"
import type { NondeterminismError } from "../../../Workflow/WorkflowError.js"

/**
 * @since 0.1.0
 * @category errors
 */
export class NotStubbed extends Data.TaggedError("NotStubbed")<{
  readonly kind: "activity" | "workflow"
  /** What was called. */
  readonly called: string
  /** The workflow id of the caller; `undefined`: the test itself. */
  readonly workflowId: string | undefined
  /** What could have been called. */
  readonly known: ReadonlyArray<string>
}> {
  override get message(): string {
    const by = this.workflowId === undefined ? "the test" : JSON.stringify(this.workflowId)
    const how = this.kind === "activity" ? "WorkflowTest.stub" : "WorkflowTest.stubChild"
    return `${by} calls ${this.kind} ${this.called}, which has neither a stub nor a layer: add ${how}(${this.called}, ...), or give its layer to WorkflowTest.make; there ${
      this.known.length === 0 ? "is none" : `is ${this.known.join(", ")}`
    }`
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class QueueNotServed extends Data.TaggedError("QueueNotServed")<{
  /** What was called. */
  readonly called: string
  readonly queue: string
  /** The workflow id of the caller. */
  readonly workflowId: string
}> {
  override get message(): string {
    const queue = JSON.stringify(this.queue)
    return `${
      JSON.stringify(this.workflowId)
    } calls activity ${this.called} in queue ${queue}, which the engine of the test does not serve: ` +
      `add engine: { queues: { ${queue}: {} } } to the options of WorkflowTest.make`
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class AnswersEnded extends Data.TaggedError("AnswersEnded")<{
  /** Whose stub it is. */
  readonly called: string
  readonly counted: "call" | "attempt"
  /** How many the stub has an answer for. */
  readonly answers: number
}> {
  override get message(): string {
    return `the stub of ${this.called} answers ${this.answers} ${this.counted}${
      this.answers === 1 ? "" : "s"
    }, and this is ${this.counted} ${this.answers + 1}`
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class Stalled extends Data.TaggedError("Stalled")<{
  readonly workflowId: string
  /** What would let it go on, in words. */
  readonly waitsFor: ReadonlyArray<string>
}> {
  override get message(): string {
    return [
      `${JSON.stringify(this.workflowId)} is open, and nothing is due any more. It waits for`,
      ...this.waitsFor.map((what) => `  - ${what}`)
    ].join("\n")
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class Endless extends Data.TaggedError("Endless")<{
  readonly workflowId: string | undefined
  readonly reason: "Steps" | "Loop"
  /** How many times something was due, or how many tasks were run at one time. */
  readonly count: number
}> {
  override get message(): string {
    return this.reason === "Loop"
      ? `something goes on and on without waiting for time: stopped after ${this.count} steps; it may be a workflow that continues as new at once, or a stub that fails at once and is retried for ever`
      : `${
        JSON.stringify(this.workflowId)
      } is open after ${this.count} times at which something was due: let it end (\`cancel\`), look at it with \`advance\` instead of its result, or raise \`maxSteps\``
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class NotReplayable extends Data.TaggedError("NotReplayable")<{
  readonly workflowId: string
  /** What it did when it was run. */
  readonly expected: string
  /** What it did when it was replayed. */
  readonly actual: string
  readonly difference: NondeterminismError
}> {
  override get message(): string {
    const { turn, workflow } = this.difference
    return `workflow ${workflow}, id ${
      JSON.stringify(this.workflowId)
    }, does something else when it is replayed, from turn ${turn} on
  when it ran: ${this.expected}
  on replay:   ${this.actual}${this.difference.source === undefined ? "" : ` (${this.difference.source})`}
  It depends on something outside of its run, such as a variable of its module. Keep that in the body, or in an activity.`
  }
}

/**
 * @since 0.1.0
 * @category errors
 */
export class UnexpectedCalls extends Data.TaggedError("UnexpectedCalls")<{
  /** What is wrong, in a sentence. */
  readonly detail: string
  readonly expected: unknown
  readonly actual: unknown
}> {
  override get message(): string {
    return `${this.detail}\n  expected: ${shown(this.expected)}\n  actual:   ${shown(this.actual)}`
  }
}

const shown = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? "nothing"

/**
 * @since 0.1.0
 * @category errors
 */
export type Problem =
  | NotStubbed
  | QueueNotServed
  | AnswersEnded
  | Stalled
  | Endless
  | NotReplayable
  | UnexpectedCalls
  | NondeterminismError
