/**
 * Holds what the package exposes: `npm run exports`.
 *
 * - Every room on disk is a subpath of package.json, with its modules, without its internals; and nothing else is.
 * - A room's `index.ts` only re-exports its modules, each as the namespace that its file is named after, and all of them
 *   but those that stand apart.
 * - Every peer that a room names is declared by package.json, optional unless it is `effect`.
 */
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { filesIn, report, root } from "./files.js"
import { rooms, shared } from "./rooms.js"

interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest
const problems: Array<string> = []

const target = (path: string) => ({ types: `./dist/${path}.d.ts`, default: `./dist/${path}.js` })
const existing = Object.keys(rooms).filter((room) => existsSync(join(root, "src", room, "index.ts")))
const expected: Record<string, unknown> = { "./package.json": "./package.json" }
for (const name of shared) expected[`./${name}`] = target(name)
for (const room of existing) {
  expected[`./${room}`] = target(`${room}/index`)
  expected[`./${room}/*`] = target(`${room}/*`)
  expected[`./${room}/index`] = null
  expected[`./${room}/internal/*`] = null
}
for (const subpath of new Set([...Object.keys(expected), ...Object.keys(manifest.exports)])) {
  const [actual, wanted] = [manifest.exports[subpath], expected[subpath]].map((value) => JSON.stringify(value))
  if (actual !== wanted) {
    problems.push(`package.json: exports["${subpath}"] must be ${wanted ?? "absent"}, not ${actual ?? "absent"}`)
  }
}

const reexport = /^export \* as (\w+) from "\.\/(\w+)\.js"$/
for (const room of existing) {
  const index = join("src", room, "index.ts")
  const code = readFileSync(join(root, index), "utf8").replaceAll(/\/\*[^]*?\*\//g, "").split("\n").map((line) =>
    line.trim()
  )
  const named = new Set<string>()
  for (const line of code.filter((text) => text !== "" && !text.startsWith("//"))) {
    const [, namespace, file] = reexport.exec(line) ?? []
    if (namespace === undefined || namespace !== file) {
      problems.push(`${index}: an index only says \`export * as Name from "./Name.js"\`, not \`${line}\``)
    } else {
      named.add(namespace)
    }
  }
  for (const file of filesIn(dirname(index), ".ts").filter((path) => dirname(path) === dirname(index))) {
    const name = basename(file, ".ts")
    const isApart = name in (rooms[room]?.apart ?? {})
    if (name !== "index" && !isApart && !named.has(name)) problems.push(`${index}: does not re-export ${name}`)
    if (isApart && named.has(name)) problems.push(`${index}: re-exports ${name}, which stands apart`)
  }
}

const needed = existing.flatMap((room) => [rooms[room], ...Object.values(rooms[room]?.apart ?? {})])
for (const peer of new Set(["effect", ...needed.flatMap((needs) => needs?.peers ?? [])])) {
  if (!(peer in manifest.peerDependencies)) problems.push(`package.json: peerDependencies must name ${peer}`)
}
for (const peer of Object.keys(manifest.peerDependencies)) {
  if ((manifest.peerDependenciesMeta[peer]?.optional === true) === (peer === "effect")) {
    problems.push(`package.json: ${peer} must be ${peer === "effect" ? "a required" : "an optional"} peer`)
  }
}

report(problems, `package.json exposes ${existing.join(", ")}`)
