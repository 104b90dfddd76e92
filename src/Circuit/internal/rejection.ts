/**
 * What all rejections have in common, whichever gate they come from.
 */
import { hasProperty } from "effect/Predicate"

/** Carried by every error with which a gate turns a call away. */
export const RejectionTypeId: unique symbol = Symbol.for("holdfast/Circuit/Rejection")

/** Whether an error is a gate's, and not the answer of what was called. */
export const isRejection = (u: unknown): boolean => hasProperty(u, RejectionTypeId)
