/**
 * What an error must be for a rule or a fallback to take it: a tag, a class, or what a predicate says.
 */
import { hasProperty } from "effect/Predicate"

/** A class, abstract or not, whatever its constructor takes. */
export type Class = abstract new(...args: never) => unknown

/** The tags of a union of errors; any string where the union is not known. */
export type Tags<E> = unknown extends E ? string : E extends { readonly _tag: infer Tag extends string } ? Tag : never

/** The members of a union of errors that have a tag. */
export type WithTag<E, Tag> = unknown extends E ? unknown : Extract<E, { readonly _tag: Tag }>

/** A matcher in its working form. `all` takes every error. */
export interface Matcher {
  readonly kind: "tag" | "class" | "predicate" | "all"
  readonly label: string
  readonly test: (error: unknown) => boolean
  /** The tag, the class or the predicate it was made from. */
  readonly source: unknown
}

/** Takes every error. */
export const all: Matcher = { kind: "all", label: "any error", test: () => true, source: undefined }

/** The working form of a tag, a class or a predicate; `undefined` when it is none of them. */
export const compile = (source: unknown): Matcher | undefined => {
  if (typeof source === "string") {
    return {
      kind: "tag",
      label: source,
      test: (error) => hasProperty(error, "_tag") && error._tag === source,
      source
    }
  }
  if (isClass(source)) {
    return { kind: "class", label: source.name, test: (error) => error instanceof source, source }
  }
  if (typeof source === "function") {
    // The types of the callers see to it that only an E comes here.
    const test = source as (error: unknown) => boolean
    return { kind: "predicate", label: source.name === "" ? "predicate" : source.name, test, source }
  }
  return undefined
}

/** Whether every error that `later` takes is taken by `earlier` already, as far as that can be seen. */
export const covers = (earlier: Matcher, later: Matcher): boolean =>
  earlier.kind === "all" ||
  earlier.source === later.source ||
  (isClass(earlier.source) && isClass(later.source) && later.source.prototype instanceof earlier.source)

// The `prototype` of a class cannot be assigned to, that of a plain function can; classes compiled to functions are
// told by what they inherit.
const isClass = (u: unknown): u is Class & { readonly name: string; readonly prototype: unknown } =>
  typeof u === "function" &&
  (Object.getOwnPropertyDescriptor(u, "prototype")?.writable === false || u.prototype instanceof Error)

/** The tags of the errors that a matcher takes, where they can be known. */
export const tagsOf = ({ kind, source }: Matcher): ReadonlyArray<string> => {
  if (kind === "tag") return [String(source)]
  // The class of a tagged error carries its tag as the name of its prototype.
  const tag = isClass(source) && hasProperty(source.prototype, "name") ? source.prototype.name : undefined
  return typeof tag === "string" && tag !== "Error" ? [tag] : []
}
