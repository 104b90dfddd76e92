/**
 * What all retry budgets are made of: a state machine without effects or clock, fed with what happens to calls.
 *
 *     CallStarted ─▶ AttemptFailed* ─▶ Withdraw ─ granted ─▶ ExtraEnded ─▶ (Refund) ─▶ CallEnded
 *                         ▲                └─ refused ───────────────────────────────────▲
 *                         └──────────────────────────────────┘
 *
 * A call starts once and ends once, however many attempts it makes. Every attempt beyond the first is an extra: it is
 * withdrawn before it starts, in one step with the question whether it may, and ends once.
 */

/** Something that happened to a call. */
export type Event =
  | { readonly _tag: "CallStarted" }
  /** An attempt failed in a way that another attempt may help, or was told by the server not to come back. */
  | { readonly _tag: "AttemptFailed" }
  /** May there be one more attempt? `costly` where the failure before suggests overload, as a timeout does. */
  | { readonly _tag: "Withdraw"; readonly costly: boolean }
  | { readonly _tag: "ExtraEnded" }
  /** The call succeeded, and this is what its last extra attempt had cost. */
  | { readonly _tag: "Refund"; readonly cost: number }
  | { readonly _tag: "CallEnded"; readonly succeeded: boolean; readonly retried: boolean }

/** The answer to a withdrawal: its cost, or `undefined` where it is refused. Other events are answered with 0. */
export type Decision = number | undefined

/** A kind of budget. Times are in milliseconds. */
export interface Core<S> {
  readonly initial: S
  readonly transition: (state: S, event: Event, now: number) => readonly [next: S, decision: Decision]
  /** What is there to be spent, in the kind's own unit. */
  readonly balance: (state: S, now: number) => number
}

/** The state as it is, and nothing to decide. */
export const same = <S>(state: S): readonly [S, Decision] => [state, 0]
