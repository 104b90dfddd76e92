/**
 * JSON text that decodes to what was given. Where JSON itself would change a value without a word (`NaN` to `null`, a `Map`
 * to `{}`, `[undefined]` to `[null]`), the value is refused, with its place; `-0` is kept, which JSON can write though
 * JavaScript does not. A property that is `undefined` counts as one that is absent.
 */
import * as AST from "effect/SchemaAST"

/** The text of any value, checked: throws where JSON cannot hold it. */
export const checkedStringify = (value: unknown): string => {
  const found = { minusZero: false, ancestors: [] }
  check(value, [], found)
  return found.minusZero ? textOf(value) : JSON.stringify(value)
}

/**
 * Whether every value of the encoded side is one that `JSON.stringify` keeps, so that none need be checked. Numbers are not:
 * any of them may be `NaN`, infinite or `-0`.
 */
export const isAlwaysJson = (ast: AST.AST): boolean => {
  const known = alwaysJson.get(ast) ?? keepsAll(ast, new Set())
  alwaysJson.set(ast, known)
  return known
}

const alwaysJson = new WeakMap<AST.AST, boolean>()

const keepsAll = (ast: AST.AST, seen: Set<AST.AST>): boolean => {
  const all = (types: ReadonlyArray<AST.AST>) => types.every((type) => keepsAll(type, seen))
  switch (ast._tag) {
    case "StringKeyword":
    case "BooleanKeyword":
    case "TemplateLiteral":
    case "Enums":
    case "NeverKeyword":
    // Of the whole value, or of a property; as an element it is none of JSON.
    case "UndefinedKeyword":
    case "VoidKeyword":
      return true
    case "Literal":
      return typeof ast.literal !== "bigint"
    case "Refinement":
    case "Transformation":
      return keepsAll(ast.from, seen)
    case "Union":
      return all(ast.types)
    case "TupleType": {
      const types = [...ast.elements, ...ast.rest].map(({ type }) => type)
      return !types.some((type) => mayBeUndefined(type)) && all(types)
    }
    case "TypeLiteral":
      return ast.propertySignatures.every(({ name }) => typeof name === "string") &&
        ast.indexSignatures.every(({ parameter }) => AST.isStringKeyword(parameter)) &&
        all([...ast.propertySignatures, ...ast.indexSignatures].map(({ type }) => type))
    case "Suspend":
      if (seen.has(ast)) return true
      return keepsAll(ast.f(), seen.add(ast))
    default:
      return false
  }
}

const mayBeUndefined = (ast: AST.AST, seen: Set<AST.AST> = new Set()): boolean => {
  switch (ast._tag) {
    case "UndefinedKeyword":
    case "VoidKeyword":
      return true
    case "Refinement":
    case "Transformation":
      return mayBeUndefined(ast.from, seen)
    case "Union":
      return ast.types.some((type) => mayBeUndefined(type, seen))
    case "Suspend":
      return !seen.has(ast) && mayBeUndefined(ast.f(), seen.add(ast))
    default:
      return false
  }
}

type Path = Array<string | number>

interface Found {
  minusZero: boolean
  /** The objects that the value under inspection is part of. */
  readonly ancestors: Array<object>
}

const check = (value: unknown, path: Path, found: Found): void => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return
    case "number":
      if (!Number.isFinite(value)) return refuse(path, String(value))
      if (Object.is(value, -0)) found.minusZero = true
      return
    case "object":
      if (value !== null) checkObject(value, path, found)
      return
    case "undefined":
      return refuse(path, "undefined")
    default:
      return refuse(path, typeof value === "bigint" ? `the bigint ${value}` : `a ${typeof value}`)
  }
}

const checkObject = (value: object, path: Path, found: Found): void => {
  if (found.ancestors.includes(value)) return refuse(path, "an object that it is itself part of")
  found.ancestors.push(value)
  if (Array.isArray(value)) {
    // Holes are no keys, and what else an array may carry is none of its elements.
    if (Object.keys(value).length !== value.length) refuse(path, "an array with holes or with properties of its own")
    for (let i = 0; i < value.length; i++) checkPart(value[i], i, path, found)
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) refuse(path, instanceOf(value))
    if (Object.getOwnPropertySymbols(value).length > 0) refuse(path, "an object with a symbol among its keys")
    for (const key of Object.keys(value)) {
      const part = (value as Record<string, unknown>)[key]
      if (part !== undefined) checkPart(part, key, path, found)
    }
  }
  found.ancestors.pop()
}

const checkPart = (part: unknown, key: string | number, path: Path, found: Found): void => {
  path.push(key)
  check(part, path, found)
  path.pop()
}

const instanceOf = ({ constructor }: object): string =>
  typeof constructor === "function" && constructor !== Object && constructor.name !== ""
    ? `an instance of ${constructor.name}`
    : "an object with a prototype of its own"

const refuse = (path: Path, what: string): never => {
  const place = path.map((key) => typeof key === "number" ? `[${key}]` : `[${JSON.stringify(key)}]`).join("")
  throw new Error(
    `${
      place === "" ? "the value" : `at ${place}`
    }: JSON cannot hold ${what}; encode it by a schema, as text for example`
  )
}

/** As `JSON.stringify`, of a value that has been checked, and with the sign of zeros. */
const textOf = (value: unknown): string => {
  if (Object.is(value, -0)) return "-0"
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(textOf).join(",")}]`
  const parts = Object.entries(value).flatMap(([key, part]) =>
    part === undefined ? [] : [`${JSON.stringify(key)}:${textOf(part)}`]
  )
  return `{${parts.join(",")}}`
}
