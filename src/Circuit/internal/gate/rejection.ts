/**
 * What all rejections have in common, whichever gate they come from.
 */
import { globalValue } from "effect/GlobalValue"
import { hasProperty, isObject } from "effect/Predicate"

/** Carried by every error with which a gate turns a call away. */
export const RejectionTypeId: unique symbol = Symbol.for("holdfast/Circuit/Rejection")

/** Whether an error is a gate's, and not the answer of what was called. */
export const isRejection = (u: unknown): boolean => hasProperty(u, RejectionTypeId) || (isObject(u) && marked.has(u))

/** Makes an error of a program's own gate count as a rejection. Objects only. */
export const markRejection = (error: unknown): void => {
  if (isObject(error)) marked.add(error)
}

const marked = globalValue(Symbol.for("holdfast/Circuit/rejections"), () => new WeakSet())
