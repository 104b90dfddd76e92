/**
 * Uses the packed package as its users do: `npm run build && npm run package && npm run consumers`.
 *
 * For each set of peers that rooms name, an empty project outside the repository receives the package and copies of
 * those peers alone. There every subpath is imported by Node and by the type checker, so that an undeclared package, a
 * missing file or a type that leads to an internal module fails here and not at a user's.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import ts from "typescript"
import { report, root } from "./files.js"
import { type Needs, rooms, shared } from "./rooms.js"
import { tarball } from "./tarball.js"

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const problems: Array<string> = []

/** Copies packages and what they depend on, but not their peers: those are for the user to install. */
const install = (names: ReadonlyArray<string>, project: string): void => {
  const pending = [...names]
  for (const name of pending) {
    const from = join(root, "node_modules", name)
    const manifest = JSON.parse(readFileSync(join(from, "package.json"), "utf8")) as Manifest
    cpSync(from, join(project, "node_modules", name), {
      recursive: true,
      filter: (path) => !/^(src|dist\/cjs)$/.test(relative(from, path)) && !path.endsWith(".map")
    })
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      if (!existsSync(join(from, "node_modules", dependency)) && !pending.includes(dependency)) pending.push(dependency)
    }
    for (const peer of Object.keys(manifest.peerDependencies ?? {})) {
      if (manifest.peerDependenciesMeta?.[peer]?.optional !== true && !names.includes(peer)) {
        problems.push(`${name} needs the peer ${peer}, which scripts/rooms.ts does not name beside it`)
      }
    }
  }
}

/** The modules in a folder of the installed package, as paths without their endings. */
const modulesIn = (dist: string, folder: string): ReadonlyArray<string> =>
  existsSync(join(dist, folder))
    ? readdirSync(join(dist, folder)).filter((file) => file.endsWith(".js")).map((file) =>
      `${folder}/${file.slice(0, -3)}`
    )
    : []

const isApart = (path: string): boolean => {
  const [room = "", name = ""] = path.split("/")
  return name in (rooms[room]?.apart ?? {})
}

/** What opens with a set of peers: a room with its modules, and the modules of others that stand apart. */
const opened = (peers: string, dist: string): ReadonlyArray<string> =>
  existing.flatMap((room) => {
    const apart = rooms[room]?.apart ?? {}
    const modules = modulesIn(dist, room).filter((path) => path !== `${room}/index`)
    return [
      ...peersOf(rooms[room]) === peers ? [room, ...modules.filter((path) => !isApart(path))] : [],
      ...modules.filter((path) => isApart(path) && peersOf(apart[path.slice(room.length + 1)]) === peers)
    ]
  })

/** What stays closed: the index of each room, and what it is made of. */
const closed = (dist: string): ReadonlyArray<string> =>
  existing.flatMap((room) => {
    const internal = `${room}/internal`
    const folders = existsSync(join(dist, internal))
      ? readdirSync(join(dist, internal), { withFileTypes: true }).filter((entry) => entry.isDirectory())
      : []
    return [
      `${room}/index`,
      ...[internal, ...folders.map(({ name }) => `${internal}/${name}`)].flatMap((folder) => modulesIn(dist, folder))
    ]
  })

const importAll = (project: string, open: ReadonlyArray<string>, closed: ReadonlyArray<string>): void => {
  const program = [
    ...open.map((subpath) => `await import("holdfast/${subpath}")`),
    ...closed.map((subpath) =>
      `await import("holdfast/${subpath}").then(() => { throw new Error("holdfast/${subpath} must be closed") }, (error) => {
        if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error
      })`
    )
  ]
  const file = join(project, "import.mjs")
  writeFileSync(file, program.join("\n"))
  const { status, stderr } = spawnSync(process.execPath, [file], { cwd: project, encoding: "utf8" })
  if (status !== 0) problems.push(`importing ${open.join(", ")}:\n${stderr}`)
}

const typeCheck = (project: string, open: ReadonlyArray<string>): void => {
  const file = join(project, "consumer.ts")
  const uses = open.map((subpath, index) =>
    `import * as m${index} from "holdfast/${subpath}"\nexport const used${index} = { ...m${index} }\n`
  )
  writeFileSync(file, uses.join(""))
  const program = ts.createProgram([file], {
    strict: true,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2022.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
    declaration: true,
    emitDeclarationOnly: true
  })
  // Declarations of other packages are theirs to answer for; ours are checked in full.
  const dist = join(project, "node_modules/holdfast/dist")
  const ours = program.getSourceFiles().filter(({ fileName }) => fileName === file || fileName.startsWith(dist))
  for (const source of ours) {
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    for (const { messageText, start } of found) {
      const line = source.getLineAndCharacterOfPosition(start ?? 0).line + 1
      const message = ts.flattenDiagnosticMessageText(messageText, "\n")
      problems.push(`${relative(project, source.fileName)}:${line}: ${message}`)
    }
  }
  // A user who exports what was inferred from ours gets declarations in turn, and these must not lead inside.
  program.emit(program.getSourceFile(file), (_, declarations) => {
    const leaks = declarations.matchAll(/import\("(holdfast\/[^"]*\/internal\/[^"]*)"\)\.(\w+)/g)
    for (const leak of new Set(Array.from(leaks, ([, path, name]) => `${name} of ${path}`))) {
      problems.push(`a public type is made of ${leak}, which users cannot name: give it a name in a public module`)
    }
  })
}

const home = mkdtempSync(join(tmpdir(), "holdfast-"))
for (let above = dirname(home); above !== dirname(above); above = dirname(above)) {
  if (existsSync(join(above, "node_modules"))) throw new Error(`${above}/node_modules would hide what is missing`)
}

const existing = Object.keys(rooms).filter((room) => existsSync(join(root, "src", room, "index.ts")))
const peersOf = (needs: Needs | undefined): string => ["effect", ...needs?.peers ?? []].join(" ")
const sets = new Set(
  existing.flatMap((room) => [rooms[room], ...Object.values(rooms[room]?.apart ?? {})]).map((needs) => peersOf(needs))
)
const subpaths: Array<string> = []

try {
  for (const peers of sets) {
    const project = join(home, String(subpaths.length))
    const installed = join(project, "node_modules/holdfast")
    mkdirSync(installed, { recursive: true })
    writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
    spawnSync("tar", ["-xzf", tarball(), "-C", installed, "--strip-components=1"])
    install(peers.split(" "), project)
    const dist = join(installed, "dist")
    const open = opened(peers, dist)
    importAll(project, [...open, ...shared], closed(dist))
    typeCheck(project, [...open, ...shared])
    console.log(
      `${
        open.filter((path) => !path.includes("/") || isApart(path)).map((path) => `holdfast/${path}`).join(", ")
      } with ${peers.replaceAll(" ", ", ")}`
    )
    subpaths.push(...open)
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}

if (subpaths.length === 0) problems.push("there is no subpath to import")
report(problems, `${subpaths.length} subpaths import and type-check with nothing but their peers`)
