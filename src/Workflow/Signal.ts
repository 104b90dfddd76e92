/**
 * A message to a run, from outside of it.
 *
 * A signal is kept in the journal when it is sent, also before the workflow waits for it, and before the run has begun.
 * Each goes to one receiver, in the order in which they arrived; of several receivers, to the one that has waited longest.
 * A receiver that is interrupted, as by a time-out that comes first, takes none.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { reader } from "../InvalidOptions.js"
import * as jsonCodec from "./internal/codec/jsonCodec.js"
import { checkName } from "./internal/codec/storableText.js"
import { delivered } from "./internal/turn/delivered.js"
import { digest } from "./internal/turn/digest.js"
import { Run } from "./Run.js"
import { InvalidPayload, type RunEnded, type RunNotFound } from "./WorkflowError.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("holdfast/Workflow/Signal")

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * A kind of signal; a value, to be shared by those who send it and those who wait for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Signal<in out Payload> {
  readonly [TypeId]: TypeId
  readonly name: string
  /**
   * Waits for the next one; to be used in the body of a workflow. A payload that does not fit the schema is a
   * {@link UnfitSignal}: that one signal is lost, and the workflow decides what to do.
   */
  readonly receive: Effect.Effect<Payload, UnfitSignal, Run>
  /** The next signal, if it has arrived already. */
  readonly tryReceive: Effect.Effect<Option.Option<Payload>, UnfitSignal, Run>
  /** One after another, without end. */
  readonly stream: Stream.Stream<Payload, UnfitSignal, Run>
  /**
   * Sends one to the open run of another workflow id; to be used in the body of a workflow (a client has
   * `Client.signal`). Succeeds once it is in the journal of that run. Sent again with the same `id`, it is the same signal.
   */
  readonly send: (
    workflowId: string,
    payload: Payload,
    options?: { readonly id?: string | undefined }
  ) => Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded, Run>
  /** @internal */
  readonly encode: (payload: Payload) => Either.Either<string | null, string>
}

/**
 * A signal arrived whose payload does not fit the schema.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnfitSignal extends Schema.TaggedError<UnfitSignal>("holdfast/Workflow/UnfitSignal")("UnfitSignal", {
  signal: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `a signal ${this.signal} does not fit its schema: ${this.detail}`
  }
}

/**
 * Defines a signal. Throws `InvalidOptions` when the name is empty.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Client, Signal, Workflow } from "holdfast/Workflow"
 *
 * const Approved = Signal.make("Approved", { payload: Schema.Struct({ by: Schema.String }) })
 *
 * const Order = Workflow.make("Order", { success: Schema.String })
 *
 * const OrderLive = Order.toLayer(() =>
 *   Approved.receive.pipe(
 *     Effect.timeoutOption("3 days"),
 *     Effect.map((approval) => approval._tag === "Some" ? `approved by ${approval.value.by}` : "expired"),
 *     Effect.orDie
 *   )
 * )
 *
 * const approve = Client.signal("order-123", Approved, { by: "ops" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Payload = void, PayloadI = Payload>(
  name: string,
  options?: {
    /** Default: no payload. */
    readonly payload?: Schema.Schema<Payload, PayloadI> | undefined
  }
): Signal<Payload> => {
  checkName(reader("Signal.make"), "name", name)
  const codec = jsonCodec.make((options?.payload ?? Schema.Void) as Schema.Schema<Payload, unknown>)
  const decode = (payload: string | null) =>
    Either.mapLeft(codec.decode(payload), (detail) => new UnfitSignal({ signal: name, detail }))
  const receive = Effect.flatMap(Effect.flatMap(Run, (run) => run.mailbox.receive(name)), decode)
  return {
    [TypeId]: TypeId,
    name,
    receive,
    tryReceive: Effect.flatMap(Run, (run): Effect.Effect<Option.Option<Payload>, UnfitSignal> => {
      const [first] = run.mailbox.poll(name)
      return first === undefined ? Effect.succeedNone : Effect.asSome(decode(first.payload))
    }),
    stream: Stream.repeatEffect(receive),
    send: (workflowId, payload, options) =>
      Either.match(codec.encode(payload), {
        onLeft: (detail) => new InvalidPayload({ workflow: `signal ${name}`, detail }),
        onRight: (text) =>
          Effect.flatMap(Run, (run): Effect.Effect<void, InvalidPayload | RunNotFound | RunEnded> => {
            const refusal = run.refusal(`signal ${name}`, text)
            if (refusal !== undefined) return new InvalidPayload({ workflow: `signal ${name}`, detail: refusal })
            return Effect.flatMap(
              run.issue({
                _tag: "SignalSent",
                workflowId,
                signal: name,
                at: run.now,
                ...(options?.id === undefined ? {} : { id: options.id }),
                digest: digest(text),
                payload: text
              }, () => undefined),
              (given) => delivered(workflowId, given)
            )
          })
      }),
    encode: codec.encode
  }
}
