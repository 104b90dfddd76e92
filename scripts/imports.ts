/**
 * Holds the direction of imports: `npm run imports`.
 *
 * - A room imports only the rooms below it, by module.
 * - Inside `src`, Effect's packages are imported by module path, never through their barrels.
 * - Inside a room whose internals have folders, a folder imports only those below it.
 * - A package is imported only by the room that names it as its peer.
 * - A module that stands apart in its room may need more; nothing else in the room imports it.
 * - No file imports itself through others; a type may point back, as an internal file does at its public one.
 */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, relative, sep } from "node:path"
import ts from "typescript"
import { filesIn, report, root } from "./files.js"
import { type Needs, rooms, shared } from "./rooms.js"

interface Import {
  readonly specifier: string
  readonly line: number
  /** Types leave no trace at run time, so they may point back where values may not. */
  readonly isType: boolean
}

const importsOf = (file: string): ReadonlyArray<Import> => {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), "utf8"), ts.ScriptTarget.Latest)
  const imports: Array<Import> = []
  const add = (node: ts.Node, specifier: ts.Node | undefined, isType: boolean): void => {
    if (specifier !== undefined && ts.isStringLiteral(specifier)) {
      const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
      imports.push({ specifier: specifier.text, line, isType })
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, node.importClause?.isTypeOnly === true)
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return imports
}

/** `src/Circuit/internal/window.ts` is in room `Circuit`; `src/InvalidOptions.ts` and `src/internal/sleep.ts` in none. */
const roomOf = (file: string): string | undefined => {
  const parts = file.split(sep)
  return parts.length > 2 && parts[1] !== "internal" ? parts[1] : undefined
}

/** The module that stands apart in its room and that the file is, or is a part of. */
const apartOf = (file: string): string | undefined => {
  const [, , ...path] = file.split(sep)
  return Object.keys(rooms[roomOf(file) ?? ""]?.apart ?? {}).find((name) =>
    path[0] === `${name}.ts` || (path[0] === "internal" && path[1] === name[0]!.toLowerCase() + name.slice(1))
  )
}

/** The folder in its room's `internal/`, and how far from the top it is. */
const floorOf = (file: string): { readonly folder: string; readonly depth: number } | undefined => {
  const [, room = "", internal, folder = ""] = file.split(sep)
  const depth = internal === "internal" ? rooms[room]?.inside?.indexOf(folder) ?? -1 : -1
  return depth < 0 ? undefined : { folder, depth }
}

const needsOf = (file: string): Needs | undefined => {
  const room = rooms[roomOf(file) ?? ""]
  return room?.apart?.[apartOf(file) ?? ""] ?? room
}

/** What is wrong with one file of `src` importing another. */
const refuseFile = (from: string, to: string): string | undefined => {
  if (!existsSync(join(root, to))) return `${to} does not exist`
  const here = roomOf(from)
  const there = roomOf(to)
  if (to.endsWith(`${sep}index.ts`)) return "inside src a module is imported by its own path, not through an index"
  const apart = apartOf(to)
  if (apart !== undefined && apart !== apartOf(from)) {
    return `${apart} stands apart: nothing else imports what it is made of`
  }
  const [floor, below] = [floorOf(from), floorOf(to)]
  if (there === here && floor !== undefined && below !== undefined && below.depth < floor.depth) {
    return `inside ${here}, ${floor.folder} may not import from ${below.folder}`
  }
  if (there === undefined || there === here) return undefined
  if (here === undefined) return `a shared module imports no room, not ${there}`
  return needsOf(from)?.uses.includes(there) ? undefined : `${here} may not import from ${there}`
}

/** What is wrong with a file of `src` importing a package. */
const refusePackage = (from: string, specifier: string): string | undefined => {
  const needs = needsOf(from)
  if (specifier.startsWith("node:")) {
    return needs?.node ? undefined : "this room runs anywhere, so it may not import Node's modules"
  }
  const parts = specifier.split("/")
  const name = parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/")
  if (name === "holdfast") return "inside src, import by relative path"
  if (name !== "effect" && !needs?.peers.includes(name)) return `this room has no peer ${name}`
  return name === specifier ? `import a module (${name}/...), not the barrel` : undefined
}

const problems: Array<string> = []
const graph = new Map<string, ReadonlyArray<string>>()
const files = filesIn("src", ".ts")

for (const file of files) {
  const room = roomOf(file)
  if (
    rooms[room ?? ""]?.inside !== undefined && file.split(sep)[2] === "internal" && floorOf(file) === undefined
  ) {
    problems.push(`${file}: stands in no folder of ${room} that scripts/rooms.ts knows`)
  }
  if (
    room === undefined
      ? !file.startsWith(join("src", "internal")) && !shared.some((name) => file === join("src", `${name}.ts`))
      : !(room in rooms)
  ) {
    problems.push(`${file}: belongs to no room that scripts/rooms.ts knows`)
  }
  const targets: Array<string> = []
  for (const { isType, line, specifier } of importsOf(file)) {
    const target = specifier.startsWith(".")
      ? relative(root, join(root, dirname(file), specifier.replace(/\.js$/, ".ts")))
      : undefined
    // An index exists to re-export its own room.
    const isReexport = target !== undefined && file.endsWith(`${sep}index.ts`) && roomOf(target) === room
    const refusal = target === undefined
      ? refusePackage(file, specifier)
      : isReexport
      ? undefined
      : refuseFile(file, target)
    if (refusal !== undefined) problems.push(`${file}:${line}: "${specifier}": ${refusal}`)
    if (target !== undefined && !isType) targets.push(target)
  }
  graph.set(file, targets)
}

const finished = new Set<string>()
const visit = (file: string, path: ReadonlyArray<string>): void => {
  if (path.includes(file)) {
    problems.push(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`)
  } else if (!finished.has(file)) {
    for (const target of graph.get(file) ?? []) visit(target, [...path, file])
    finished.add(file)
  }
}
for (const file of files) visit(file, [])

report(problems, `import direction holds in ${files.length} files`)
